import { describe, expect, it } from "vitest";
import type { GuardedEndpoint } from "../../../src/cnm/firewall.ts";
import type { Network } from "../../../src/cnm/network.ts";
import type { PublishedPort } from "../../../src/cnm/ports.ts";
import { Elements, SETS, type SetName } from "../../../src/nat/element-sets.ts";
import { endpointElements, networkElements } from "../../../src/nat/elements.ts";
import { dualStack, endpoint, ifName, network } from "../../support/cnm-builder.ts";

const BR = "br";
const onBr = { switchName: ifName(BR) } as const;

/** The sets that are not empty: keys (`-` to the end of an interval) and data, in hex, parts of a name as text. */
function shown(elements: Elements): Partial<Record<SetName, readonly string[]>> {
  const text = (bytes: Buffer) =>
    bytes
      .toString("hex")
      .replaceAll(Buffer.from("br".padEnd(16, "\0")).toString("hex"), "br ")
      .replaceAll(PORT, "p ");
  const entries = SETS.flatMap(({ set }) => {
    const all = elements.of(set).map(({ key, keyEnd, data }) => {
      const end = keyEnd === undefined ? "" : `-${text(keyEnd)}`;
      return `${text(key)}${end}${data === undefined ? "" : `:${text(data)}`}`;
    });
    return all.length === 0 ? [] : [[set, all] as const];
  });
  return Object.fromEntries(entries);
}

const PORT = Buffer.from("port0".padEnd(16, "\0")).toString("hex");
const setsOf = (...networks: readonly Network[]) => shown(networkElements(networks, []));

/** An endpoint with 10.1.1.2 and fd00:1:1::2, MAC 02:42:0a:01:01:02. */
function guarded(more: Partial<Network> = {}, ports: readonly PublishedPort[] = []): GuardedEndpoint {
  const both = { address: "10.1.1.2/24", addressIpv6: "fd00:1:1::2/64", mac: "02:42:0a:01:01:02" };
  return {
    network: dualStack(1, { ...onBr, ...more }),
    endpoint: endpoint(1, 1, { ...both, hostIfName: ifName("port0") }),
    ports,
  };
}

const port = (more: Partial<PublishedPort> = {}): PublishedPort => ({
  protocol: "tcp",
  containerPort: 80,
  hostAddress: "",
  hostPort: 8080,
  ...more,
});

const HOME4 = "br 0a010100-br 0a0101ff";
const HOME6 = "br fd000001000100000000000000000000-br fd00000100010000ffffffffffffffff";
const GATEWAYS = { gateways4: ["0a010101"], gateways6: ["fd000001000100000000000000000001"] };
const OWN6 = "fd000001000100000000000000000002";
const LINK_LOCAL = "fe8000000000000000420afffe010102";

