// `tsnet show`, `ls`, `inspect`, `macs` and `set … peers=…` on a kernel that has VLANs on bridges and every kind of tunnel, with the
// real daemon on two hosts, compared with what bridge(8) says there:
//
//   red 100, blue 200, wide 30 and 31-33,40, plain -- sw0 -- eth1        here   lan0 192.0.2.1 ---+
//   a container on the switch of each tunnel                             here                     +-- 192.0.2.3 is nobody
//   a container on the switch of each tunnel                             there  lan0 192.0.2.2 ---+
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { NamedDestination } from "../../../src/cli/macs.ts";
import type { CarriedVlans } from "../../../src/cli/host-links.ts";
import type { ShownPort, ShownSwitch } from "../../../src/cli/switches.ts";
import type { NetworkStatus } from "../../../src/cnm/requests.ts";
import type { EngineEndpoint, EngineNetwork } from "../../support/engine-double.ts";
import { FrameSocket } from "../../support/frame-capture.ts";
import { macBytes } from "../../support/frames.ts";
import { NODE } from "../../support/lab-serve.ts";
import { cable } from "../../support/neighbour.ts";
import { COMMAND } from "../../support/operator.ts";
import { ServeHost } from "../../support/serve-host.ts";
import { warmUp } from "../../support/vlan-vm.ts";
import { waitUntil } from "../../support/wait-until.ts";

const VLANS = {
  red: { vlan: "100", parent: "eth1", mode: "nat" },
  blue: { vlan: "200", parent: "eth1" },
  wide: { vlan: "30", trunk: "31-33,40", mode: "l2" },
  plain: {},
} as const;
const [FOUR, SIX] = ["192.0.2.1,192.0.2.2", "2001:db8::1,2001:db8::2"];
const TUNNELS = {
  gre: { tunnel: "gre", vni: "258", peers: FOUR },
  gre6: { tunnel: "gre", peers: SIX },
  geneve: { tunnel: "geneve", vni: "81", peers: FOUR },
  vxlan: { tunnel: "vxlan", vni: "80", peers: FOUR },
} as const;

/** A container with its network. */
interface Placed {
  readonly network: EngineNetwork;
  readonly endpoint: EngineEndpoint;
}

interface ShownVlan {
  readonly vlan: number;
  readonly flags?: readonly string[];
}

const stack = new AsyncDisposableStack();
const onVlans = new Map<string, Placed>();
const near = new Map<string, Placed>();
const far = new Map<string, Placed>();
let here: ServeHost;
let there: ServeHost;

beforeAll(async () => {
  await warmUp(["bridge", "br_netfilter", "8021q", "veth", "vxlan", "geneve", "ip_gre", "ip6_gre"]);
  here = stack.use(await ServeHost.up("here"));
  there = stack.use(await ServeHost.up("there"));
  const ends = [here, there].map(({ namespace: at }, n) => {
    return { at, ifName: "lan0", addresses: [`192.0.2.${n + 1}/24`, `2001:db8::${n + 1}/64`] } as const;
  });
  const [one, two] = ends;
  if (one === undefined || two === undefined) throw new Error("two ends");
  await cable(one, two);
  const lines = ["ip link add eth1 type veth peer name far1", "ip link set eth1 up", "ip link set far1 up"];
  await here.exec("sh", "-ec", lines.join("\n"));
  for (const [name, options] of Object.entries(VLANS)) {
    onVlans.set(name, await place(here, onVlans.size, { bridge: "sw0", ...options }));
  }
  for (const [name, options] of Object.entries(TUNNELS)) {
    near.set(name, await place(here, 10 + near.size, { mode: "l2", ...options }));
    far.set(name, await place(there, 10 + far.size, { mode: "l2", ...options }, 1));
  }
  const foreign = ["ip link add tap7 up master sw0 type veth peer name tap7-end", "ip link set tap7-end up"];
  const ofForeign = ["bridge vlan add dev tap7 vid 5 pvid untagged", "bridge vlan add dev tap7 vid 300-303"];
  await here.exec("sh", "-ec", [...foreign, ...ofForeign].join("\n"));
}, 900_000);
afterAll(async () => await stack.disposeAsync());

