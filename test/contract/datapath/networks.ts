// What a Datapath promises about the switches of networks, its own and those of somebody else.
import { describe, expect, it } from "vitest";
import type { Network } from "../../../src/cnm/network.ts";
import { endpoint, ifName, networkId } from "../../support/cnm-builder.ts";
import type { DatapathSuite } from "./suite.ts";

const SHARED = ifName("shared0");

/** `ensureNetwork`, `removeNetwork`, `removeStraySwitch`. */
export function describeNetworks(suite: DatapathSuite): void {
  const { dualStack, link, network, unchangedBy } = suite;

  describe("ensureNetwork", () => {
    it("makes the switch, and the host's link with MAC, MTU and the gateway addresses, set up", async () => {
      const wanted = dualStack(1, { mtu: 1450 });
      await suite.host.datapath.ensureNetwork(wanted, []);

      expect(await link(wanted.switchName)).toMatchObject({ isSwitch: true });
      expect(await link(wanted.hostLink)).toMatchObject({
        mac: wanted.switchMac,
        mtu: 1450,
        isUp: true,
        addresses: ["10.1.1.1/24", "fd00:1:1::1/64"],
      });
    });

    it("changes nothing the second time", async () => {
      expect(await suite.host.datapath.ensureNetwork(dualStack(), [])).toBe(true);

      await unchangedBy(async () => {
        expect(await suite.host.datapath.ensureNetwork(dualStack(), [])).toBe(false);
      });
    });

    for (const mode of ["l2", "isolated"] as const) {
      it(`puts no address on the host in mode ${mode}`, async () => {
        await suite.host.datapath.ensureNetwork(dualStack(1, { mode }), []);

        expect(await link(network().switchName)).toMatchObject({ isSwitch: true });
        expect([...(await suite.host.see()).values()].flatMap(({ addresses }) => addresses)).toEqual([]);
      });
    }

    it("puts back an address that was taken, and sets up the host's link that was set down", async () => {
      await suite.host.datapath.ensureNetwork(network(), []);
      const before = await suite.host.see();
      await suite.host.takeAddress(network().hostLink, "10.1.1.1/24");
      await suite.host.setDown(network().hostLink);

      expect(await suite.host.datapath.ensureNetwork(network(), [])).toBe(true);

      expect(await suite.host.see()).toEqual(before);
    });

    it("finishes a switch that a crash left without its mark", async () => {
      await suite.host.datapath.ensureNetwork(network(), []);
      await suite.host.unmark(network().switchName);

      await suite.host.datapath.ensureNetwork(network(), []);

      expect((await suite.host.datapath.inventory()).switches).toEqual([
        { networkId: networkId(), ifName: network().switchName },
      ]);
    });

    it("refuses a name that a foreign link has, and leaves that link alone [F66]", async () => {
      await suite.host.plantLink(network().switchName);

      await unchangedBy(() =>
        expect(suite.host.datapath.ensureNetwork(network(), [])).rejects.toMatchObject({ code: "conflict" }),
      );
    });

    it("refuses to take a foreign switch for its own, and leaves it alone [F66]", async () => {
      await suite.host.plantSwitch(network().switchName, ["192.0.2.1/24"]);

      await unchangedBy(() =>
        expect(suite.host.datapath.ensureNetwork(network(), [])).rejects.toMatchObject({ code: "conflict" }),
      );
    });

    it("does not make a switch that somebody else had made", async () => {
      await unchangedBy(() =>
        expect(suite.host.datapath.ensureNetwork(network(1, { isSwitchOurs: false }), [])).rejects.toMatchObject({
          code: "host",
        }),
      );
    });
  });

  describe("a switch of somebody else", () => {
    const adopted = (more: Partial<Network> = {}) => network(1, { switchName: SHARED, isSwitchOurs: false, ...more });

    it("gets the host's gateway address and nothing else, and loses it again [F66]", async () => {
      await suite.host.plantSwitch(SHARED, ["192.0.2.1/24"]);
      const before = await suite.host.see();

      const mtu = adopted().hostLink === SHARED ? 1400 : 1500; // Open vSwitch itself gives a bridge the least of its ports
      await suite.host.datapath.ensureNetwork(adopted({ mtu }), []);

      const seen = new Map(await suite.host.see());
      const hostLink = seen.get(adopted().hostLink);
      expect(hostLink?.addresses).toContain("10.1.1.1/24");
      if (adopted().hostLink !== SHARED) seen.delete(adopted().hostLink);
      const withoutGateway = [...seen].map(([name, { addresses, ...rest }]) => {
        return [name, { ...rest, addresses: addresses.filter((address) => address !== "10.1.1.1/24") }] as const;
      });
      expect(new Map(withoutGateway)).toEqual(before);
      await suite.host.datapath.removeNetwork(adopted(), []);
      expect(await suite.host.see()).toEqual(before);
    });

    it("keeps the gateway address that was on it before the network", async () => {
      await suite.host.plantSwitch(SHARED, ["10.1.1.1/24", "192.0.2.1/24"]);

      await unchangedBy(async () => {
        await suite.host.datapath.ensureNetwork(adopted({ keptAddresses: ["10.1.1.1"] }), []);
        await suite.host.datapath.removeNetwork(adopted({ keptAddresses: ["10.1.1.1"] }), []);
      });
    });
  });

  describe("removeNetwork", () => {
    it("removes the switch, and succeeds when there is none", async () => {
      await unchangedBy(async () => {
        await suite.host.datapath.ensureNetwork(network(), []);
        await suite.host.datapath.removeNetwork(network(), []);
        await suite.host.datapath.removeNetwork(network(), []);
      });
    });

    it("removes a switch that a crash left without its mark", async () => {
      await unchangedBy(async () => {
        await suite.host.datapath.ensureNetwork(network(), []);
        await suite.host.unmark(network().switchName);
        await suite.host.datapath.removeNetwork(network(), []);
      });
    });

    it("leaves alone a foreign switch that has the name by now", async () => {
      await suite.host.plantSwitch(network().switchName, ["10.1.1.1/24"]);

      await unchangedBy(() => suite.host.datapath.removeNetwork(network(), []));
    });

    it("leaves a shared switch to the others with their addresses; the last one removes it", async () => {
      const [one, two] = [network(1, { switchName: SHARED }), network(2, { switchName: SHARED })];
      const before = await suite.host.see();
      await suite.host.datapath.ensureNetwork(one, []);
      await suite.host.datapath.ensureNetwork(two, [one]);
      expect((await link(one.hostLink))?.addresses).toEqual(["10.1.1.1/24", "10.1.2.1/24"]);

      await suite.host.datapath.removeNetwork(one, [two]);
      expect((await link(two.hostLink))?.addresses).toEqual(["10.1.2.1/24"]);
      await suite.host.datapath.removeNetwork(two, []);

      expect(await suite.host.see()).toEqual(before);
    });
  });

  describe("removeStraySwitch", () => {
    it("removes the switch that carries the mark for that network, and no other", async () => {
      await suite.host.datapath.ensureNetwork(network(2), []);
      await suite.host.plantSwitch(SHARED);
      await unchangedBy(async () => {
        await suite.host.datapath.ensureNetwork(network(1), []);
        await suite.host.datapath.removeStraySwitch(networkId(1), new Set([network(2).switchName]));
      });
    });

    it("leaves a switch that is in use by others", async () => {
      await suite.host.datapath.ensureNetwork(network(1, { switchName: SHARED }), []);

      await unchangedBy(() => suite.host.datapath.removeStraySwitch(networkId(1), new Set([SHARED])));
    });

    it("leaves a switch with endpoints of a network that is not known", async () => {
      const [made, guest] = [
        network(1, { switchName: SHARED }),
        network(2, { switchName: SHARED, isSwitchOurs: false }),
      ];
      await suite.host.datapath.ensureNetwork(made, []);
      await suite.host.datapath.attach(guest, endpoint(1, 2), [made]);
      const port = endpoint(1, 2).hostIfName;
      await suite.host.datapath.removeStraySwitch(networkId(1), new Set());

      expect(await link(SHARED)).toMatchObject({ isSwitch: true });
      expect(await link(port)).toMatchObject({ isUp: true });
    });
  });
}
