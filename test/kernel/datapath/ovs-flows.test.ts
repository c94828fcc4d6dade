// The flows of `datapath/ovs/flows.ts` in an Open vSwitch with a userspace datapath, seen by what comes out of its ports.
import { describe, expect, it } from "vitest";
import { ALL_OURS, exactly, endpointCookie, learnedCookie } from "../../../src/datapath/ovs/flows-cookie.ts";
import {
  type EndpointPort,
  type GatewayPort,
  type Uplink,
  adoptedEndpointFlows,
  adoptedSwitchFlows,
  endpointFlows,
  gatewayFlows,
  switchFlows,
  uplinkFlows,
  vlanFlows,
} from "../../../src/datapath/ovs/flows.ts";
import { NOBODY_MAC } from "../../support/attacks.ts";
import { formatFlow } from "../../support/flow-text.ts";
import { BROADCAST_MAC, ETHERTYPE, type Tag } from "../../support/frames.ts";
import { dumpFlows, ofctl } from "../../support/ovs-flows.ts";
import { OvsStand, type StandPort, portOf, station } from "../../support/ovs-stand.ts";

interface Plan {
  /** Whether ports without icc are `protected`. Default true. */
  readonly isProtecting?: boolean;
  readonly endpoints?: Readonly<Record<string, Partial<EndpointPort>>>;
  readonly gateways?: Readonly<Record<string, number>>;
  readonly uplinks?: Readonly<Record<string, readonly number[]>>;
}

/** A switch of tsnet's own with these ports, numbered in this order. */
async function switchOf({ endpoints = {}, gateways = {}, uplinks = {}, isProtecting = true }: Plan): Promise<OvsStand> {
  const names = [...Object.keys(endpoints), ...Object.keys(gateways), ...Object.keys(uplinks)];
  const ofport = (name: string) => names.indexOf(name) + 1;
  const ports = Object.entries(endpoints).map(([name, more]) => portOf(ofport(name), more));
  const ways = Object.entries(gateways).map(([name, vlan]): GatewayPort => ({
    ofport: ofport(name),
    mac: station(ofport(name)).mac,
    vlan,
  }));
  const links = Object.entries(uplinks).map(([name, vlans]): Uplink => ({ ofport: ofport(name), vlans }));
  const settings: Record<string, StandPort> = {};
  for (const [n, name] of Object.keys(endpoints).entries()) {
    settings[name] = { ...ports[n]?.vlans, isProtected: isProtecting && ports[n]?.isIccAllowed === false };
  }
  for (const [name, vlan] of Object.entries(gateways)) settings[name] = vlan === 0 ? {} : { vlan };
  for (const [name, vlans] of Object.entries(uplinks)) settings[name] = { trunk: vlans };
  const stand = await OvsStand.with(settings);
  const vlans = new Set([
    ...ports.flatMap((port) => [port.vlans.vlan ?? 0, ...(port.vlans.trunk ?? [])]),
    ...links.flatMap((link) => link.vlans),
  ]);
  await stand.add(
    switchFlows(),
    ways.flatMap(gatewayFlows),
    links.flatMap(uplinkFlows),
    ports.flatMap(endpointFlows),
    [...vlans].flatMap((vlan) => vlanFlows(vlan, links, ports)),
  );
  return stand;
}

const q = (id: number, priority = 0): Tag => ({ type: ETHERTYPE.customerTag, id, priority });
const ad = (id: number): Tag => ({ type: ETHERTYPE.serviceTag, id });
const mac = (n: number) => station(n).mac;
const open = { isGuarded: false } as const;
const apart = { isIccAllowed: false } as const;

