// What a network asks for that this kernel, the bridge or the uplink cannot give. Looks and changes nothing.
import type { Network } from "../../cnm/network.ts";
import { TsnetError } from "../../errors.ts";
import type { Link } from "../../host/rtnetlink-link.ts";
import { isWireless } from "../../host/wireless.ts";
import { allVlans, formatVlans, hasUntagged } from "../../vlan.ts";
import { refuseSpanningTree } from "../uplink/moved-uplinks.ts";
import { refuseParent } from "../uplink/parent.ts";
import { uplinksOf } from "../uplink/uplink-vlans.ts";
import type { BridgeHost } from "./datapath.ts";
import { requireBridge, requireFiltering } from "./network.ts";
import { checkTunnel } from "./tunnel.ts";
import { refuseForeignLink } from "./vlan-link.ts";
import { needsVlans, untaggedVid } from "./vlan.ts";

/** @throws TsnetError `unsupported`, `conflict`, `not-found`: what is missing or in the way, and the way out. */
export async function checkNetwork(host: BridgeHost, network: Network, others: readonly Network[]): Promise<void> {
  const bridge = await host.links.findLink(network.switchName);
  if (bridge !== undefined) requireBridge(bridge);
  if (needsVlans([network])) await requireKernel(host, network);
  refuseUntaggedVid(network, others, bridge);
  refuseSpanningTree([network, ...others], !network.isSwitchOurs && bridge?.bridge?.stp === true);
  if (needsVlans([network]) && bridge !== undefined) await checkBridge(host, network, bridge);
  await checkParent(host, network, others);
  await checkTunnel(host, network);
}

async function requireKernel({ links }: BridgeHost, { isHostOnSwitch }: Network): Promise<void> {
  const missing = [];
  if (!(await links.hasBridgeVlans())) missing.push("VLAN filtering of bridges (CONFIG_BRIDGE_VLAN_FILTERING)");
  if (isHostOnSwitch && !(await links.hasVlanLinks())) missing.push("VLAN links, 802.1Q (CONFIG_VLAN_8021Q)");
  if (missing.length === 0) return;
  const what = `this kernel cannot have VLANs on a Linux bridge, it lacks ${missing.join(" and ")}`;
  throw new TsnetError("unsupported", `${what}; permitted: backend=ovs`);
}

/** The untagged networks of a bridge have a VLAN inside it, which no other network can have then. */
function refuseUntaggedVid(network: Network, others: readonly Network[], bridge: Link | undefined): void {
  const vid = untaggedVid(bridge, network.isSwitchOurs);
  if (vid === undefined) return;
  const networks = [network, ...others];
  const untagged = networks.find(hasUntagged);
  const tagged = networks.find(({ vlans }) => allVlans(vlans).includes(vid));
  if (untagged === undefined || tagged === undefined || !(untagged === network || tagged === network)) return;
  const nameOf = (one: Network) => (one === network ? "this network" : `network ${one.id.slice(0, 12)}`);
  const who =
    allVlans(untagged.vlans).length === 0
      ? `${nameOf(untagged)}, which has no VLAN`
      : `the addresses of ${untagged.uplink?.parent}`;
  const why = `a Linux bridge carries ${who}, in VLAN ${vid}, and ${nameOf(tagged)} has ${formatVlans(tagged.vlans)}`;
  throw new TsnetError(
    "conflict",
    `bridge ${network.switchName} cannot be shared: ${why}; choose another VLAN or bridge`,
  );
}

async function checkBridge(host: BridgeHost, network: Network, bridge: Link): Promise<void> {
  if (!network.isSwitchOurs) {
    requireFiltering(bridge);
    await refuseOwnUntagged(host, network, bridge);
  }
  if (network.isHostOnSwitch) await refuseForeignLink(host, bridge, network);
}

/** The host itself may be in the VLAN without a tag; then a VLAN link would get no frames. */
async function refuseOwnUntagged(
  { links }: BridgeHost,
  { isHostOnSwitch, vlans }: Network,
  bridge: Link,
): Promise<void> {
  const own = (await links.portVlans(bridge.index)).find(({ vid }) => vid === vlans.vlan);
  if (!isHostOnSwitch || own === undefined || !(own.isPvid || own.isUntagged)) return;
  const why = "the bridge itself is in that VLAN without a tag";
  const remedy = `leave vlan out, or run on the host: bridge vlan add dev ${bridge.name} vid ${own.vid} self`;
  throw new TsnetError("conflict", `VLAN ${own.vid} of bridge ${bridge.name} cannot get a gateway: ${why}; ${remedy}`);
}

async function checkParent({ links }: BridgeHost, network: Network, others: readonly Network[]): Promise<void> {
  const { uplink, switchName, isSwitchOurs } = network;
  if (uplink === undefined) return;
  const candidate = {
    name: uplink.parent,
    parentAddress: uplink.isAddressMoved ? "move" : "keep",
    links: await links.listLinks(),
    addresses: await links.listAddresses(),
    isWireless: await isWireless(uplink.parent),
    switchName,
    vlans: network.vlans,
  } as const;
  const refusal = refuseParent(candidate);
  if (refusal !== undefined) throw refusal;
  const bridge = candidate.links.find(({ name }) => name === switchName);
  const link = candidate.links.find(({ name }) => name === uplink.parent);
  const isPort = bridge !== undefined && link?.masterIndex === bridge.index;
  if (!isPort || isSwitchOurs || uplinksOf(others).includes(uplink.parent)) return;
  const why = `it is a port of bridge ${switchName} already, and tsnet did not make that`;
  throw new TsnetError("conflict", `${uplink.parent} cannot be the parent: ${why}; leave option parent out`);
}
