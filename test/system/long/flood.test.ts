// Two hundred real containers at once on one network and on twenty, ten minutes of containers that come and go against one
// another, and five hundred one after the other.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Census } from "../../support/census.ts";
import { TEST_IMAGE } from "../../support/image.ts";
import { churn, ebb, flood } from "../../support/system-flood.ts";
import { SystemHost, type TestNetwork } from "../../support/system-host.ts";

const COUNT = 200;
const LIVES = 500;
const SEED = Number(process.env["TSNET_ORDER_SEED"] ?? Date.now() % 0x7fff_ffff);
const TIMEOUT_MS = 1_800_000;

describe("many containers with tsnet serve", () => {
  let host: SystemHost;
  let before: Census;
  const networks: TestNetwork[] = [];

  beforeAll(async () => {
    host = await SystemHost.up("tsnet serve", { isAlone: true });
    before = await host.census();
    for (let n = 1; n <= 20; n++) networks.push(await host.network(`n${n}`, "--subnet", `10.${100 + n}.0.0/24`));
  }, TIMEOUT_MS);
  afterAll(async () => await host?.[Symbol.asyncDispose](), TIMEOUT_MS);

  it.each([
    { on: "one network", count: 1, id: "F52" },
    { on: "twenty networks", count: 20, id: "F53" },
  ] as const)(
    "two hundred started at once on $on have addresses and MACs of their own and answer [$id]",
    async ({ count }) => {
      const { startMs, addresses, macs, answering } = await flood(
        host,
        `at-once-${count}`,
        networks.slice(0, count),
        COUNT,
      );

      console.log(`${COUNT} containers on ${count} networks started in ${(startMs / 1000).toFixed(1)} s`);
      expect(new Set(addresses).size).toBe(COUNT);
      expect(new Set(macs).size).toBe(COUNT);
      expect(answering).toEqual(addresses.toSorted());
      await ebb(host, `at-once-${count}`, COUNT);
    },
    TIMEOUT_MS,
  );

  it(
    "six lanes of a hundred deeds against one another do not fail because of tsnet [F55]",
    async () => {
      const { done, failures } = await churn(host, networks.slice(0, 3), { seed: SEED, lanes: 6, deeds: 100 });

      console.log(`${done} deeds of the churn with TSNET_ORDER_SEED=${SEED}`);
      expect(failures).toEqual([]);
    },
    TIMEOUT_MS,
  );

  it(
    "five hundred that run one after the other leave nothing",
    async () => {
      const [network] = networks;
      const own = await host.census();
      for (let n = 0; n < LIVES; n++)
        await host.docker("run", "--rm", "--network", network?.name ?? "", TEST_IMAGE, "true");

      await expect
        .poll(() => host.changesSince(own, ["links", "addresses", "routes", "nft", "records"]), { timeout: 30_000 })
        .toEqual([]);
    },
    TIMEOUT_MS,
  );

  it(
    "leave nothing behind when they and their networks are removed, and no warning in tsnet's log [F55]",
    async () => {
      await host.removeEverything();

      await expect.poll(() => host.changesSince(before), { timeout: 60_000, interval: 500 }).toEqual([]);
      expect(host.complaints()).toEqual([]);
    },
    TIMEOUT_MS,
  );
});
