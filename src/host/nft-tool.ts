// The `nft` command: what is made once per network. JSON in and out (libnftables-json(5)); a whole input is one
// transaction, all of it or nothing.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TsnetError } from "../errors.ts";
import { run } from "./run.ts";

/** One entry of the list that nft prints or takes, such as `{ chain: {...} }` or `{ add: { element: {...} } }`. */
export type NftObject = Readonly<Record<string, unknown>>;

/** Lists and changes nftables of the network namespace in which this process runs. Throws TsnetError `host`. */
export class NftTool {
  /** All chains with family, table, name, and for base chains hook and policy. */
  async listChains(): Promise<readonly NftObject[]> {
    return this.#list(["list", "chains"]);
  }

  /** Sets, chains and rules of one table, which must exist, without the elements of its sets. */
  async listSkeleton(family: string, table: string): Promise<readonly NftObject[]> {
    return this.#list(["-t", "list", "table", family, table]);
  }

  /** One chain with its rules; it must exist. */
  async listChain(family: string, table: string, chain: string): Promise<readonly NftObject[]> {
    return this.#list(["list", "chain", family, table, chain]);
  }

  /** One transaction out of constant text. Nothing that came from outside may be part of it. */
  async applyText(constant: string): Promise<void> {
    await run("nft", ["-f", "-"], { input: constant });
  }

  /** One transaction out of JSON commands, by a file: nft cannot read JSON from the socket that Node gives it as stdin. */
  async applyCommands(commands: readonly NftObject[]): Promise<void> {
    const folder = await mkdtemp(join(tmpdir(), "tsnet-nft-"));
    try {
      const file = join(folder, "commands.json");
      await writeFile(file, JSON.stringify({ nftables: commands }), { mode: 0o600 });
      await run("nft", ["-j", "-f", file]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  async #list(args: readonly string[]): Promise<readonly NftObject[]> {
    const parsed = parseJson(await run("nft", ["-j", ...args]), args);
    if (typeof parsed === "object" && parsed !== null && "nftables" in parsed && Array.isArray(parsed.nftables)) {
      return parsed.nftables as NftObject[]; // libnftables-json(5): a list of objects with one key each
    }
    throw new TsnetError("host", `nft -j ${args.join(" ")} printed no ruleset`);
  }
}

function parseJson(text: string, args: readonly string[]): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TsnetError("host", `nft -j ${args.join(" ")} printed no JSON`, { cause });
  }
}
