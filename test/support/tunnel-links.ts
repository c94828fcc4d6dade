// The promises of tunnel links, for every kind that a kernel has: this file is run by `kernel/host/rtnetlink-tunnel.test.ts` with
// those that the machine has, and by `vm/rtnetlink-tunnel.test.ts` with all of them.
import { describe, expect, it } from "vitest";
import { parseAddress } from "../../src/cidr.ts";
import { isErrno } from "../../src/host/netlink.ts";
import { overheadOf } from "../../src/cnm/tunnel.ts";
import type { NewTunnel, TunnelKind } from "../../src/host/rtnetlink-tunnel.ts";
import { Rtnetlink } from "../../src/host/rtnetlink.ts";
import { FrameSocket } from "./frame-capture.ts";
import { ETHERTYPE, PROTOCOL, type Tag, ethernet } from "./frames.ts";
import { NetNamespace } from "./namespace.ts";
import { shell } from "./packet-lab.ts";
import type { PortVlans } from "../../src/vlan.ts";
import { waitUntil } from "./wait-until.ts";

const UNDERLAY_MTU = 1500;
const ADDRESSES = { 4: ["192.0.2.1", "192.0.2.129"], 6: ["2001:db8:0:1::1", "2001:db8:0:2::1"] } as const;
const MACS = ["02:00:00:00:00:01", "02:00:00:00:00:02"] as const;
const GROUP = 71;
/** IEEE 802: local experimental EtherType 1. What has it no stack answers. */
const EXPERIMENT = 0x88b5;

/** What ip(8) shows of UDP over either family that is sent with checksums and not taken without. */
const CHECKSUMS = { udp_csum: true, udp_zero_csum6_tx: false, udp_zero_csum6_rx: false };

/** One kind over one family. */
export interface TunnelCase {
  readonly title: string;
  readonly family: 4 | 6;
  /** As `ip -json -details link` shows it. */
  readonly shown: Readonly<Record<string, unknown>>;
  /** The tunnel of the first or the second host to the other one. */
  readonly tunnel: (from: 0 | 1) => NewTunnel;
}

const at = (family: 4 | 6, n: 0 | 1) => parseAddress(ADDRESSES[family][n]);

function gre(family: 4 | 6, key?: number): TunnelCase {
  const kind = family === 4 ? "gretap" : "ip6gretap";
  const [local, remote] = ADDRESSES[family];
  const dotted = key === undefined ? undefined : ("255.255.255.254" as const);
  const keys = dotted === undefined ? {} : { ikey: dotted, okey: dotted };
  return {
    title: `${kind}${key === undefined ? "" : " with a key"}`,
    family,
    shown: { local, remote, ttl: 64, ...keys, ...(family === 4 ? { pmtudisc: false, ignore_df: true } : {}) },
    tunnel: (from) => ({
      kind,
      ...(key !== undefined && { key }),
      local: at(family, from),
      remote: at(family, from === 0 ? 1 : 0),
    }),
  };
}

function vxlan(family: 4 | 6): TunnelCase {
  const local = { [family === 4 ? "local" : "local6"]: ADDRESSES[family][0] };
  return {
    title: `vxlan over IPv${family}`,
    family,
    shown: { id: 0xffffff, ...local, port: 4789, learning: true, ttl: 64, ...CHECKSUMS },
    tunnel: (from) => ({ kind: "vxlan", vni: 0xffffff, local: at(family, from), port: 4789 }),
  };
}

function geneve(family: 4 | 6): TunnelCase {
  const remote = { [family === 4 ? "remote" : "remote6"]: ADDRESSES[family][1] };
  return {
    title: `geneve over IPv${family}`,
    family,
    shown: { id: 0xfffffe, ...remote, port: 6081, ttl: 64 },
    tunnel: (from) => ({ kind: "geneve", vni: 0xfffffe, remote: at(family, from === 0 ? 1 : 0), port: 6081 }),
  };
}

/** What ip(8) wants to hear besides the kind. */
const COMMAND_OPTIONS: Readonly<Partial<Record<TunnelKind, readonly string[]>>> = {
  vxlan: ["id", "1", "dstport", "4789"],
  geneve: ["id", "1", "remote", "192.0.2.9"],
  gretap: ["remote", "192.0.2.9"],
  ip6gretap: ["remote", "2001:db8::9"],
};

/** Every kind over every family that it goes over. */
export const TUNNEL_CASES: readonly TunnelCase[] = [
  vxlan(4),
  vxlan(6),
  geneve(4),
  geneve(6),
  gre(4),
  gre(4, 0xfffffffe),
  gre(6),
  gre(6, 0xfffffffe),
];

