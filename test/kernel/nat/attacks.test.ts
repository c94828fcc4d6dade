// Every frame of the attack catalogue, sent by a container and judged at the victim, three times: without protection, where
// it must work, with it, and with it after a disturbance. What is lawful of the same kind passes each time.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Network } from "../../../src/cnm/network.ts";
import {
  ADDRESSLESS,
  AttackLab,
  GUARDED,
  GUARDED_V4,
  UNGUARDED,
  UNGUARDED_V4,
  sceneOn,
} from "../../support/attack-lab.ts";
import { attacksByMac, attacksOn, lawfulOn } from "../../support/attack-list.ts";
import { macAttacks } from "../../support/attacks-ethernet.ts";
import { AttackRange } from "../../support/attack-range.ts";
import type { Attack } from "../../support/attacks.ts";
import { unwantedIpv6 } from "../../support/attacks-packets.ts";
import { BEYOND } from "../../support/packet-lab.ts";

type Case = readonly [title: string, attack: Attack];

const cases = (attacks: readonly Attack[]): readonly Case[] =>
  attacks.map((attack) => [`${attack.id} ${attack.title}`, attack]);
const against = (network: Network) => cases(attacksOn(sceneOn(network), BEYOND));
const against4 = (network: Network) => cases(unwantedIpv6(sceneOn(network)));
const lawful = (network: Network) => cases(lawfulOn(sceneOn(network)));
const isHeldAnyway = ([, { heldAnywayBy }]: Case) => heldAnywayBy !== undefined;
const namesOf = ({ forms }: Attack) => forms.map(({ name }) => name);

const counted = { sent: 0, dropped: 0, workedUnprotected: 0 };
let stage: AttackLab;

beforeAll(async () => {
  stage = await AttackLab.up();
});
afterAll(async () => {
  await stage?.[Symbol.asyncDispose]();
  const { sent, dropped, workedUnprotected: worked } = counted;
  console.log(
    `forged frames: ${sent} sent forms, ${dropped} of ${sent} dropped (protection off: ${worked} of ${sent} delivered)`,
  );
});

/** A range for the tests of one `describe`. */
function rangeOn(network: Network): () => AttackRange {
  let range: AttackRange;
  beforeAll(() => {
    range = new AttackRange(stage.planFor(network));
  });
  afterAll(() => range?.[Symbol.dispose]());
  return () => range;
}

async function expectToWork(range: AttackRange, attack: Attack): Promise<void> {
  const working = await range.working(attack);
  counted.workedUnprotected += working.length;
  expect(working).toEqual(namesOf(attack));
}

async function expectToFail(range: AttackRange, attack: Attack): Promise<void> {
  const delivered = await range.delivered(attack);
  counted.sent += attack.forms.length;
  counted.dropped += attack.forms.length - delivered.length;
  expect(delivered).toEqual([]);
}

describe("without antispoof, works in every form:", () => {
  const range = rangeOn(UNGUARDED);

  it.each(against(UNGUARDED).filter((each) => !isHeldAnyway(each)))("%s", async (_title, attack) => {
    await expectToWork(range(), attack);
  });
});

describe("without antispoof, fails all the same in every form:", () => {
  const range = rangeOn(UNGUARDED);

  it.each(against(UNGUARDED).filter(([, { heldAnywayBy }]) => heldAnywayBy === "rules"))(
    "%s",
    async (_title, attack) => {
      expect(await range().delivered(attack)).toEqual([]);
    },
  );
});

describe("without antispoof and IPv6, works in every form:", () => {
  const range = rangeOn(UNGUARDED_V4);

  it.each(against4(UNGUARDED_V4))("%s", async (_title, attack) => {
    await expectToWork(range(), attack);
  });
});

describe("with antispoof, fails in every form:", () => {
  const range = rangeOn(GUARDED);

  it.each(against(GUARDED))("%s", async (_title, attack) => {
    await expectToFail(range(), attack);
  });
});

describe("with antispoof and without IPv6, fails in every form: [S21]", () => {
  const range = rangeOn(GUARDED_V4);

  it.each(against4(GUARDED_V4))("%s", async (_title, attack) => {
    await expectToFail(range(), attack);
  });
});

describe("with antispoof and without addresses of tsnet's, fails in every form:", () => {
  const range = rangeOn(ADDRESSLESS);

  it.each(cases(attacksByMac(sceneOn(ADDRESSLESS), BEYOND)))("%s", async (_title, attack) => {
    expect(await range().delivered(attack)).toEqual([]);
  });
});

describe("with antispoof, without addresses of tsnet's and on Linux before 5.18", () => {
  const range = rangeOn(ADDRESSLESS);

  it("no attack works that needs a forged MAC address", async () => {
    await stage.unlock(ADDRESSLESS);
    for (const [, attack] of cases(macAttacks(sceneOn(ADDRESSLESS)))) {
      expect(await range().delivered(attack)).toEqual([]);
    }
  });
});

describe.each([
  ["with antispoof", GUARDED],
  ["with antispoof and without addresses of tsnet's", ADDRESSLESS],
] as const)("%s, passes:", (_describe, network) => {
  const range = rangeOn(network);

  it.each(lawful(network))("%s", async (_title, attack) => {
    expect(await range().delivered(attack)).toEqual(namesOf(attack));
  });
});

describe("on a host that nothing protects, works in every form:", () => {
  beforeAll(async () => await stage.bare(UNGUARDED));
  const range = rangeOn(UNGUARDED);

  it.each(against(UNGUARDED).filter(isHeldAnyway))("%s", async (_title, attack) => {
    await expectToWork(range(), attack);
  });
});

describe.each([
  ["the rules were lost and made anew", async () => await stage.restoreRules()],
  ["the switch was lost and made anew", async () => await stage.replaceSwitch(GUARDED)],
  ["the port was unlocked, as on Linux before 5.18", async () => await stage.unlock(GUARDED)],
])("after %s", (_title, disturb) => {
  beforeAll(disturb);
  const range = rangeOn(GUARDED);

  it("every attack fails in every form [S01, S02, S03, S04, S07, S08, S09, S10, S11, S12, S13, S15, S16, S19]", async () => {
    const delivered: string[] = [];
    for (const [title, attack] of against(GUARDED)) {
      const names = await range().delivered(attack);
      delivered.push(...names.map((name) => `${title}: ${name}`));
    }
    expect(delivered).toEqual([]);
  });

  it("what is lawful passes", async () => {
    for (const [, attack] of lawful(GUARDED)) expect(await range().delivered(attack)).toEqual(namesOf(attack));
  });
});
