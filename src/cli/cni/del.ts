// `tsnet cni del`: has the plugins of a network take back what they did for a container, also when that is gone.
import { inContext } from "../../errors.ts";
import type { Tools } from "../tools.ts";
import { delChain, takeBackChain } from "./chain.ts";
import { chainOf, findRecord } from "./container.ts";
import { findNetworkName } from "./find-conf.ts";
import { lockRecords } from "./lock.ts";
import type { CniOptions } from "./options.ts";
import { type CniRecord, CniRecords } from "./records.ts";

/** How `del` takes off. */
export interface DelOptions extends CniOptions {
  /** Forgets the record even if plugins fail; each of them has its turn then. */
  readonly force?: boolean;
}

/** What was not added is no failure. @throws TsnetError `host` with what a plugin said; the record stays then. */
export async function cniDel(tools: Tools, text: string, conf: string, options: DelOptions): Promise<void> {
  const name = findNetworkName(conf);
  const records = new CniRecords(options.stateDir);
  using _lock = await tools.console.waitFor("another tsnet cni", lockRecords(options.stateDir));
  const record = await findRecord(tools, records.list(), text, name, options.ifname);
  if (record !== undefined) {
    await tools.console.waitFor("the CNI plugins", takeOff(tools, record, options.force));
    records.remove(record);
  }
  if (options.json === true) return tools.console.json({ network: name, isDeleted: record !== undefined });
  if (record !== undefined)
    tools.console.line(`${record.container.name} is off CNI network ${name} (${record.ifName})`);
  // No plugin runs without a record: it would take an interface of that name for its own.
  else tools.console.note(`tsnet has not added ${text} to CNI network ${name}; nothing was changed`);
}

async function takeOff({ console }: Tools, record: CniRecord, isForced = false): Promise<void> {
  const chain = chainOf(record);
  if (isForced) {
    for (const failure of await takeBackChain(chain, record.result)) console.note(`left as it is: ${failure}`);
    return;
  }
  await delChain(chain, record.result).catch((failure: unknown) => {
    const doing = `container ${record.container.name} could not be taken off CNI network ${record.conf.name}`;
    throw inContext(`${doing} (--force forgets it all the same)`, failure);
  });
}
