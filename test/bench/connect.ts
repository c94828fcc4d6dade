// `docker network connect` and `disconnect` of a running container, over the engine's API, beside Docker's own bridge.
import { TEST_IMAGE } from "../support/image.ts";
import { LabHost } from "../support/lab-host.ts";
import { type Measured, inTurn, pair, timed } from "./measure.ts";

const ROUNDS = 60;
const SIDES = ["tsnet", "bridge"] as const;
type Side = (typeof SIDES)[number];

/** Each, and both together. */
export async function measureConnect(): Promise<Measured> {
  await using lab = await LabHost.up({ name: "bench" });
  await lab.startServe();
  const { api } = lab.docker;
  await lab.docker("network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", "bench-tsnet");
  await lab.docker("network", "create", "-d", "bridge", "bench-bridge");
  const container = api.getContainer(await lab.docker("run", "-d", "--network", "none", TEST_IMAGE));
  await api.getNetwork("none").disconnect({ Container: container.id });
  const [connect, disconnect, both] = [empty(), empty(), empty()];
  for (let round = 0; round < ROUNDS; round++) {
    for (const side of inTurn(round, SIDES)) {
      const network = api.getNetwork(`bench-${side}`);
      const there = await timed(() => network.connect({ Container: container.id }));
      const back = await timed(() => network.disconnect({ Container: container.id }));
      connect[side].push(there);
      disconnect[side].push(back);
      both[side].push(there + back);
    }
  }
  return {
    pairs: [
      pair("connect", connect),
      pair("disconnect", disconnect),
      { ...pair("connect + disconnect", both), goal: 0.8 },
    ],
  };
}

function empty(): Record<Side, number[]> {
  return { tsnet: [], bridge: [] };
}
