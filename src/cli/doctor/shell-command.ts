// Command lines that an operator can type as they stand: names come from outside, and a shell must read them as names.

/** What no shell takes for anything but itself. */
const PLAIN = /^[A-Za-z0-9_@%+=:,./-]+$/;

/** The words and quoted texts of a command line. */
const WORD = /(?:'[^']*'|[^\s'])+/g;

/** A command line, its values quoted where a shell needs it: command`docker network rm ${name}`. */
export function command(parts: TemplateStringsArray, ...values: readonly (string | number)[]): string {
  return parts.reduce((line, part, at) => `${line}${quote(String(values[at - 1] ?? ""))}${part}`);
}

function quote(text: string): string {
  return PLAIN.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Breaks a command line between words, with a backslash at each end but the last: lines of at most that width if its words let it. */
export function wrapCommand(line: string, width: number): readonly string[] {
  const lines: string[] = [];
  for (const word of line.match(WORD) ?? []) {
    const last = lines.at(-1);
    if (last === undefined || `${last} ${word} \\`.length > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines.map((each, at) => (at < lines.length - 1 ? `${each} \\` : each));
}
