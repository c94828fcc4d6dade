// Commands of nft that make room in our tables for the constant rules (`skeleton.ts`): nft(8).
import { TsnetError } from "../errors.ts";
import type { NftObject } from "../host/nft-tool.ts";
import type { TABLES } from "./skeleton.ts";

/** Puts an empty table in the place of one that may be there. */
export function replacingCommands({ family, table }: (typeof TABLES)[number]): string {
  return ["add", "delete", "add"].map((verb) => `${verb} table ${family} ${table}\n`).join("");
}

/** Empties a table that would lose what makes it ownable if `nft` made it anew. */
export function emptyingCommands({ family, table }: (typeof TABLES)[number], objects: readonly NftObject[]): string {
  const place = `${family} ${table}`;
  const deletions = (["chain", "set", "map"] as const).flatMap((kind) =>
    objects.flatMap(({ [kind]: found }) => (found === undefined ? [] : [`delete ${kind} ${place} ${nameOf(found)}\n`])),
  );
  return [`flush table ${place}\n`, ...deletions].join("");
}

/** The name of a chain or set in our own tables, fit to stand in a command. */
function nameOf(object: unknown): string {
  const { name } = fieldsOf(object);
  if (typeof name === "string" && /^\w+$/.test(name)) return name;
  throw new TsnetError(
    "host",
    `the tables tsnet hold ${JSON.stringify(name)}, which tsnet did not make: delete it with nft`,
  );
}

/** A look at JSON of unknown form. */
export function fieldsOf(value: unknown): NftObject {
  return typeof value === "object" && value !== null ? (value as NftObject) : {};
}
