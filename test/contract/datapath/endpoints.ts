// What a Datapath promises about the ports of endpoints.
import { describe, expect, it } from "vitest";
import { endpoint, endpointId } from "../../support/cnm-builder.ts";
import type { DatapathSuite } from "./suite.ts";

/** `attach`, `reattach`, `detach`. */
export function describeEndpoints(suite: DatapathSuite): void {
  const { link, network, unchangedBy } = suite;

  describe("attach", () => {
    it("makes one port in the switch and a free end with the endpoint's MAC and MTU", async () => {
      await suite.host.datapath.ensureNetwork(network(), []);

      const free = await suite.host.datapath.attach(network(), endpoint(1, 1, { mtu: 1400 }), []);

      expect(free).toBe(endpoint().sandboxIfName);
      expect(await link(endpoint().hostIfName)).toMatchObject({ switchName: network().switchName, isUp: true });
      expect(await link(free)).toMatchObject({ mac: endpoint().mac, mtu: 1400 });
      expect((await link(free))?.switchName).toBeUndefined();
    });

    it("changes neither MAC nor MTU of the host's link", async () => {
      await suite.host.datapath.ensureNetwork(network(), []);
      const before = await link(network().hostLink);
      await suite.host.datapath.attach(network(), endpoint(1, 1, { mtu: 1280, mac: "02:00:00:00:00:01" }), []);

      expect(await link(network().hostLink)).toEqual(before);
      await suite.host.datapath.detach(endpoint());
      expect(await link(network().hostLink)).toEqual(before);
    });

    it("leaves one port when it is called twice", async () => {
      await suite.host.datapath.ensureNetwork(network(), []);
      await suite.host.datapath.attach(network(), endpoint(), []);
      const names = [...(await suite.host.see()).keys()];

      await suite.host.datapath.attach(network(), endpoint(), []);

      expect([...(await suite.host.see()).keys()].sort()).toEqual(names.sort());
    });

    it("makes the switch anew when somebody deleted it", async () => {
      await suite.host.datapath.ensureNetwork(network(), []);
      await suite.host.deleteLink(network().switchName);

      await suite.host.datapath.attach(network(), endpoint(), []);

      expect(await link(network().hostLink)).toMatchObject({ isUp: true, addresses: ["10.1.1.1/24"] });
      expect((await link(endpoint().hostIfName))?.switchName).toBe(network().switchName);
    });

    for (const end of ["hostIfName", "sandboxIfName"] as const) {
      it(`fails when a foreign link has the ${end}, which stays, and leaves nothing [F65]`, async () => {
        await suite.host.datapath.ensureNetwork(network(), []);
        await suite.host.plantLink(endpoint()[end]);

        await unchangedBy(() =>
          expect(suite.host.datapath.attach(network(), endpoint(), [])).rejects.toMatchObject({ code: "host" }),
        );
      });
    }

    it("refuses the MAC of the host's link, and leaves nothing [F68]", async () => {
      await suite.host.datapath.ensureNetwork(network(), []);
      const thief = endpoint(1, 1, { mac: (await link(network().hostLink))?.mac ?? "" });

      await unchangedBy(() =>
        expect(suite.host.datapath.attach(network(), thief, [])).rejects.toMatchObject({ code: "conflict" }),
      );
    });
  });

  describe("reattach", () => {
    it("gives the host's end the MTU of the endpoint, which was changed, and nothing else", async () => {
      await suite.host.datapath.ensureNetwork(network(), []);
      await suite.host.datapath.attach(network(), endpoint(), []);
      const before = await suite.host.see();

      expect(await suite.host.datapath.reattach(network(), endpoint(1, 1, { mtu: 1400 }))).toBe(true);

      const seen = [...before].map(([name, one]) => {
        return [name, name === endpoint().hostIfName ? { ...one, mtu: 1400 } : one] as const;
      });
      expect(await suite.host.see()).toEqual(new Map(seen));
    });

    it("changes nothing about a port that is in its switch, nor about one that is absent", async () => {
      await suite.host.datapath.ensureNetwork(network(), []);
      await suite.host.datapath.attach(network(), endpoint(), []);

      await unchangedBy(async () => {
        expect(await suite.host.datapath.reattach(network(), endpoint())).toBe(false);
        expect(await suite.host.datapath.reattach(network(), endpoint(2))).toBe(false);
      });
    });

    it("puts a port back that was taken out of its switch and set down", async () => {
      await suite.host.datapath.ensureNetwork(network(), []);
      await suite.host.datapath.attach(network(), endpoint(), []);
      const before = await suite.host.see();
      await suite.host.release(endpoint().hostIfName);
      await suite.host.setDown(endpoint().hostIfName);

      expect(await suite.host.datapath.reattach(network(), endpoint())).toBe(true);

      expect(await suite.host.see()).toEqual(before);
    });

    it("sets up a port that was set down", async () => {
      await suite.host.datapath.ensureNetwork(network(), []);
      await suite.host.datapath.attach(network(), endpoint(), []);
      const before = await suite.host.see();
      await suite.host.setDown(endpoint().hostIfName);

      expect(await suite.host.datapath.reattach(network(), endpoint())).toBe(true);

      expect(await suite.host.see()).toEqual(before);
    });

    it("puts a port back after its switch was deleted and made again", async () => {
      await suite.host.datapath.ensureNetwork(network(), []);
      await suite.host.datapath.attach(network(), endpoint(), []);
      await suite.host.deleteLink(network().switchName);

      await suite.host.datapath.ensureNetwork(network(), []);
      await suite.host.datapath.reattach(network(), endpoint());

      expect((await link(endpoint().hostIfName))?.switchName).toBe(network().switchName);
    });

    it("leaves a foreign link of that name alone", async () => {
      await suite.host.datapath.ensureNetwork(network(), []);
      await suite.host.plantLink(endpoint().hostIfName);

      await unchangedBy(async () => {
        expect(await suite.host.datapath.reattach(network(), endpoint())).toBe(false);
      });
    });
  });

  describe("detach", () => {
    it("removes both ends, and succeeds when there are none", async () => {
      await suite.host.datapath.ensureNetwork(network(), []);
      await unchangedBy(async () => {
        await suite.host.datapath.attach(network(), endpoint(), []);
        await suite.host.datapath.detach(endpoint());
        await suite.host.datapath.detach(endpoint());
      });
    });

    it("removes a port that a crash left without its mark", async () => {
      await suite.host.datapath.ensureNetwork(network(), []);
      await unchangedBy(async () => {
        await suite.host.datapath.attach(network(), endpoint(), []);
        await suite.host.unmark(endpoint().hostIfName);
        await suite.host.datapath.detach(endpoint());
      });
    });

    it("leaves a foreign link of that name alone", async () => {
      await suite.host.plantLink(endpoint().hostIfName);

      await unchangedBy(() => suite.host.datapath.detach(endpoint()));
    });

    it("leaves the port of another endpoint alone", async () => {
      await suite.host.datapath.ensureNetwork(network(), []);
      await suite.host.datapath.attach(network(), endpoint(), []);

      await unchangedBy(() =>
        suite.host.datapath.detach({ endpointId: endpointId(2), hostIfName: endpoint().hostIfName }),
      );
    });
  });
}
