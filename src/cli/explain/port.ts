// A container's port on its switch: whether it is there, in the right switch and VLAN, and who may send by it.
import { bare, sayVlans } from "../words.ts";
import { admitted, askSwitch, isInOrder } from "./ask-switch.ts";
import type { Facts, Place, Way } from "./facts.ts";
import { noteRules } from "./firewall.ts";
import { UNTAGGED, checkTag, requireUp } from "./host-link.ts";
import { familyOf, linkNamed } from "./machine.ts";
import type { Packet } from "./packet.ts";
import { runHook } from "./rule-run.ts";
import type { Departure } from "./sender.ts";

/** The switch, and the endpoint's port on it. */
export function passPort(way: Way, place: Place): void {
  const { trace } = way;
  const { network, endpoint } = place;
  const before = trace.hops.length;
  if (network.backend === "ovs") passOvsPort(way, place);
  else passBridgePort(way, place);
  if (trace.hops.length > before) return;
  const vlans = sayVlans(endpoint);
  const where = `a port of switch ${network.switch}${vlans === "" ? "" : ` in VLAN ${vlans}`}`;
  trace.pass("port", "probed", `${endpoint.hostLink} is up, ${where}`);
}

function passBridgePort(way: Way, { network, endpoint }: Place): void {
  const { trace } = way;
  requireUp(way, "switch", network.switch, "switch");
  const port = requireUp(way, "port", endpoint.hostLink, "port");
  if (port === undefined) return;
  if (port.master !== network.switch) {
    const where = port.master === undefined ? "in no switch" : `in switch ${port.master}`;
    const fix = `ip link set ${port.name} master ${network.switch}`;
    trace.stop("port", "probed", `port ${port.name} is ${where}, and belongs into ${network.switch}`, fix);
  } else if (port.isUp && port.hasCarrier && port.portState !== undefined && port.portState !== "forwarding") {
    trace.stop("port", "probed", `port ${port.name} is in the state ${port.portState} and forwards nothing`);
  }
  checkBridgeVlan(way, { network, endpoint });
}

function checkBridgeVlan({ trace, facts }: Way, { network, endpoint }: Place): void {
  const isFiltering = linkNamed(facts.host, network.switch)?.hasVlans === true;
  const { vlan, hostLink } = endpoint;
  if (vlan === undefined) return;
  if (!isFiltering) {
    const fix = `ip link set ${network.switch} type bridge vlan_filtering 1`;
    return trace.stop("port", "probed", `switch ${network.switch} tells VLANs apart no more, and ${vlan} is one`, fix);
  }
  const pvid = (facts.switching.vlans.get(hostLink) ?? []).find(({ isPvid }) => isPvid)?.first;
  if (pvid === vlan) return;
  const is = pvid === undefined ? "in no VLAN" : `in VLAN ${pvid}`;
  const fix = `bridge vlan add dev ${hostLink} vid ${vlan} pvid untagged`;
  trace.stop("port", "probed", `port ${hostLink} is ${is}, and belongs into VLAN ${vlan}`, fix);
}

function passOvsPort(way: Way, { network, endpoint }: Place): void {
  const { trace, facts } = way;
  const { ovs = [] } = facts.switching;
  if (typeof ovs === "string") {
    return trace.stop("switch", "probed", `Open vSwitch does not answer: ${ovs}`, "systemctl start openvswitch-switch");
  }
  requireUp(way, "port", endpoint.hostLink, "port");
  const port = ovs.find(({ name }) => name === endpoint.hostLink);
  if (port?.bridge !== network.switch) {
    const where = port === undefined ? "in no switch" : `in switch ${port.bridge}`;
    const fix = `ovs-vsctl --may-exist add-port ${network.switch} ${endpoint.hostLink}`;
    return trace.stop(
      "port",
      "probed",
      `port ${endpoint.hostLink} is ${where}, and belongs into ${network.switch}`,
      fix,
    );
  }
  checkTag(way, "port", port, endpoint.vlan ?? (endpoint.trunk === undefined ? UNTAGGED : undefined));
}

