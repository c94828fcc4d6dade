// `tsnet cni add`: has the plugins of a network connect a running container. The record is written before the first plugin runs, so
// that whatever ends the command, `tsnet cni del` and the same command again know what to take back.
import { isDeepStrictEqual } from "node:util";
import { TsnetError, inContext } from "../../errors.ts";
import type { Tools } from "../tools.ts";
import { addChain, checkChain, chooseVersion, delChain, hasCheck, takeBackChain } from "./chain.ts";
import { requireWanted } from "./conf.ts";
import { type RunningContainer, chainOf, requireContainer } from "./container.ts";
import { findConf } from "./find-conf.ts";
import { isRunning, netnsOf } from "./host-process.ts";
import { lockRecords } from "./lock.ts";
import type { AddWishes } from "./options.ts";
import { PLUGIN_TIMEOUT_MS } from "./plugin.ts";
import { printAttachment, sayPlace } from "./print.ts";
import { type CniRecord, CniRecords } from "./records.ts";

/** What the operator wants. The same once more changes nothing. */
type Wanted = Pick<CniRecord, "conf" | "args" | "capabilities" | "path">;

const DEL_FIRST = "`tsnet cni del` takes it off, then it can be added again";

/**
 * @param text - a container.
 * @param confText - name of a network, or path of its configuration.
 * @throws TsnetError `host` with what a plugin said; then nothing of it stays, as far as the plugins can take it back.
 */
export async function cniAdd(tools: Tools, text: string, confText: string, options: AddWishes): Promise<void> {
  const { capabilities } = options;
  const conf = findConf(confText, options.confDir);
  requireWanted(conf, capabilities);
  const wanted: Wanted = { conf, args: options.args ?? "", capabilities, path: options.cniPath };
  const records = new CniRecords(options.stateDir);
  using _lock = await tools.console.waitFor("another tsnet cni", lockRecords(options.stateDir));
  const container = await requireContainer(tools, text);
  const earlier = findEarlier(records, container, conf.name, options.ifname);
  const isThere = earlier !== undefined && (await stands(tools, earlier, wanted));
  const record = isThere ? earlier : await addAnew(tools, records, container, wanted, options.ifname, earlier);
  if (options.json === true) tools.console.json(record.result);
  else printAttachment(tools.console, record);
}

/** Without `--ifname` the container's place on that network, whatever it is called. */
function findEarlier(
  records: CniRecords,
  { id }: RunningContainer,
  network: string,
  ifName: string | undefined,
): CniRecord | undefined {
  const found = records.list().filter(({ container, conf }) => container.id === id && conf.name === network);
  return ifName === undefined ? found[0] : found.find((each) => each.ifName === ifName);
}

/** Whether it is there as it was added. @throws TsnetError `conflict` if it is there otherwise. */
async function stands(tools: Tools, earlier: CniRecord, wanted: Wanted): Promise<boolean> {
  const { state, process, conf, args, capabilities, cniVersion, result = {} } = earlier;
  if (state === "adding" || !isRunning(process)) return false;
  if (!isDeepStrictEqual({ conf, args, capabilities, path: wanted.path }, wanted)) {
    throw new TsnetError("conflict", `${sayPlace(earlier)} already, with another configuration; ${DEL_FIRST}`);
  }
  if (hasCheck(cniVersion) && !conf.isCheckDisabled) {
    await tools.console.waitFor("the CNI plugins", checkChain(chainOf(earlier), result)).catch((failure: unknown) => {
      throw inContext(`${sayPlace(earlier)} already, but not as it was added (${DEL_FIRST})`, failure);
    });
  }
  tools.console.note(`${sayPlace(earlier)} already; nothing was changed`);
  return true;
}

async function addAnew(
  tools: Tools,
  records: CniRecords,
  { id, name, process }: RunningContainer,
  wanted: Wanted,
  wish: string | undefined,
  earlier: CniRecord | undefined,
): Promise<CniRecord> {
  const cniVersion = await chooseVersion(wanted.conf, wanted.path, PLUGIN_TIMEOUT_MS);
  if (earlier !== undefined) await clearAway(tools, records, earlier);
  const links = await tools.host
    .inside(netnsOf(process))
    .json<readonly { readonly ifname: string }[]>("ip", "-json", "link");
  const taken = links.map(({ ifname }) => ifname);
  const ifName = wish ?? freeName(taken, earlier?.ifName);
  if (taken.includes(ifName)) {
    throw new TsnetError(
      "conflict",
      `container ${name} has an interface ${ifName} already; --ifname names another one`,
    );
  }
  const record: CniRecord = {
    format: 1,
    state: "adding",
    container: { id, name },
    process,
    cniVersion,
    ifName,
    ...wanted,
  };
  records.write(record);
  return await tools.console.waitFor("the CNI plugins", addRecorded(records, record));
}

/** What an interrupted command left, or a container's life before its last start. */
async function clearAway(tools: Tools, records: CniRecords, earlier: CniRecord): Promise<void> {
  const { state, container, conf, result } = earlier;
  const why = state === "adding" ? "an earlier add was interrupted" : `${container.name} was started anew since`;
  tools.console.note(`${why}: what CNI network ${conf.name} had for it is taken back first`);
  await tools.console.waitFor("the CNI plugins", delChain(chainOf(earlier), result)).catch((failure: unknown) => {
    throw inContext("that failed (`tsnet cni del --force` forgets it all the same)", failure);
  });
  records.remove(earlier);
}

/** Every result is on the disk before the next plugin runs: what comes then may end this command. */
async function addRecorded(records: CniRecords, begun: CniRecord): Promise<CniRecord> {
  let record = begun;
  try {
    await addChain(chainOf(record), (result) => {
      record = { ...record, result };
      records.write(record);
    });
    record = { ...record, state: "added" };
    records.write(record);
    return record;
  } catch (failure) {
    const doing = `container ${record.container.name} could not be added to CNI network ${record.conf.name}`;
    const left = await takeBackChain(chainOf(record), record.result);
    if (left.length > 0) {
      throw inContext(`${doing}; \`tsnet cni del\` tries again what DEL left (${left.join("; ")})`, failure);
    }
    records.remove(record);
    throw inContext(doing, failure);
  }
}

/** `eth0`, or the next one that is free; what it was called before, if that is free. */
function freeName(taken: readonly string[], former: string | undefined): string {
  if (former !== undefined && !taken.includes(former)) return former;
  let number = 0;
  while (taken.includes(`eth${number}`)) number += 1;
  return `eth${number}`;
}
