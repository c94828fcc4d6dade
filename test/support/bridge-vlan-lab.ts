// Networks with VLANs on a Linux bridge, in a host of its own with a neighbour at the other end of its uplink, seen with
// bridge(8) and ip(8). For a kernel that has bridge VLAN filtering and VLAN links.
import type { Endpoint } from "../../src/cnm/endpoint.ts";
import type { Network } from "../../src/cnm/network.ts";
import type { PortVlans } from "../../src/vlan.ts";
import { type BridgeHost, bridgeHost } from "./bridge-host.ts";
import { endpoint, ifName, network } from "./cnm-builder.ts";
import { NetNamespace } from "./namespace.ts";
import { shell } from "./packet-lab.ts";

/** The bridge of all networks of the lab, and the host's link that leads to the neighbour. */
export const SWITCH = ifName("shared0");
export const UPLINK = ifName("up0");

/** The same when the link is made again: a neighbour elsewhere stays who he is. */
const NEIGHBOUR_MAC = "02:00:00:00:fe:01";

interface ShownVlans {
  readonly ifname: string;
  readonly vlans: readonly { readonly vlan: number; readonly vlanEnd?: number; readonly flags?: readonly string[] }[];
}

/** The n-th network of a test on the shared bridge. */
export function networkIn(n: number, vlans: PortVlans, more: Partial<Network> = {}): Network {
  return network(n, { switchName: SWITCH, vlans, ...more });
}

/** A host with a link to a neighbour, whose end of it is `wire`, set up and without addresses. */
export async function vlanLab() {
  await using stack = new AsyncDisposableStack();
  const host = stack.use(await bridgeHost());
  const neighbour = stack.use(await NetNamespace.create("neighbour"));
  await makeWire(host.namespace, neighbour);
  const disposables = stack.move();
  return { host, neighbour, [Symbol.asyncDispose]: () => disposables.disposeAsync() };
}

/** The pair between both; the host's end is down. */
export async function makeWire(host: NetNamespace, neighbour: NetNamespace): Promise<void> {
  await shell(host, [
    `ip link add ${UPLINK} type veth peer name wire address ${NEIGHBOUR_MAC} netns ${neighbour.name}`,
    `sysctl -qw net.ipv6.conf.${UPLINK}.disable_ipv6=1`,
  ]);
  await shell(neighbour, ["sysctl -qw net.ipv6.conf.wire.disable_ipv6=1", "ip link set wire up"]);
}

/** A VLAN link of the neighbour's with an address. */
export async function listenIn(neighbour: NetNamespace, vid: number, address: string): Promise<void> {
  await shell(neighbour, [
    `ip link add wire.${vid} link wire type vlan id ${vid}`,
    `ip address add ${address} dev wire.${vid}`,
    `ip link set wire.${vid} up`,
  ]);
}

/** A container's place: the free end of the n-th endpoint in a namespace of its own, with the endpoint's address. */
export async function sandboxIn(
  host: Pick<BridgeHost, "datapath" | "namespace">,
  of: Network,
  n: number,
  others: readonly Network[],
  more: Partial<Endpoint> = {},
): Promise<NetNamespace> {
  const on = Number(of.pools[0]?.subnet.split(".")[2]); // 10.1.N.0/24
  const attached = endpoint(n, on, { networkId: of.id, vlans: of.vlans, ...more });
  const free = await host.datapath.attach(of, attached, others);
  const sandbox = await NetNamespace.create(`sandbox${n}`);
  await shell(host.namespace, [`ip link set ${free} netns ${sandbox.name}`]);
  await shell(sandbox, [
    `ip link set ${free} name eth0 address ${attached.mac}`,
    "sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1",
    `ip address add ${attached.address} dev eth0`,
    "ip link set eth0 up",
  ]);
  return sandbox;
}

/** Each VLAN of a port, or of the bridge itself, as bridge(8) shows it: `10 PVID,Egress Untagged`, `20-29`. */
export async function shownVlans(host: BridgeHost, name: string): Promise<string[]> {
  const links = await host.namespace.json<ShownVlans[]>(["bridge", "-json", "-compressvlans", "vlan", "show"]);
  const own = links.find(({ ifname }) => ifname === name)?.vlans ?? [];
  return own.map(({ vlan, vlanEnd, flags = [] }) => {
    const range = vlanEnd === undefined ? `${vlan}` : `${vlan}-${vlanEnd}`;
    return [range, flags.join()].join(" ").trimEnd();
  });
}

/** As `shownVlans` shows a VLAN that is untagged on the port. */
export function untagged(vid: number): string {
  return `${vid} PVID,Egress Untagged`;
}
