// A network is created and removed, over the engine's API, beside Docker's own bridge.
import { LabHost } from "../support/lab-host.ts";
import { type Measured, inTurn, pair, timed } from "./measure.ts";

const ROUNDS = 10;
const SIDES = ["tsnet", "bridge"] as const;

/** Both together. */
export async function measureNetworks(): Promise<Measured> {
  await using lab = await LabHost.up({ name: "bench" });
  await lab.startServe();
  const times: Record<(typeof SIDES)[number], number[]> = { tsnet: [], bridge: [] };
  for (let round = 0; round < ROUNDS; round++) {
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
  return { pairs: [pair("network create + rm", times)] };
}
