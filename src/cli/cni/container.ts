// Which container is meant by `tsnet cni`, and which of its attachments.
import { TsnetError, codeOf } from "../../errors.ts";
import { findCalled } from "../catalog.ts";
import type { DockerContainer } from "../docker.ts";
import { findNamespaceOwner } from "../container-namespace.ts";
import type { Tools } from "../tools.ts";
import { type HostProcess, isRunning, netnsOf, requireProcess } from "./host-process.ts";
import type { Chain } from "./chain.ts";
import { PLUGIN_TIMEOUT_MS } from "./plugin.ts";
import type { CniRecord } from "./records.ts";

/** A container that runs in a network namespace of its own. */
export interface RunningContainer {
  readonly id: string;
  readonly name: string;
  /** Its first one. */
  readonly process: HostProcess;
}

/**
 * The container of that name, or the one whose network namespace it shares, which is said.
 *
 * @throws TsnetError `not-found`; `unavailable` if it does not run; `unsupported` if it has the host's network.
 */
export async function requireContainer(tools: Tools, text: string): Promise<RunningContainer> {
  const { id, name, pid, isRunning: runs, isOnHost } = await findOwner(tools, text);
  if (isOnHost)
    throw new TsnetError("unsupported", `container ${name} has the host's own network: CNI is not for that`);
  if (!runs) throw new TsnetError("unavailable", `container ${name} does not run; start it first`);
  return { id, name, process: requireProcess(pid) };
}

/**
 * What `tsnet cni add` wrote down of that container and network. Docker need not have the container any more.
 *
 * @returns undefined if there is nothing.
 * @throws TsnetError `conflict` if there are several.
 */
export async function findRecord(
  tools: Tools,
  records: readonly CniRecord[],
  text: string,
  network: string,
  ifName: string | undefined,
): Promise<CniRecord | undefined> {
  const ofNetwork = records.filter(({ conf }) => conf.name === network);
  const id = await findId(tools, ofNetwork, text);
  const found = ofNetwork.filter((each) => each.container.id === id && (ifName ?? each.ifName) === each.ifName);
  if (found.length < 2) return found[0];
  const names = found.map((each) => each.ifName).join(", ");
  throw new TsnetError("conflict", `${text} is on CNI network ${network} as ${names}: say which with --ifname`);
}

/** What is said to the plugins of a record. Where the namespace is gone, it is left out. */
export function chainOf({ conf, cniVersion, capabilities, container, process, ...record }: CniRecord): Chain {
  const { ifName, args, path } = record;
  const netns = isRunning(process) ? netnsOf(process) : "";
  const attachment = { containerId: container.id, netns, ifName, args, path, timeoutMs: PLUGIN_TIMEOUT_MS };
  return { conf, cniVersion, capabilities, attachment };
}

async function findOwner(tools: Tools, text: string): Promise<DockerContainer> {
  return findNamespaceOwner(tools, await tools.findContainer(text));
}

/** A removed container's name may have been given to another one, which has no record then. */
async function findId(tools: Tools, records: readonly CniRecord[], text: string): Promise<string | undefined> {
  const owner = await findOwner(tools, text).catch((failure: unknown) => {
    if (codeOf(failure) === "not-found" || codeOf(failure) === "unavailable") return undefined;
    throw failure;
  });
  if (owner !== undefined && records.some(({ container }) => container.id === owner.id)) return owner.id;
  const others = owner === undefined ? records : records.filter(({ process }) => !isRunning(process));
  const containers = new Map(others.map(({ container }) => [container.id, container]));
  return findCalled("container", [...containers.values()], text)?.id;
}
