// Tables as text. What is too long for its column goes on in the next line of it: nothing is cut off.

/** Between two columns. */
const GAP = 2;
/** No column is made narrower. */
const NARROWEST = 8;
/** Of a terminal, or of what stands behind a name that somebody chose. */
// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/g;

/** A cell: a line, or several of them. */
export type Cell = string | readonly string[];

/**
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
  const natural = head.map((title, at) =>
    Math.max(title.length, ...cells.flatMap((row) => (row[at] ?? []).map((line) => line.length))),
  );
  const widths = narrow(natural, head, width);
  const lines = cells.flatMap((row) => formatRow(row, widths));
  return [paintHead(formatLine(head, widths)), ...lines].map((line) => `${line}\n`).join("");
}

/** Without what would move a terminal's cursor, or colour what follows. */
export function plain(text: string): string {
  return text.replace(CONTROL, "?");
}

/** Takes from the widest column until all fit. */
function narrow(natural: readonly number[], head: readonly string[], width: number): readonly number[] {
  const widths = [...natural];
  const least = head.map((title) => Math.max(title.length, NARROWEST));
  const excess = () => widths.reduce((sum, each) => sum + each, 0) + GAP * (widths.length - 1) - width;
  while (excess() > 0) {
    const spare = widths.map((each, at) => (each > (least[at] ?? 0) ? each : 0));
    const widest = Math.max(...spare);
    if (widest === 0) break;
    widths[spare.indexOf(widest)] = widest - 1;
  }
  return widths;
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
    .map((text, at) => text.padEnd((widths[at] ?? 0) + GAP))
    .join("")
    .trimEnd();
}

/** Lines of at most that width, between words where that is possible. */
export function wrap(line: string, width: number): readonly string[] {
  if (line.length <= width) return [line];
  const space = line.lastIndexOf(" ", width);
  const end = space > 0 ? space : width;
  return [line.slice(0, end), ...wrap(line.slice(end).trimStart(), width)];
}