/** @param skipped - addresses that are not for it. */
async function place(
  host: ServeHost,
  n: number,
  options: Readonly<Record<string, string>>,
  skipped = 0,
): Promise<Placed> {
  const network = await host.engine.createNetwork({ subnet: `10.5.${n}.0/24`, gateway: `10.5.${n}.1`, options });
  for (let done = 0; done < skipped; done++) {
    await host.engine.ask("IpamDriver.RequestAddress", { PoolID: network.poolId, Address: "", Options: {} });
  }
  return { network, endpoint: await host.engine.start(network) };
}

function placed(among: ReadonlyMap<string, Placed>, name: string): Placed {
  const found = among.get(name);
  if (found === undefined) throw new Error(`no network ${name}`);
  return found;
}

async function tsnet<Answer>(...words: readonly string[]): Promise<Answer> {
  return JSON.parse(await here.exec(NODE, COMMAND, ...words, "--json")) as Answer; // what the command's source says it prints
}

async function json<Answer>(command: string): Promise<Answer> {
  return JSON.parse(await here.exec(...command.split(" "))) as Answer; // ip(8), bridge(8)
}

/** As bridge(8) has it: a VLAN that is untagged is that of untagged frames as well. */
function asBridgeSays({ untagged, tagged }: CarriedVlans): readonly ShownVlan[] {
  const own = untagged === undefined ? [] : [{ vlan: untagged, flags: ["PVID", "Egress Untagged"] }];
  return [...own, ...tagged.map((vlan) => ({ vlan }))].toSorted((a, b) => a.vlan - b.vlan);
}

function portOf(shown: ShownSwitch | undefined, name: string): ShownPort | undefined {
  return shown?.ports.find((port) => port.name === name);
}

describe("tsnet show", () => {
  it("says of each port of a bridge with VLANs what bridge(8) says, and where the host is", async () => {
    const [shown] = await tsnet<readonly ShownSwitch[]>("show", "sw0");

    const said = await json<readonly { ifname: string; vlans: readonly ShownVlan[] }[]>("bridge -json vlan show");
    const ofPorts = said.filter(({ ifname }) => portOf(shown, ifname) !== undefined);
    expect(ofPorts.map(({ ifname }) => [ifname, asBridgeSays(portOf(shown, ifname)?.vlans ?? { tagged: [] })])).toEqual(
      ofPorts.map(({ ifname, vlans }) => [ifname, vlans]),
    );
    const inBridge = await json<readonly { ifname: string }[]>("ip -json link show master sw0");
    expect(inBridge.map(({ ifname }) => ofPorts.some((port) => port.ifname === ifname))).toEqual(Array(6).fill(true));
    expect(shown?.ports.map(({ kind, vlans, who }) => [kind, vlans, who.replace(/[0-9a-f]{12}/, "…")])).toEqual([
      ["host", { untagged: 100, tagged: [] }, "10.5.0.1/24"],
      ["host", { untagged: 1, tagged: [100] }, "10.5.3.1/24"],
      ...shownContainers(shown),
      ["uplink", { tagged: [100, 200] }, ""],
      ["foreign", { untagged: 5, tagged: [300, 301, 302, 303] }, ""],
    ]);
  });

  it("says of each tunnel's link of which kind it is and to whom it leads", async () => {
    const shown = await tsnet<readonly ShownSwitch[]>("show");

    const tunnels = [...near].map(([name, { network }]) => {
      const ofNetwork = shown.find(({ networks }) => networks.includes(network.id.slice(0, 12)));
      return [name, ofNetwork?.ports.flatMap(({ kind, who }) => (kind === "tunnel" ? [who] : []))];
    });
    expect(tunnels).toEqual([
      ["gre", ["gre 258 to 192.0.2.2"]],
      ["gre6", ["gre to 2001:db8::2"]],
      ["geneve", ["geneve 81 to 192.0.2.2"]],
      ["vxlan", ["vxlan 80 to 192.0.2.2"]],
    ]);
  });
});

/** The containers of sw0, in the order of their links, with the VLANs that they were given. */
function shownContainers(shown: ShownSwitch | undefined): readonly unknown[] {
  const given: Readonly<Record<string, CarriedVlans>> = {
    red: { untagged: 100, tagged: [] },
    blue: { untagged: 200, tagged: [] },
    wide: { untagged: 30, tagged: [31, 32, 33, 40] },
    plain: { untagged: 1, tagged: [] },
  };
  const links = Object.entries(given).map(([name, vlans]) => ({ link: placed(onVlans, name).endpoint.id, vlans }));
  const order = shown?.ports.filter(({ kind }) => kind === "container").map(({ who }) => who.split(" ")[1]) ?? [];
  const at = (link: string) => order.indexOf(link.slice(0, 12));
  return links.toSorted((a, b) => at(a.link) - at(b.link)).map(({ vlans }) => ["container", vlans, "endpoint …"]);
}

