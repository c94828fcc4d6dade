// A stage for the tests of one group: made before them, and looked at after each for tags where they do not belong.
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import type { VlanHost } from "../../support/vlan-host.ts";
import type { ProbeWords } from "../../support/vlan-probe.ts";
import { VlanStage } from "../../support/vlan-stage.ts";
import type { Sightings } from "../../support/vlan-stations.ts";

/** @param build - makes networks and containers. @returns the stage, from the group's first test on. */
export function stageFor(
  makeHost: () => Promise<VlanHost>,
  build: (stage: VlanStage) => Promise<unknown>,
): () => VlanStage {
  let stage: VlanStage | undefined;
  const required = () => {
    if (stage === undefined) throw new Error("the stage is made before the first test");
    return stage;
  };

  beforeAll(async () => {
    stage = await VlanStage.up(makeHost);
    await build(stage);
    await stage.settle();
  });
  afterEach(() => {
    expect(required().strangers(), "what was heard where it does not belong").toEqual([]);
  });
  afterAll(async () => {
    await stage?.[Symbol.asyncDispose]();
  });
  return required;
}

/** Expects that one frame comes out at these places, with these tags, and nowhere else. */
export async function expectOut(
  stage: VlanStage,
  expected: Sightings,
  from: string,
  words: ProbeWords = {},
): Promise<void> {
  expect(await stage.send(from, words, Object.keys(expected)), `${from} ${JSON.stringify(words)}`).toEqual(expected);
}