describe("the elements of a network", () => {
  it("in mode nat say where its addresses are at home, that they get out, and behind the host's address", () => {
    expect(setsOf(dualStack(1, onBr))).toEqual({
      bridged: ["br br "],
      pools4: [HOME4],
      pools6: [HOME6],
      open4: [HOME4],
      open6: [HOME6],
      masq4: [HOME4],
      masq6: [HOME6],
      ...GATEWAYS,
    });
  });

  it("with masquerade=false and in mode routed leave the addresses as they are", () => {
    const plain = setsOf(dualStack(1, { ...onBr, isMasqueraded: false }));

    expect(plain).not.toHaveProperty("masq4");
    expect(setsOf(dualStack(1, { ...onBr, mode: "routed", isMasqueraded: false }))).toEqual(plain);
  });

  it("with --internal seal the switch and let nothing out", () => {
    expect(setsOf(network(1, { ...onBr, isInternal: true }))).toEqual({
      bridged: ["br br "],
      sealed: ["br "],
      pools4: [HOME4],
      gateways4: GATEWAYS.gateways4,
    });
  });

  it("with icc=false close the way by the host, where the host is on the switch", () => {
    expect(setsOf(network(1, { ...onBr, isIccAllowed: false }))["private"]).toEqual(["br br "]);
    expect(setsOf(network(1, { ...onBr, mode: "l2", isHostOnSwitch: false, isIccAllowed: false }))).not.toHaveProperty(
      "private",
    );
  });

  it.each(["l2", "isolated"] as const)("in mode %s keep the host off the switch", (mode) => {
    expect(setsOf(dualStack(1, { ...onBr, mode, isHostOnSwitch: false }))).toEqual({
      bridged: ["br br "],
      hostless: ["br "],
      sealed: ["br "],
    });
  });

  it("leave somebody else's switch open in mode l2, where the host may live, and close it in mode isolated", () => {
    const theirs = { ...onBr, isSwitchOurs: false, isHostOnSwitch: false } as const;

    expect(setsOf(network(1, { mode: "l2", ...theirs }))).toEqual({ bridged: ["br br "] });
    expect(setsOf(network(1, { mode: "isolated", ...theirs }))).toMatchObject({ hostless: ["br "], sealed: ["br "] });
  });

  it("go by the host's link into the network, which is another one than the switch in a VLAN", () => {
    const inVlan = { switchName: ifName("sw"), hostLink: ifName(BR), vlans: { vlan: 10 } } as const;
    const { bridged, ...sets } = setsOf(dualStack(1, inVlan));
    const { bridged: _plain, ...plain } = setsOf(dualStack(1, onBr));

    expect(sets).toEqual(plain);
    expect(bridged).toEqual(["br br ", Buffer.from("sw".padEnd(16, "\0")).toString("hex").repeat(2)]);
  });

  it("take the host's link into a VLAN of somebody else's switch for tsnet's own", () => {
    const theirs = {
      switchName: ifName("sw"),
      hostLink: ifName(BR),
      vlans: { vlan: 10 },
      isSwitchOurs: false,
    } as const;

    expect(setsOf(network(1, theirs))).not.toHaveProperty("adopted");
    expect(setsOf(network(1, { ...theirs, isInternal: true }))).toMatchObject({ sealed: ["br "] });
    expect(setsOf(network(1, { ...theirs, mode: "l2" }))).toMatchObject({ hostless: ["br "], sealed: ["br "] });
  });

  it("leave the switch open to the host whose own addresses an uplink brought there, in mode l2 without a VLAN alone", () => {
    const moved = { ...onBr, mode: "l2", uplink: { parent: ifName("eth1"), isAddressMoved: true } } as const;

    expect(setsOf(network(1, moved))).not.toHaveProperty("hostless");
    expect(setsOf(network(1, moved))).not.toHaveProperty("sealed");
    expect(setsOf(network(1, { ...moved, mode: "nat", isInternal: true }))).not.toHaveProperty("sealed");
    for (const more of [
      { uplink: { ...moved.uplink, isAddressMoved: false } },
      { vlans: { vlan: 10 }, hostLink: ifName(BR) },
    ]) {
      expect(setsOf(network(1, { ...moved, ...more }))).toMatchObject({ hostless: ["br "], sealed: ["br "] });
    }
  });

  it("say of published ports that they are behind the host's link", () => {
    const { network: on, endpoint: known } = guarded({
      switchName: ifName("sw"),
      hostLink: ifName(BR),
      vlans: { vlan: 10 },
    });

    expect(shown(endpointElements({ network: on, endpoint: known, ports: [port()] }))).toMatchObject({
      published4: [expect.stringMatching(/^br 0a010102/)],
    });
  });

  it("name the engine's bridges", () => {
    expect(shown(networkElements([], ["br"]))).toEqual({ apart: ["br "] });
  });

  it("stand once when networks share a switch", () => {
    const shared = { ...onBr, mode: "l2", isHostOnSwitch: false } as const;

    expect(setsOf(network(1, shared), network(2, shared))["bridged"]).toHaveLength(1);
  });
});

describe("the identity of an endpoint", () => {
  it("is its port, MAC and addresses, the link-local one of the MAC included", () => {
    const mac = "p 02420a0101020000";
    expect(shown(endpointElements(guarded()))).toEqual({
      own: [mac],
      own4: [`${mac}0a010102`],
      own6: [`${mac}${"0".repeat(32)}`, `${mac}${OWN6}`, `${mac}${LINK_LOCAL}`],
      nd: [`${mac}${OWN6}`, `${mac}${LINK_LOCAL}`],
      nd_target: [`p ${OWN6}`, `p ${LINK_LOCAL}`],
      nd_mac: [mac],
    });
  });

  it("has no place here on Open vSwitch, whose frames never come to the bridge table", () => {
    const known = guarded({ backend: "ovs", hostLink: ifName(BR) }, [port()]);

    const { any4, any6, published4, published6, ...rest } = shown(endpointElements(known));

    expect([any4, any6, published4, published6]).not.toContain(undefined);
    expect(rest).toEqual({ overheard: ["p "] });
  });

  it("is the MAC alone where the IPAM gave no address", () => {
    const { network: on, endpoint: with4 } = guarded();
    const { address: _4, addressIpv6: _6, ...bare } = with4;

    expect(shown(endpointElements({ network: on, endpoint: bare, ports: [] }))).toEqual({
      own: ["p 02420a0101020000"],
      any: ["p "],
      nd_mac: ["p 02420a0101020000"],
    });
  });

  it("does not matter with antispoof=false, where tags are refused beside VLANs, an uplink or a tunnel except by a trunk", () => {
    const { endpoint: plain, ...rest } = guarded({ isGuarded: false });
    const asTrunk = { ...rest, endpoint: { ...plain, vlans: { vlan: 10, trunk: [20] } } };

    const free = (more: Partial<Network>) => shown(endpointElements(guarded({ isGuarded: false, ...more })));

    expect(free({})).toEqual({ unguarded: ["p "] });
    expect(free({ vlans: { vlan: 10 } })).toEqual({ unguarded: ["p "], access: ["p "] });
    expect(free({ uplink: { parent: ifName("eth1"), isAddressMoved: false } })).toMatchObject({ access: ["p "] });
    const tunnel = { kind: "vxlan", vni: 77, port: 4789, local: "192.0.2.10", peers: [] } as const;
    expect(free({ tunnel })).toMatchObject({ access: ["p "] });
    expect(shown(endpointElements(asTrunk))).toEqual({ unguarded: ["p "], trunk: ["p "] });
  });
});

