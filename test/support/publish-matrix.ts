// Who gets from where to where, by the containers' own addresses and at addresses of the host itself, in every mode of
// networks (publish-modes.ts), asked with packets: pings and both protocols.
import { ECHO_PORT } from "./neighbour.ts";
import { LISTENED, MODE_NAMES, type ModeName, type ModesStand, addressOf, gatewayOf } from "./publish-modes.ts";
import { type Family, HOST } from "./publish-stand.ts";
import { formatTable } from "./publish-table.ts";
import type { Place } from "./system-container.ts";
import type { Answer, Question, Round } from "./system-probe.ts";

/** A row of a matrix: words by the names of its columns. */
export interface MatrixRow {
  readonly name: string;
  readonly words: Readonly<Record<string, string>>;
}

/** Machines that ask besides the containers; `same`: another container of the network that is asked. */
const OUTSIDE = {
  host: ({ host }) => host,
  LAN: ({ host }) => host.neighbour,
  beyond: ({ beyond }) => beyond,
} as const satisfies Record<string, (stand: ModesStand) => Place>;

const BOTH = ["tcp", "udp"] as const;

/** Reads a matrix from a table in Markdown. */
export function parseMatrix(text: string): readonly MatrixRow[] {
  const [[, ...columns] = [], , ...lines] = text.trim().split("\n").map(cellsOf);
  return lines.map(([name = "", ...words]) => {
    return { name, words: Object.fromEntries(columns.map((column, at) => [column, words[at] ?? ""])) };
  });
}

/** Writes it as `parseMatrix` reads it. @param corner - stands over the names of the rows. */
export function formatMatrix(corner: string, rows: readonly MatrixRow[]): string {
  return formatTable(linesOf(corner, rows));
}

/** Cells by lines, the head first. @param corner - as for `formatMatrix`. */
export function linesOf(corner: string, rows: readonly MatrixRow[]): readonly (readonly string[])[] {
  const columns = [...new Set(rows.flatMap(({ words }) => Object.keys(words)))];
  const lines = rows.map(({ name, words }) => [name, ...columns.map((column) => words[column] ?? "")]);
  return [[corner, ...columns], ...lines];
}

/** What the same matrix, measured under several conditions, has in its cells. @param inOne - of all words of a cell. */
export function mergeMatrices(
  matrices: readonly (readonly MatrixRow[])[],
  inOne: (words: readonly string[]) => string,
): readonly MatrixRow[] {
  const [first = []] = matrices;
  return first.map(({ name, words }, at) => {
    const cells = Object.keys(words).map((column) => [
      column,
      inOne(matrices.map((rows) => rows[at]?.words[column] ?? "")),
    ]);
    return { name, words: Object.fromEntries(cells) as MatrixRow["words"] }; // of pairs of strings
  });
}

/** The rows as columns. @param name - of a new row, by the name of the column that it was. */
export function transpose(rows: readonly MatrixRow[], name: (column: string) => string): readonly MatrixRow[] {
  return Object.keys(rows[0]?.words ?? {}).map((column) => {
    return { name: name(column), words: Object.fromEntries(rows.map((row) => [row.name, row.words[column] ?? ""])) };
  });
}

/** What is asked, and in which round. */
export interface MatrixPlan {
  readonly round: Round;
  readonly stand: ModesStand;
  readonly family: Family;
  readonly modes: readonly ModeName[];
}

/**
 * Who gets into networks: a row for each, a column for each source. `all`: a ping, the published port and the other one;
 * `port`: the published one alone; `-`: nothing; else what does.
 */
export async function measureNetworks(plan: MatrixPlan, sources: readonly string[]): Promise<readonly MatrixRow[]> {
  const { round, stand, family, modes } = plan;
  const rows = modes.map(async (name) => {
    const words = sources.map(async (source) => {
      if (source === name) return [source, ""] as const;
      const place = source === "same" ? stand.asker(name) : placeOf(stand, source);
      const answers = await round.add(place, questionsTo(addressOf(name, family)));
      return [source, describePorts(answers, `${name}-1`)] as const;
    });
    return { name, words: Object.fromEntries(await Promise.all(words)) };
  });
  return await Promise.all(rows);
}

/** Who gets to the host: a row for each network, a column for each address of the host. `all`, `-`, else what does. */
export async function measureHost({ round, stand, family, modes }: MatrixPlan): Promise<readonly MatrixRow[]> {
  const rows = modes.map(async (name) => {
    const addresses = { "own gateway": gatewayOf(name, family), LAN: HOST[family], nat: gatewayOf("nat", family) };
    const words = Object.entries(addresses).map(async ([column, address]) => {
      const ports = BOTH.map((protocol) => ({ protocol, address, port: ECHO_PORT }));
      const answers = await round.add(stand.asker(name), [{ protocol: "ping", address, port: 0 }, ...ports]);
      const [ping = {}, tcp = {}, udp = {}] = answers;
      return [column, inOneWord({ ping, tcp, udp }, isAnswered)] as const;
    });
    return { name, words: Object.fromEntries(await Promise.all(words)) };
  });
  return await Promise.all(rows);
}

function placeOf(stand: ModesStand, source: string): Place {
  const outside = Object.entries(OUTSIDE).find(([name]) => name === source);
  if (outside !== undefined) return outside[1](stand);
  const mode = MODE_NAMES.find((name) => name === source);
  if (mode === undefined) throw new Error(`"${source}" is no source: ${MODE_NAMES.join(", ")}`);
  return stand.asker(mode);
}

function questionsTo(address: string): readonly Question[] {
  const ports = Object.values(LISTENED).flatMap((port) => BOTH.map((protocol) => ({ protocol, address, port })));
  return [{ protocol: "ping", address, port: 0 }, ...ports];
}

function describePorts(
  [ping = {}, tcp = {}, udp = {}, otherTcp = {}, otherUdp = {}]: readonly Answer[],
  server: string,
) {
  const isRight = (answer: Answer) => answer.server === "ping" || answer.server === server;
  const outcome = { ping, tcp, udp, "other tcp": otherTcp, "other udp": otherUdp };
  const word = inOneWord(outcome, isRight);
  return word === "tcp, udp" ? "port" : word;
}

/** `all`, `-`, or the names of what got through. */
function inOneWord(outcome: Readonly<Record<string, Answer>>, isOpen: (answer: Answer) => boolean): string {
  const open = Object.keys(outcome).filter((name) => isOpen(outcome[name] ?? {}));
  if (open.length === 0) return "-";
  return open.length === Object.keys(outcome).length ? "all" : open.join(", ");
}

function isAnswered({ server }: Answer): boolean {
  return server !== undefined;
}

function cellsOf(line: string): readonly string[] {
  return line
    .split("|")
    .slice(1, -1)
    .map((cell) => cell.trim());
}
