// `npm run bench`: pairs in turn in one run, so that a busy machine slows both sides. Prints medians, p95, ratios and figures
// with the goal of each, and writes them as JSON. Only the ratios mean anything on another machine.
//
//   npm run bench -- [NAME ...] [--json=FILE]     without names all of them
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { TEST_PACKAGES, VM_PACKAGES, ensurePackages } from "../support/packages.ts";
import { measureConnect } from "./connect.ts";
import { measureContainers } from "./containers.ts";
import { measureCost } from "./cost.ts";
import { measureIpam } from "./ipam.ts";
import { measureLife } from "./life.ts";
import { type Measured, linesOf } from "./measure.ts";
import { measureNetworks } from "./networks.ts";
import { measureOvsEndpoint } from "./ovsdb.ts";
import { measurePorts } from "./ports.ts";
import { measureTrafficInVm } from "./traffic-vm.ts";
import { measureTraffic } from "./traffic.ts";
import { measureScale } from "./scale.ts";
import { tunnelBesideSwarm } from "./tunnel.ts";
import { moveUplink } from "./uplink.ts";

const REPO = join(import.meta.dirname, "../..");

/** By name, in the order in which they run. */
const BENCHMARKS: Readonly<Record<string, () => Promise<Measured>>> = {
  connect: measureConnect,
  networks: measureNetworks,
  containers: measureContainers,
  ports: measurePorts,
  ovs: measureOvsEndpoint,
  uplink: moveUplink,
  traffic: measureTraffic,
  "traffic-vm": measureTrafficInVm,
  tunnel: () => tunnelBesideSwarm("bridge"),
  "tunnel-ovs": () => tunnelBesideSwarm("ovs"),
  life: measureLife,
  scale: measureScale,
  ipam: measureIpam,
  cost: measureCost,
};

const args = process.argv.slice(2);
const file = args.find((arg) => arg.startsWith("--json="))?.slice("--json=".length);
const names = args.filter((arg) => !arg.startsWith("--json="));
const unknown = names.filter((name) => BENCHMARKS[name] === undefined);
if (unknown.length > 0)
  throw new Error(`no benchmark ${unknown.join(", ")}; there are ${Object.keys(BENCHMARKS).join(", ")}`);

await ensurePackages([
  ...TEST_PACKAGES,
  ...(names.length === 0 || names.includes("traffic-vm") ? VM_PACKAGES : []),
  "iperf3",
]);
await execa("npm", ["run", "--silent", "build"], { cwd: REPO, stdio: "inherit" });

const results: Record<string, Measured> = {};
for (const [name, measure] of Object.entries(BENCHMARKS)) {
  if (names.length > 0 && !names.includes(name)) continue;
  const measured = await measure();
  results[name] = measured;
  for (const line of linesOf(measured)) console.log(line);
  if (file !== undefined) await writeFile(file, JSON.stringify(results, null, 2)); // what is there, should a later one fail
}
