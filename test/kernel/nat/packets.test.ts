// Which packets pass, between real namespaces, on a host whose own rules drop everything that is forwarded (as the engine
// leaves it) and which sees bridged frames in them (br_netfilter). One lab per kind of network; nothing is changed in it.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Network } from "../../../src/cnm/network.ts";
import { dualStack, ifName } from "../../support/cnm-builder.ts";
import {
  BEYOND,
  HOST,
  NEIGHBOUR,
  PacketLab,
  type Sandbox,
  askEcho,
  canPing,
  reachable,
  shell,
  startEcho,
} from "../../support/packet-lab.ts";

interface Setup {
  readonly lab: PacketLab;
  /** Two endpoints of the network under test, one of another network, of mode nat. */
  readonly a: Sandbox;
  readonly b: Sandbox;
  readonly other: Sandbox;
}

/** Makes the lab for all tests of a `describe`. */
function setup(makeNetwork: () => Network, before?: (lab: PacketLab) => Promise<void>): () => Setup {
  let made: Setup | undefined;
  beforeAll(async () => {
    const lab = await PacketLab.up();
    await before?.(lab);
    const [network, second] = [makeNetwork(), dualStack(2)];
    await lab.make(network, second);
    await lab.announce(network);
    await lab.announce(second);
    const [a, b] = [await lab.attach(network, 1), await lab.attach(network, 2)];
    made = { lab, a, b, other: await lab.attach(second, 1) };
  });
  afterAll(async () => {
    await made?.lab[Symbol.asyncDispose]();
  });
  return () => {
    if (made === undefined) throw new Error("the lab did not come up");
    return made;
  };
}

/** Asks everything in every mode, and expects these answers alone. */
async function expectReachable({ lab, a, b, other }: Setup, expected: readonly string[]): Promise<void> {
  const families = [4, 6] as const;
  const pings = families.flatMap((v) => [
    [`endpoint to endpoint v${v}`, [a.namespace, b.address[v]]] as const,
    [`endpoint to gateway v${v}`, [a.namespace, v === 4 ? "10.1.1.1" : "fd00:1:1::1"]] as const,
    [`endpoint to another address of the host v${v}`, [a.namespace, HOST[v]]] as const,
    [`endpoint to neighbour v${v}`, [a.namespace, NEIGHBOUR[v]]] as const,
    [`endpoint to beyond v${v}`, [a.namespace, BEYOND[v]]] as const,
    [`endpoint to other network v${v}`, [a.namespace, other.address[v]]] as const,
    [`other network to endpoint v${v}`, [other.namespace, a.address[v]]] as const,
    [`host to endpoint v${v}`, [lab.host, a.address[v]]] as const,
    [`neighbour to endpoint v${v}`, [lab.neighbour, a.address[v]]] as const,
    [`beyond to endpoint v${v}`, [lab.beyond, a.address[v]]] as const,
  ]);
  expect((await reachable(Object.fromEntries(pings), expected)).sort()).toEqual(expected);
}

const both = (...names: readonly string[]) => names.flatMap((name) => [`${name} v4`, `${name} v6`]).sort();

const OUTWARD = ["endpoint to endpoint", "endpoint to gateway", "endpoint to another address of the host"];
const TO_LAN = ["endpoint to neighbour", "endpoint to beyond", "host to endpoint"];

