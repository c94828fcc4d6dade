// Tunnels between hosts: the options (`tunnel`, `peers`, `local`, `vni`, `port`), what is wrong with them by themselves, and
// what a tunnel takes of each packet. Sizes: RFC 7348 (VXLAN), RFC 2784 and 2890 (GRE), RFC 8926 (Geneve).
import { type Family, contains, formatAddress, parseAddress, parseSubnet } from "../cidr.ts";
import { TsnetError } from "../errors.ts";
import type { PortVlans } from "../vlan.ts";
import type { PlannedNetwork, RequestedTunnel, Tunnel } from "./network.ts";
import type { NetworkSettings } from "./options.ts";

/** A switch floods to each of them. */
const MOST_PEERS = 256;

const MOST_VNI = 16_777_215;

/** IANA, Service Name and Transport Protocol Port Number Registry. */
const PORTS = { vxlan: 4789, geneve: 6081 } as const;

/** What is nobody's own: unspecified, loopback, link-local, multicast, broadcast. */
const NO_ENDS = ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/127", "fe80::/10", "ff00::/8"].map(
  parseSubnet,
);

/** Reads one end of a tunnel. @throws TsnetError `invalid`. */
export function parseTunnelEnd(text: string): string {
  const address = parseAddress(text);
  if (NO_ENDS.some((subnet) => contains(subnet, address))) {
    throw new TsnetError("invalid", `${text} is no address of one host that others can reach`);
  }
  return formatAddress(address);
}

/** Reads the list of hosts, which gets the same order on all of them. @throws TsnetError `invalid`. */
export function parsePeers(text: string): readonly string[] {
  const peers = [...new Set(text.split(",").map((item) => parseTunnelEnd(item.trim())))];
  if (new Set(peers.map((peer) => peer.includes(":"))).size > 1) {
    throw new TsnetError("invalid", "it has addresses of IPv4 and of IPv6");
  }
  if (peers.length > MOST_PEERS) throw new TsnetError("invalid", `it has more than ${MOST_PEERS} addresses`);
  return peers.sort();
}

/** What the options ask for; undefined for no tunnel, or for one with faults. */
export function tunnelOf({ tunnel: kind, peers, local, vni, port }: NetworkSettings): RequestedTunnel | undefined {
  if (kind === undefined || peers === undefined) return undefined;
  return {
    kind,
    ...(vni !== undefined && { vni }),
    ...(kind !== "gre" && { port: port ?? PORTS[kind] }),
    ...(local !== undefined && { local }),
    peers,
  };
}

/** What contradicts itself among the options of the tunnel; empty for nothing. */
export function tunnelFaults(settings: NetworkSettings): string[] {
  const { tunnel: kind, peers, local, vni, port } = settings;
  if (kind === undefined) {
    const given = (["peers", "local", "vni", "port"] as const).filter((key) => settings[key] !== undefined);
    return given.map((key) => `option ${key} is permitted with option tunnel`);
  }
  const faults: string[] = [];
  if (peers === undefined) faults.push("option tunnel needs option peers, the addresses of the hosts");
  else if (local !== undefined && peers.some((peer) => peer.includes(":") !== local.includes(":"))) {
    faults.push("options local and peers: both must be of IPv4, or both of IPv6");
  }
  const range = `permitted: 1-${MOST_VNI}`;
  if (kind === "gre" && port !== undefined) faults.push("option port: GRE has none; permitted with vxlan and geneve");
  if (kind !== "gre" && vni === undefined) faults.push(`option tunnel: ${kind} needs option vni; ${range}`);
  if (kind !== "gre" && vni !== undefined && (vni < 1 || vni > MOST_VNI)) {
    faults.push(`option vni: ${vni} is no number of a ${kind} network; ${range}`);
  }
  return [...faults, ...companionFaults(settings)];
}

/** What cannot be beside a tunnel. */
function companionFaults({ parent, stp, icc }: NetworkSettings): string[] {
  const faults: string[] = [];
  if (parent !== undefined) {
    const why = "frames would go in circles between two hosts that have both in common";
    faults.push(`options tunnel and parent: ${why}; permitted: one of them`);
  }
  if (stp === true) {
    const why = "a tunnel has no loops, and the spanning tree would take hosts from it";
    faults.push(`option stp: ${why}; permitted without option tunnel`);
  }
  if (!icc) faults.push("option icc: false leaves nothing that a tunnel could carry; permitted without option tunnel");
  return faults;
}

/** Peers that would be sought inside the network itself. */
export function innerPeerFaults({ requested, pools }: PlannedNetwork): string[] {
  const { peers = [], local } = requested.tunnel ?? {};
  const ends = [...peers, ...(local === undefined ? [] : [local])];
  return pools.flatMap(({ subnet }) => {
    const inner = ends.filter((end) => contains(parseSubnet(subnet), parseAddress(end)));
    if (inner.length === 0) return [];
    return [`option peers: ${inner.join(", ")} cannot be reached outside ${subnet}, the network's own subnet`];
  });
}

/**
 * Bytes of each packet of the underlay that are not the network's own.
 *
 * @param vlans - of the network: its `vlan` goes without a tag, as RFC 7348 section 6.1 wants it, its `trunk` with tags.
 */
export function overheadOf({ kind, vni }: Pick<Tunnel, "kind" | "vni">, family: Family, { trunk }: PortVlans): number {
  const outer = family === 4 ? 20 : 40;
  const header = kind === "gre" ? (vni === undefined ? 4 : 8) : 8 + 8; // UDP and VXLAN or Geneve
  return outer + header + 14 + (trunk === undefined ? 0 : 4);
}

/** As messages name it: `vxlan 77, port 4789`. */
export function formatTunnel({ kind, vni, port }: Pick<Tunnel, "kind" | "vni" | "port">): string {
  const number = vni === undefined ? `${kind} without a key` : `${kind} ${vni}`;
  return port === undefined ? number : `${number}, port ${port}`;
}
