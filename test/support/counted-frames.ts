// Frames sent by hand and counted where they arrive. Counters are nftables rules at the ingress of a link (netdev family):
// they see a frame before bridge and IP, on the host as in a sandbox.
import { setImmediate } from "node:timers/promises";
import { FrameSocket } from "./frame-capture.ts";
import { ETHERTYPE, ethernet, ipv4 } from "./frames.ts";
import type { NetNamespace } from "./namespace.ts";
import { waitUntil } from "./wait-until.ts";

/** EtherTypes for experiments (IEEE 802, 9.2.4): nothing else on a host speaks them. */
export const PROBE = "88b5";
const MARKER = "88b6";

interface Ruleset {
  readonly nftables: readonly { readonly rule?: { readonly chain: string; readonly expr: readonly Expression[] } }[];
}

interface Expression {
  readonly counter?: { readonly packets: number };
}

interface IpLink {
  readonly ifname: string;
  readonly address: string;
  readonly flags: readonly string[];
  readonly operstate: string;
}

/** A frame of that type with nothing in it, in hex. */
export function frame(source: string, destination: string, etherType = PROBE): string {
  return `${destination}${source}${etherType}`.replaceAll(":", "");
}

/** The n-th of as many MAC addresses as a test needs, of nobody. */
export function macOf(n: number): string {
  return `0299${n.toString(16).padStart(8, "0")}`.replace(/..(?!$)/g, "$&:");
}

/** Sends frames out of a link, `count` times. */
export async function sendFrames(at: NetNamespace, ifName: string, frames: readonly string[], count = 1) {
  using socket = FrameSocket.open(at, ifName, { isPromiscuous: false });
  const buffers = frames.map((each) => Buffer.from(each, "hex"));
  for (let round = 0; round < count; round++) socket.send(...buffers);
  await setImmediate(); // who sends in a loop leaves others their turn
}

/** What to count: frames that come in by a link and match an nftables expression. */
export interface Counted {
  readonly ifName: string;
  /** Default: frames as `frame` makes them. */
  readonly matching?: string;
}

/** Counts frames from now on, instead of what was counted before. @param wanted - by the names under which they are told. */
export async function countFrames(at: NetNamespace, wanted: Readonly<Record<string, Counted>>) {
  const chains = Object.entries(wanted).map(
    ([name, { ifName, matching = `ether type 0x${PROBE}` }]) =>
      `chain ${name} {\ntype filter hook ingress device "${ifName}" priority 0\n${matching} counter\n}\n`,
  );
  await at.exec(["nft", `table netdev seen\ndelete table netdev seen\ntable netdev seen {\n${chains.join("")}}`]);
  /** How many so far, by name. */
  return async (): Promise<Readonly<Record<string, number>>> => {
    const { nftables } = await at.json<Ruleset>(["nft", "-j", "list", "table", "netdev", "seen"]);
    const counts = nftables.flatMap(({ rule }) =>
      (rule?.expr ?? []).flatMap(({ counter }) => (counter ? [[rule?.chain ?? "", counter.packets] as const] : [])),
    );
    return Object.fromEntries(counts);
  };
}

/** Two kinds of frames, and how nftables tells them from all others. */
export interface FrameKinds {
  readonly probe: (source: string, destination: string) => string;
  readonly marker: (source: string, destination: string) => string;
  readonly isProbe: string;
  readonly isMarker: string;
}

const ETHERTYPES: FrameKinds = {
  probe: (source, destination) => frame(source, destination),
  marker: (source, destination) => frame(source, destination, MARKER),
  isProbe: `ether type 0x${PROBE}`,
  isMarker: `ether type 0x${MARKER}`,
};

/** The same as packets from an address, for a switch that looks at addresses as well: of protocols for experiments (RFC 3692). */
export function packetsFrom(address: string): FrameKinds {
  const packet = (protocol: number) => (from: string, to: string) => {
    const payload = ipv4({ from: address, to: "255.255.255.255", protocol, payload: Buffer.alloc(8) });
    return ethernet({ from, to, type: ETHERTYPE.ipv4, payload }).toString("hex");
  };
  return { probe: packet(253), marker: packet(254), isProbe: "ip protocol 253", isMarker: "ip protocol 254" };
}

/**
 * Sends one frame out of a free end on the host, and after it two that the host surely gets, one after the other: the first
 * of them may be of the same batch as the frame, and overtake it.
 *
 * @returns the links by which the former came in: free ends, and the host's own links for the host itself.
 */
export async function sendAndSee(
  host: NetNamespace,
  freeEnd: string,
  source: string,
  destination: string,
  kinds = ETHERTYPES,
) {
  const links = await host.json<IpLink[]>(["ip", "-json", "link", "show"]);
  const freeEnds = links.filter(({ ifname }) => ifname.startsWith("tsc"));
  const bridges = links.filter(({ ifname, flags }) => /^ts[ng]/.test(ifname) && flags.includes("UP"));
  const own = links.find(({ ifname }) => ifname === freeEnd)?.address ?? "";
  await setUp(host, freeEnds);
  const seen = await countFrames(host, {
    ...Object.fromEntries(
      [...freeEnds, ...bridges].map(({ ifname }) => [ifname, { ifName: ifname, matching: kinds.isProbe }]),
    ),
    ...Object.fromEntries(bridges.map(({ ifname }) => [`${ifname}-2`, { ifName: ifname, matching: kinds.isMarker }])),
  });
  const marker = kinds.marker(own, "ff:ff:ff:ff:ff:ff");
  const hear = (count: number) =>
    waitUntil("the frame that comes last", async () => {
      const all = Object.entries(await seen());
      return all.some(([name, heard]) => name.endsWith("-2") && heard >= count) && all;
    });
  await sendFrames(host, freeEnd, [kinds.probe(source, destination), marker]);
  await hear(1);
  await sendFrames(host, freeEnd, [marker]);
  const counts = await hear(2);
  return counts.flatMap(([name, count]) => (count > 0 && !name.endsWith("-2") ? [name] : [])).sort();
}

/** Free ends carry frames, and send none of their own accord. */
async function setUp(host: NetNamespace, freeEnds: readonly IpLink[]): Promise<void> {
  const names = freeEnds.filter(({ flags }) => !flags.includes("UP")).map(({ ifname }) => ifname);
  const lines = names.map((name) => `sysctl -qw net.ipv6.conf.${name}.disable_ipv6=1; ip link set ${name} up`);
  if (lines.length > 0) await host.exec(["sh", "-ec", lines.join("\n")]);
  await waitUntil("the ports to forward", async () => {
    const ports = await host.json<{ state: string }[]>(["bridge", "-json", "link", "show"]);
    const links = await host.json<IpLink[]>(["ip", "-json", "link", "show"]);
    const carriers = links.filter(({ flags }) => flags.includes("LOWER_UP")); // until the kernel has told of it they drop all
    return (
      ports.every(({ state }) => state === "forwarding") &&
      carriers.every(({ operstate }) => operstate !== "DOWN" && operstate !== "LOWERLAYERDOWN")
    );
  });
}
