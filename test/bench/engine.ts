// What an engine and tsnet on one host take for a network, for a container on it, for their own start.
import { TEST_IMAGE } from "../support/image.ts";
import { LabHost } from "../support/lab-host.ts";
import type { ServeHandle } from "../support/lab-serve.ts";
import { type Pair, inTurn, pair, timed } from "./measure.ts";
import { publishMany, restorePorts } from "./ports.ts";

const ROUNDS = 40;
const STARTS = 7;
const SIDES = ["tsnet", "bridge"] as const;
type Side = (typeof SIDES)[number];

/** What came out. */
export interface EngineResult {
  readonly pairs: readonly Pair[];
  /** Milliseconds after the start with all rules lost. */
  readonly restored: { readonly elements: number; readonly open: number };
  readonly idleMegabytes: number;
  /** Milliseconds to listening. */
  readonly starts: readonly number[];
}

/** Beside Docker's own bridge. */
export async function measureEngine(): Promise<EngineResult> {
  await using lab = await LabHost.up({ name: "bench" });
  const serve = await lab.startServe();
  const pairs = [...(await connectAndDisconnect(lab)), await createAndRemoveNetwork(lab), ...(await publishMany(lab))];
  const restored = await restorePorts(lab, serve);
  const idleMegabytes = await residentMegabytes(lab, serve.pid);
  return { pairs, restored, idleMegabytes, starts: await startTimes(serve) };
}

/** `docker network connect` and `disconnect` of a running container, over the engine's API. */
async function connectAndDisconnect(lab: LabHost): Promise<Pair[]> {
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

async function createAndRemoveNetwork(lab: LabHost): Promise<Pair> {
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

async function startTimes(serve: ServeHandle): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < STARTS; i++) {
    await serve.stop();
    times.push(await timed(() => serve.startAgain()));
  }
  return times;
}

async function residentMegabytes(lab: LabHost, pid: number): Promise<number> {
  const status = await lab.exec(["cat", `/proc/${pid}/status`]);
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1000;
}
