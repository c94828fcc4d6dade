// Packets that look as if a tunnel's peer had sent them, by those who are none: the same body for each kind of tunnel
// (kernel/nat, vm/long). Sent raw, so that nobody but the rules has a say in what they are.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TunnelKind } from "../../src/cnm/network.ts";
import { datagramFrame, uniqueBytes } from "./attacks.ts";
import { DatagramListener, FrameSocket } from "./frame-capture.ts";
import { BROADCAST_MAC, ETHERTYPE, type Packet, ethernet, ipv4, ipv4Fragments } from "./frames.ts";
import { extended, ipv6, ipv6Fragments } from "./frames-ipv6.ts";
import { NetNamespace } from "./namespace.ts";
import { canPing, shell } from "./packet-lab.ts";
import { tunnelPacket } from "./tunnel-packets.ts";
import { INTRUDERS, PORTS, type TunnelForm, type TunnelHost, TunnelLab, VNI } from "./tunnel-lab.ts";
import { waitUntil } from "./wait-until.ts";

const OTHER_VNI = 78;
const SERVICE_PORT = 7009;

/** MAC and bare IP addresses of an outer packet. */
interface Way {
  readonly mac: readonly [from: string, to: string];
  readonly ip: readonly [from: string, to: string];
}

/** A frame in a packet of the tunnel. */
function inTunnel(kind: TunnelKind, ip: Way["ip"], inner: Buffer, vni = VNI, hasChecksum = false): Packet {
  return tunnelPacket({ kind, vni, ...(kind !== "gre" && { port: PORTS[kind] }) }, ip, inner, hasChecksum);
}

/** All that a packet can look like: whole, in fragments, with more headers than it needs. */
function disguises(kind: TunnelKind, { mac, ip }: Way, inner: Buffer): readonly Buffer[] {
  const packet = inTunnel(kind, ip, inner);
  const frame = (type: number, payload: Buffer) => ethernet({ from: mac[0], to: mac[1], type, payload });
  const packets = [packet, ...(kind === "gre" ? [inTunnel(kind, ip, inner, VNI, true)] : [])];
  if (!ip[0].includes(":")) {
    const all = [...packets.map((each) => ipv4(each)), ...ipv4Fragments(packet, 8)];
    return all.map((each) => frame(ETHERTYPE.ipv4, each));
  }
  const all = [...packets, extended(packet, "destination"), ...ipv6Fragments(packet, 8)];
  return all.map((each) => frame(ETHERTYPE.ipv6, ipv6(each)));
}

/** The host itself, as the containers without a tunnel know it. */
function gatewayOf(family: 4 | 6): string {
  const gateways = INTRUDERS.pools.map(({ gateway = "" }) => gateway);
  return gateways.find((each) => each.includes(":") === (family === 6)) ?? "";
}

