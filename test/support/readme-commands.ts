// Commands that the README tells its readers to type, for tests that type them.
import { readFile } from "node:fs/promises";
import { join } from "node:path";

/**
 * The indented lines below a heading that begin with a program's name, up to the next heading.
 *
 * @param after - a text below that heading; what stands before it is left out.
 * @throws Error when there are none.
 */
export async function readmeCommands(heading: string, program: string, after = ""): Promise<readonly string[]> {
  const readme = await readFile(join(import.meta.dirname, "../../README.md"), "utf8");
  const [section = ""] = (readme.split(`\n${heading}\n`)[1] ?? "").split(/^#/m);
  const blocks = section.slice(section.indexOf(after)).split(/\n\n(?! {4})/);
  const first = blocks.find((block) => block.includes(`\n    ${program} `)) ?? "";
  const commands = first.split("\n").filter((line) => line.startsWith(`    ${program} `));
  if (commands.length === 0 || !section.includes(after)) throw new Error(`no ${program} below ${heading}, ${after}`);
  return commands.map((line) => line.trim());
}
