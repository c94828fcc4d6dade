// What passes between hosts in a tunnel, told by frames: the same body for each kind of tunnel (kernel/nat, vm/long).
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { formatVlans } from "../../src/vlan.ts";
import { uniqueBytes, datagramFrame } from "./attacks.ts";
import { DatagramListener, FrameSocket } from "./frame-capture.ts";
import { BROADCAST_MAC, ETHERTYPE, type Tag, addressBytes, ethernet } from "./frames.ts";
import { gatewayClaims } from "./gateway-claims.ts";
import { canPing } from "./packet-lab.ts";
import { GATEWAY, type TunnelForm, type TunnelHost, TunnelLab } from "./tunnel-lab.ts";
import { waitUntil } from "./wait-until.ts";

const SERVICE_PORT = 7009;

/** The fixed start of ARP for IPv4 over Ethernet, its EtherType included. */
const ARP_START = Buffer.from("0806000108000604", "hex");
const GATEWAY_BYTES = { 4: addressBytes(GATEWAY[4]), 6: addressBytes(GATEWAY[6]) };

/** Whether a frame of the wire carries ARP or neighbour discovery in which the gateway is named. */
function namesGateway(frame: Buffer): boolean {
  const start = frame.indexOf(ARP_START);
  if (start >= 0) return frame.subarray(start).includes(GATEWAY_BYTES[4]);
  return frame.includes(GATEWAY_BYTES[6]);
}

