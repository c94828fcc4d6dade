// `npm run demo`: tsnet in action on an engine of its own, from nothing to pings and back, in a minute. Started through
// `test/bootstrap.sh`, which brings Node.js and the npm packages. What is shown stands in `checks.ts`.
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ExecaError, execa } from "execa";
import { LabHost } from "../support/lab-host.ts";
import { LabOvs } from "../support/lab-ovs.ts";
import type { Neighbour } from "../support/neighbour.ts";
import { LAB_PACKAGES, ensurePackages } from "../support/packages.ts";
import { CHECKS, type Check, REMOVAL } from "./checks.ts";
import { markKept, takeDownKept } from "./kept.ts";
import { Screen } from "./screen.ts";
import { Stage } from "./stage.ts";

const REPO = join(import.meta.dirname, "../..");
const USAGE = `Usage: npm run demo [-- --keep | -- --down]

  --keep   leave it up, and print how to talk to it
  --down   take down what --keep left`;

const screen = new Screen();

// Not just the exit code: what is kept up must not keep this process.
process.exit(
  await main().catch((failure: unknown) => {
    screen.failed("the demo could not be shown", reasonOf(failure));
    return 1;
  }),
);

/** @returns the exit code. */
async function main(): Promise<number> {
  const values = readArguments();
  if (values.help === true) return sayAndSucceed(USAGE);
  if (process.getuid?.() !== 0) throw new Error("not root: it makes network namespaces and starts an engine");
  if (values.down === true) return sayAndSucceed(formatDown(await takeDownKept()));
  return await show(values.keep === true);
}

/** @throws Error with what is permitted. */
function readArguments(): { readonly keep?: boolean; readonly down?: boolean; readonly help?: boolean } {
  const flag = { type: "boolean" } as const;
  try {
    return parseArgs({ options: { keep: flag, down: flag, help: flag } }).values;
  } catch (failure) {
    throw new Error(`${failure instanceof Error ? failure.message : String(failure)}\n${USAGE}`, { cause: failure });
  }
}

async function show(isKept: boolean): Promise<number> {
  screen.heading("tsnet demo");
  screen.say("On an engine of its own: this machine's network and Docker stay as they are.\n");
  await prepare();
  const lab = await timed("Docker Engine in a network namespace", async () => LabHost.up({ name: "demo", isKept }));
  try {
    await timed("Open vSwitch beside it", async () => LabOvs.start(lab.namespace));
    const outside = await timed("a machine beyond it, without routes to containers", async () => lab.addNeighbour());
    screen.say("");
    try {
      const checks = isKept ? CHECKS : [...CHECKS, REMOVAL];
      const doAllHold = await runChecks(new Stage(lab, outside, screen), checks);
      if (isKept) sayHowToTalk(lab, outside);
      return doAllHold ? 0 : 1;
    } finally {
      if (!isKept) await outside[Symbol.asyncDispose]();
    }
  } finally {
    if (!isKept) await lab[Symbol.asyncDispose]();
  }
}

async function prepare(): Promise<void> {
  await timed("Debian packages", async () => ensurePackages(LAB_PACKAGES));
  await timed("the plugin, built from this folder", async () => {
    await execa("npm", ["run", "--silent", "plugin:build"], { cwd: REPO, stdin: "ignore" });
  });
}

async function timed<T>(what: string, task: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  const result = await task();
  screen.step(what, `${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
  return result;
}

/** @returns whether all hold. */
async function runChecks(stage: Stage, checks: readonly Check[]): Promise<boolean> {
  const startedAt = performance.now();
  let [held, failed] = [0, 0];
  for (const { title, run, isFoundation } of checks) {
    try {
      screen.passed(title, await run(stage));
      held += 1;
    } catch (failure) {
      screen.failed(title, reasonOf(failure));
      failed += 1;
      if (isFoundation === true) break;
    }
  }
  const untried = checks.length - held - failed;
  const parts = [`${held} of ${checks.length} hold`, ...(untried > 0 ? [`${untried} not tried`] : [])];
  screen.heading(`${parts.join(", ")}; ${((performance.now() - startedAt) / 1000).toFixed(0)} s`);
  return held === checks.length;
}

/** The command itself stands above already. */
function reasonOf(failure: unknown): string {
  if (failure instanceof ExecaError) return failure.stderr === "" ? failure.shortMessage : String(failure.stderr);
  return failure instanceof Error ? failure.message : String(failure);
}

function sayHowToTalk(lab: LabHost, outside: Neighbour): void {
  markKept([lab.namespace, outside.namespace]);
  screen.say(`
It is still up. Talk to its engine:

    export DOCKER_HOST=unix://${lab.dockerd.socketPath}
    docker network ls
    docker exec app ping -c1 web

Take it down:

    npm run demo -- --down`);
}

function formatDown(count: number): string {
  return count === 0 ? "no demo is up" : "the demo is taken down";
}

function sayAndSucceed(text: string): number {
  screen.say(text);
  return 0;
}
