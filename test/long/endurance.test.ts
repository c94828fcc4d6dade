// Ten thousand lives of endpoints on one daemon with the real kernel: nothing grows. TSNET_CYCLES says another number.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { cycle, memoryFileOf, slopeOf } from "../support/endurance.ts";
import { NODE } from "../support/lab-serve.ts";
import { ServeHost } from "../support/serve-host.ts";

const CYCLES = Number(process.env["TSNET_CYCLES"] ?? 10_000);
const SAMPLES = 100;
/** Until then the heap grows to the size that it works with. */
const WARM_UP = 0.3;
/** KiB in use for each cycle: 10,000 of them would be 1 MiB. */
const SLOPE_LIMIT = 0.1;
/** Of the memory of the process, after warm-up: V8 lets garbage lie for minutes. */
const RSS_LIMIT = 1.15;
const REPORT = join(import.meta.dirname, "../support/memory-report.ts");
const DAEMON = join(import.meta.dirname, "../../dist/tsnet.js");

describe("ten thousand lives of endpoints", () => {
  it("leave the daemon's memory, open files and records as they were, and nothing on the host [F61]", async () => {
    const argv = [NODE, "--expose-gc", "--import", REPORT, DAEMON, "serve"];
    await using host = await ServeHost.up("endurance", { argv });
    writeFileSync(memoryFileOf(host), "");
    const network = await host.engine.createNetwork({ subnet: "10.88.0.0/24", gateway: "10.88.0.1" });
    await cycle(host, network, 20, 20);
    const before = await host.restingCensus();

    const samples = await cycle(host, network, CYCLES, CYCLES / SAMPLES);
    const warm = samples.filter(({ cycles }) => cycles >= CYCLES * WARM_UP);
    const slope = slopeOf(warm);

    const [first, last] = [warm[0], warm.at(-1)];
    console.log(
      `${CYCLES} cycles: after warm-up ${slope.toFixed(3)} KiB a cycle in use, ` +
        `${first?.usedKib?.toFixed(0)} to ${last?.usedKib?.toFixed(0)} KiB; of the process ${first?.rssKib} to ${last?.rssKib} KiB; open files ` +
        `${[...new Set(warm.map(({ files }) => files))].join(", ")}; bytes of records ` +
        `${Math.min(...warm.map(({ recordBytes }) => recordBytes))} to ${Math.max(...warm.map(({ recordBytes }) => recordBytes))}`,
    );
    expect(slope).toBeLessThan(SLOPE_LIMIT);
    expect(last?.rssKib).toBeLessThan(RSS_LIMIT * (first?.rssKib ?? 0));
    expect(new Set(warm.map(({ files }) => files)).size).toBe(1);
    expect(last?.recordBytes).toBeLessThan(1.05 * (first?.recordBytes ?? 0));
    expect(await host.changesSince(before, ["links", "addresses", "routes", "nft", "records", "fdb"])).toEqual([]);
    expect(host.complaints()).toEqual([]);
  });
});
