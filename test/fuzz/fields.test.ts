import { describe, expect, it } from "vitest";
import { SEEDED_LIMIT_MS, runSeeded } from "./seeded.ts";

/** Of a thousand inputs each. */
const GROUPS = 70;

describe("a request with hostile fields", () => {
  it(
    "gets one JSON answer and, refused, changes nothing; what is accepted carries permitted names only and can be taken back [F51] [F67] [F72] [F94] [F95] [F96] [F97] [F98] [F99] [F100]",
    async () => {
      const { accepted, refused } = await runSeeded("fields", GROUPS);

      expect(Math.min(accepted, refused)).toBeGreaterThan(GROUPS * 50);
    },
    SEEDED_LIMIT_MS,
  );
});