describe("a switch of our own", () => {
  it("carries nothing but by our flows", async () => {
    await using stand = await OvsStand.with({ one: {}, two: {} });

    expect(await stand.send("one", station(1), BROADCAST_MAC)).toEqual([]);
    await stand.add(switchFlows());
    expect(await stand.send("one", station(1), BROADCAST_MAC)).toEqual([]);
    await stand.add(endpointFlows(portOf(1)), endpointFlows(portOf(2)));
    expect(await stand.send("one", station(1), BROADCAST_MAC)).toEqual(["two"]);
    expect(await stand.send("one", station(1), mac(2))).toEqual(["two"]);
    await stand.client.deleteFlows(exactly(endpointCookie("endpoint 1")));
    await stand.host.settle();
    expect(await stand.send("one", station(1), BROADCAST_MAC)).toEqual([]);
    expect(await stand.send("two", station(2), mac(1))).toEqual([]);
  });

  it("brings guarded endpoints their own frames alone, and unknown ones to uplinks and to those that are not guarded", async () => {
    await using stand = await switchOf({
      endpoints: {
        one: { vlans: { vlan: 10 } },
        two: { vlans: { vlan: 10 } },
        free: { vlans: { vlan: 10 }, ...open },
        far: { vlans: { vlan: 20 } },
      },
      gateways: { gw: 10 },
      uplinks: { up: [10, 20] },
    });

    expect(await stand.send("one", station(1), mac(2))).toEqual(["two"]);
    expect(await stand.send("one", station(1), mac(5))).toEqual(["gw"]);
    expect(await stand.send("one", station(1), NOBODY_MAC)).toEqual(["free", "up 10"]);
    expect(await stand.send("one", station(1), mac(4))).toEqual(["free", "up 10"]);
    expect(await stand.send("one", station(1), BROADCAST_MAC)).toEqual(["free", "gw", "two", "up 10"]);
    expect(await stand.send("far", station(4), NOBODY_MAC)).toEqual(["up 20"]);
    expect(await stand.send("gw", station(5), mac(1))).toEqual(["one"]);
    expect(await stand.send("gw", station(5), NOBODY_MAC)).toEqual(["free", "up 10"]);
    expect(await stand.send("up", station(9), mac(1), { tags: [q(10)] })).toEqual(["one"]);
    expect(await stand.send("up", station(9), mac(1), { tags: [q(20)] })).toEqual([]);
    expect(await stand.send("up", station(9), NOBODY_MAC, { tags: [q(20)] })).toEqual([]);
    expect(await stand.send("up", station(9), mac(4), { tags: [q(20)] })).toEqual(["far"]);
    expect(await stand.send("up", station(9), BROADCAST_MAC, { tags: [q(10)] })).toEqual(["free", "gw", "one", "two"]);
    expect(await stand.send("up", station(9), BROADCAST_MAC, { tags: [q(30)] })).toEqual([]);
    expect(await stand.send("up", station(9), mac(1))).toEqual([]);
  });

  it("carries what is untagged untagged, on uplinks too", async () => {
    await using stand = await switchOf({
      endpoints: { one: {}, two: open },
      gateways: { gw: 0 },
      uplinks: { up: [0, 10] },
    });

    expect(await stand.send("one", station(1), NOBODY_MAC)).toEqual(["two", "up"]);
    expect(await stand.send("one", station(1), BROADCAST_MAC)).toEqual(["gw", "two", "up"]);
    expect(await stand.send("up", station(9), mac(1))).toEqual(["one"]);
    expect(await stand.send("up", station(9), mac(1), { tags: [q(0, 5)] })).toEqual(["one"]);
    expect(await stand.send("up", station(9), mac(1), { tags: [q(10)] })).toEqual([]);
  });

  it("gives a trunk its VLANs tagged, its native one untagged, and takes nothing else from it", async () => {
    const access = (vlan: number) => ({ vlans: { vlan } });
    await using stand = await switchOf({
      endpoints: {
        trunk: { vlans: { vlan: 5, trunk: [10, 20] }, ...open },
        five: access(5),
        ten: access(10),
        twenty: access(20),
        thirty: access(30),
      },
      uplinks: { up: [5, 10, 20, 30] },
    });
    const from = (...tags: readonly Tag[]) => stand.send("trunk", station(1), BROADCAST_MAC, { tags });

    expect(await from()).toEqual(["five", "up 5"]);
    expect(await from(q(10))).toEqual(["ten", "up 10"]);
    expect(await from(q(20, 6))).toEqual(["twenty", `up ${(6 << 13) | 20}`]);
    for (const tags of [[q(30)], [q(0)], [q(5)], [q(1)], [q(4095)]]) expect(await from(...tags)).toEqual([]);
    expect(await stand.send("trunk", station(1), mac(3), { tags: [q(10)] })).toEqual(["ten"]);
    expect(await stand.send("trunk", station(1), mac(3), { tags: [q(20)] })).toEqual(["up 20"]);
    expect(await stand.send("trunk", station(1), NOBODY_MAC, { tags: [q(20, 6)] })).toEqual([`up ${(6 << 13) | 20}`]);
    expect(await stand.send("ten", station(3), mac(1))).toEqual(["trunk 10"]);
    expect(await stand.send("five", station(2), mac(1))).toEqual(["trunk"]);
    expect(await stand.send("ten", station(3), BROADCAST_MAC)).toEqual(["trunk 10", "up 10"]);
    expect(await stand.send("five", station(2), BROADCAST_MAC)).toEqual(["trunk", "up 5"]);
    expect(await stand.send("thirty", station(5), mac(1))).toEqual(["up 30"]);
  });

  it("carries no frame with two tags, whichever port takes the first one off", async () => {
    await using stand = await switchOf({
      endpoints: {
        trunk: { vlans: { vlan: 5, trunk: [10, 20] }, ...open },
        access: { vlans: { vlan: 10 }, ...open },
        free: open,
        ten: { vlans: { vlan: 10 } },
      },
      gateways: { gw: 10 },
      uplinks: { up: [0, 5, 10, 20] },
    });
    const tags = [
      [q(10), q(20)],
      [q(10), ad(20)],
      [ad(10), q(20)],
      [ad(10), ad(20)],
      [q(0), q(20)],
      [q(0), q(0)],
      [q(0), ad(20)],
      [q(10), q(0)],
    ];

    for (const port of ["trunk", "access", "free", "ten", "gw", "up"]) {
      for (const each of tags) {
        for (const to of [BROADCAST_MAC, mac(4), NOBODY_MAC]) {
          const heard = await stand.send(port, station(4), to, { tags: each });
          expect(heard, `${port} to ${to}: ${each.map(({ id }) => id).join(", ")}`).toEqual([]);
        }
      }
    }
  });

  it("takes untagged frames alone from an access port, guarded or not", async () => {
    await using stand = await switchOf({
      endpoints: { one: { vlans: { vlan: 10 } }, free: { vlans: { vlan: 10 }, ...open }, two: { vlans: { vlan: 10 } } },
      uplinks: { up: [10, 20] },
    });

    for (const [port, n] of [
      ["one", 1],
      ["free", 2],
    ] as const) {
      expect(await stand.send(port, station(n), mac(3))).toEqual(["two"]);
      for (const tag of [q(0), q(0, 7), q(10), q(20), ad(0), ad(10), q(4095)]) {
        for (const to of [mac(3), BROADCAST_MAC, NOBODY_MAC]) {
          expect(await stand.send(port, station(n), to, { tags: [tag] }), `${port}: ${tag.id}`).toEqual([]);
        }
      }
    }
  });

  it("keeps endpoints without icc apart, and not from gateway, uplink and others", async () => {
    await using stand = await switchOf({
      endpoints: { one: apart, two: apart, three: { ...apart, ...open }, four: { ...apart, ...open }, five: {} },
      gateways: { gw: 0 },
      uplinks: { up: [0] },
    });

    for (const [port, n] of [
      ["one", 1],
      ["three", 3],
    ] as const) {
      expect(await stand.send(port, station(n), BROADCAST_MAC)).toEqual(["five", "gw", "up"]);
      expect(await stand.send(port, station(n), NOBODY_MAC)).toEqual(["up"]);
      for (const peer of [2, 4]) expect(await stand.send(port, station(n), mac(peer))).toEqual([]);
      expect(await stand.send(port, station(n), mac(5))).toEqual(["five"]);
      expect(await stand.send(port, station(n), mac(6))).toEqual(["gw"]);
    }
    expect(await stand.send("five", station(5), mac(2))).toEqual(["two"]);
    expect(await stand.send("five", station(5), mac(4))).toEqual(["four"]);
    expect(await stand.send("five", station(5), NOBODY_MAC)).toEqual(["four", "three", "up"]);
    expect(await stand.send("gw", station(6), mac(2))).toEqual(["two"]);
  });

  it("keeps them apart by flows alone but for what goes to groups", async () => {
    await using stand = await switchOf({
      endpoints: { one: apart, two: apart, three: { ...apart, ...open }, four: { ...apart, ...open } },
      uplinks: { up: [0] },
      isProtecting: false,
    });

    expect(await stand.send("one", station(1), BROADCAST_MAC)).toEqual(["four", "three", "two", "up"]);
    for (const [port, n] of [
      ["one", 1],
      ["three", 3],
    ] as const) {
      for (const peer of [1, 2, 3, 4]) expect(await stand.send(port, station(n), mac(peer))).toEqual([]);
      expect(await stand.send(port, station(n), NOBODY_MAC)).toEqual(["up"]);
    }
  });

  it("learns where MAC addresses of ports are that are not guarded, and never those of guarded endpoints or the gateway", async () => {
    await using stand = await switchOf({
      endpoints: { one: {}, two: open, three: open },
      gateways: { gw: 0 },
      uplinks: { up: [0] },
    });
    const everywhere = ["three", "two", "up"];

    expect(await stand.send("one", station(1), NOBODY_MAC)).toEqual(everywhere);
    await stand.send("three", station(3), BROADCAST_MAC, { source: NOBODY_MAC });
    await stand.host.settle();
    expect(await stand.send("one", station(1), NOBODY_MAC)).toEqual(["three"]);
    await stand.send("up", station(3), mac(1), { source: NOBODY_MAC });
    await stand.host.settle();
    expect(await stand.send("one", station(1), NOBODY_MAC)).toEqual(["up"]);

    expect(await stand.send("one", station(1), mac(2))).toEqual(["two"]);
    await stand.send("three", station(3), BROADCAST_MAC, { source: mac(2) });
    await stand.host.settle();
    expect(await stand.send("one", station(1), mac(2))).toEqual(["three"]);

    for (const stolen of [mac(1), mac(4)]) await stand.send("three", station(3), BROADCAST_MAC, { source: stolen });
    await stand.host.settle();
    expect(await stand.send("two", station(2), mac(1))).toEqual(["one"]);
    expect(await stand.send("two", station(2), mac(4))).toEqual(["gw"]);

    await stand.client.deleteFlows(exactly(learnedCookie(0)));
    await stand.host.settle();
    expect(await stand.send("one", station(1), NOBODY_MAC)).toEqual(everywhere);
  });

  it("sends an endpoint's frames for itself back where that is wanted", async () => {
    await using stand = await switchOf({
      endpoints: { one: { isHairpin: true }, two: {}, three: { isHairpin: true, ...open }, four: open },
    });

    expect(await stand.send("one", station(1), mac(1))).toEqual(["one"]);
    expect(await stand.send("two", station(2), mac(2))).toEqual([]);
    expect(await stand.send("three", station(3), mac(3))).toEqual(["three"]);
    expect(await stand.send("four", station(4), mac(4))).toEqual([]);
    expect(await stand.send("two", station(2), mac(1))).toEqual(["one"]);
  });
});

