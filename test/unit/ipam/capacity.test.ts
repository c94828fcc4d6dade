// Large pools: nothing is enumerated, and nothing gets slow. Times are printed, not judged; wrong growth shows as a timeout.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { RecordStore } from "../../../src/state/record-store.ts";
import { SqliteStore } from "../../../src/state/sqlite-store.ts";
import { ipamWith, makePool, requestAddress } from "../../support/ipam-builder.ts";
import { MemoryStore } from "../../support/memory-store.ts";

const CONNECTIONS = 32;

function report(what: string, startedMs: number, count: number): void {
  const tookMs = performance.now() - startedMs;
  const perSecond = Math.round(count / (tookMs / 1000));
  process.stdout.write(`${what}: ${Math.round(tookMs)} ms, ${perSecond}/s\n`);
}

/** Runs `task` `count` times, so many at a time as the engine may. */
async function overConnections(count: number, task: () => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next++ < count) await task();
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
}

/** Fills a pool to the last address, empties it, and fills a part of it again. */
async function useUp(records: RecordStore, subnet: string, capacity: number): Promise<void> {
  const ipam = ipamWith({ records });
  const poolId = await makePool(ipam, subnet);
  const given: string[] = [];
  let startedMs = performance.now();
  await overConnections(capacity, async () => given.push(await requestAddress(ipam, poolId)));
  report(`${subnet}: ${capacity} addresses over ${CONNECTIONS} connections`, startedMs, capacity);
  expect(new Set(given).size).toBe(capacity);
  await expect(requestAddress(ipam, poolId)).rejects.toThrow(`${capacity} of ${capacity} in use`);

  startedMs = performance.now();
  const addresses = given.map((address) => address.replace(/\/.*/, ""));
  await Promise.all(addresses.map((address) => ipam.releaseAddress(poolId, address)));
  report(`${subnet}: ${capacity} releases at the same time`, startedMs, capacity);

  startedMs = performance.now();
  const again: string[] = [];
  for (let n = 0; n < 500; n++) again.push(await requestAddress(ipam, poolId));
  report(`${subnet}: 500 rested addresses one after the other`, startedMs, 500);
  expect(again).toEqual(given.slice(0, 500));

  startedMs = performance.now();
  const reloaded = ipamWith({ records });
  report(`${subnet}: reading ${capacity} address records`, startedMs, capacity);
  startedMs = performance.now();
  await reloaded.releasePool(poolId);
  report(`${subnet}: removing the pool with ${capacity} records`, startedMs, capacity);
}

/** Prefix lengths, and how many addresses such a subnet gives. TSNET_CAPACITY=16 is the largest that was measured. */
const lengths = (usual: number) => {
  const prefixLength = Number(process.env["TSNET_CAPACITY"] ?? usual);
  return { prefixLength, capacity: 2 ** (32 - prefixLength) - 2 };
};

describe("a large pool", () => {
  it("gives all its addresses, and again in the order of release", { timeout: 60_000 }, async () => {
    const { prefixLength, capacity } = lengths(19);
    await useUp(new MemoryStore(), `10.1.0.0/${prefixLength}`, capacity);
  });

  it("does the same on disk", { timeout: 60_000 }, async () => {
    const { prefixLength, capacity } = lengths(20);
    const directory = mkdtempSync(join(tmpdir(), "tsnet-capacity-"));
    const records = SqliteStore.open(directory);
    try {
      await useUp(records, `10.1.0.0/${prefixLength}`, capacity);
    } finally {
      records.close();
      rmSync(directory, { recursive: true });
    }
  });
});

describe("pools that could not be enumerated", () => {
  it.each(["10.0.0.0/8", "fd00::/32"])("cost nothing: %s [F81]", async (subnet) => {
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
