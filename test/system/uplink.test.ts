// The host's only NIC becomes the uplink of a network with a real engine: `-o parent=lan0 -o parent-address=move`. A connection
// to the host from the LAN must live through creation, a kill -9 of tsnet at any time, and removal.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Census } from "../support/census.ts";
import { EnteredNetwork } from "../support/entered-network.ts";
import { SteadyStream } from "../support/steady-stream.ts";
import { OPEN, SystemHost, type TestNetwork } from "../support/system-host.ts";

const HOST = { 4: "192.0.2.10", 6: "2001:db8:1::10" } as const;
const MOVED = ["-o", "parent=lan0", "-o", "parent-address=move"];
const LAN = ["--subnet", "192.0.2.0/24", "--ip-range", "192.0.2.128/25", "--gateway", "192.0.2.1"];

/** What tsnet makes; the engine's own parts change with its restarts. */
const ON_HOST = ["links", "addresses", "routes", "nft"];
const OURS = [...ON_HOST, "records"];

/** Nobody at a terminal notices less. */
const UNNOTICED_MS = 1000;

/** When tsnet is killed after the engine was asked for a network. */
const KILL_AFTER_MS = [60, 120, 200, 300] as const;

/** When only the answer to the engine was lost, the network is there until tsnet takes it for forgotten: 20 s after a look, 15 s apart. */
const FORGOTTEN_WITHIN_MS = 60_000;

/** Each kill may lose an answer, for which the engine asks for 15 s before. */
const KILLS_LIMIT_MS = KILL_AFTER_MS.length * (FORGOTTEN_WITHIN_MS + 30_000);

describe("a network with the addresses of the host's only NIC", () => {
  const stack = new AsyncDisposableStack();
  let host: SystemHost;
  let before: Census;
  let streams: readonly SteadyStream[];

  beforeAll(async () => {
    host = stack.use(await SystemHost.up("tsnet serve"));
    const [here, there] = [host.lab.namespace, host.neighbour.namespace].map((at) => stack.use(new EnteredNetwork(at)));
    if (here === undefined || there === undefined) throw new Error("two networks");
    await SteadyStream.serve(here);
    streams = await Promise.all(Object.values(HOST).map((address) => SteadyStream.start(there, address)));
    before = await host.census();
  });
  afterAll(async () => await stack.disposeAsync());

  async function unnoticed<T>(what: string, task: () => Promise<T>): Promise<T> {
    const once = task();
    const reports = await Promise.all(streams.map((stream) => stream.during(() => once)));
    const gaps = reports.map(({ longestGapMs }) => longestGapMs);
    console.log(`longest gap over IPv4/IPv6 while ${what}: ${gaps.map((gap) => gap.toFixed(0)).join("/")} ms`);
    expect(reports.every(({ isOrdered }) => isOrdered)).toBe(true);
    expect(Math.max(...gaps)).toBeLessThan(UNNOTICED_MS);
    return await once;
  }

  async function holders(): Promise<string[]> {
    const links = JSON.parse(await host.exec(["ip", "-json", "address"])) as {
      readonly ifname: string;
      readonly addr_info: readonly { readonly local: string }[];
    }[];
    const found = links.filter(({ addr_info }) => addr_info.some(({ local }) => local === HOST[4]));
    return found.map(({ ifname }) => ifname);
  }

  it("puts containers on the LAN and keeps the host there, also through a kill -9, and gives the NIC back [F107]", async () => {
    {
      const network: TestNetwork = await unnoticed("it is made", () => host.network("lan", ...MOVED, ...LAN));
      await using one = await host.run("one", network);
      const switches = await holders();

      expect(switches).toEqual([expect.stringMatching(/^tsn-/)]);
      await expect.poll(async () => await host.tryReach(host.neighbour, await one.address())).toEqual(OPEN);
      await expect.poll(() => host.tryReach(one, HOST[4])).toEqual(OPEN);
      await expect.poll(() => host.tryReach(host.neighbour, HOST[4])).toEqual(OPEN);

      await unnoticed("tsnet is killed and started", async () => {
        await host.kill9();
        await host.start();
        await host.docker("network", "create", "-d", "tsnet", "other"); // answered once it has recovered
      });
      await host.docker("network", "rm", "other");
      expect(await holders()).toEqual(switches);
      await expect.poll(async () => await host.tryReach(host.neighbour, await one.address())).toEqual(OPEN);
    }
    await unnoticed("it is removed", () => host.docker("network", "rm", "lan"));

    expect(await holders()).toEqual(["lan0"]);
    await expect.poll(() => host.changesSince(before, OURS)).toEqual([]);
  });

  it("is made, or not there at all, when tsnet is killed in the middle", { timeout: KILLS_LIMIT_MS }, async () => {
    for (const delay of KILL_AFTER_MS) {
      await unnoticed(`tsnet is killed ${delay} ms after the call`, async () => {
        const made = host.docker("network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", ...MOVED, ...LAN, "lan");
        const outcome = made.then(
          () => true,
          () => false,
        );
        await new Promise((resolve) => setTimeout(resolve, delay));
        await host.kill9();
        await host.start();
        if (await outcome) await host.docker("network", "rm", "lan");
      });

      await expect.poll(() => holders(), { timeout: FORGOTTEN_WITHIN_MS }).toEqual(["lan0"]);
      await expect.poll(() => host.changesSince(before, ON_HOST), { timeout: FORGOTTEN_WITHIN_MS }).toEqual([]);
    }
    // When the answer to the engine was lost, a pool may be left: it is that of the next network that asks for it.
    await host.network("lan", ...MOVED, ...LAN);
    await host.docker("network", "rm", "lan");
    await expect.poll(() => host.changesSince(before, OURS), { timeout: 30_000 }).toEqual([]);
  });

  it("is made anew after a reboot, which gave the NIC its addresses again", async () => {
    await host.network("lan", ...MOVED, ...LAN);

    await host.reboot();

    await expect.poll(() => holders(), { timeout: 30_000 }).toEqual([expect.stringMatching(/^tsn-/)]);
    await expect.poll(() => host.tryReach(host.neighbour, HOST[4])).toEqual(OPEN);
    await host.docker("network", "rm", "lan");
    expect(await holders()).toEqual(["lan0"]);
    await expect.poll(() => host.tryReach(host.neighbour, HOST[4])).toEqual(OPEN);
  });
});
