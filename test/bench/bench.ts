// `npm run bench`: pairs in turn in one run, so that a busy machine slows both sides. Prints medians, p95 and ratios, and
// writes them as JSON to the file that the first argument names. Only the ratios mean anything on another machine.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { TEST_IMAGE } from "../support/image.ts";
import { LabHost } from "../support/lab-host.ts";
import { TEST_PACKAGES, ensurePackages } from "../support/packages.ts";
import { execa } from "execa";
import { type Pair, inTurn, lineOf, pair, summary, timed } from "./measure.ts";
import { addAndRemovePorts } from "./ovsdb.ts";
import { PORTS, publishMany, restorePorts } from "./ports.ts";
import { moveUplink } from "./uplink.ts";

const ROUNDS = 40;
const STARTS = 7;
const SIDES = ["tsnet", "bridge"] as const;
type Side = (typeof SIDES)[number];

const REPO = join(import.meta.dirname, "../..");

await ensurePackages(TEST_PACKAGES);
await execa("npm", ["run", "--silent", "build"], { cwd: REPO, stdio: "inherit" });

await using lab = await LabHost.up({ name: "bench" });
const serve = await lab.startServe();
const uplink = await moveUplink();
const pairs = [
  ...(await connectAndDisconnect()),
  await createAndRemoveNetwork(),
  ...(await publishMany(lab)),
  ...(await addAndRemovePorts()),
  ...uplink.pairs,
];
const restored = await restorePorts(lab, serve);
const idle = await residentMegabytes(serve.pid);
const starts = await startTimes();

for (const each of pairs) console.log(lineOf(each));
console.log(`resident memory idle   ${idle.toFixed(0)} MB`);
console.log(`start to listening     ${summary(starts).medianMs.toFixed(0)} ms (median of ${starts.length})`);
const { open, elements } = restored;
console.log(
  `${`${PORTS} ports, rules lost`.padEnd(22)} in the kernel ${elements.toFixed(0)} ms after the start, answering ${open.toFixed(0)} ms`,
);
const resent = Object.entries(uplink.resent).map(([what, each]) => `${what} ${each.toFixed(2)}`);
console.log(`${"segments sent again".padEnd(22)} per move of an uplink: ${resent.join("; ")}`);
const [file] = process.argv.slice(2);
if (file !== undefined)
  await writeFile(
    file,
    JSON.stringify({ pairs, resent: uplink.resent, idleMegabytes: idle, starts, restored }, null, 2),
  );

/** `docker network connect` and `disconnect` of a running container, over the engine's API. */
async function connectAndDisconnect(): Promise<Pair[]> {
  const { api } = lab.docker;
  await lab.docker("network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", "bench-tsnet");
  await lab.docker("network", "create", "-d", "bridge", "bench-bridge");
  const container = api.getContainer(await lab.docker("run", "-d", "--network", "none", TEST_IMAGE));
  await api.getNetwork("none").disconnect({ Container: container.id });
  const times = { connect: { tsnet: [], bridge: [] }, disconnect: { tsnet: [], bridge: [] } } as Times;
  for (let round = 0; round < ROUNDS; round++) {
    for (const side of inTurn(round, SIDES)) {
      const network = api.getNetwork(`bench-${side}`);
      times.connect[side].push(await timed(() => network.connect({ Container: container.id })));
      times.disconnect[side].push(await timed(() => network.disconnect({ Container: container.id })));
    }
  }
  await container.remove({ force: true });
  for (const side of SIDES) await lab.docker("network", "rm", `bench-${side}`);
  return [pair("connect", times.connect), pair("disconnect", times.disconnect)];
}

type Times = Record<"connect" | "disconnect", Record<Side, number[]>>;

async function createAndRemoveNetwork(): Promise<Pair> {
  const times: Record<Side, number[]> = { tsnet: [], bridge: [] };
  for (let round = 0; round < ROUNDS / 4; round++) {
    for (const side of inTurn(round, SIDES)) {
      const ipam = side === "tsnet" ? { Driver: "tsnet" } : {};
      const whole = async () => {
        const network = await lab.docker.api.createNetwork({
          Name: `bench-${round}-${side}`,
          Driver: side,
          IPAM: ipam,
        });
        await network.remove();
      };
      times[side].push(await timed(whole));
    }
  }
  return pair("network create + rm", times);
}

async function startTimes(): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < STARTS; i++) {
    await serve.stop();
    times.push(await timed(() => serve.startAgain()));
  }
  return times;
}

async function residentMegabytes(pid: number): Promise<number> {
  const status = await lab.exec(["cat", `/proc/${pid}/status`]);
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1000;
}
