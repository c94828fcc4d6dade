import { describe, expect, it } from "vitest";
import { SEEDED_LIMIT_MS, runSeeded } from "./seeded.ts";

/** Of a thousand inputs each. */
const GROUPS = 25;

describe("hostile bytes", () => {
  it(
    "get whole JSON answers, one for each call that was made, and a closed connection; the server lives [F50] [F102]",
    async () => {
      const { accepted, refused } = await runSeeded("bytes", GROUPS);

      expect(Math.min(accepted, refused)).toBeGreaterThan(GROUPS * 20);
    },
    SEEDED_LIMIT_MS,
  );
});
