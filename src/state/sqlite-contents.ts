// Reads everything out of a file of records, however damaged, and says what is sure. Each record is in two trees, so that
// damage in one place costs nothing; what was lost in both is known by the book, by name or at least by number.
import type { DatabaseSync } from "node:sqlite";
import type { DamagedRecord, RecordKind } from "./record-store.ts";
import { type Book, type Row, bookOf, isSealed, parseBook, sealOf } from "./record-book.ts";

/** The tables that have all records, alike. */
export const TREES = ["records", "copies"] as const;

/** Of the rows that stand for damaged records: `network 63cc06…`, with what is left as `text`. */
export const DAMAGED_KIND = "damaged";

const KINDS: ReadonlySet<string> = new Set<RecordKind>(["network", "endpoint", "pool", "address", "uplink", "host"]);

/** What a file holds. */
export interface Contents {
  /** Good ones, those of kind `damaged` included. */
  readonly rows: readonly Row[];
  /** Records that were found to be damaged just now. */
  readonly damaged: readonly DamagedRecord[];
  readonly commits: number;
  /** Whether the file is as it was written: nothing has to be mended. */
  readonly isWhole: boolean;
  /** Why records may be missing without a name; undefined if none is. */
  readonly loss: string | undefined;
}

interface Tree {
  readonly rows: ReadonlyMap<string, Row>;
  readonly isWhole: boolean;
}

/** @param fault - what SQLite itself finds wrong with the file, "" for nothing. */
export function readContents(database: DatabaseSync, fault: string): Contents {
  const trees = TREES.map((tree) => readTree(database, `SELECT kind, id, body, seal FROM ${tree}`));
  const books = readBooks(database);
  const [book] = books.toSorted((a, b) => b.commits - a.commits);
  const keys = new Set(trees.flatMap(({ rows }) => [...rows.keys()]));
  const [good, bad]: [Row[], { row: Row; isInBoth: boolean }[]] = [[], []];
  let areAlike = true;
  for (const key of keys) {
    const found = trees.flatMap(({ rows }) => rows.get(key) ?? []);
    const sealed = found.find(isSealed);
    const [row] = found;
    if (sealed !== undefined) good.push(sealed);
    else if (row !== undefined) bad.push({ row, isInBoth: found.length === trees.length });
    areAlike &&= found.length === trees.length && found.every((one) => isSealed(one) && one.body === row?.body);
  }
  const isSound = fault === "" && areAlike && trees.every(({ isWhole }) => isWhole);
  const own = bookOf(good, book?.commits ?? 0);
  if (isBook(own, book) || (book === undefined && isSound)) {
    const isWhole =
      isSound && books.length === 2 && books.every((each) => isBook(own, each) && each.commits === own.commits);
    return { rows: good, damaged: [], commits: own.commits, isWhole, loss: undefined };
  }
  const damaged = bad.flatMap(({ row: { kind, id, body } }) => (isKind(kind) ? [{ kind, id, text: body }] : []));
  const areNamed = bad.every(({ row, isInBoth }) => isInBoth && isKind(row.kind));
  const isAll = book !== undefined && bad.length > 0 && areNamed && own.count + bad.length === book.count;
  const number =
    book === undefined ? "an unknown number" : String(Math.max(1, book.count - own.count - damaged.length));
  const loss = isAll ? undefined : `${number} of them cannot be found${fault === "" ? "" : ` (${fault})`}`;
  return { rows: good, damaged, commits: own.commits, isWhole: false, loss };
}

/** The contents of a file of format 1, which had neither seals nor copies: what is JSON is taken for good. */
export function readOldContents(database: DatabaseSync, fault: string): Contents {
  const { rows, isWhole } = readTree(database, "SELECT kind, id, body, 0 AS seal FROM records");
  const found = [...rows.values()].map((row) => ({ ...row, seal: sealOf(row.kind, row.id, row.body) }));
  const damaged = found.flatMap(({ kind, id, body }) =>
    isJson(body) || !isKind(kind) ? [] : [{ kind, id, text: body }],
  );
  const good = found.filter(({ kind, body }) => isKind(kind) && isJson(body));
  const isAll = isWhole && fault === "" && good.length + damaged.length === found.length;
  const loss = isAll ? undefined : `an unknown number of them cannot be found${fault === "" ? "" : ` (${fault})`}`;
  return { rows: good, damaged, commits: 0, isWhole: false, loss };
}

/** Reads from both ends as far as it goes: of a tree with a damaged page, all but what is on that page. */
function readTree(database: DatabaseSync, query: string): Tree {
  const rows = new Map<string, Row>();
  let isWhole = true;
  for (const order of ["ASC", "DESC"]) {
    try {
      const statement = database.prepare(`${query} ORDER BY kind ${order}, id ${order}`);
      statement.setReadBigInts(true); // a damaged number may be too large for the other way
      for (const { kind, id, body, seal } of statement.iterate()) {
        const isRow = typeof kind === "string" && typeof id === "string" && typeof body === "string";
        if (isRow && typeof seal === "bigint") rows.set(`${kind}\0${id}`, { kind, id, body, seal: Number(seal) });
        else isWhole = false;
      }
      if (isWhole) break;
    } catch {
      isWhole = false;
    }
  }
  return { rows, isWhole };
}

/** How many commits a file has seen that is as it was written. */
export function readCommits(database: DatabaseSync): number | undefined {
  return readBooks(database)[0]?.commits;
}

function readBooks(database: DatabaseSync): readonly Book[] {
  try {
    const rows = database.prepare("SELECT text, seal FROM books").all();
    return rows.flatMap(({ text, seal }) => parseBook(String(text), Number(seal)) ?? []);
  } catch {
    return [];
  }
}

function isBook(own: Book, book: Book | undefined): boolean {
  return own.count === book?.count && own.sum === book.sum;
}

function isKind(kind: string): kind is RecordKind {
  return KINDS.has(kind);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** The row that stands for a damaged record from then on. */
export function rowOfDamaged({ kind, id, text }: DamagedRecord): Row {
  const row = { kind: DAMAGED_KIND, id: `${kind} ${id}`, body: JSON.stringify({ text }) };
  return { ...row, seal: sealOf(row.kind, row.id, row.body) };
}

/** The damaged records that such rows stand for. */
export function damagedOf(rows: readonly Row[]): readonly DamagedRecord[] {
  return rows.flatMap(({ kind, id, body }) => {
    if (kind !== DAMAGED_KIND) return [];
    const [of = "", ...rest] = id.split(" ");
    const { text } = JSON.parse(body) as { text: string }; // written by rowOfDamaged
    return isKind(of) ? [{ kind: of, id: rest.join(" "), text }] : [];
  });
}