/** The largest MTU with which frames of that tunnel fit. @param vlans - of the network that it is for. */
export function largestMtu({ family, tunnel }: TunnelCase, vlans: PortVlans = {}): number {
  const { kind, key } = tunnel(0);
  const isUdp = kind === "vxlan" || kind === "geneve";
  const option = isUdp ? { kind } : { kind: "gre" as const, ...(key !== undefined && { vni: key }) };
  return UNDERLAY_MTU - overheadOf(option, family, vlans);
}

/**
 * Two namespaces with addresses of both families on `eth0`, which is joined to that of the other or, when asked for, to a router:
 *
 *   a  eth0 192.0.2.1  -----------------------------------------------------------  192.0.2.129 eth0  b
 *   a  eth0 192.0.2.1  -------- 192.0.2.126 eth0  router  eth1 192.0.2.254 --------  192.0.2.129 eth0  b
 */
export class TunnelHosts implements AsyncDisposable {
  readonly namespaces: readonly [NetNamespace, NetNamespace];
  readonly rtnetlinks: readonly [Rtnetlink, Rtnetlink];
  readonly #stack: AsyncDisposableStack;

  private constructor(stack: AsyncDisposableStack, [a, b]: readonly [NetNamespace, NetNamespace]) {
    this.namespaces = [a, b];
    this.rtnetlinks = [stack.use(a.enter(() => Rtnetlink.open())), stack.use(b.enter(() => Rtnetlink.open()))];
    this.#stack = stack;
  }

  /** @param routerMtu - of the router's link to the second host; without it there is no router. */
  static async up(routerMtu?: number): Promise<TunnelHosts> {
    await using stack = new AsyncDisposableStack();
    const [a, b] = [stack.use(await NetNamespace.create("a")), stack.use(await NetNamespace.create("b"))];
    const end = (n: 0 | 1, lengths: string) =>
      [`ip address add ${ADDRESSES[4][n]}${lengths} dev eth0`, "ip link set eth0 up"].concat(
        `ip address add ${ADDRESSES[6][n]}${lengths === "/24" ? "/32" : "/64"} dev eth0 nodad`,
      );
    if (routerMtu === undefined) {
      await shell(a, [`ip link add eth0 type veth peer name eth0 netns ${b.name}`, ...end(0, "/24")]);
      await shell(b, end(1, "/24"));
      return new TunnelHosts(stack.move(), [a, b]);
    }
    const router = stack.use(await NetNamespace.create("r"));
    await shell(router, [
      "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
      `ip link add eth0 type veth peer name eth0 netns ${a.name}`,
      `ip link add eth1 mtu ${routerMtu} type veth peer name eth0 mtu ${routerMtu} netns ${b.name}`,
      ...["192.0.2.126/25 dev eth0", "192.0.2.254/25 dev eth1"].map((address) => `ip address add ${address}`),
      ...["1::f/64 dev eth0", "2::f/64 dev eth1"].map((address) => `ip address add 2001:db8:0:${address} nodad`),
      "ip link set eth0 up",
      "ip link set eth1 up",
    ]);
    for (const [n, ns] of [a, b].entries()) {
      const ways = [`ip route add default via ${["192.0.2.126", "192.0.2.254"][n]}`];
      ways.push(`ip route add default via 2001:db8:0:${n + 1}::f`);
      await shell(ns, [...end(n === 0 ? 0 : 1, "/25"), ...ways]);
    }
    return new TunnelHosts(stack.move(), [a, b]);
  }

