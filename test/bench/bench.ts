// `npm run bench`: pairs in turn in one run, so that a busy machine slows both sides. Prints medians, p95 and ratios, and
// writes them as JSON to the file that the last argument names. Only the ratios mean anything on another machine.
//
//   npm run bench -- [tunnel] [FILE]     with `tunnel` no more than that
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import type { Backend } from "../../src/cnm/network.ts";
import { TEST_PACKAGES, ensurePackages } from "../support/packages.ts";
import { measureEngine } from "./engine.ts";
import { lineOf, summary } from "./measure.ts";
import { addAndRemovePorts } from "./ovsdb.ts";
import { PORTS } from "./ports.ts";
import { tunnelBesideSwarm } from "./tunnel.ts";
import { moveUplink } from "./uplink.ts";

const REPO = join(import.meta.dirname, "../..");

const args = process.argv.slice(2);
const isTunnelOnly = args[0] === "tunnel";
const file = args[isTunnelOnly ? 1 : 0];

await ensurePackages([...TEST_PACKAGES, "iperf3"]);
await execa("npm", ["run", "--silent", "build"], { cwd: REPO, stdio: "inherit" });

const hosts = isTunnelOnly ? {} : await measureHosts();
const tunnels = { bridge: await measureTunnel("bridge"), ovs: await measureTunnel("ovs") };
if (file !== undefined) await writeFile(file, JSON.stringify({ ...hosts, tunnels }, null, 2));

async function measureHosts() {
  const uplink = await moveUplink();
  const engine = await measureEngine();
  const pairs = [...engine.pairs, ...(await addAndRemovePorts()), ...uplink.pairs];
  const { restored, starts, idleMegabytes } = engine;
  for (const each of pairs) console.log(lineOf(each));
  console.log(`resident memory idle   ${idleMegabytes.toFixed(0)} MB`);
  console.log(`start to listening     ${summary(starts).medianMs.toFixed(0)} ms (median of ${starts.length})`);
  const { open, elements } = restored;
  console.log(
    `${`${PORTS} ports, rules lost`.padEnd(22)} in the kernel ${elements.toFixed(0)} ms after the start, answering ${open.toFixed(0)} ms`,
  );
  const resent = Object.entries(uplink.resent).map(([what, each]) => `${what} ${each.toFixed(2)}`);
  console.log(`${"segments sent again".padEnd(22)} per move of an uplink: ${resent.join("; ")}`);
  return { pairs, resent: uplink.resent, idleMegabytes, starts, restored };
}

async function measureTunnel(backend: Backend) {
  const result = await tunnelBesideSwarm(backend);
  for (const each of result.pairs) console.log(lineOf(each));
  for (const [title, sides] of Object.entries(result.gigabits)) {
    const speeds = Object.entries(sides).map(([side, speed]) => `${side} ${speed.toFixed(2)} Gbit/s`);
    console.log(`${title.padEnd(22)} ${speeds.join(", ")}`);
  }
  return result;
}
