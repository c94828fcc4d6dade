// Fifty containers are started at once, as `docker run -d` does it, until all of them answer, and then removed at once, beside
// Docker's own bridge on the same engine. Over the engine's API, so that no client's start counts. A third side has no network at
// all: what the engine and runc take anyway, which no driver can make faster.
import type { Container } from "dockerode";
import { FirstAnswer } from "../support/first-answer.ts";
import { TEST_IMAGE } from "../support/image.ts";
import { LabHost } from "../support/lab-host.ts";
import { waitUntil } from "../support/wait-until.ts";
import { type Figure, type Measured, inTurn, pair, summary, timed } from "./measure.ts";

const COUNT = 50;
const ROUNDS = 5;
const SIDES = ["tsnet", "bridge"] as const;
/** What the runs are on; the last one is without an address. */
const ALL = [...SIDES, "none"] as const;
type Side = (typeof ALL)[number];

const PORT = 80;
const SERVER = ["httpd", "-f", "-p", String(PORT)];
/** The links of a host are at rest when they stayed the same for so long. */
const REST_MS = 1000;
const GOAL = 0.8;

/** Start and removal. */
export async function measureContainers(): Promise<Measured> {
  await using lab = await LabHost.up({ name: "bench" });
  await lab.startServe();
  await lab.docker("network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", "bench-tsnet");
  await lab.docker("network", "create", "-d", "bridge", "bench-bridge");
  await using answer = new FirstAnswer(lab.namespace);
  await runAll(lab, answer, "tsnet", 1).then(removeAll); // the first container of an engine unpacks and loads what later ones find
  const [start, removal] = [empty(), empty()];
  for (let round = 0; round < ROUNDS; round++) {
    for (const side of [...inTurn(round, SIDES), "none"] as const) {
      let containers: readonly Container[] = [];
      start[side].push(await timed(async () => void (containers = await runAll(lab, answer, side, COUNT))));
      removal[side].push(await timed(() => removeAll(containers)));
      await rest(lab);
    }
  }
  return {
    pairs: [
      { ...pair(`${COUNT} containers, start`, sidesOf(start)), goal: GOAL },
      { ...pair(`${COUNT} containers, removal`, sidesOf(removal)), goal: GOAL },
    ],
    figures: [...figuresOf("start", start), ...figuresOf("removal", removal)],
  };
}

function empty(): Record<Side, number[]> {
  return { tsnet: [], bridge: [], none: [] };
}

function sidesOf({ tsnet, bridge }: Record<Side, number[]>): Record<(typeof SIDES)[number], number[]> {
  return { tsnet, bridge };
}

/** What it takes without a network, and how the rest, which is the networks' part, compares. */
function figuresOf(what: string, times: Record<Side, number[]>): readonly Figure[] {
  const [tsnet, bridge, none] = ALL.map((side) => summary(times[side]).medianMs) as [number, number, number];
  return [
    { title: `${COUNT} containers, ${what} without network`, value: none, unit: "ms" },
    { title: `${COUNT} containers, ${what}, network's part`, value: (tsnet - none) / (bridge - none), unit: "ratio" },
  ];
}

/** `docker run -d` for each, until the last one answers. */
async function runAll(lab: LabHost, answer: FirstAnswer, side: Side, count: number): Promise<readonly Container[]> {
  const network = side === "none" ? side : `bench-${side}`;
  return await Promise.all(Array.from({ length: count }, () => run(lab, answer, network)));
}

async function run(lab: LabHost, answer: FirstAnswer, network: string): Promise<Container> {
  const settings = { Image: TEST_IMAGE, Cmd: SERVER, HostConfig: { NetworkMode: network } };
  const container = await lab.docker.api.createContainer(settings);
  await container.start();
  const { State, NetworkSettings } = await container.inspect();
  if (!State.Running) throw new Error(`a container on ${network} ended with code ${State.ExitCode}`);
  const address = NetworkSettings.Networks[network]?.IPAddress ?? "";
  if (address !== "") await answer.from(address, PORT);
  else if (network !== "none") throw new Error(`a container on ${network} has no address`);
  return container;
}

/** `docker rm -f` for each. */
async function removeAll(containers: readonly Container[]): Promise<void> {
  await Promise.all(containers.map((container) => container.remove({ force: true })));
}

/** Waits for what comes behind the answers, so that one side's remains are not the other side's burden. */
async function rest(lab: LabHost): Promise<void> {
  let [links, since] = ["", performance.now()];
  await waitUntil(
    "the links to come to rest",
    async () => {
      const found = await lab.exec(["ip", "-brief", "link"]);
      if (found !== links) [links, since] = [found, performance.now()];
      return performance.now() - since > REST_MS;
    },
    { limitMs: 60_000, intervalMs: 200 },
  );
}