/** Whether the sender is who it says it is, as far as the network asks, and what other rules of the switch say. */
export function checkIdentity(way: Way, { place, packet, link = "eth0" }: Departure, enter: string): void {
  const { trace, facts } = way;
  const { network, endpoint } = place;
  const own = endpoint.addresses.map(bare).filter((address) => familyOf(address) === packet.family);
  const { sourceMac, source } = packet;
  if (network.antispoof && sourceMac !== endpoint.mac) {
    const what = `antispoof drops it: it comes from MAC ${sourceMac}, and tsnet gave out ${endpoint.mac}`;
    trace.stop("antispoof", "known", what, `${enter} ip link set ${link} address ${endpoint.mac}`);
  }
  if (network.antispoof && endpoint.addresses.length > 0 && !own.includes(source)) {
    const what = `antispoof drops it: it comes from ${source}, and tsnet gave out ${own.join(", ") || "no such address"}`;
    trace.stop("antispoof", "known", what);
  }
  if (network.backend === "ovs" || trace.hops.at(-1)?.hop === "antispoof") return; // its own rules say the same
  noteRules(way, "antispoof", runHook(facts.host, "prerouting", { ...packet, inLink: endpoint.hostLink }, "bridge"));
}

/** Whether two endpoints may speak to each other on their switch. */
export async function crossSwitch(
  way: Way,
  { place: from, packet }: Departure,
  to: Place,
  since: number,
): Promise<void> {
  const { trace } = way;
  const { network, endpoint } = to;
  const before = trace.hops.length;
  if (from.network.switch !== to.network.switch) {
    const what = `${from.network.switch} and ${to.network.switch} are two switches, which nothing joins`;
    return trace.stop("switch", "known", what);
  }
  if (from.endpoint.vlan !== to.endpoint.vlan) {
    const [one, other] = [from, to].map(({ endpoint: { vlan } }) => (vlan === undefined ? "no VLAN" : `VLAN ${vlan}`));
    trace.stop("switch", "known", `the sender is in ${one}, the receiver in ${other}`);
  }
  if (!from.network.icc && !to.network.icc) {
    const what = `icc=false: containers of network ${to.network.name} reach one another by published ports alone`;
    return trace.stop("switch", "known", what);
  }
  if (network.backend === "ovs") {
    if (!isInOrder(way, (ahead) => passPort(ahead, to))) return; // its flows would stop the packet as well
    const frame = { inPort: from.endpoint.hostLink, packet: admitted(packet, from), destinationMac: endpoint.mac };
    return await askSwitch(way, { network, ...frame, to: { port: endpoint.hostLink }, since });
  }
  checkForwardingTable(way, to);
  checkBridgedRules(way, from, to, packet);
  if (trace.hops.length > before) return;
  trace.pass("switch", "probed", `${network.switch} hands it to ${endpoint.hostLink}, where ${endpoint.mac} is`);
}

/** A Linux bridge: an entry that points elsewhere, or none where ports are not flooded. */
function checkForwardingTable({ trace, facts }: Way, { network, endpoint }: Place): void {
  const entries = facts.switching.fdb.filter(({ mac, master }) => mac === endpoint.mac && master === network.switch);
  const right = entries.find(({ link }) => link === endpoint.hostLink);
  const wrong = entries.find(
    ({ link, vlan }) => link !== endpoint.hostLink && (vlan ?? endpoint.vlan) === endpoint.vlan,
  );
  const proper = `bridge fdb replace ${endpoint.mac} dev ${endpoint.hostLink} master static sticky`;
  if (wrong !== undefined) {
    const what = `the forwarding table of ${network.switch} has ${endpoint.mac} behind ${wrong.link}, not ${endpoint.hostLink}`;
    const mend = `bridge fdb del ${endpoint.mac} dev ${wrong.link} master`;
    trace.stop("switch", "probed", what, network.antispoof ? `${mend}; ${proper}` : mend); // else it is learned
  } else if (right === undefined && network.antispoof) {
    const what = `the forwarding table of ${network.switch} has no entry of ${endpoint.mac}, and such frames go to nobody`;
    trace.stop("switch", "probed", what, proper);
  }
}

/** Rules for frames, and with br_netfilter the rules for forwarding as well, see what passes a bridge. */
function checkBridgedRules(way: Way, from: Place, to: Place, packet: Packet): void {
  const { facts } = way;
  const { network } = from;
  const frame = { ...packet, inLink: from.endpoint.hostLink, outLink: to.endpoint.hostLink };
  noteRules(way, "firewall", runHook(facts.host, "forward", frame, "bridge"));
  if (!callsRules(facts, network.switch, packet)) return;
  const routed = { ...packet, inLink: network.switch, outLink: network.switch };
  noteRules(way, "firewall", runHook(facts.host, "forward", routed, packet.family));
}

function callsRules({ host }: Facts, bridge: string, { family }: Packet): boolean {
  return host.bridgesCallRules(family) || linkNamed(host, bridge)?.callsRules === true;
}
