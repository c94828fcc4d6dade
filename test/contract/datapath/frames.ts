// What a Datapath promises about the frames that pass its ports.
import { describe, expect, it } from "vitest";
import type { Endpoint } from "../../../src/cnm/endpoint.ts";
import type { Network } from "../../../src/cnm/network.ts";
import { endpoint } from "../../support/cnm-builder.ts";
import type { SwitchingSuite } from "./suite.ts";

const BROADCAST = "ff:ff:ff:ff:ff:ff";
const NOBODY = "02:99:00:00:00:01";

/** `attach`, `reattach`, `ensureHairpin`. */
export function describeFrames(suite: SwitchingSuite): void {
  const { network } = suite;
  const [one, two, three] = [1, 2, 3].map((n) => endpoint(n)) as [Endpoint, Endpoint, Endpoint]; // of three numbers
  const open = () => network(1, { isGuarded: false });
  const apart = () => network(1, { isIccAllowed: false });
  const attachAll = async (to: Network) => {
    await suite.host.datapath.ensureNetwork(to, []);
    for (const each of [one, two, three]) await suite.host.datapath.attach(to, each, []);
  };
  const send = (from: Endpoint, destination: string, source = from.mac) =>
    suite.host.send(from.sandboxIfName, source, destination);
  const toHost = () => network().hostLink;
  /** Frames of one that a guarded port stops: from a MAC of nobody's, of another endpoint's and of the switch. */
  const forged = async () => {
    const reached: Record<string, readonly string[]> = {};
    for (const source of [NOBODY, two.mac, network().switchMac]) reached[source] = await send(one, BROADCAST, source);
    return reached;
  };
  const nowhere = () => ({ [NOBODY]: [], [two.mac]: [], [network().switchMac]: [] });
  const everybodyButOne = () => [three.sandboxIfName, two.sandboxIfName, toHost()].sort();

  describe("attach", () => {
    it("lets an endpoint's own frames go where they belong", async () => {
      await attachAll(network());

      expect(await send(one, BROADCAST)).toEqual(everybodyButOne());
      expect(await send(one, two.mac)).toEqual([two.sandboxIfName]);
      expect(await send(one, network().switchMac)).toEqual([toHost()]);
    });

    it("keeps frames with a foreign source MAC out of the switch", async () => {
      await attachAll(network());

      expect(await forged()).toEqual(nowhere());
    });

    it("leaves an endpoint the frames for its MAC when another one sends from that MAC", async () => {
      await attachAll(network());
      await send(three, BROADCAST, two.mac);

      expect(await send(one, two.mac)).toEqual([two.sandboxIfName]);
    });

    it("leaves it those frames when a port of a network that is not guarded sends from that MAC", async () => {
      await attachAll(network());
      await suite.host.datapath.attach(open(), three, []);
      await send(three, BROADCAST, two.mac);

      expect(await send(one, two.mac)).toEqual([two.sandboxIfName]);
    });

    it("gives an endpoint no frames for a MAC that is not its own", async () => {
      await attachAll(network());

      expect(await send(one, NOBODY)).toEqual([]);
    });

    it("lets all of that pass on a network that is not guarded", async () => {
      await attachAll(open());

      expect(await send(one, BROADCAST, NOBODY)).toEqual(everybodyButOne());
      expect(await send(one, "02:99:00:00:00:02")).toEqual([three.sandboxIfName, two.sandboxIfName].sort());
      await send(three, BROADCAST, two.mac);
      expect(await send(one, two.mac)).toEqual([three.sandboxIfName]);
    });

    for (const isGuarded of [true, false]) {
      const of = isGuarded ? "a guarded network" : "a network that is not guarded";
      it(`keeps endpoints of ${of} apart without icc, and not from the host [S14]`, async () => {
        await attachAll({ ...apart(), isGuarded });

        expect(await send(one, BROADCAST)).toEqual([toHost()]);
        expect(await send(one, two.mac)).toEqual([]);
        expect(await send(one, network().switchMac)).toEqual([toHost()]);
      });
    }
  });

  describe("reattach", () => {
    it("closes a port that somebody opened", async () => {
      await attachAll({ ...apart(), isGuarded: true });
      for (const { hostIfName } of [one, two, three]) await suite.host.openPort(hostIfName);
      expect(await send(one, BROADCAST, NOBODY)).toEqual(everybodyButOne());

      for (const each of [one, two, three]) await suite.host.datapath.reattach(apart(), each);

      expect(await send(one, BROADCAST)).toEqual([toHost()]);
      expect(await forged()).toEqual(nowhere());
    });

    it("opens a port of a network that is not guarded", async () => {
      await attachAll(open());
      await suite.host.closePort(two.hostIfName);
      expect(await send(one, NOBODY)).toEqual([three.sandboxIfName]);

      await suite.host.datapath.reattach(open(), two);

      expect(await send(one, NOBODY)).toEqual([three.sandboxIfName, two.sandboxIfName].sort());
    });

    it("closes a port that comes back into its switch", async () => {
      await attachAll(network());
      for (const { hostIfName } of [one, two]) await suite.host.release(hostIfName);

      for (const each of [one, two]) await suite.host.datapath.reattach(network(), each);

      expect(await send(one, two.mac)).toEqual([two.sandboxIfName]);
      expect(await send(one, NOBODY)).toEqual([]);
      expect(await forged()).toEqual(nowhere());
    });

    it("closes the ports after the switch was deleted and made again", async () => {
      await attachAll(apart());
      await suite.host.deleteLink(network().switchName);

      await suite.host.datapath.ensureNetwork(apart(), []);
      for (const each of [one, two, three]) await suite.host.datapath.reattach(apart(), each);

      expect(await send(one, BROADCAST)).toEqual([toHost()]);
      expect(await forged()).toEqual(nowhere());
    });
  });

  describe("ensureHairpin", () => {
    const comesBack = () => (suite.host.canHairpin ? [one.sandboxIfName] : []);

    it("lets an endpoint's frames come back to it where the switch can, until it is switched off", async () => {
      await attachAll(network());

      await suite.host.datapath.ensureHairpin(one, true);
      expect(await send(one, one.mac)).toEqual(comesBack());
      await suite.host.datapath.ensureHairpin(one, false);
      expect(await send(one, one.mac)).toEqual([]);
    });

    it("is left as it is by reattach, unless that is told how it shall be", async () => {
      await attachAll(network());
      await suite.host.datapath.ensureHairpin(one, true);

      await suite.host.datapath.reattach(network(), one);
      expect(await send(one, one.mac)).toEqual(comesBack());
      await suite.host.datapath.reattach(network(), one, false);
      expect(await send(one, one.mac)).toEqual([]);
      await suite.host.datapath.reattach(network(), one, true);
      expect(await send(one, one.mac)).toEqual(comesBack());
    });

    it("succeeds for a port that is absent or in no switch", async () => {
      await attachAll(network());
      await suite.host.release(one.hostIfName);

      await suite.host.datapath.ensureHairpin(one, true);
      await suite.host.datapath.ensureHairpin(endpoint(4), true);
    });

    it("leaves the port of another endpoint alone", async () => {
      await attachAll(network());

      await suite.host.datapath.ensureHairpin({ endpointId: two.endpointId, hostIfName: one.hostIfName }, true);

      expect(await send(one, one.mac)).toEqual([]);
    });
  });
}
