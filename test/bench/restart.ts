// A daemon that was killed starts again and finds a thousand endpoints that have joined: when it answers the engine's first
// call, and when a call that must wait until tsnet has looked at the host. The sandboxes' ends are on the host, of which it
// makes nothing within 20 seconds of its start.
import { ServeHost } from "../support/serve-host.ts";
import { startAndAsk } from "./daemon-start.ts";
import { crowd } from "./endpoint-life.ts";
import { type Measured, summary } from "./measure.ts";

const ENDPOINTS = 1000;
const ROUNDS = 5;
const GOAL_MS = 1000;

/** From the start of the process. */
export async function measureRestart(): Promise<Measured> {
  await using host = await ServeHost.up("restart");
  const network = await host.engine.createNetwork({ subnet: "10.88.0.0/16", gateway: "10.88.0.1" });
  const living = await crowd(host, network, ENDPOINTS + ROUNDS - 1); // one leaves in each round
  const [activate, leave]: [number[], number[]] = [[], []];
  for (const { ids } of living.slice(0, ROUNDS)) {
    await host.serve.kill9();
    const calls = [{ verb: "Plugin.Activate" }, { verb: "NetworkDriver.Leave", body: ids }];
    const { answered } = await startAndAsk(host, calls);
    activate.push(answered[0] ?? NaN);
    leave.push(answered[1] ?? NaN);
  }
  const what = `start with ${ENDPOINTS.toLocaleString("en")} endpoints`;
  return {
    figures: [
      { title: `${what}, Activate answered`, value: summary(activate).medianMs, unit: "ms", goal: GOAL_MS },
      { title: `${what}, Leave answered`, value: summary(leave).medianMs, unit: "ms", goal: GOAL_MS },
    ],
  };
}