describe("a switch of the user's own", () => {
  it("lets his flows decide on what a guarded endpoint may send, and on all of the others", async () => {
    await using stand = await OvsStand.with({ one: {}, two: {}, three: {} }, { isOurs: false });
    const his = [
      "priority=50,in_port=1,dl_dst=02:66:66:66:66:66 actions=output:3",
      "priority=40,reg0=0,in_port=2,dl_dst=02:66:66:66:66:66 actions=output:1",
    ];
    for (const flow of his) await ofctl(stand.host, "add-flow", flow);
    const before = await dumpFlows(stand.host);
    await stand.add(adoptedSwitchFlows(), adoptedEndpointFlows(portOf(1)), adoptedEndpointFlows(portOf(2)));
    const during = await dumpFlows(stand.host);

    expect(await stand.send("one", station(1), NOBODY_MAC)).toEqual(["three"]);
    expect(await stand.send("two", station(2), NOBODY_MAC)).toEqual(["one"]);
    expect(await stand.send("one", station(1), BROADCAST_MAC)).toEqual(["three", "two"]);
    expect(await stand.send("three", station(9), mac(1), { tags: [q(0)] })).toEqual(["one"]);
    for (const tags of [[q(0)], [q(10)]]) expect(await stand.send("one", station(1), NOBODY_MAC, { tags })).toEqual([]);
    expect(await stand.send("one", station(1), NOBODY_MAC, { source: mac(2) })).toEqual([]);
    expect(await stand.send("one", station(2), NOBODY_MAC)).toEqual([]);
    expect(before.every((flow) => during.includes(flow))).toBe(true);
    await stand.client.deleteFlows(ALL_OURS);
    expect(await dumpFlows(stand.host)).toEqual(before);
  });
});

