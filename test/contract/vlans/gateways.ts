// The host's own place in a VLAN: the gateway of networks of the modes nat and routed.
import { describe, expect, it } from "vitest";
import { arp, ethernet, ETHERTYPE, icmp, ipv4, PROTOCOL, BROADCAST_MAC } from "../../support/frames.ts";
import type { VlanHost } from "../../support/vlan-host.ts";
import { dot1q, formatTags, macOf, tagsOf } from "../../support/vlan-probe.ts";
import type { VlanStage } from "../../support/vlan-stage.ts";
import type { Station } from "../../support/vlan-stations.ts";
import { waitUntil } from "../../support/wait-until.ts";
import { reachService } from "./services.ts";
import { expectOut, stageFor } from "./stage.ts";

const ARP_REPLY = 2;
const ECHO_REPLY = 0;

/** An answer as it came: from which MAC, with which tags. */
interface Answer {
  readonly mac: string;
  readonly tags: string;
}

/** The host's link in the network's VLAN. */
export function describeGateways(makeHost: () => Promise<VlanHost>): void {
  describe("gateways", () => {
    const stage = stageFor(makeHost, async (made) => {
      const nat = made.plan(1, { vlan: 100 }, { mode: "nat", isHostOnSwitch: true });
      const routed = made.plan(2, { vlan: 200 }, { mode: "routed", isHostOnSwitch: true });
      const l2 = made.plan(3, { vlan: 600 }, { isGuarded: false });
      const untagged = made.plan(4, {}, { mode: "nat", isHostOnSwitch: true });
      const native = made.plan(5, { vlan: 700, trunk: [701] }, { mode: "nat", isHostOnSwitch: true });
      await made.make(nat, routed, l2, untagged, native);
      await made.attach("nat", nat, 1);
      await made.attach("routed", routed, 1);
      await made.attach("l2", l2, 1);
      await made.attach("untagged", untagged, 1);
      await made.attach("native", native, 1);
    });
    const gateways = { nat: "10.1.1.1", routed: "10.1.2.1", untagged: "10.1.4.1", native: "10.1.5.1" } as const;
    const VLANS = { nat: [100], routed: [200], untagged: [], native: [700] } as const;
    /** Whether frames with these tags on the uplink are of the gateway's VLAN; a priority tag alone means none. */
    const isSame = (sent: readonly number[], name: string) => {
      const own = formatTags(VLANS[name as keyof typeof VLANS]); // one of its keys
      return formatTags(sent) === own || (own === "untagged" && sent[0] === 0);
    };

    for (const [name, gateway] of Object.entries(gateways)) {
      const title = name === "native" ? "of a native VLAN" : name === "untagged" ? "without a VLAN" : `of mode ${name}`;
      it(`the gateway ${title} answers ARP and ICMP of a container, untagged`, async () => {
        const [found] = await askArp(stage(), name, gateway);

        expect(found).toMatchObject({ tags: "untagged" });
        expect(await askEcho(stage(), name, gateway, found?.mac ?? "")).toEqual([found]);
      });

      it(`the gateway ${title} answers from the uplink in its own VLAN`, async () => {
        const own = VLANS[name as keyof typeof VLANS]; // one of its keys
        const [found] = await askArp(stage(), "uplink", gateway, own);

        expect(found?.tags).toBe(formatTags(own));
        expect(await askEcho(stage(), "uplink", gateway, found?.mac ?? "", own)).toEqual([found]);
      });

      it(`the gateway ${title} hears nothing of another VLAN`, async () => {
        const at = `gateway ${formatTags(VLANS[name as keyof typeof VLANS])}`;
        const { mac } = stage().station(at);
        const wire = [[], [0], [100], [200], [600], [700], [701], [999]].filter((each) => !isSame(each, name));
        const places = ["nat", "routed", "l2", "untagged", "native"].filter((other) => other !== name);
        const senders = [...places.map((other) => [other, []] as const), ...wire.map((id) => ["uplink", id] as const)];
        for (const [from, sent] of senders) {
          const what = `${from} ${formatTags(sent)}`;
          expect(await stage().send(from, { arpFor: gateway, tags: sent }), what).not.toHaveProperty([at]);
          expect(await stage().send(from, { to: mac, tags: sent }), what).not.toHaveProperty([at]);
        }
      });

      it(`the gateway ${title} answers nobody where the host has no place`, async () => {
        const [{ mac } = { mac: "" }] = await askArp(stage(), name, gateway);
        for (const [from, sent] of [
          ["l2", []],
          ["uplink", [600]],
          ["uplink", [701]],
          ["uplink", [999]],
        ] as const) {
          expect(await askArp(stage(), from, gateway, sent, false), `ARP from ${from} ${sent[0]}`).toEqual([]);
          expect(await askEcho(stage(), from, gateway, mac, sent, false), `ICMP from ${from} ${sent[0]}`).toEqual([]);
        }
      });
    }

    it("a VLAN without a gateway does not reach the host", async () => {
      await expectOut(stage(), { uplink: "600" }, "l2");
      await expectOut(stage(), { uplink: "701" }, "native", { tags: [701] });
    });

    for (const [from, tags] of [
      ["l2", []],
      ["uplink", [600]],
      ["uplink", [701]],
      ["uplink", [999]],
    ] as const) {
      const title =
        from === "l2" ? "a container in a VLAN without a gateway" : `a frame from the uplink in VLAN ${tags[0]}`;
      it(`${title} reaches no service of the host, whatever addresses it says`, async () => {
        const reached = await reachService(stage(), { from, tags, targets: Object.values(gateways) });

        expect(reached).toEqual([]);
      });
    }

    it("a container in a gateway's VLAN reaches the service: the tests above would notice", async () => {
      const { address } = stage().station("nat");
      const question = `${address} to ${gateways.nat} at ${stage().station("gateway 100").mac}`;
      const asking = { from: "nat", tags: [], targets: [gateways.nat] };

      // Open vSwitch may take the first questions of a kind after what is sent behind them, or have no room for so many.
      const isReached = async () => (await reachService(stage(), asking)).includes(question);
      await waitUntil(`the service to be asked ${question}`, isReached, { limitMs: 30_000 });
    });
  });
}

