// A Linux bridge with a spanning tree, and what ip(8) and bridge(8) say of it.
import type { NetNamespace } from "./namespace.ts";
import { shell } from "./packet-lab.ts";

/** What ip(8) says of a bridge itself. */
export interface BridgeData {
  /** 0: it is the root. */
  readonly root_port: number;
  readonly root_path_cost: number;
  readonly [name: string]: unknown;
}

/** @throws Error when there is no such link. */
export async function bridgeData(at: NetNamespace, name: string): Promise<BridgeData> {
  const [link] = await at.json<{ linkinfo: { info_data: BridgeData } }[]>([
    "ip",
    "-json",
    "-details",
    "link",
    "show",
    name,
  ]);
  if (link === undefined) throw new Error(`no link ${name}`);
  return link.linkinfo.info_data;
}

/** The states of all ports there, by name. */
export async function portStates(at: NetNamespace): Promise<Readonly<Record<string, string>>> {
  const links = await at.json<{ ifname: string; state: string }[]>(["bridge", "-json", "link", "show"]);
  return Object.fromEntries(links.map(({ ifname, state }) => [ifname, state]));
}

/** Makes a neighbour at the other end of a wire a bridge. @param priority - the lowest becomes the root. */
export async function beBridge(neighbour: NetNamespace, priority: number): Promise<void> {
  await shell(neighbour, [
    `ip link add br0 up type bridge stp_state 1 forward_delay 200 hello_time 100 max_age 600 priority ${priority}`,
    "ip link set wire master br0",
  ]);
}
