// `tsnet cni ls`: which containers tsnet has added to which networks of CNI.
import type { Tools } from "../tools.ts";
import { isRunning } from "./host-process.ts";
import type { CniOptions } from "./options.ts";
import { addressesIn } from "./print.ts";
import { type CniRecord, CniRecords } from "./records.ts";

/** `interrupted`: added in part. `stopped`: the container is gone, or was started anew. */
export type CniState = "added" | "interrupted" | "stopped";

/** Prints a line for each attachment that is recorded. Asks nobody but the kernel. */
export function cniLs({ console }: Pick<Tools, "console">, { stateDir, json = false }: CniOptions): void {
  const found = new CniRecords(stateDir).list().map((record) => ({
    container: record.container,
    network: record.conf.name,
    interface: record.ifName,
    state: stateOf(record),
    result: record.result ?? {},
  }));
  if (json) return console.json(found);
  const rows = found.map((each) => [
    each.container.name,
    each.network,
    each.interface,
    addressesIn(each.result),
    each.state,
  ]);
  console.table(
    ["CONTAINER", "NETWORK", "INTERFACE", "ADDRESSES", "STATE"],
    rows,
    "tsnet has added no container by CNI",
  );
}

function stateOf({ state, process }: CniRecord): CniState {
  if (!isRunning(process)) return "stopped";
  return state === "adding" ? "interrupted" : "added";
}