/** @param isAnswered - waits for an answer; else until none can come any more. */
async function askArp(
  stage: VlanStage,
  from: string,
  target: string,
  tags: readonly number[] = [],
  isAnswered = true,
): Promise<readonly Answer[]> {
  const { mac: senderMac } = stage.station(from);
  const sender = senderIn(stage.station(from), target);
  const payload = arp({ operation: "request", senderMac, sender, target });
  const request = { to: BROADCAST_MAC, from: senderMac, type: ETHERTYPE.arp, payload };
  const isReply = (body: Buffer) => body.readUInt16BE(6) === ARP_REPLY && addressAt(body, 14) === target;
  return await ask(stage, from, ethernet({ ...request, tags: tags.map(dot1q) }), ETHERTYPE.arp, isReply, isAnswered);
}

/** The same with an echo request. */
async function askEcho(
  stage: VlanStage,
  from: string,
  target: string,
  to: string,
  tags: readonly number[] = [],
  isAnswered = true,
): Promise<readonly Answer[]> {
  const station = stage.station(from);
  const payload = icmp(8, 0, Buffer.from("00010001", "hex"));
  const packet = ipv4({ from: senderIn(station, target), to: target, protocol: PROTOCOL.icmp, payload });
  const request = { to, from: station.mac, type: ETHERTYPE.ipv4, payload: packet };
  const isReply = (body: Buffer) =>
    body[9] === PROTOCOL.icmp && body[20] === ECHO_REPLY && addressAt(body, 12) === target;
  return await ask(stage, from, ethernet({ ...request, tags: tags.map(dot1q) }), ETHERTYPE.ipv4, isReply, isAnswered);
}

async function ask(
  stage: VlanStage,
  from: string,
  request: Buffer,
  type: number,
  isReply: (body: Buffer) => boolean,
  isAnswered: boolean,
): Promise<readonly Answer[]> {
  const station = stage.station(from);
  const answers = () =>
    station.socket.heard().flatMap((frame) => {
      const at = 12 + 4 * tagsOf(frame).length;
      if (frame.readUInt16BE(at) !== type || !isReply(frame.subarray(at + 2))) return [];
      return [{ mac: macOf(frame), tags: formatTags(tagsOf(frame)) }];
    });
  stage.begin();
  station.socket.send(request);
  if (isAnswered) await waitUntil(`${from} to get an answer`, () => answers().length > 0, { limitMs: 30_000 });
  await stage.settle(station);
  return answers();
}

/** Its own address; from the uplink one that the gateway's network has. */
function senderIn(station: Station, target: string): string {
  return station.name === "uplink" ? target.replace(/\d+$/, "99") : station.address;
}

function addressAt(body: Buffer, at: number): string {
  return [...body.subarray(at, at + 4)].join(".");
}
