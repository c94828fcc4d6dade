// An endpoint's port: a veth pair, one end in the bridge, the other for libnetwork to move into the sandbox. The port is
// marked before it is set up, so that no frame passes a port that nobody would know again.
import type { Endpoint } from "../../cnm/endpoint.ts";
import type { Network } from "../../cnm/network.ts";
import { TsnetError } from "../../errors.ts";
import { isErrno } from "../../host/netlink.ts";
import type { Link } from "../../host/rtnetlink-link.ts";
import { LINK_GROUP, formatMark, isHalfMade, readMark } from "../mark.ts";
import type { BridgeHost } from "./datapath.ts";
import { ensureNetwork } from "./network.ts";

/** What the kernel answers when a bridge has 1023 ports (net/bridge/br_if.c, find_portno); Node.js has no name for it. */
const EXFULL = "E54";

type Port = Pick<Endpoint, "endpointId" | "hostIfName">;

/** Makes the pair anew: what an interrupted attempt left is removed first. */
export async function attach(host: BridgeHost, network: Network, endpoint: Endpoint): Promise<void> {
  const { hostIfName, sandboxIfName, mac, mtu, endpointId } = endpoint;
  await detach(host, endpoint);
  const masterIndex = await requireSwitch(host, network);
  const peer = { name: sandboxIfName, mac };
  const pair = { name: hostIfName, mtu, group: LINK_GROUP, masterIndex, isUp: false, peer };
  const index = await host.links.addVeth(pair).catch((failure: unknown) => {
    if (!isErrno(failure, EXFULL)) throw failure;
    throw new TsnetError("exhausted", `bridge ${network.switchName} is full: it has 1023 ports`, { cause: failure });
  });
  await host.links.setAddressGeneration(index, "none"); // a port is no party on the network: it has no address
  await host.links.setLink(index, { alias: formatMark("endpoint", endpointId), isUp: true });
}

/** Puts a port that is still there back into its bridge. */
export async function reattach(host: BridgeHost, network: Network, endpoint: Endpoint): Promise<void> {
  const port = await host.links.findLink(endpoint.hostIfName);
  if (port === undefined || !isOurs(port, endpoint)) return;
  const masterIndex = await requireSwitch(host, network);
  if (port.masterIndex !== masterIndex || !port.isUp) await host.links.setLink(port.index, { masterIndex, isUp: true });
}

/** Removes the pair, wherever its other end is. */
export async function detach(host: BridgeHost, port: Port): Promise<void> {
  const link = await host.links.findLink(port.hostIfName);
  if (link !== undefined && isOurs(link, port)) await host.links.deleteLink(link.index);
}

function isOurs(link: Link, port: Port): boolean {
  return link.kind === "veth" && (readMark("endpoint", link) === port.endpointId || isHalfMade(link));
}

async function requireSwitch(host: BridgeHost, network: Network): Promise<number> {
  const found = await host.links.findLink(network.switchName);
  if (found !== undefined) return found.index;
  await ensureNetwork(host, network); // deleted by hand: the network's record says how it was
  const made = await host.links.findLink(network.switchName);
  if (made !== undefined) return made.index;
  throw new TsnetError("host", `bridge ${network.switchName} disappears as soon as it is made`);
}