  /** Makes the tunnel on both, its link `tun0` on the first and `tun1` on the second. */
  async join({ family, tunnel }: TunnelCase, mtu: number): Promise<void> {
    for (const n of [0, 1] as const) {
      const rtnetlink = this.rtnetlinks[n];
      const spec = { name: `tun${n}`, mac: MACS[n], mtu, group: GROUP, isUp: true, tunnel: tunnel(n) };
      const index = await rtnetlink.addTunnel(spec);
      if (spec.tunnel.kind === "vxlan") await rtnetlink.setFloodPeers(index, [at(family, n === 0 ? 1 : 0)]);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

interface IpLink {
  readonly ifindex: number;
  readonly ifname: string;
  readonly address: string;
  readonly mtu: number;
  readonly master?: string;
  readonly group: string;
  readonly flags: readonly string[];
  readonly linkinfo: { readonly info_kind?: string; readonly info_data?: Readonly<Record<string, unknown>> };
}

async function seen(ns: NetNamespace, name: string): Promise<IpLink | undefined> {
  const links = await ns.json<IpLink[]>(["ip", "-json", "-details", "link", "show"]);
  return links.find(({ ifname }) => ifname === name);
}

/** A frame with this many bytes behind its type. */
function frameOf(size: number, mark: number, tags: readonly Tag[] = []): Buffer {
  return ethernet({ to: MACS[1], from: MACS[0], type: EXPERIMENT, payload: Buffer.alloc(size, mark), tags });
}

/** The length of the IP packet in a frame of the underlay. */
const packetLength = (frame: Buffer) => frame.length - 14;

/** Runs the promises for these, and what a kernel says of all kinds. */
export function describeTunnels(cases: readonly TunnelCase[]): void {
  it("says of every kind whether this kernel has it, without making a link, and refuses to make one of the others", async () => {
    for (const kind of ["vxlan", "geneve", "gretap", "ip6gretap"] as const) {
      await using hosts = await TunnelHosts.up();
      const [ns, rtnetlink] = [hosts.namespaces[0], hosts.rtnetlinks[0]];
      const tested = TUNNEL_CASES.find(({ tunnel }) => tunnel(0).kind === kind);
      if (tested === undefined) throw new Error(`no case of ${kind}`);
      const command = ["ip", "link", "add", "probe", "type", kind, ...(COMMAND_OPTIONS[kind] ?? [])];
      const isThere = await ns.exec([...command]).then(
        () => true,
        (failure: unknown) => (expect(String(failure)).toContain("Unknown device type"), false),
      );
      const links = async () => (await ns.json<IpLink[]>(["ip", "-json", "link", "show"])).map(({ ifname }) => ifname);
      const before = await links();

      expect(await rtnetlink.hasTunnels(kind)).toBe(isThere);

      expect(await links()).toEqual(before);
      if (isThere) continue;
      const spec = { name: "tun0", mtu: 1400, group: GROUP, isUp: false, tunnel: tested.tunnel(0) };
      await expect(rtnetlink.addTunnel(spec)).rejects.toMatchObject({
        code: "unsupported",
        message: `add ${kind} link tun0: this kernel has no links of kind ${kind}`,
      });
    }
  });

  describe.each(cases)("a link of kind $title", (tested) => {
    const { family, tunnel, shown } = tested;
    const { kind } = tunnel(0);
    const mtu = largestMtu(tested);
    const spec = { name: "tun0", mac: MACS[0], mtu, group: GROUP, isUp: false, tunnel: tunnel(0) };

    it("is made with all its settings in one message, as port of a bridge, and is read back", async () => {
      await using hosts = await TunnelHosts.up();
      const [
        {
          namespaces: [ns],
          rtnetlinks: [rtnetlink],
        },
      ] = [hosts];
      const masterIndex = await rtnetlink.addBridge({ name: "br0", mac: "02:00:00:00:00:0b", mtu, group: GROUP });

      const index = await rtnetlink.addTunnel({ ...spec, masterIndex, isUp: true });

      const link = await seen(ns, "tun0");
      expect(link).toMatchObject({ ifindex: index, address: MACS[0], mtu, master: "br0", group: `${GROUP}` });
      expect(link?.flags).toContain("UP");
      expect(link?.linkinfo).toMatchObject({ info_kind: kind, info_data: shown });
      expect(link?.linkinfo.info_data).not.toHaveProperty(kind === "vxlan" ? "remote" : "collect_metadata");
      const read = await rtnetlink.requireLink("tun0");
      expect(read).toMatchObject({ kind, masterIndex, mtu, isUp: true });
      expect(read.tunnel).toEqual(tunnel(0));
    });

    it("is refused for a name that is taken, and for a tunnel that is there already, which is told apart", async () => {
      await using hosts = await TunnelHosts.up();
      const [rtnetlink] = hosts.rtnetlinks;
      await rtnetlink.addTunnel(spec);

      const sameName = await rtnetlink.addTunnel(spec).catch((failure: unknown) => failure);
      const sameTunnel = await rtnetlink.addTunnel({ ...spec, name: "tun9" }).catch((failure: unknown) => failure);

      expect(sameName).toMatchObject({ code: "host" });
      expect(isErrno(sameName, "EEXIST")).toBe(true);
      expect(sameTunnel).toMatchObject({ code: "conflict" });
      expect(String(sameTunnel)).toMatch(new RegExp(`add ${kind} link tun9: .* is taken by link tun0$`));
      expect(await seen(hosts.namespaces[0], "tun9")).toBeUndefined();
    });

    it("leaves nothing when the kernel stops on the way", async () => {
      await using hosts = await TunnelHosts.up();
      const [rtnetlink] = hosts.rtnetlinks;

      await expect(rtnetlink.addTunnel({ ...spec, masterIndex: 4711, isUp: true })).rejects.toMatchObject({
        code: "host",
      });

      expect(await seen(hosts.namespaces[0], "tun0")).toBeUndefined();
    });

    it(`fills a path of ${UNDERLAY_MTU} bytes exactly with an MTU of ${mtu}: one byte more does not go out in one packet`, async () => {
      await using hosts = await TunnelHosts.up();
      await hosts.join(tested, mtu);
      const [a, b] = hosts.namespaces;
      using near = FrameSocket.open(a, "tun0");
      using outside = FrameSocket.open(b, "eth0");
      using inside = FrameSocket.open(b, "tun1");
      const [largest, tooLong] = [frameOf(mtu, 0xa1), frameOf(mtu + 1, 0xb2)];

      near.send(largest);

      await inside.waitFor("the largest frame", largest);
      const carriers = outside.heard().filter((frame) => frame.includes(largest));
      expect(carriers.map(packetLength)).toEqual([UNDERLAY_MTU]);
      expect(carriers.map(outerHeader)).toEqual([OUTER_HEADER]);
      expect(() => near.send(tooLong)).toThrow("errno 90"); // EMSGSIZE

      const { index } = await hosts.rtnetlinks[0].requireLink("tun0");
      await hosts.rtnetlinks[0].setLink(index, { mtu: mtu + 1 });
      near.send(tooLong, largest);

      await waitUntil("the frame behind it", () => inside.count(largest) > 1);
      // Over IPv4 the kernel makes two packets of it; over IPv6 it does so for no tunnel.
      if (family === 4) await inside.waitFor("the frame put together again", tooLong);
      expect(inside.count(tooLong)).toBe(family === 4 ? 1 : 0);
      expect(outside.count(tooLong)).toBe(0);
    });

    it("needs four bytes more for frames with a tag", async () => {
      await using hosts = await TunnelHosts.up();
      const tagged = largestMtu(tested, { trunk: [10] });
      await hosts.join(tested, tagged);
      using near = FrameSocket.open(hosts.namespaces[0], "tun0");
      using outside = FrameSocket.open(hosts.namespaces[1], "eth0");
      using inside = FrameSocket.open(hosts.namespaces[1], "tun1");
      const frame = frameOf(tagged, 0xa1, [{ type: ETHERTYPE.customerTag, id: 10 }]);

      near.send(frame);

      await inside.waitFor("the frame with its tag", frame);
      const carriers = outside.heard().filter((heard) => heard.includes(frame));
      expect(carriers.map(packetLength)).toEqual([UNDERLAY_MTU]);
    });

    it("carries what hosts say to each other through a router that has less than was known", async () => {
      await using hosts = await TunnelHosts.up(UNDERLAY_MTU - 100);
      await hosts.join(tested, mtu);
      for (const [n, ns] of hosts.namespaces.entries()) {
        const addresses = [`10.9.0.${n + 1}/24`, `fd09::${n + 1}/64 nodad`];
        await shell(
          ns,
          addresses.map((text) => `ip address add dev tun${n} ${text}`),
        );
      }
      const ping = (command: string, address: string, headers: number) => async () => {
        await hosts.namespaces[0].exec(["busybox", command, "-c1", "-W1", "-s", `${mtu - headers}`, address]);
        return true;
      };

      await waitUntil("an answer over IPv4", ping("ping", "10.9.0.2", 28), { limitMs: 30_000 });
      await waitUntil("an answer over IPv6", ping("ping6", "fd09::2", 48), { limitMs: 30_000 });
    });
  });
}

/** Time to live, and what else is the same for all tunnels. */
const OUTER_HEADER = { ttl: 64, mayBeFragmented: true, hasChecksum: true } as const;

/** Of a frame of the underlay. IPv6 has nothing that forbids fragments, and GRE no checksum. */
function outerHeader(frame: Buffer): { ttl: number; mayBeFragmented: boolean; hasChecksum: boolean } {
  const packet = frame.subarray(14);
  const isIpv4 = packet.readUInt8(0) >> 4 === 4;
  const [ttl, protocol, length] = isIpv4
    ? [packet.readUInt8(8), packet.readUInt8(9), 20]
    : [packet.readUInt8(7), packet.readUInt8(6), 40];
  return {
    ttl,
    mayBeFragmented: !isIpv4 || (packet.readUInt16BE(6) & 0x4000) === 0,
    hasChecksum: protocol !== PROTOCOL.udp || packet.readUInt16BE(length + 6) !== 0,
  };
}
