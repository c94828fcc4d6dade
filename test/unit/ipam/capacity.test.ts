// Large pools: nothing is enumerated, and nothing gets slow. Times are printed, not judged; wrong growth shows as a timeout.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { SqliteStore } from "../../../src/state/sqlite-store.ts";
import { ipamWith, makePool, requestAddress } from "../../support/ipam-builder.ts";

const CONNECTIONS = 32;

function report(what: string, startedMs: number, count: number): void {
  const tookMs = performance.now() - startedMs;
  const perSecond = Math.round(count / (tookMs / 1000));
  process.stdout.write(`${what}: ${Math.round(tookMs)} ms, ${perSecond}/s\n`);
}

/** Runs `task` for each of 0..count-1, so many at a time as the engine may. */
async function overConnections(count: number, task: (n: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await task(next++);
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
}

describe("a /16", () => {
  it(
    "gives all 65,534 addresses, takes them back, and gives them again in the order of release, on disk",
    { timeout: 60_000 },
    async () => {
      const directory = mkdtempSync(join(tmpdir(), "tsnet-capacity-"));
      const records = SqliteStore.open(directory);
      try {
        const ipam = ipamWith({ records });
        const poolId = await makePool(ipam, "10.1.0.0/16");
        const given: string[] = [];
        let startedMs = performance.now();
        await overConnections(65_534, async () => given.push(await requestAddress(ipam, poolId)));
        report(`65,534 addresses over ${CONNECTIONS} connections`, startedMs, given.length);
        expect(new Set(given).size).toBe(65_534);
        await expect(requestAddress(ipam, poolId)).rejects.toThrow("65534 of 65534 in use");

        startedMs = performance.now();
        const addresses = given.map((address) => address.replace("/16", ""));
        await overConnections(65_534, (n) => ipam.releaseAddress(poolId, addresses[n] ?? ""));
        report("65,534 releases", startedMs, given.length);

        startedMs = performance.now();
        const again: string[] = [];
        for (let n = 0; n < 5_000; n++) again.push(await requestAddress(ipam, poolId));
        report("5,000 rested addresses one after the other", startedMs, again.length);
        expect(again).toEqual(given.slice(0, 5_000));

        startedMs = performance.now();
        const reloaded = ipamWith({ records });
        report("reading 65,534 address records", startedMs, 65_534);
        startedMs = performance.now();
        await reloaded.releasePool(poolId);
        report("removing the pool with 65,534 records", startedMs, 65_534);
      } finally {
        records.close();
        rmSync(directory, { recursive: true });
      }
    },
  );
});

describe("pools that could not be enumerated", () => {
  it.each(["10.0.0.0/8", "fd00::/32"])("cost nothing: %s", async (subnet) => {
    const ipam = ipamWith();
    const before = process.memoryUsage().heapUsed;
    const startedMs = performance.now();
    const poolId = await makePool(ipam, subnet);
    for (let n = 0; n < 100; n++) await requestAddress(ipam, poolId);
    const grownKiB = Math.round((process.memoryUsage().heapUsed - before) / 1024);
    process.stdout.write(
      `${subnet} with 100 addresses: ${grownKiB} KiB, ${Math.round(performance.now() - startedMs)} ms\n`,
    );

    expect(grownKiB).toBeLessThan(4096);
  });
});