describe("the uplinks of bridges", () => {
  const uplink = { parent: ifName("br"), isAddressMoved: false };
  const setsWith = (...networks: readonly Partial<Network>[]) => {
    const all = networks.map((more, n) => network(n + 1, { switchName: ifName("sw"), uplink, ...more }));
    const { uplinks, native, untagged } = setsOf(...all);
    return { uplinks, native, untagged };
  };
  const BR_ONLY = ["br "];
  const IN_VLAN_1 = ["br 00010000"];

  it("carry no tags when their networks have no VLAN", () => {
    expect(setsWith({})).toEqual({ uplinks: BR_ONLY, native: IN_VLAN_1, untagged: BR_ONLY });
  });

  it("carry tags when a network has a VLAN, but for that of the untagged ones beside it", () => {
    expect(setsWith({ vlans: { vlan: 10 } })).toEqual({ uplinks: BR_ONLY });
    expect(setsWith({}, { vlans: { trunk: [10] } })).toEqual({ uplinks: BR_ONLY, native: IN_VLAN_1 });
  });

  it("carry what is untagged for the host when its addresses were on them", () => {
    const moved = { ...uplink, isAddressMoved: true };

    expect(setsWith({ uplink: moved, vlans: { vlan: 10 } })).toEqual({ uplinks: BR_ONLY, native: IN_VLAN_1 });
  });

  it("are of no concern on Open vSwitch, but for the host's own stack, which must not listen there", () => {
    expect(setsWith({ backend: "ovs" })).toEqual({});
    expect(setsOf(network(1, { switchName: ifName("sw"), uplink, backend: "ovs" }))).toMatchObject({
      overheard: BR_ONLY,
    });
    const moved = { uplink: { ...uplink, isAddressMoved: true }, backend: "ovs" } as const;
    expect(setsOf(network(1, { switchName: ifName("sw"), ...moved }))).not.toHaveProperty("overheard");
  });
});

describe("a published port", () => {
  const portsOf = (...args: Parameters<typeof guarded>) => {
    const all = shown(endpointElements(guarded(...args)));
    const identity = new Set(["own", "own4", "own6", "nd", "nd_target", "nd_mac"]);
    return Object.fromEntries(Object.entries(all).filter(([set]) => !identity.has(set)));
  };
  const [TCP, P80, P8080] = ["06000000", "00500000", "1f900000"];

  it("on all addresses is translated in both families and open behind the translation", () => {
    expect(portsOf({}, [port()])).toEqual({
      any4: [`${TCP}${P8080}:0a010102${P80}`],
      any6: [`${TCP}${P8080}:${OWN6}${P80}`],
      published4: [`br 0a010102${TCP}${P80}`],
      published6: [`br ${OWN6}${TCP}${P80}`],
    });
  });

  it("on one address is translated there alone", () => {
    expect(portsOf({}, [port({ hostAddress: "192.0.2.10" })])).toEqual({
      at4: [`${TCP}c000020a${P8080}:0a010102${P80}`],
      published4: [`br 0a010102${TCP}${P80}`],
    });
  });

  it.each([["0.0.0.0", "any4", "any6"] as const, ["::", "any6", "any4"] as const])(
    "on %s is translated in that family alone",
    (hostAddress, yes, no) => {
      expect(portsOf({}, [port({ hostAddress })])).toHaveProperty(yes);
      expect(portsOf({}, [port({ hostAddress })])).not.toHaveProperty(no);
    },
  );

  it.each(["127.0.0.1", "127.1.2.3", "::1"])("on %s is translated for nobody", (hostAddress) => {
    expect(portsOf({}, [port({ hostAddress })])).toEqual({});
  });

  it("in mode routed is open at the container's own address", () => {
    expect(portsOf({ mode: "routed" }, [port({ protocol: "udp" })])).toEqual({
      offered4: [`br 0a01010211000000${P80}`],
      offered6: [`br ${OWN6}11000000${P80}`],
    });
  });

  it("with icc=false is relayed for its own switch", () => {
    const closed = { isIccAllowed: false };

    expect(portsOf(closed, [port()])["relayed"]).toEqual([`br ${TCP}${P8080}`]);
    expect(portsOf(closed, [port({ hostAddress: "192.0.2.10" })])["relayed4"]).toEqual([`br ${TCP}c000020a${P8080}`]);
    expect(portsOf(closed, [port({ hostAddress: "127.0.0.1" })])).toEqual({});
  });
});

describe("a collection of elements", () => {
  it("tells what is missing and what is strange, by key, interval and data", () => {
    const [one, two] = [new Elements(), new Elements()];
    one.add("any4", [Buffer.of(1)], { data: Buffer.of(1) });
    two.add("any4", [Buffer.of(1)], { data: Buffer.of(2) });

    expect(one.missingIn(two.of("any4"), "any4")).toHaveLength(1);
    expect(one.strangersAmong(two.of("any4"), "any4")).toEqual(two.of("any4"));
    expect(one.missingIn(one.of("any4"), "any4")).toEqual([]);
  });
});
