// What networks with `parent-address=move` promise on every switch: who reaches the host and gets out by it before, during and
// after, what ip(8) says of the NIC, and what becomes of it when tsnet, the switch or the NIC is lost.
import { describe, expect, it } from "vitest";
import type { Backend } from "../../src/cnm/network.ts";
import { endpoint } from "../support/cnm-builder.ts";
import { fastest } from "../support/fastest.ts";
import { canPing, shell } from "../support/packet-lab.ts";
import { MovedUplinkStand } from "../support/moved-uplink-stand.ts";
import type { OvsDatapath } from "../support/ovs-host.ts";
import { SteadyStream } from "../support/steady-stream.ts";
import { HOST } from "../support/uplink-lab.ts";
import { PATIENCE, waitUntil } from "../support/wait-until.ts";

/** As for a move alone (`address-move.test.ts`). */
const UNNOTICED_MS = 1000 * PATIENCE;
/** The kernel and Open vSwitch do some things behind their answers. */
const LATE = { timeout: 20_000 * PATIENCE } as const;

/** When the agent is killed: as soon as ip(8) tells this of the switch's link, LINK, or of the NIC. */
const KILL_AT = [
  ["the link is made", /LINK/],
  ["it gets the addresses", /LINK +inet 192\.0\.2\.10/],
  ["the NIC loses them", /Deleted.*nic0 +inet 192\.0\.2\.10/],
] as const;

/** @param datapath - of Open vSwitch. */
export function describeMovedUplink(backend: Backend, datapath?: OvsDatapath): void {
  const name = datapath === undefined ? backend : `${backend} (${datapath})`;

  describe(`a network with moved addresses, backend ${name}`, () => {
    it("keeps connections to the host and through it, two networks share it, and the last gives it back [F107]", async () => {
      await using stand = await MovedUplinkStand.up(backend, datapath);
      const { lab, agent } = stand;
      const before = await stand.configuration();
      const [first, second] = [stand.network(1), stand.network(2)];
      await SteadyStream.serve(lab.host);
      const streams = await Promise.all(Object.values(HOST).map((address) => SteadyStream.start(lab.remote, address)));
      const during = (task: () => Promise<unknown>) => {
        const once = task();
        return Promise.all(streams.map((stream) => stream.during(() => once)));
      };

      const moves = async () => {
        const there = await during(() => stand.make(first));
        await stand.requireReach();
        await stand.make(second, [first]);
        const holders = await stand.holders();
        const container = await stand.attach(first, 1, "192.0.2.51");
        for (const [from, to] of [
          [container, "192.0.2.1"],
          [container, HOST[4]],
          [lab.router, "192.0.2.51"],
        ] as const)
          await waitUntil(`${to} to answer`, () => canPing(from, to));
        const shared = await during(async () => {
          await agent.datapath.detach(endpoint(1));
          await agent.datapath.removeNetwork(first, [second]);
          await agent.firewall.apply({ networks: [second], endpoints: [] });
        });
        const stillThere = await stand.holders();
        await stand.requireReach();
        const back = await during(async () => {
          await agent.datapath.removeNetwork(second, []);
          await agent.firewall.apply({ networks: [], endpoints: [] });
        });

        const gaps = [there, shared, back].map((reports) => reports.map(({ longestGapMs }) => longestGapMs.toFixed(0)));
        console.log(
          `${name}: longest gap to the host by IPv4/IPv6, there, with one network less, back: ${gaps.map((each) => each.join("/")).join(" ms, ")} ms`,
        );
        expect(holders).toEqual([first.untaggedLink]);
        expect(stillThere).toEqual(holders);
        expect([...there, ...shared, ...back].every(({ isOrdered }) => isOrdered)).toBe(true);
        return Math.max(...[...there, ...shared, ...back].map(({ longestGapMs }) => longestGapMs));
      };

      expect(await fastest(UNNOTICED_MS, moves)).toBeLessThan(UNNOTICED_MS);
      await expect.poll(() => stand.configuration(), LATE).toEqual(before);
      expect(await stand.switchOfNic()).toBeUndefined();
      await stand.requireReach();
    });

    it("is as it was after a kill at any moment, and can be made then", async () => {
      await using stand = await MovedUplinkStand.up(backend, datapath);
      const before = await stand.configuration();
      const made = stand.network();

      for (const [moment, told] of KILL_AT) {
        const pattern = new RegExp(told.source.replace("LINK", made.untaggedLink));
        const isThere = await stand.watchFor(pattern);
        const making = stand.make(made).catch(() => {});
        await isThere();
        await stand.restart();
        await making;
        await stand.agent.datapath.removeNetwork(made, []);

        await expect.poll(() => stand.configuration(), { ...LATE, message: moment }).toEqual(before);
        expect(await stand.switchOfNic()).toBeUndefined();
        await stand.requireReach();
      }
      await stand.make(made);
      expect(await stand.holders()).toEqual([made.untaggedLink]);
      await stand.requireReach();
    });

    it("has its addresses again after the switch was removed by hand, and after the NIC was pulled out and put in", async () => {
      await using stand = await MovedUplinkStand.up(backend, datapath);
      const made = stand.network();
      await stand.make(made);

      await stand.removeSwitch();
      await stand.agent.datapath.ensureNetwork(made, []);
      await stand.requireReach();
      expect([await stand.holders(), await stand.switchOfNic()]).toEqual([[made.untaggedLink], "lan"]);

      await stand.replugNic();
      await stand.restart();
      await stand.agent.datapath.ensureNetwork(made, []);
      await stand.requireReach();
      expect([await stand.holders(), await stand.switchOfNic()]).toEqual([[made.untaggedLink], "lan"]);
      // The kernel tells some of it late; by itself `poll` waits a second.
      const look = () => stand.agent.datapath.ensureNetwork(made, []);
      await expect.poll(look, { timeout: 10_000 * PATIENCE }).toBe(false);

      await stand.agent.datapath.removeNetwork(made, []);
      expect([await stand.holders(), await stand.switchOfNic()]).toEqual([["nic0"], undefined]);
      await stand.requireReach();
    });

    it("gives the NIC its addresses back when it is removed without any record of it", async () => {
      await using stand = await MovedUplinkStand.up(backend, datapath);
      const made = stand.network();
      await stand.make(made);
      await stand.restart(true);

      await stand.agent.datapath.removeStraySwitch(made.id, new Set());

      expect([await stand.holders(), await stand.switchOfNic()]).toEqual([["nic0"], undefined]);
      await stand.requireReach();
    });

    it("leaves everything as it was when something names the NIC and cannot move", async () => {
      await using stand = await MovedUplinkStand.up(backend, datapath);
      await shell(stand.lab.host, ["ip rule add oif nic0 lookup 100"]);
      const before = await stand.configuration();
      const made = stand.network();

      await expect(stand.make(made)).rejects.toThrow("there is a routing policy rule with oif nic0");
      await stand.agent.datapath.removeNetwork(made, []);

      await expect.poll(() => stand.configuration(), LATE).toEqual(before);
      await stand.requireReach();
    });
  });
}
