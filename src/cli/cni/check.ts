// `tsnet cni check`: asks the plugins whether all that they made is still there.
import { TsnetError, inContext } from "../../errors.ts";
import type { Tools } from "../tools.ts";
import { checkChain, hasCheck } from "./chain.ts";
import { chainOf, findRecord } from "./container.ts";
import { findNetworkName } from "./find-conf.ts";
import { isRunning } from "./host-process.ts";
import { lockRecords } from "./lock.ts";
import type { CniOptions } from "./options.ts";
import { sayPlace } from "./print.ts";
import { type CniRecord, CniRecords } from "./records.ts";
import type { CniResult } from "./result.ts";

/**
 * @param text - a container.
 * @throws TsnetError `host` with what a plugin found; `not-found` if it was not added; `unsupported` if the version has no CHECK.
 */
export async function cniCheck(tools: Tools, text: string, conf: string, options: CniOptions): Promise<void> {
  const name = findNetworkName(conf);
  const records = new CniRecords(options.stateDir);
  using _lock = await tools.console.waitFor("another tsnet cni", lockRecords(options.stateDir));
  const record = await findRecord(tools, records.list(), text, name, options.ifname);
  if (record === undefined) {
    throw new TsnetError(
      "not-found",
      `tsnet has not added ${text} to CNI network ${name}; \`tsnet cni ls\` lists what it has`,
    );
  }
  const {
    state,
    process,
    conf: { isCheckDisabled },
    cniVersion,
    ifName,
    container,
    result,
  } = record;
  const again = `\`tsnet cni add ${container.name}\` brings it in order`;
  if (state === "adding" || result === undefined) {
    throw new TsnetError("unavailable", `${container.name} was added to CNI network ${name} in part only; ${again}`);
  }
  if (!isRunning(process)) {
    throw new TsnetError(
      "unavailable",
      `${container.name} has stopped since it was added to CNI network ${name}; ${again}`,
    );
  }
  if (!hasCheck(cniVersion)) {
    const versions = "CNI has CHECK from version 0.4.0 on";
    throw new TsnetError("unsupported", `CNI network ${name} was added with version ${cniVersion}; ${versions}`);
  }
  if (isCheckDisabled) tools.console.note(`the configuration of ${name} has "disableCheck": no plugin was asked`);
  else await tools.console.waitFor("the CNI plugins", checkAdded(record, result));
  if (options.json === true) tools.console.json({ network: name, interface: ifName, isChecked: !isCheckDisabled });
  else tools.console.line(`${sayPlace(record)}${isCheckDisabled ? "" : ", as it was added"}`);
}

async function checkAdded(record: CniRecord, result: CniResult): Promise<void> {
  await checkChain(chainOf(record), result).catch((failure: unknown) => {
    throw inContext(`${sayPlace(record)}, but not as it was added`, failure);
  });
}