describe("the flows in a switch", () => {
  it("are as they were asked for, in ovs-ofctl's eyes and in a listing", async () => {
    await using stand = await OvsStand.with({});
    const port = portOf(3, { isIccAllowed: false, isHairpin: true });
    const trunk = portOf(4, { isGuarded: false, isIccAllowed: false, vlans: { vlan: 5, trunk: [10] } });
    const uplink = { ofport: 1, vlans: [0, 10] };
    const flows = [
      ...switchFlows(),
      ...gatewayFlows({ ofport: 2, mac: mac(2), vlan: 10 }),
      ...uplinkFlows(uplink),
      ...[port, trunk].flatMap(endpointFlows),
      ...vlanFlows(10, [uplink], [trunk]),
    ];

    await stand.add(flows);

    const texts = (await dumpFlows(stand.host)).filter((line) => line.startsWith("cookie=0x7473"));
    expect(texts).toEqual(flows.map(formatFlow).sort());
    const listed = (await stand.client.listFlows(ALL_OURS)).map(
      ({ strange, ...flow }) => formatFlow(flow) + strange.join(","),
    );
    expect(listed.sort()).toEqual(texts);
  });

  it("are gone when ovs-vswitchd was started anew, and nothing passes until they are put back [F125]", async () => {
    await using stand = await OvsStand.with({ one: {}, two: { vlan: 10 }, up: { trunk: [0, 10] } });
    const flows = [...switchFlows(), ...endpointFlows(portOf(1)), ...endpointFlows(portOf(2, { vlans: { vlan: 10 } }))];
    const uplink = { ofport: 3, vlans: [0, 10] };
    flows.push(...uplinkFlows(uplink), ...[0, 10].flatMap((vlan) => vlanFlows(vlan, [uplink], [])));

    await stand.restart();
    const closed = [
      ...(await stand.send("one", station(1), BROADCAST_MAC)),
      ...(await stand.send("one", station(1), NOBODY_MAC)),
      ...(await stand.send("up", station(9), mac(2), { tags: [q(10)] })),
    ];
    await stand.add(flows);

    expect(closed).toEqual([]);
    expect(await stand.send("one", station(1), NOBODY_MAC)).toEqual(["up"]);
    expect(await stand.send("up", station(9), mac(2), { tags: [q(10)] })).toEqual(["two"]);
  });
});
