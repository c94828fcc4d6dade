// tsnet's records read from outside: a copy of its SQLite file, because the daemon keeps the file itself locked.
import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/**
 * Lists what is recorded, one line each: `network 3f2a…`, `address 10.1.2.0/24+9f3a61c2#10.1.2.7`. Left out are
 * addresses at rest (that an address was used once is no trace) and what is not about networks: the host's boot id.
 */
export function listRecords(stateDir: string): string[] {
  const copy = mkdtempSync(join(tmpdir(), "tsnet-records-"));
  try {
    for (const file of ["tsnet.db", "tsnet.db-wal"]) {
      if (existsSync(join(stateDir, file))) copyFileSync(join(stateDir, file), join(copy, file));
    }
    using database = new DatabaseSync(join(copy, "tsnet.db"));
    const rows = database.prepare("SELECT kind, id, body FROM records WHERE kind <> 'host' ORDER BY kind, id").all();
    return rows.flatMap(({ kind, id, body }) => (isAtRest(kind, body) ? [] : [`${String(kind)} ${String(id)}`]));
  } finally {
    rmSync(copy, { recursive: true });
  }
}

function isAtRest(kind: unknown, body: unknown): boolean {
  return kind === "address" && String(body).includes('"released"');
}