/** The promises about ordinary frames and gateways. */
export function describeTunnelFrames(form: TunnelForm): void {
  const inVlans = form.vlans === undefined ? "" : `, ${formatVlans(form.vlans)}`;
  describe(`a network joined by ${form.kind} over IPv${form.family}${inVlans}`, () => {
    let lab: TunnelLab;
    beforeAll(async () => {
      lab = await TunnelLab.up(form);
    });
    afterAll(async () => await lab?.[Symbol.asyncDispose]());

    it.each([4, 6] as const)("carries IPv%i both ways", async (family) => {
      const { a, b } = lab;

      await expect.poll(() => canPing(a.guest.namespace, b.guest.address[family])).toBe(true);
      await expect.poll(() => canPing(b.guest.namespace, a.guest.address[family])).toBe(true);
    });

    it("carries broadcast and multicast, each once", async () => {
      const { a, b } = lab;
      using speaking = FrameSocket.open(a.guest.namespace, "eth0");
      using listening = FrameSocket.open(b.guest.namespace, "eth0");
      const from = a.guest;
      const ways = [
        [BROADCAST_MAC, from.address[4], "255.255.255.255"],
        ["01:00:5e:01:02:03", from.address[4], "239.1.2.3"],
        ["33:33:00:01:02:03", from.address[6], "ff05::1:203"],
      ] as const;
      const traces = ways.map(() => uniqueBytes());

      for (const [n, [to, ...addresses]] of ways.entries()) {
        speaking.send(ethernet(datagramFrame({ from: from.mac, to }, addresses, { data: traces[n] ?? uniqueBytes() })));
      }
      const last = sendLast(speaking, a, b);
      for (const trace of [...traces, last]) await listening.waitFor("each frame", trace);

      expect(traces.map((trace) => listening.count(trace))).toEqual([1, 1, 1]);
    });

    it("is asked on each host for the gateway, and no question or answer about it is on the wire", async () => {
      const hosts = [
        [lab.a, lab.b],
        [lab.b, lab.a],
      ] as const;
      for (const [host, other] of hosts) {
        const { guest, network } = host;
        using wire = lab.wireOf(host);
        using otherWire = lab.wireOf(other);
        await guest.namespace.exec(["ip", "neigh", "flush", "all"]);
        await host.namespace.exec(["ip", "neigh", "flush", "dev", network.hostLink]);

        for (const family of [4, 6] as const) {
          await expect.poll(() => canPing(guest.namespace, GATEWAY[family])).toBe(true);
          await expect.poll(() => canPing(host.namespace, guest.address[family])).toBe(true);
          const shown = await guest.namespace.exec(["ip", "neigh", "show", GATEWAY[family]]);
          expect(shown).toContain(network.switchMac);
          await expect.poll(() => canPing(guest.namespace, other.guest.address[family])).toBe(true); // whose questions do pass
        }

        expect(wire.count(addressBytes(guest.address[4]))).toBeGreaterThan(0);
        expect([...wire.heard(), ...otherWire.heard()].filter(namesGateway)).toEqual([]);
      }
    });

    it("leads a host to no container of the other one, and asks nothing there", async () => {
      const { a, b } = lab;
      using wire = lab.wireOf(a);

      for (const family of [4, 6] as const) {
        expect(await canPing(a.namespace, b.guest.address[family])).toBe(false);
      }

      expect(wire.heard().filter(namesGateway)).toEqual([]);
      expect(wire.count(addressBytes(b.guest.address[6]).subarray(8))).toBe(0);
    });

    it.each([4, 6] as const)("leads no container to the other host itself, IPv%i", async (family) => {
      const { a, b } = lab;
      using listener = DatagramListener.open(a.namespace, SERVICE_PORT);
      using near = FrameSocket.open(a.guest.namespace, "eth0");
      using far = FrameSocket.open(b.guest.namespace, "eth0");
      using ear = FrameSocket.open(a.guest.namespace, "eth0");
      using wire = lab.wireOf(b);
      const [unheard, heard] = [uniqueBytes(), uniqueBytes()];
      const to = a.network.switchMac;
      const frameOf = ({ guest }: TunnelHost, target: string, data: Buffer) =>
        ethernet(
          datagramFrame({ from: guest.mac, to }, [guest.address[family], target], { toPort: SERVICE_PORT, data }),
        );

      for (const target of [GATEWAY[family], a.address[family]]) far.send(frameOf(b, target, unheard));
      await ear.waitFor("what was sent after it", sendLast(far, b, a));
      near.send(frameOf(a, GATEWAY[family], heard));
      await listener.waitFor("a datagram of its own container", heard);
      await waitUntil("both to be on the wire", () => wire.count(unheard) >= 2);

      expect(wire.count(unheard)).toBe(2);
      expect(listener.count(unheard)).toBe(0);
    });

    it.each(Object.entries(gatewayClaims(GATEWAY)))(
      "believes no other host that it is the gateway: %s",
      async (_what, frames) => {
        const { a, b } = lab;
        using peer = FrameSocket.open(b.namespace, b.link);
        using guest = FrameSocket.open(a.guest.namespace, "eth0");
        const hidden = [0, form.vlans?.vlan ?? 1].flatMap((id) => frames.map((frame) => tagged(frame, id)));
        const all = [...frames, ...hidden];

        peer.send(...all);
        await guest.waitFor("what was sent after it", sendLast(peer, b, a));

        expect(all.filter((frame) => guest.count(frame.subarray(-20)) > 0)).toEqual([]);
      },
    );

    it("hears the same of everybody else", async () => {
      const { a, b } = lab;
      using peer = FrameSocket.open(b.namespace, b.link);
      using guest = FrameSocket.open(a.guest.namespace, "eth0");
      const frames = Object.values(gatewayClaims({ 4: "10.1.1.9", 6: "fd00:1:1::9" })).flat();

      peer.send(...frames);
      await guest.waitFor("what was sent after it", sendLast(peer, b, a));
      for (const frame of frames) await guest.waitFor("what was sent", frame.subarray(-20));

      expect(frames.filter((frame) => guest.count(frame.subarray(-20)) === 0)).toEqual([]);
    });

    it("takes no frame with a VLAN tag but those of the trunk, VLAN 0 included", async () => {
      const { a, b } = lab;
      using peer = FrameSocket.open(b.namespace, b.link);
      using guest = FrameSocket.open(a.guest.namespace, "eth0");
      const addresses = [b.guest.address[4], a.guest.address[4]] as const;
      const { vlan = 1, trunk = [] } = form.vlans ?? {};
      const customer = (id: number): Tag => ({ type: ETHERTYPE.customerTag, id });
      const tags: readonly (readonly Tag[])[] = [
        ...[0, vlan, 7].map((id) => [customer(id)]),
        ...[0, 20].map((id) => [customer(id), customer(7)]),
        ...[7, 20].map((id) => [{ type: ETHERTYPE.serviceTag, id }]),
        [customer(20)],
      ];
      const traces = tags.map(() => uniqueBytes());

      for (const [n, each] of tags.entries()) {
        const data = traces[n] ?? uniqueBytes();
        const draft = datagramFrame({ from: b.guest.mac, to: BROADCAST_MAC }, addresses, { data });
        peer.send(ethernet({ ...draft, tags: each }));
      }
      await guest.waitFor("what was sent after it", sendLast(peer, b, a));
      if (trunk.includes(20)) await guest.waitFor("what is of the trunk", traces.at(-1) ?? Buffer.alloc(0));

      const expected = [...tags.slice(1).map(() => 0), trunk.includes(20) ? 1 : 0];
      expect(traces.map((trace) => guest.count(trace))).toEqual(expected);
    });
  });
}

/** Sends a lawful datagram to the other host's guest. @returns its content. */
function sendLast(by: FrameSocket, from: TunnelHost, to: TunnelHost): Buffer {
  const data = uniqueBytes();
  const addresses = [from.guest.address[4], to.guest.address[4]] as const;
  by.send(ethernet(datagramFrame({ from: from.guest.mac, to: to.guest.mac }, addresses, { data })));
  return data;
}

function tagged(frame: Buffer, id: number): Buffer {
  const tag = Buffer.of(0x81, 0, id >> 8, id & 0xff);
  return Buffer.concat([frame.subarray(0, 12), tag, frame.subarray(12)]);
}
