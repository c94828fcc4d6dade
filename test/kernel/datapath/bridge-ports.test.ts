// What the bridge is told about a port, seen with bridge(8), and when: no frame may pass before it.
import { describe, expect, it } from "vitest";
import type { Network } from "../../../src/cnm/network.ts";
import { type BridgeHost, bridgeHost } from "../../support/bridge-host.ts";
import { endpoint, network } from "../../support/cnm-builder.ts";
import { shell } from "../../support/packet-lab.ts";
import { waitUntil } from "../../support/wait-until.ts";

const BR = network().switchName;
const PORT = endpoint().hostIfName;
const GUARD = { learning: false, flood: false, locked: true, mcast_router: 0 };
const DEFAULTS = { learning: true, flood: true, locked: false, mcast_router: 1 };

type PortSettings = Readonly<Record<string, unknown>>;

async function settings(host: BridgeHost, name: string = PORT): Promise<PortSettings | undefined> {
  const links = await host.namespace.json<PortSettings[]>(["bridge", "-json", "-details", "link", "show"]);
  return links.find(({ ifname }) => ifname === name);
}

/** The entry that says where the endpoint's MAC is. */
async function entry(host: BridgeHost): Promise<PortSettings | undefined> {
  const entries = await host.namespace.json<PortSettings[]>(["bridge", "-json", "fdb", "show", "br", BR]);
  return entries.find(({ mac }) => mac === endpoint().mac);
}

/** What the kernel announces about the port while something is done, one line a message. */
async function announced(host: BridgeHost, work: () => Promise<unknown>): Promise<string[]> {
  const monitor = host.namespace.spawn(["ip", "-o", "-details", "monitor", "link"]);
  let seen = "";
  monitor.stdout?.on("data", (chunk: Buffer) => (seen += chunk.toString()));
  const announce = async (name: string) =>
    waitUntil(`ip monitor to show ${name}`, async () => {
      await shell(host.namespace, [`ip link add ${name} type bridge`, `ip link del ${name}`]);
      return seen.includes(name);
    });
  await announce("begin");
  await work();
  await announce("finish");
  return seen.split("\n").filter((line) => line.includes(`${PORT}@`) && !line.startsWith("Deleted"));
}

/** Up in the bridge. Messages that do not tell how the bridge treats it are left out. */
const isPortUp = (line: string) => /<[^>]*\bUP\b[^>]*> .*master .*bridge_slave/.test(line);

describe("a port", () => {
  it.each<[string, Partial<Network>, PortSettings]>([
    ["guarded", {}, { ...GUARD, isolated: false }],
    ["guarded and isolated without icc", { isIccAllowed: false }, { ...GUARD, isolated: true }],
    ["as the kernel makes it on an unguarded network", { isGuarded: false }, { ...DEFAULTS, isolated: false }],
    ["isolated there without icc", { isGuarded: false, isIccAllowed: false }, { ...DEFAULTS, isolated: true }],
  ])("is %s", async (_what, more, expected) => {
    await using host = await bridgeHost();
    await host.datapath.ensureNetwork(network(1, more), []);

    await host.datapath.attach(network(1, more), endpoint(), []);

    expect(await settings(host)).toMatchObject({ ...expected, hairpin: false, mcast_flood: true, bcast_flood: true });
  });

  it("has an entry for its MAC that neither ages nor moves, and is not the host's", async () => {
    await using host = await bridgeHost();
    await host.datapath.ensureNetwork(network(), []);

    await host.datapath.attach(network(), endpoint(), []);

    expect(await entry(host)).toMatchObject({ ifname: PORT, state: "static", flags: ["sticky"], master: BR });
  });

  it("has no such entry on an unguarded network", async () => {
    await using host = await bridgeHost();
    await host.datapath.ensureNetwork(network(1, { isGuarded: false }), []);

    await host.datapath.attach(network(1, { isGuarded: false }), endpoint(), []);

    expect(await entry(host)).toBeUndefined();
  });

  it.each([
    ["is attached", async () => {}, (host: BridgeHost) => host.datapath.attach(network(), endpoint(), [])],
    [
      "comes back",
      async (host: BridgeHost) => {
        await host.datapath.attach(network(), endpoint(), []);
        await host.release(PORT);
      },
      (host: BridgeHost) => host.datapath.reattach(network(), endpoint()),
    ],
  ])("is never up in the bridge without its guard when it %s", async (_when, prepare, work) => {
    await using host = await bridgeHost();
    await host.datapath.ensureNetwork(network(), []);
    await prepare(host);

    const lines = await announced(host, () => work(host));

    expect(lines.filter(isPortUp).length).toBeGreaterThan(0);
    for (const line of lines.filter(isPortUp)) expect(line).toMatch(/learning off flood off .*locked on/);
  });

  it.each([
    ["learning on", GUARD],
    ["flood on", GUARD],
    ["locked off", GUARD],
    ["mcast_router 1", GUARD],
    ["isolated off", { isolated: true }],
  ])("gets its settings back when somebody says %s", async (by, expected) => {
    await using host = await bridgeHost();
    const apart = network(1, { isIccAllowed: false });
    await host.datapath.ensureNetwork(apart, []);
    await host.datapath.attach(apart, endpoint(), []);
    await shell(host.namespace, [`bridge link set dev ${PORT} ${by}`]);

    await host.datapath.reattach(apart, endpoint());

    expect(await settings(host)).toMatchObject({ ...GUARD, ...expected });
  });

  it.each(["bridge fdb del MAC dev PORT master", "bridge fdb replace MAC dev other master static"])(
    "gets its entry back after %s",
    async (command) => {
      await using host = await bridgeHost();
      await host.datapath.ensureNetwork(network(), []);
      await host.datapath.attach(network(), endpoint(), []);
      await shell(host.namespace, [
        `ip link add other master ${BR} type veth peer name other-end`,
        command.replace("MAC", endpoint().mac).replace("PORT", PORT),
      ]);
      expect(await entry(host)).not.toMatchObject({ ifname: PORT });

      await host.datapath.reattach(network(), endpoint());

      expect(await entry(host)).toMatchObject({ ifname: PORT, state: "static", flags: ["sticky"] });
    },
  );

  it("keeps other settings that somebody gave it", async () => {
    await using host = await bridgeHost();
    await host.datapath.ensureNetwork(network(), []);
    await host.datapath.attach(network(), endpoint(), []);
    await shell(host.namespace, [`bridge link set dev ${PORT} learning on mcast_flood off cost 7 hairpin on`]);

    await host.datapath.reattach(network(), endpoint());

    expect(await settings(host)).toMatchObject({ ...GUARD, mcast_flood: false, cost: 7, hairpin: true });
  });
});

describe("hairpin mode", () => {
  it("of a port that somebody else put into the bridge under our name stays", async () => {
    await using host = await bridgeHost();
    await host.datapath.ensureNetwork(network(), []);
    await shell(host.namespace, [`ip link add ${PORT} master ${BR} type veth peer name foreign-end`]);

    await host.datapath.ensureHairpin(endpoint(), true);

    expect(await settings(host)).toMatchObject({ hairpin: false });
  });
});
