// Where a suite writes what people read: it is shown at once, or held back in a file while another suite has the screen.
import { appendFileSync } from "node:fs";

/** Also what execa takes for `stdout` and `stderr`. */
export type SuiteOutput = "inherit" | { readonly file: string; readonly append: true };

/** Writes a line of our own among what the suite writes. */
export function say(output: SuiteOutput, line: string): void {
  if (output === "inherit") console.log(line);
  else appendFileSync(output.file, `${line}\n`);
}
