// An endpoint's port: a veth pair, one end in the switch, the other for libnetwork to move into the sandbox. The port comes
// with VLANs and marks in one transaction, and is set up when all is in place.
import type { Endpoint } from "../../cnm/endpoint.ts";
import type { Network } from "../../cnm/network.ts";
import { TsnetError, inContext } from "../../errors.ts";
import { setTxChecksum } from "../../host/ethtool.ts";
import { select } from "../../host/ovsdb-operations.ts";
import { ARP_IGNORE, TRUSTS_NOBODY, ensureIpv4, ensureIpv6 } from "../host-link.ts";
import { formatMark } from "../mark.ts";
import { type PortOf, addPair, isPairOf, removePair } from "../veth-pair.ts";
import { datapathTypeOf } from "./datapath-type.ts";
import type { OvsHost } from "./datapath.ts";
import { endpointMark, endpointOf } from "./marks.ts";
import { ensureNetwork } from "./network.ts";
import { type FoundBridge, type PortSpec, addPort, changesTo, findRows, removePorts } from "./rows.ts";
import { removeEndpointPort } from "./stale-ports.ts";
import { vlanColumns } from "./vlan.ts";

/** Makes the port anew: what an interrupted attempt left is removed. */
export async function attach(
  host: OvsHost,
  network: Network,
  endpoint: Endpoint,
  others: readonly Network[],
): Promise<void> {
  const bridge = await requireSwitch(host, network, endpoint, others);
  await removeLeftPort(host, endpoint);
  const index = await addPair(host.links, endpoint);
  try {
    await prepareLink(host, bridge, endpoint, index);
    await addToSwitch(host, network, endpoint);
    await host.flows.putEndpoint(network, endpoint);
    await host.links.setLink(index, { isUp: true });
  } catch (failure) {
    await detach(host, endpoint).catch(() => {}); // the failure says what is wrong
    throw failure;
  }
}

/** Puts a port that is still there back into its switch, and back to its columns. */
export async function reattach(host: OvsHost, network: Network, endpoint: Endpoint): Promise<void> {
  try {
    await putBack(host, network, endpoint);
  } catch (failure) {
    if ((await host.links.findLink(endpoint.hostIfName)) !== undefined) throw failure; // else its container ended meanwhile
  }
}

async function putBack(host: OvsHost, network: Network, endpoint: Endpoint): Promise<void> {
  const { hostIfName, endpointId } = endpoint;
  const link = await host.links.findLink(hostIfName);
  if (link === undefined || !isPairOf(link, endpoint)) return;
  const { bridge, ports } = await findRows(host.ovsdb, `look up port ${hostIfName}`, network.switchName, [hostIfName]);
  const found = ports.get(hostIfName);
  if (found !== undefined && endpointOf(found.port) !== endpointId) throw takenError(hostIfName);
  const isInSwitch = found !== undefined && bridge?.ports.includes(found.port._uuid) === true;
  if (isInSwitch && found.interface?.ifindex === link.index) {
    const changes = changesTo(found, portOf(network, endpoint));
    if (changes.length > 0) await host.ovsdb.apply(`change port ${hostIfName}`, changes);
  } else {
    if (bridge === undefined) throw new TsnetError("host", `there is no bridge ${network.switchName}`);
    if (link.isUp) await host.links.setLink(link.index, { isUp: false });
    await removeLeftPort(host, endpoint);
    await prepareLink(host, bridge, endpoint, link.index);
    await addToSwitch(host, network, endpoint);
  }
  await host.flows.putEndpoint(network, endpoint);
  if (link.mtu !== endpoint.mtu) await host.links.setLink(link.index, { mtu: endpoint.mtu });
  const isAsMade = isInSwitch && link.isUp;
  if (!isAsMade) await host.links.setLink(link.index, { isUp: true });
}

/** Removes pair and port. The pair goes also when Open vSwitch is away; its port then is stale (stale-ports.ts). */
export async function detach(host: OvsHost, port: PortOf): Promise<void> {
  try {
    await removeEndpointPort(host, port);
  } catch (failure) {
    if (!(failure instanceof TsnetError) || failure.code !== "unavailable") throw failure;
  } finally {
    await removePair(host, port);
  }
}

