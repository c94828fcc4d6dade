// Tables as text. What is too long for its column goes on in the next line of it: nothing is cut off.

/** Between two columns. */
const GAP = 2;
/** No column is made narrower. */
const NARROWEST = 8;
/** Would move a terminal's cursor, colour what follows or turn its direction. */
const CONTROL = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
/** Two columns of a terminal for each (Unicode, UAX #11, East Asian Wide and Fullwidth). */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
/** None: they stand above the character before. */
const MARK = /\p{M}/u;

/** A cell: a line, or several of them. */
export type Cell = string | readonly string[];

/**
 * Columns that are empty in all rows are left out.
 *
 * @param head - titles of the columns.
 * @param width - characters of a line at most; a table of very many columns may be wider.
 * @param paintHead - what is done to the line of titles.
 * @returns lines, each with its line end.
 */
export function formatTable(
  head: readonly string[],
  rows: readonly (readonly Cell[])[],
  width: number,
  paintHead: (line: string) => string = (line) => line,
): string {
  const cells = rows.map((row) => row.map((cell) => [cell].flat().map(plain)));
  const filled = head.flatMap((_title, at) => (cells.some((row) => row[at]?.some((line) => line !== "")) ? [at] : []));
  const columns = filled.map((at) => ({ title: head[at] ?? "", lines: cells.map((row) => row[at] ?? []) }));
  const widths = narrow(columns, width);
  const shown = cells.map((row) => filled.map((at) => row[at] ?? []));
  const lines = shown.flatMap((row) => formatRow(row, widths));
  const titles = columns.map(({ title }) => title);
  return [paintHead(formatLine(titles, widths)), ...lines].map((line) => `${line}\n`).join("");
}

/** Without what would move a terminal's cursor, or colour what follows. */
export function plain(text: string): string {
  return text.replace(CONTROL, "?");
}

interface Column {
  readonly title: string;
  /** Of each row. */
  readonly lines: readonly (readonly string[])[];
}

/** Takes from the widest column until all fit, first as far as no word is broken. */
function narrow(columns: readonly Column[], width: number): readonly number[] {
  const widest = ({ title, lines }: Column, measure: (line: string) => number) =>
    lines.flat().reduce((most, line) => Math.max(most, measure(line)), title.length);
  const widths = columns.map((column) => widest(column, widthOf));
  takeUntil(
    widths,
    columns.map((column) => widest(column, (line) => Math.max(...line.split(" ").map(widthOf)))),
    width,
  );
  takeUntil(
    widths,
    columns.map(({ title }) => Math.max(title.length, NARROWEST)),
    width,
  );
  return widths;
}

function takeUntil(widths: number[], least: readonly number[], width: number): void {
  const excess = () => widths.reduce((sum, each) => sum + each, 0) + GAP * (widths.length - 1) - width;
  while (excess() > 0) {
    const spare = widths.map((each, at) => (each > (least[at] ?? 0) ? each : 0));
    const widest = Math.max(...spare);
    if (widest === 0) break;
    widths[spare.indexOf(widest)] = widest - 1;
  }
}

function formatRow(row: readonly (readonly string[])[], widths: readonly number[]): readonly string[] {
  const wrapped = row.map((lines, at) => lines.flatMap((line) => wrap(line, widths[at] ?? 0)));
  const height = Math.max(1, ...wrapped.map((lines) => lines.length));
  return Array.from({ length: height }, (_none, at) =>
    formatLine(
      wrapped.map((lines) => lines[at] ?? ""),
      widths,
    ),
  );
}

function formatLine(texts: readonly string[], widths: readonly number[]): string {
  return texts
    .map((text, at) => text + " ".repeat(Math.max(0, (widths[at] ?? 0) + GAP - widthOf(text))))
    .join("")
    .trimEnd();
}

/** Lines of at most that width, between words where that is possible. */
export function wrap(line: string, width: number): readonly string[] {
  if (widthOf(line) <= width) return [line];
  const start = startOf(line, width);
  const space = line.lastIndexOf(" ", start.length);
  const end = space > 0 ? space : start.length;
  return [line.slice(0, end), ...wrap(line.slice(end).trimStart(), width)];
}

/** As much of a line as has room; one character at least. */
function startOf(line: string, width: number): string {
  let [start, used] = ["", 0];
  for (const character of line) {
    used += widthOfCharacter(character);
    if (used > width && start !== "") break;
    start += character;
  }
  return start;
}

/** Columns of a terminal. */
function widthOf(text: string): number {
  return Array.from(text).reduce((sum, character) => sum + widthOfCharacter(character), 0);
}

function widthOfCharacter(character: string): number {
  if (MARK.test(character)) return 0;
  return WIDE.test(character) ? 2 : 1;
}
