// `tsnet agent` while Docker is quiet, as it is for days: pauses go by, and no event comes.
import { once } from "node:events";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { type Follow, type Pause, agent } from "../../../src/cli/agent.ts";
import { CONNECTED, toolsWith } from "../../support/agent-rig.ts";

/** Of 3 s each: four days. */
const ROUNDS = 120_000;
/** Until then all that is made once is made. */
const FIRST_ROUNDS = 20_000;
const BYTES_PER_ROUND = 20;

const collectGarbage = (() => {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void; // what the flag exposes
})();

function heapInUse(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

const connectedOnce: Follow = async function* (signal) {
  yield CONNECTED;
  await once(signal, "abort");
};

describe("the agent of a quiet engine", () => {
  it("takes no more memory the longer nothing happens", async () => {
    const { tools } = await toolsWith([]);
    const controller = new AbortController();
    let rounds = 0;
    let [before, after] = [0, 0];
    const pause: Pause = async () => {
      rounds += 1;
      if (rounds === FIRST_ROUNDS) before = heapInUse();
      if (rounds !== ROUNDS) return;
      after = heapInUse();
      controller.abort();
    };

    await agent(tools, {}, connectedOnce, controller.signal, pause);

    expect((after - before) / (ROUNDS - FIRST_ROUNDS)).toBeLessThan(BYTES_PER_ROUND);
  });
});