function portOf({ id, isIccAllowed }: Network, { endpointId, hostIfName, vlans }: Endpoint): PortSpec {
  const mark = endpointMark(id, endpointId);
  const port = { ...vlanColumns(vlans), protected: !isIccAllowed, external_ids: mark };
  return { name: hostIfName, port, interface: { external_ids: mark } };
}

async function addToSwitch(host: OvsHost, network: Network, endpoint: Endpoint): Promise<void> {
  const doing = `add port ${endpoint.hostIfName}`;
  try {
    await host.ovsdb.apply(doing, addPort(network.switchName, portOf(network, endpoint)));
    await host.ovsdb.requireInterfaces(doing, [endpoint.hostIfName]);
  } catch (failure) {
    throw inContext(`bridge ${network.switchName}`, failure);
  }
}

/**
 * A port is no party on the network: it has no address, and what arrives for the host's addresses is not for it. In userspace
 * the kernel sees the frames besides Open vSwitch, and no checksum is computed for what leaves a link unless it is told to.
 */
async function prepareLink(host: OvsHost, bridge: FoundBridge, endpoint: Endpoint, index: number): Promise<void> {
  const { hostIfName, sandboxIfName, endpointId } = endpoint;
  await host.links.setAddressGeneration(index, "none");
  if (datapathTypeOf(bridge) === "netdev") {
    await ensureIpv6(host, hostIfName, false);
    await ensureIpv4(host, index, { ...TRUSTS_NOBODY, arpIgnore: ARP_IGNORE.never, rpFilter: 1 });
    await setTxChecksum(hostIfName, false);
    const isOnHost = (await host.links.findLink(sandboxIfName)) !== undefined; // else it was told before it was moved
    if (isOnHost) await setTxChecksum(sandboxIfName, false);
  }
  await host.links.setLink(index, { alias: formatMark("endpoint", endpointId) });
}

/**
 * Removes the port's row if there is one, and waits until Open vSwitch has let go of what had the name: it takes a port that
 * goes and comes in one step for the old one, with a link that is no more.
 */
async function removeLeftPort(host: OvsHost, { hostIfName, endpointId }: Endpoint): Promise<void> {
  const doing = `remove port ${hostIfName}`;
  const [rows, [state]] = await host.ovsdb.transact(doing, [
    select("Port", [["name", "==", hostIfName]], ["_uuid", "external_ids"]),
    select("Open_vSwitch", [], ["next_cfg", "cur_cfg"]),
  ]);
  if (rows.some((row) => endpointOf(row) !== endpointId)) throw takenError(hostIfName);
  const isBehind = state !== undefined && state.cur_cfg < state.next_cfg;
  if (rows.length > 0 || isBehind) await host.ovsdb.apply(doing, removePorts(rows.map(({ _uuid }) => _uuid)));
}

function takenError(name: string): TsnetError {
  return new TsnetError("host", `Open vSwitch has a port ${name} that is not tsnet's`);
}

/** The network's bridge. The host's MAC is not for endpoints: it would take what is meant for the host. */
async function requireSwitch(
  host: OvsHost,
  network: Network,
  { mac }: Endpoint,
  others: readonly Network[],
): Promise<FoundBridge> {
  const { switchName, hostLink } = network;
  let { bridge, hostMac } = await findSwitch(host, switchName, hostLink);
  if (bridge === undefined) {
    await ensureNetwork(host, network, others); // deleted by hand: the network's record says how it was
    ({ bridge, hostMac } = await findSwitch(host, switchName, hostLink));
  }
  if (bridge === undefined) throw new TsnetError("host", `bridge ${switchName} disappears as soon as it is made`);
  if (mac === hostMac || mac === bridge.other_config["hwaddr"]) {
    throw new TsnetError("conflict", `MAC address ${mac} is that of bridge ${switchName}`);
  }
  return bridge;
}

async function findSwitch(host: OvsHost, switchName: string, hostLink: string) {
  const { bridge } = await findRows(host.ovsdb, `look up bridge ${switchName}`, switchName, []);
  const hostMac: string | undefined = (await host.links.findLink(hostLink))?.mac;
  return { bridge, hostMac };
}
