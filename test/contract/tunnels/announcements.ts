// What the other hosts are told: a container that comes is reached at once, whatever they knew before.
import { describe, expect, it } from "vitest";
import { reaches } from "../../support/tunnel-stand.ts";
import { PATIENCE } from "../../support/wait-until.ts";
import type { TunnelSuite } from "../tunnels.ts";

/** It has said nothing when it is asked first. */
const SILENT = { isSilent: true } as const;

/** Well before anybody asks again for an address that has answered, which Linux does after 15 s at the earliest (arp(7), base_reachable_time). */
export const AT_ONCE = { limitMs: PATIENCE > 1 ? 4000 : 10_000 } as const;

export function describeAnnouncements(suite: TunnelSuite): void {
  const { kind } = suite;

  describe.each(["guarded", "not guarded"])("a container that moves to another host, %s", (how) => {
    const more = { isGuarded: how === "guarded" };

    it("is reached there at once with its MAC and addresses, though it says nothing itself [F111]", async () => {
      const { stand } = suite;
      await stand.make(kind, more);
      const network = (n: number) => stand.network(n, kind, more);
      const one = await stand.attach(1, network(1));
      const before = await stand.attach(2, network(2));
      expect(await reaches(one, before.address[4])).toBe(true);
      await stand.detach(2, network(2), before);

      const after = await stand.attach(3, network(3), 2, {}, SILENT);
      expect(await reaches(one, after.address[4], AT_ONCE)).toBe(true);
      await stand.detach(3, network(3), after);

      const beside = await stand.attach(1, network(1), 2, {}, SILENT);
      expect(await reaches(one, beside.address[4], AT_ONCE)).toBe(true);
    });

    it("is reached under its address with another MAC, too [F111]", async () => {
      const { stand } = suite;
      await stand.make(kind, more);
      const network = (n: number) => stand.network(n, kind, more);
      const one = await stand.attach(1, network(1));
      const before = await stand.attach(2, network(2));
      expect(await reaches(one, before.address[4])).toBe(true);
      await stand.detach(2, network(2), before);

      const after = await stand.attach(3, network(3), 2, { mac: "02:42:00:00:00:99" }, SILENT);
      expect(await reaches(one, after.address[4], AT_ONCE)).toBe(true);
    });
  });
}
