// What the demo shows: one line per result with a tick or a cross and what was measured, above it the commands that led
// there, dimmed and ready to be copied. Made for a terminal of 80 columns; colours only there (and never with NO_COLOR).
const WIDTH = 78;
const INDENT = "    ";

const COLOURS = { dim: "\u001B[2m", green: "\u001B[32m", red: "\u001B[31m", bold: "\u001B[1m" } as const;
const RESET = "\u001B[0m";

/** Writes to standard output. */
export class Screen {
  readonly #hasColours = process.stdout.isTTY && (process.env["NO_COLOR"] ?? "") === "";

  /** @param text - may have several lines. */
  say(text: string): void {
    process.stdout.write(`${text}\n`);
  }

  heading(text: string): void {
    this.say(this.#paint("bold", text));
  }

  /** Something that is done without being a check, and what it took. */
  step(text: string, measured: string): void {
    this.say(this.#paint("dim", `  ${alignRight(text, measured, WIDTH - 2)}`));
  }

  /** A command, as it can be typed; a long one over several lines. */
  command(argv: readonly string[]): void {
    const lines = wrap(pairOptions(argv.map(quote)), WIDTH - INDENT.length - 4);
    const text = lines.map((line, at) => `${INDENT}${at === 0 ? "$ " : "    "}${line}`).join(" \\\n");
    this.say(this.#paint("dim", text));
  }

  passed(title: string, measured: string): void {
    this.say(`${this.#paint("green", "✓")} ${alignRight(title, measured, WIDTH - 2)}\n`);
  }

  failed(title: string, reason: string): void {
    const lines = reason.split("\n").filter((line) => line.trim() !== "");
    const indented = lines.map((line) => `${INDENT}${line}`).join("\n");
    this.say(`${this.#paint("red", "✗")} ${title}\n${indented}\n`);
  }

  #paint(colour: keyof typeof COLOURS, text: string): string {
    return this.#hasColours ? `${COLOURS[colour]}${text}${RESET}` : text;
  }
}

function alignRight(left: string, right: string, width: number): string {
  const gap = width - left.length - right.length;
  return gap > 0 ? `${left}${" ".repeat(gap)}${right}` : `${left}\n${INDENT}${right}`;
}

/** As little quoting as a POSIX shell needs. */
function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

/** Keeps an option and the word after it, mostly its value, on one line. */
function pairOptions(words: readonly string[]): string[] {
  const pairs: string[] = [];
  for (const word of words) {
    const last = pairs.at(-1);
    if (last?.startsWith("-") === true && !last.includes(" ")) pairs[pairs.length - 1] = `${last} ${word}`;
    else pairs.push(word);
  }
  return pairs;
}

function wrap(words: readonly string[], width: number): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
