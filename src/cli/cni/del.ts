// `tsnet cni del`: has the plugins of a network take back what they did for a container, also when that is gone.
import { inContext } from "../../errors.ts";
import type { Tools } from "../tools.ts";
import { delChain } from "./chain.ts";
import { chainOf, findRecord } from "./container.ts";
import { findNetworkName } from "./find-conf.ts";
import { lockRecords } from "./lock.ts";
import { type CniOptions, checkIfName } from "./options.ts";
import { CniRecords } from "./records.ts";

/** What was not added is no failure. @throws TsnetError `host` with what a plugin said; the record stays then. */
export async function cniDel(tools: Tools, text: string, conf: string, options: CniOptions): Promise<void> {
  checkIfName(options.ifname);
  const name = findNetworkName(conf);
  const records = new CniRecords(options.stateDir);
  using _lock = await tools.console.waitFor("another tsnet cni", lockRecords(options.stateDir));
  const record = await findRecord(tools, records.list(), text, name, options.ifname);
  // Without a record no plugin runs: it would take an interface of that name for its own.
  if (record === undefined)
    tools.console.note(`tsnet has not added ${text} to CNI network ${name}; nothing was changed`);
  else {
    const { container, ifName, result } = record;
    await tools.console.waitFor("the CNI plugins", delChain(chainOf(record), result)).catch((failure: unknown) => {
      throw inContext(`container ${container.name} could not be taken off CNI network ${name}`, failure);
    });
    records.remove(record);
    if (options.json !== true) tools.console.line(`${container.name} is off CNI network ${name} (${ifName})`);
  }
  if (options.json === true) tools.console.json({ network: name, isDeleted: record !== undefined });
}
