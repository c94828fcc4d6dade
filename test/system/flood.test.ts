// Many real containers at once: started together on one network and on several, and made and removed against one another. The
// longer ones are in `long/flood.test.ts`.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Census } from "../support/census.ts";
import { churn, ebb, flood } from "../support/system-flood.ts";
import { SystemHost, type TestNetwork } from "../support/system-host.ts";

const COUNT = 40;
/** By default the engine gives up after 15 s, with containers left of which it has told nobody. */
const STOP_LIMIT_S = "90";
const SEED = Number(process.env["TSNET_ORDER_SEED"] ?? Date.now() % 0x7fff_ffff);

describe("containers at once with tsnet serve", () => {
  let host: SystemHost;
  let before: Census;
  /** Networks, and no container. */
  let empty: Census;
  const networks: TestNetwork[] = [];

  beforeAll(async () => {
    host = await SystemHost.up("tsnet serve", { isAlone: true, daemonFlags: ["--shutdown-timeout", STOP_LIMIT_S] });
    before = await host.census();
    for (const n of [1, 2, 3, 4, 5]) networks.push(await host.network(`n${n}`, "--subnet", `10.6${n}.0.0/24`));
    empty = await host.census();
  });
  afterAll(async () => await host?.[Symbol.asyncDispose]());

  it("on one network all start, with addresses and MACs of their own, and answer [F52]", async () => {
    const { startMs, addresses, macs, answering } = await flood(host, "one", networks.slice(0, 1), COUNT);

    console.log(`${COUNT} containers on one network started in ${(startMs / 1000).toFixed(1)} s`);
    expect(new Set(addresses).size).toBe(COUNT);
    expect(new Set(macs).size).toBe(COUNT);
    expect(answering).toEqual(addresses.toSorted());
    await ebb(host, "one", COUNT);
  });

  it("on five networks all start, with addresses of their own, and answer [F53]", async () => {
    const { startMs, addresses, answering } = await flood(host, "five", networks, COUNT);

    console.log(`${COUNT} containers on five networks started in ${(startMs / 1000).toFixed(1)} s`);
    expect(new Set(addresses).size).toBe(COUNT);
    expect(answering).toEqual(addresses.toSorted());
  });

  it("are all told of when dockerd is stopped, and tsnet has nothing of them any more [F29]", async () => {
    await host.lab.dockerd.stop();

    const ofTsnet = async () => await host.changesSince(empty, ["links", "addresses", "nft", "records"]);
    const changes = (await ofTsnet()).filter((line) => !line.includes("ifname=docker0 "));
    await host.lab.dockerd.start();

    expect(changes).toEqual([]);
    await ebb(host, "five", COUNT);
  });

  it("that are started, removed, connected and disconnected against one another do not fail because of tsnet [F55]", async () => {
    const { done, failures } = await churn(host, networks.slice(0, 3), { seed: SEED, lanes: 6, deeds: 8 });

    console.log(`${done} deeds of the churn with TSNET_ORDER_SEED=${SEED}`);
    expect(failures).toEqual([]);
  });

  it("leave nothing behind when they and their networks are removed, and no warning in tsnet's log [F55]", async () => {
    await host.removeEverything();

    await expect.poll(() => host.changesSince(before), { timeout: 30_000, interval: 500 }).toEqual([]);
    expect(host.complaints()).toEqual([]);
  });
});