/** The promises about who speaks in a tunnel. */
export function describeTunnelInjection(form: TunnelForm): void {
  const { kind, family } = form;
  describe(`a tunnel of ${kind} over IPv${family} [S20]`, () => {
    let lab: TunnelLab;
    beforeAll(async () => {
      lab = await TunnelLab.up(form);
      await shell(lab.a.namespace, [
        "for name in all lan0; do sysctl -qw net.ipv4.conf.$name.rp_filter=0; done",
        `sysctl -qw net.ipv4.conf.${INTRUDERS.hostLink}.rp_filter=0`,
      ]);
    });
    afterAll(async () => await lab?.[Symbol.asyncDispose]());

    /** A frame from the guest of one host for everybody. */
    const innerOf = (from: TunnelHost, data: Buffer) => {
      const addresses = [from.guest.address[4], "255.255.255.255"] as const;
      return ethernet(datagramFrame({ from: from.guest.mac, to: BROADCAST_MAC }, addresses, { data }));
    };
    const single = (way: Way, inner: Buffer, vni = VNI) => {
      const packet = inTunnel(kind, way.ip, inner, vni);
      const [from, to] = way.mac;
      const payload = family === 4 ? ipv4(packet) : ipv6(packet);
      return ethernet({ from, to, type: family === 4 ? ETHERTYPE.ipv4 : ETHERTYPE.ipv6, payload });
    };

    /** Of GRE, address translation knows one flow from this host to another, and to the peer that is the tunnel itself. */
    const elsewhere = ({ mac, ip: [from, to] }: Way): Way => ({
      mac,
      ip: [from, kind === "gre" ? lab.stranger.address[family] : to],
    });

    /** What the guest of `to` hears of packets, when it has heard one of the real peer that came after them. */
    async function heardBy(to: TunnelHost, by: FrameSocket, frames: readonly Buffer[], trace: Buffer): Promise<number> {
      const { a, b } = lab;
      const peer = to === a ? b : a;
      using guest = FrameSocket.open(to.guest.namespace, "eth0");
      using real = FrameSocket.open(peer.namespace, "lan0");
      const last = uniqueBytes();
      by.send(...frames);
      const way: Way = { mac: [peer.mac, to.mac], ip: [peer.address[family], to.address[family]] };
      real.send(single(way, innerOf(peer, last)));
      await guest.waitFor("a packet of the peer", last);
      return guest.count(trace);
    }

    it("is not spoken in by a stranger on the wire", async () => {
      const { a, b, stranger } = lab;
      using socket = FrameSocket.open(stranger.namespace, "lan0");
      const trace = uniqueBytes();
      const way: Way = { mac: [stranger.mac, a.mac], ip: [stranger.address[family], a.address[family]] };

      expect(await heardBy(a, socket, disguises(kind, way, innerOf(b, trace)), trace)).toBe(0);
    });

    it("is not spoken in by a container of the same host, whatever address it forges", async () => {
      const { a, b, stranger, intruder } = lab;
      using socket = FrameSocket.open(intruder.namespace, "eth0");
      const trace = uniqueBytes();
      const sources = [intruder, b, stranger].map(({ address }) => address[family]);
      const frames = [a.address[family], gatewayOf(family)].flatMap((to) =>
        sources.flatMap((from) =>
          disguises(kind, { mac: [intruder.mac, INTRUDERS.switchMac], ip: [from, to] }, innerOf(b, trace)),
        ),
      );

      expect(await heardBy(a, socket, frames, trace)).toBe(0);
    });

    it("has no peer among the containers: the host hears nothing of one that uses a peer's address", async () => {
      const { a, b, intruder } = lab;
      using socket = FrameSocket.open(intruder.namespace, "eth0");
      using listener = DatagramListener.open(a.namespace, SERVICE_PORT);
      const [forged, lawful] = [uniqueBytes(), uniqueBytes()];
      const mac = { from: intruder.mac, to: INTRUDERS.switchMac };
      const to = gatewayOf(family);
      const send = (from: string, data: Buffer) =>
        socket.send(ethernet(datagramFrame(mac, [from, to], { toPort: SERVICE_PORT, data })));

      send(b.address[family], forged);
      send(intruder.address[family], lawful);
      await listener.waitFor("a datagram from the container's own address", lawful);

      expect(listener.count(forged)).toBe(0);
    });

    it("is not spoken in by a container of another host, behind that one's address", async () => {
      const { a, b, intruder } = lab;
      using socket = FrameSocket.open(intruder.namespace, "eth0");
      using wire = lab.wireOf(a);
      const [trace, other] = [uniqueBytes(), uniqueBytes()];
      const way: Way = {
        mac: [intruder.mac, INTRUDERS.switchMac],
        ip: [intruder.address[family], b.address[family]],
      };

      expect(await heardBy(b, socket, disguises(kind, way, innerOf(a, trace)), trace)).toBe(0);

      socket.send(single(elsewhere(way), innerOf(a, other), OTHER_VNI));
      await wire.waitFor("what the container sends by a tunnel of its own", other);
      expect(wire.count(trace)).toBe(0);
    });

    it("is not spoken in by a container of somebody else's on another host, behind that one's address", async () => {
      const { a, b } = lab;
      await using machine = await NetNamespace.create("foreign");
      await plantForeignNetwork(a.namespace, machine);
      using socket = FrameSocket.open(machine, "eth0");
      using wire = lab.wireOf(a);
      const [trace, other] = [uniqueBytes(), uniqueBytes()];
      const from = family === 4 ? "172.30.0.2" : "fd30::2";
      const way: Way = { mac: [FOREIGN_MAC, FOREIGN_SWITCH_MAC], ip: [from, b.address[family]] };

      expect(await heardBy(b, socket, disguises(kind, way, innerOf(a, trace)), trace)).toBe(0);

      socket.send(single(elsewhere(way), innerOf(a, other), OTHER_VNI));
      await wire.waitFor("what the container sends by a tunnel of its own", other);
      expect(wire.count(trace)).toBe(0);
    });

    it("leaves other tunnels of the host alone", async () => {
      const { a, b, stranger } = lab;
      await shell(a.namespace, [foreignLink(form, a.address[family], stranger.address[family])]);
      using foreign = FrameSocket.open(a.namespace, "foreign1");
      using socket = FrameSocket.open(stranger.namespace, "lan0");
      const trace = uniqueBytes();
      const way: Way = { mac: [stranger.mac, a.mac], ip: [stranger.address[family], a.address[family]] };

      socket.send(single(way, innerOf(b, trace), OTHER_VNI));

      await foreign.waitFor("a packet of another number", trace);
    });
  });
}

const FOREIGN_MAC = "02:cc:00:00:00:02";
const FOREIGN_SWITCH_MAC = "02:cc:00:00:00:01";

/** What another program makes for its containers: a bridge with masquerading. */
async function plantForeignNetwork(host: NetNamespace, container: NetNamespace): Promise<void> {
  await shell(host, [
    `ip link add foreign0 address ${FOREIGN_SWITCH_MAC} type bridge`,
    "ip address add 172.30.0.1/24 dev foreign0; ip address add fd30::1/64 dev foreign0 nodad",
    `ip link add fport0 master foreign0 type veth peer name eth0 address ${FOREIGN_MAC} netns ${container.name}`,
    "ip link set fport0 up; ip link set foreign0 up",
    "nft add table inet foreign",
    "nft 'add chain inet foreign leave { type nat hook postrouting priority srcnat; }'",
    "nft add rule inet foreign leave iifname foreign0 masquerade",
  ]);
  await shell(container, [
    "ip address add 172.30.0.2/24 dev eth0; ip address add fd30::2/64 dev eth0 nodad; ip link set eth0 up",
    "ip route add default via 172.30.0.1; ip route add default via fd30::1",
  ]);
  for (const gateway of ["172.30.0.1", "fd30::1"])
    await waitUntil(`${gateway} to answer`, () => canPing(container, gateway));
}

/** A tunnel that the administrator has to the stranger. */
function foreignLink({ kind, family }: TunnelForm, local: string, remote: string): string {
  const types = {
    vxlan: `vxlan id ${OTHER_VNI} dstport ${PORTS.vxlan} local ${local}`,
    geneve: `geneve id ${OTHER_VNI} dstport ${PORTS.geneve} remote ${remote}`,
    gre: `${family === 4 ? "gretap" : "ip6gretap"} key ${OTHER_VNI} local ${local} remote ${remote}`,
  };
  return `ip link add foreign1 up type ${types[kind]}`;
}
