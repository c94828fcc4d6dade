// Which flows there are, in the notation of ovs-ofctl: golden files say what they were when somebody last looked.
import { describe, expect, it } from "vitest";
import {
  ALL_OURS,
  SWITCH_COOKIE,
  endpointCookie,
  gatewayCookie,
  learnedCookie,
  uplinkCookie,
  vlanCookie,
} from "../../../src/datapath/ovs/flows-cookie.ts";
import {
  type EndpointPort,
  adoptedEndpointFlows,
  adoptedSwitchFlows,
  endpointFlows,
  gatewayFlows,
  openVlansOf,
  switchFlows,
  uplinkFlows,
  vlanFlows,
} from "../../../src/datapath/ovs/flows.ts";
import { FIELD_NAMES } from "../../../src/host/openflow-fields.ts";
import { type Flow, encodeAdd } from "../../../src/host/openflow-flow.ts";
import { formatFlow } from "../../support/flow-text.ts";

const PORT: EndpointPort = {
  ofport: 7,
  endpointId: "endpoint 7",
  vlans: { vlan: 10 },
  mac: "02:42:0a:01:02:03",
  address: "10.1.2.3/24",
  addressIpv6: "fd00::3/64",
  isGuarded: true,
  isIccAllowed: true,
};
const { address, addressIpv6, ...NAMELESS } = PORT;
const FREE: EndpointPort = { ...PORT, isGuarded: false };
const UPLINK = { ofport: 1, vlans: [0, 10] };
const GATEWAY = { ofport: 2, mac: "02:42:0a:01:02:01", vlan: 10 };

const GOLDEN = {
  switch: switchFlows(),
  "adopted-switch": adoptedSwitchFlows(),
  gateway: gatewayFlows(GATEWAY),
  uplink: uplinkFlows(UPLINK),
  guarded: endpointFlows(PORT),
  "guarded-ipv4": endpointFlows({ ...NAMELESS, ...(address !== undefined && { address }) }),
  "guarded-ipv6": endpointFlows({ ...NAMELESS, ...(addressIpv6 !== undefined && { addressIpv6 }) }),
  "guarded-by-mac": endpointFlows(NAMELESS),
  "guarded-without-icc": endpointFlows({ ...PORT, vlans: {}, isIccAllowed: false, isHairpin: true }),
  "adopted-guarded": adoptedEndpointFlows(PORT),
  access: endpointFlows(FREE),
  free: endpointFlows({ ...FREE, vlans: {} }),
  trunk: endpointFlows({ ...FREE, vlans: { vlan: 5, trunk: [10, 20] }, isIccAllowed: false }),
  vlan: vlanFlows(10, [UPLINK], [PORT, FREE, { ...FREE, ofport: 8, vlans: { trunk: [10] }, isIccAllowed: false }]),
} as const satisfies Record<string, readonly Flow[]>;

const textOf = (flows: readonly Flow[]) => `${flows.map(formatFlow).join("\n")}\n`;

describe("the flows", () => {
  it.each(Object.entries(GOLDEN))("of %s are those of the golden file", async (name, flows) => {
    await expect(textOf(flows)).toMatchFileSnapshot(`golden/${name}.flows`);
  });

  it("bear cookies of ours, and those of one owner the same", () => {
    const owners = {
      switch: SWITCH_COOKIE,
      "adopted-switch": SWITCH_COOKIE,
      gateway: gatewayCookie(2),
      uplink: uplinkCookie(1),
      vlan: vlanCookie(10),
    } as const;
    for (const [name, flows] of Object.entries(GOLDEN)) {
      const expected = name in owners ? owners[name as keyof typeof owners] : endpointCookie("endpoint 7");
      expect(new Set(flows.map(({ cookie }) => cookie)), name).toEqual(new Set([expected]));
      for (const { cookie } of flows) expect(cookie & ALL_OURS.mask).toBe(ALL_OURS.cookie);
    }
  });

  it("of different owners bear different cookies", () => {
    const ids = Array.from({ length: 1_000 }, (_, n) => endpointCookie(`endpoint ${n}`));
    const numbers = [0, 1, 10, 4094].flatMap((n) => [
      vlanCookie(n),
      learnedCookie(n),
      gatewayCookie(n),
      uplinkCookie(n),
    ]);

    expect(new Set([...ids, ...numbers, SWITCH_COOKIE]).size).toBe(1_000 + 16 + 1);
  });

  it("never stand twice in one place of one switch", () => {
    const flows = [
      ...switchFlows(),
      ...gatewayFlows(GATEWAY),
      ...uplinkFlows(UPLINK),
      ...[3, 4, 5].flatMap((n) =>
        endpointFlows({ ...PORT, ofport: n, endpointId: `${n}`, mac: `02:00:00:00:00:0${n}`, isHairpin: true }),
      ),
      ...endpointFlows({
        ...FREE,
        ofport: 6,
        endpointId: "6",
        mac: "02:00:00:00:00:06",
        vlans: { vlan: 5, trunk: [10, 20] },
      }),
      ...GOLDEN.vlan,
    ];
    const places = flows.map(({ table, priority, match }) =>
      JSON.stringify([table, priority, FIELD_NAMES.map((name) => match[name] ?? null)]),
    );

    expect(new Set(places).size).toBe(places.length);
  });

  it("of a guarded endpoint are as many however many others there are, and change nothing of a VLAN's", () => {
    expect(endpointFlows(PORT).length).toBe(13);
    expect(openVlansOf(PORT)).toEqual([]);
    expect(vlanFlows(10, [UPLINK], [PORT])).toEqual(vlanFlows(10, [UPLINK], []));
  });

  it("of a VLAN are none when nobody is in it that is not guarded", () => {
    expect(vlanFlows(10, [], [PORT])).toEqual([]);
    expect(vlanFlows(30, [UPLINK], [FREE])).toEqual([]);
    expect(openVlansOf({ ...FREE, vlans: { vlan: 5, trunk: [10, 20] } })).toEqual([5, 10, 20]);
    expect(openVlansOf({ ...FREE, vlans: {} })).toEqual([0]);
  });

  it("of a VLAN learn an address for as long as ageing says, and for 300 seconds when it says nothing", () => {
    const learned = (ageing?: number) =>
      vlanFlows(10, [UPLINK], [FREE], ageing).flatMap(({ actions }) =>
        actions.flatMap((action) => (action.kind === "learn" ? [action.learn.seconds] : [])),
      );

    expect([learned(20), learned()]).toEqual([[20], [300]]);
  });

  it("of a user's switch touch no frame of a port that is not guarded, and begin anew but once", () => {
    expect(adoptedEndpointFlows(FREE)).toEqual([]);
    const first = [...adoptedSwitchFlows(), ...adoptedEndpointFlows(PORT)].filter(({ table }) => table === 0);
    expect(first.map(({ match }) => [match.inPort, match.reg15])).toEqual([
      [7, 0],
      [7, 0],
    ]);
  });

  it("can be written for a VLAN of 3,000 ports", () => {
    const many = Array.from({ length: 3_000 }, (_, n) => ({ ...FREE, ofport: n + 10, endpointId: `${n}` }));

    expect(Math.max(...vlanFlows(10, [UPLINK], many).map((flow) => encodeAdd(flow).length))).toBeLessThan(65_528);
  });
});