describe("tsnet ls and tsnet inspect", () => {
  it("have each network's and container's VLANs as its port has them", async () => {
    const networks = await tsnet<readonly NetworkStatus[]>("ls");
    const wide = await tsnet<NetworkStatus>("inspect", placed(onVlans, "wide").network.id);

    for (const [name, { network }] of onVlans) {
      const { vlan, trunk = [] } = networks.find(({ id }) => id === network.id) ?? {};
      const options: { vlan?: string } = VLANS[name as keyof typeof VLANS]; // as it was put there
      expect([name, vlan === undefined ? undefined : `${vlan}`, trunk.length]).toEqual([
        name,
        options.vlan,
        name === "wide" ? 4 : 0,
      ]);
    }
    const [container] = wide.endpoints;
    if (container === undefined) throw new Error("a network with a container");
    const { hostLink, vlan, trunk = [] } = container;
    const [port] = await json<readonly { vlans: readonly ShownVlan[] }[]>(`bridge -json vlan show dev ${hostLink}`);
    expect(asBridgeSays({ ...(vlan !== undefined && { untagged: vlan }), tagged: trunk })).toEqual(port?.vlans);
  });
});

describe("tsnet macs", () => {
  it.each(["red", "blue", "plain"])("has of %s its own container once, and nobody of another VLAN", async (name) => {
    const { network, endpoint } = placed(onVlans, name);

    const found = await tsnet<readonly NamedDestination[]>("macs", network.id);

    const containers = [...onVlans.values()].map((each) => each.endpoint.mac);
    expect(found.flatMap(({ mac, who }) => (containers.includes(mac) ? [[mac, who]] : []))).toEqual([
      [endpoint.mac, `endpoint ${endpoint.id.slice(0, 12)}`],
    ]);
    expect(new Set(found.map(({ vlan }) => vlan))).toEqual(new Set([{ red: 100, blue: 200 }[name] ?? 1]));
    expect(found.filter(({ who }) => who === "gateway")).toHaveLength(name === "blue" ? 0 : 1);
  });

  it("has of a network with a tunnel each container once, that of the other host behind its peer", async () => {
    const [own, other] = [placed(near, "gre"), placed(far, "gre")];
    await reaches("gre");

    const found = await tsnet<readonly NamedDestination[]>("macs", own.network.id);

    const whoOf = ({ mac }: EngineEndpoint) => found.filter((each) => each.mac === mac).map(({ who }) => who);
    expect([whoOf(own.endpoint), whoOf(other.endpoint)]).toEqual([
      [`endpoint ${own.endpoint.id.slice(0, 12)}`],
      ["peer 192.0.2.2"],
    ]);
  });
});

describe("tsnet set NETWORK peers=…", () => {
  it.each(Object.keys(TUNNELS))("has a tunnel of %s lead to whom it names, and to nobody else", async (name) => {
    const { network, endpoint } = placed(near, name);
    const own = macBytes(endpoint.mac);
    const nobody = name === "gre6" ? "2001:db8::3" : "192.0.2.3";
    const both = TUNNELS[name as keyof typeof TUNNELS].peers; // of these names
    await reaches(name);
    using wire = FrameSocket.open({ path: `/proc/${there.namespace.keeperPid}/ns/net` }, "lan0");

    await tsnet("set", network.id, `peers=${nobody}`);
    wire.forget();
    expect(await pings(name)).toBe(false);
    expect(wire.count(own)).toBe(0);

    await tsnet("set", network.id, `peers=${both},${nobody}`);
    await reaches(name);
    expect(wire.count(own)).toBeGreaterThan(0);
  });
});

/** Asks anew for the MAC address, too. */
async function pings(name: string): Promise<boolean> {
  const { endpoint } = placed(near, name);
  const [target = ""] = placed(far, name).endpoint.address.split("/");
  await here.engine.inside(endpoint, "ip", "neigh", "flush", "dev", "eth0");
  return await here.engine.inside(endpoint, "busybox", "ping", "-c1", "-W3", target).then(
    () => true,
    () => false,
  );
}

async function reaches(name: string): Promise<void> {
  await waitUntil(`the other container of ${name} to answer`, () => pings(name), { limitMs: 20_000 });
}
