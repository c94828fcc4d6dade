// What tsnet costs a host that does nothing with it: the daemon's memory, alone, with a thousand endpoints, and after ten
// thousand lives; how long it takes to listen; how large the plugin is.
import { readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { cycle } from "../support/endurance.ts";
import { ServeHost } from "../support/serve-host.ts";
import { startAndAsk } from "./daemon-start.ts";
import { crowd } from "./endpoint-life.ts";
import { type Figure, type Measured, summary } from "./measure.ts";
import { pluginSize } from "./plugin-size.ts";

const STARTS = 7;
const START_GOAL_MS = 250;
const ENDPOINTS = 1000;
const CYCLES = 10_000;
/** By then the heap has the size that it works with. */
const WARM_CYCLES = 3000;
/** What was begun when the daemon started, or with the last call, is over. */
const QUIET_MS = 5000;
const SUBNET = { subnet: "10.88.0.0/16", gateway: "10.88.0.1" };

/** Megabytes are 1,000,000 bytes. */
export async function measureCost(): Promise<Measured> {
  const { rootfs, compressed } = await pluginSize();
  return {
    figures: [
      ...(await measureStart()),
      ...(await measureMemory()),
      await measureCycles(),
      { title: "plugin, rootfs", value: rootfs / 1e6, unit: "MB" },
      { title: "plugin, compressed", value: compressed / 1e6, unit: "MB" },
    ],
  };
}

/** As the plugin is started, with Node's code cache of the script, and without. */
async function measureStart(): Promise<readonly Figure[]> {
  await using host = await ServeHost.up("start");
  const cache = join(host.namespace.folder, "scratch/compile-cache");
  await mkdir(cache);
  const figures: Figure[] = [];
  for (const [title, env] of [
    ["start to listening", { NODE_COMPILE_CACHE: cache }],
    ["start to listening, no code cache", {}],
  ] as const) {
    await host.serve.restart(env); // which also fills the cache, when it stops
    const times: number[] = [];
    for (let n = 0; n < STARTS; n++) {
      await host.serve.stop();
      times.push((await startAndAsk(host)).listening);
    }
    figures.push({ title, value: summary(times).medianMs, unit: "ms", goal: START_GOAL_MS });
  }
  return figures;
}

async function measureMemory(): Promise<readonly Figure[]> {
  await using host = await ServeHost.up("memory");
  await host.engine.call("Plugin.Activate");
  await pause(QUIET_MS);
  const idle = residentBytes(host);
  await crowd(host, await host.engine.createNetwork(SUBNET), ENDPOINTS);
  await pause(QUIET_MS);
  const busy = residentBytes(host);
  const what = `resident memory, ${ENDPOINTS.toLocaleString("en")} endpoints`;
  return [
    { title: "resident memory, idle", value: idle / 1e6, unit: "MB", goal: 90 },
    { title: what, value: busy / 1e6, unit: "MB", goal: 120 },
  ];
}

async function measureCycles(): Promise<Figure> {
  await using host = await ServeHost.up("cycles");
  const samples = await cycle(host, await host.engine.createNetwork(SUBNET), CYCLES, WARM_CYCLES / 3);
  const after = (count: number) => samples.find(({ cycles }) => cycles === count)?.rssKib ?? NaN;
  const [early, late] = [after(WARM_CYCLES), after(CYCLES)];
  const title = `resident memory, ${CYCLES} lives by ${WARM_CYCLES}`;
  return { title, value: late / early, unit: `(${((late * 1024) / 1e6).toFixed(0)} MB)`, goal: 1.05 };
}

function residentBytes({ namespace, serve }: ServeHost): number {
  const status = readFileSync(namespace.outside(`/proc/${serve.pid}/status`), "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}