describe("mode nat", () => {
  const lab = setup(() => dualStack());

  it("reaches everything but other networks, and is reached by the host alone", async () => {
    await expectReachable(lab(), both(...OUTWARD, ...TO_LAN));
  });

  it.each([
    ["tcp", 4],
    ["udp", 4],
    ["tcp", 6],
    ["udp", 6],
  ] as const)("appears outside with the host's address: %s over IPv%i", async (protocol, v) => {
    await expect.poll(() => askEcho(lab().a.namespace, protocol, BEYOND[v])).toBe(HOST[v]);
  });

  it("keeps its own address between its endpoints, though br_netfilter shows those frames to the NAT chain", async () => {
    await startEcho(lab().b.namespace);

    await expect.poll(() => askEcho(lab().a.namespace, "udp", lab().b.address[4])).toBe(lab().a.address[4]);
    await expect.poll(() => askEcho(lab().a.namespace, "udp", lab().b.address[6])).toBe(lab().a.address[6]);
  });

  it("leaves no mark on packets that leave the host", async () => {
    const { lab: packets, a } = lab();
    await shell(packets.host, [
      `nft -f - <<'END'
table inet marks {
  counter seen { }
  counter marked { }
  chain out {
    type filter hook postrouting priority mangle + 1;
    oifname lan0 icmp type echo-request counter name seen
    oifname lan0 icmp type echo-request meta mark & 0x20000000 != 0 counter name marked
  }
}
END`,
    ]);
    await reachable({ ping: [a.namespace, NEIGHBOUR[4]] });

    const counters = await shell(packets.host, ["nft list counters table inet marks"]);

    expect(counters).toMatch(/counter seen \{\s+packets 1 /);
    expect(counters).toMatch(/counter marked \{\s+packets 0 /);
  });
});

describe("mode nat with masquerade=false", () => {
  const lab = setup(() => dualStack(1, { isMasqueraded: false }));

  it("keeps the endpoint's address", async () => {
    await expect.poll(() => askEcho(lab().a.namespace, "udp", BEYOND[4])).toBe(lab().a.address[4]);
    await expect.poll(() => askEcho(lab().a.namespace, "tcp", BEYOND[6])).toBe(lab().a.address[6]);
  });

  it("is as closed as with it", async () => {
    await expectReachable(lab(), both(...OUTWARD, ...TO_LAN));
  });
});

describe("mode routed", () => {
  const lab = setup(() => dualStack(1, { mode: "routed" }));

  it("keeps the endpoint's address", async () => {
    await expect.poll(() => askEcho(lab().a.namespace, "tcp", BEYOND[4])).toBe(lab().a.address[4]);
    await expect.poll(() => askEcho(lab().a.namespace, "udp", BEYOND[6])).toBe(lab().a.address[6]);
  });

  it("takes nothing new from outside, though the router knows the way", async () => {
    await expectReachable(lab(), both(...OUTWARD, ...TO_LAN));
  });
});

describe("--internal", () => {
  const lab = setup(() => dualStack(1, { isInternal: true }));

  it("reaches the host by its address on that switch, and nothing is forwarded", async () => {
    await expectReachable(lab(), both("endpoint to endpoint", "endpoint to gateway", "host to endpoint"));
  });

  it("does not reach another address of the host with a source address of another subnet", async () => {
    const { a, lab: packets } = lab();
    const { switchName } = dualStack();
    await shell(a.namespace, [
      "ip address add 10.77.0.2/24 dev eth0",
      "ip address add fd77::2/64 dev eth0 nodad",
      `ip route add ${HOST[4]} via 10.1.1.1 src 10.77.0.2`,
      `ip route add ${HOST[6]} via fd00:1:1::1 src fd77::2`,
    ]);
    await shell(packets.host, [
      `ip route add 10.77.0.0/24 dev ${switchName}`,
      `ip route add fd77::/64 dev ${switchName}`,
    ]);

    expect(await reachable({ v4: [a.namespace, HOST[4]], v6: [a.namespace, HOST[6]] })).toEqual([]);
  });
});

describe.each(["isolated", "l2"] as const)("mode %s", (mode) => {
  const lab = setup(() => dualStack(1, { mode }));

  it("reaches its own endpoints and nothing else, in both directions", async () => {
    await expectReachable(lab(), both("endpoint to endpoint"));
  });

  it("has no host on the switch: no answer to ARP, to router solicitation or by link-local address", async () => {
    const { a, lab: packets } = lab();
    const arping = (to: string) =>
      a.namespace.exec(["busybox", "arping", "-c", "1", "-w", "1", "-I", "eth0", to]).then(
        () => true,
        () => false,
      );
    const { switchName } = dualStack();
    await shell(a.namespace, ["ip route add default dev eth0", "ip -6 route add default dev eth0"]);

    expect(await Promise.all(["10.1.1.1", HOST[4], "10.1.2.1"].map(arping))).toEqual([false, false, false]);
    expect(await reachable({ v4: [a.namespace, HOST[4]], v6: [a.namespace, HOST[6]] })).toEqual([]);
    await expect.poll(() => canPing(a.namespace, "ff02::1%eth0")).toBe(true); // its own kind answers
    const addresses = await shell(packets.host, [`ip -json address show dev ${switchName}`]);
    expect((JSON.parse(addresses) as { addr_info: object[] }[])[0]?.addr_info).toEqual([]);
  });

  it("keeps the host off the switch even when somebody gives it an address there", async () => {
    const { a, lab: packets } = lab();
    const { switchName, switchMac } = dualStack();
    await shell(packets.host, [`ip address add 10.1.1.1/24 dev ${switchName}`]);
    await shell(a.namespace, [`ip neigh replace 10.1.1.1 lladdr ${switchMac} dev eth0`]); // no ARP needed

    expect(await reachable({ gateway: [a.namespace, "10.1.1.1"] })).toEqual([]);
  });
});

describe("mode isolated on a bridge that somebody else made", () => {
  const shared = ifName("br-user");
  const lab = setup(
    () => dualStack(1, { mode: "isolated", switchName: shared, isSwitchOurs: false }),
    async ({ host }) => {
      const routes = ["ip route add 10.1.1.0/24 dev br-user", "ip route add fd00:1:1::/64 dev br-user"];
      await shell(host, ["ip link add br-user up type bridge", ...routes]); // the way back to the endpoints
    },
  );

  it("does not reach the host's other addresses, though the bridge answers ARP for them", async () => {
    await shell(lab().a.namespace, ["ip route add default dev eth0", "ip -6 route add default dev eth0"]);

    await expectReachable(lab(), both("endpoint to endpoint"));
  });
});
