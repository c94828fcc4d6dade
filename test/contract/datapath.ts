// What every Datapath promises; run by each implementation and by the fake. The host is looked at through `DatapathHost`,
// which never uses the datapath's own getters.
import { beforeEach, describe, expect, it } from "vitest";
import type { Datapath } from "../../src/cnm/datapath.ts";
import type { Endpoint } from "../../src/cnm/endpoint.ts";
import type { Network } from "../../src/cnm/network.ts";
import { dualStack, endpoint, endpointId, ifName, network, networkId } from "../support/cnm-builder.ts";

/** One link as it is seen from outside. */
export interface SeenLink {
  /** Another link under the same name has another one. */
  readonly identity: number;
  readonly isSwitch: boolean;
  readonly mac?: string;
  readonly mtu?: number;
  readonly isUp: boolean;
  /** Of a port. */
  readonly switchName?: string;
  /** `10.1.1.1/24`, link-local ones left out, sorted. */
  readonly addresses: readonly string[];
}

/** A host to which the datapath has access, seen and disturbed from outside. */
export interface DatapathHost {
  readonly datapath: Datapath;
  /** All links by name. */
  see(): Promise<ReadonlyMap<string, SeenLink>>;
  /** Puts there a switch that is not tsnet's. */
  plantSwitch(name: string, addresses?: readonly string[]): Promise<void>;
  /** Puts there a link that is no switch; nor tsnet's. */
  plantLink(name: string): Promise<void>;
  /** Removes the mark of a link, as if a crash had come before it. */
  unmark(name: string): Promise<void>;
  deleteLink(name: string): Promise<void>;
  takeAddress(name: string, address: string): Promise<void>;
  setDown(name: string): Promise<void>;
  /** Takes a port out of its switch. */
  release(name: string): Promise<void>;
}

/** A host at which frames can be sent and seen. */
export interface SwitchingHost extends Pick<DatapathHost, "datapath" | "deleteLink" | "release"> {
  /**
   * Sends one frame out of a free end, with these MAC addresses.
   *
   * @returns where it came out: names of free ends, and of switches for the host itself, sorted.
   */
  send(freeEnd: string, source: string, destination: string): Promise<readonly string[]>;
  /** Takes all protection off a port, and what the switch knows of the endpoint's MAC, as somebody with a tool could. */
  openPort(name: string): Promise<void>;
  /** Keeps away from a port, likewise, all frames that no address of a known endpoint brings there. */
  closePort(name: string): Promise<void>;
}

/** Titles of promises that an implementation does not keep, each with its reason. */
export type Refused = Readonly<Record<string, string>>;

const SHARED = ifName("shared0");
const BROADCAST = "ff:ff:ff:ff:ff:ff";
const NOBODY = "02:99:00:00:00:01";

/** @param makeHost - called once a test; what it needs to be disposed of is the caller's business. */
export function describeDatapath(name: string, makeHost: () => Promise<DatapathHost>, refused: Refused = {}): void {
  const { promise, checkRefused } = promises(refused);
  let host: DatapathHost;
  const link = async (of: string) => (await host.see()).get(of);
  const unchangedBy = async (work: () => Promise<unknown>) => {
    const before = await host.see();
    await work();
    expect(await host.see()).toEqual(before);
  };

  describe(`Datapath: ${name}`, () => {
    beforeEach(async () => {
      host = await makeHost();
    });

    describe("ensureNetwork", () => {
      promise("makes the switch with its MAC, its MTU and the gateway addresses, set up", async () => {
        const wanted = dualStack(1, { mtu: 1450 });
        await host.datapath.ensureNetwork(wanted);

        expect(await link(wanted.switchName)).toMatchObject({
          isSwitch: true,
          mac: wanted.switchMac,
          mtu: 1450,
          isUp: true,
          addresses: ["10.1.1.1/24", "fd00:1:1::1/64"],
        });
      });

      promise("changes nothing the second time", async () => {
        await host.datapath.ensureNetwork(dualStack());

        await unchangedBy(() => host.datapath.ensureNetwork(dualStack()));
      });

      for (const mode of ["l2", "isolated"] as const) {
        promise(`puts no address on the switch in mode ${mode}`, async () => {
          await host.datapath.ensureNetwork(dualStack(1, { mode }));

          expect(await link(network().switchName)).toMatchObject({ isUp: true, addresses: [] });
        });
      }

      promise("puts back an address that was taken, and sets up a switch that was set down", async () => {
        await host.datapath.ensureNetwork(network());
        const before = await host.see();
        await host.takeAddress(network().switchName, "10.1.1.1/24");
        await host.setDown(network().switchName);

        await host.datapath.ensureNetwork(network());

        expect(await host.see()).toEqual(before);
      });

      promise("finishes a switch that a crash left without its mark", async () => {
        await host.datapath.ensureNetwork(network());
        await host.unmark(network().switchName);

        await host.datapath.ensureNetwork(network());

        expect((await host.datapath.inventory()).switches).toEqual([
          { networkId: networkId(), ifName: network().switchName },
        ]);
      });

      promise("refuses a name that a foreign link has, and leaves that link alone", async () => {
        await host.plantLink(network().switchName);

        await unchangedBy(() =>
          expect(host.datapath.ensureNetwork(network())).rejects.toMatchObject({ code: "conflict" }),
        );
      });

      promise("refuses to take a foreign switch for its own, and leaves it alone", async () => {
        await host.plantSwitch(network().switchName, ["192.0.2.1/24"]);

        await unchangedBy(() =>
          expect(host.datapath.ensureNetwork(network())).rejects.toMatchObject({ code: "conflict" }),
        );
      });

      promise("does not make a switch that somebody else had made", async () => {
        await unchangedBy(() =>
          expect(host.datapath.ensureNetwork(network(1, { isSwitchOurs: false }))).rejects.toMatchObject({
            code: "host",
          }),
        );
      });
    });

    describe("a switch of somebody else", () => {
      const adopted = (more: Partial<Network> = {}) => network(1, { switchName: SHARED, isSwitchOurs: false, ...more });

      promise("gets the gateway address and nothing else, and loses it again", async () => {
        await host.plantSwitch(SHARED, ["192.0.2.1/24"]);
        const before = await host.see();

        await host.datapath.ensureNetwork(adopted({ mtu: 1400 }));

        expect((await link(SHARED))?.addresses).toEqual(["10.1.1.1/24", "192.0.2.1/24"]);
        expect(await link(SHARED)).toMatchObject({ ...before.get(SHARED), addresses: expect.anything() as string[] });
        await host.datapath.removeNetwork(adopted(), []);
        expect(await host.see()).toEqual(before);
      });

      promise("keeps the gateway address that was on it before the network", async () => {
        await host.plantSwitch(SHARED, ["10.1.1.1/24", "192.0.2.1/24"]);

        await unchangedBy(async () => {
          await host.datapath.ensureNetwork(adopted({ keptAddresses: ["10.1.1.1"] }));
          await host.datapath.removeNetwork(adopted({ keptAddresses: ["10.1.1.1"] }), []);
        });
      });
    });

    describe("removeNetwork", () => {
      promise("removes the switch, and succeeds when there is none", async () => {
        await unchangedBy(async () => {
          await host.datapath.ensureNetwork(network());
          await host.datapath.removeNetwork(network(), []);
          await host.datapath.removeNetwork(network(), []);
        });
      });

      promise("removes a switch that a crash left without its mark", async () => {
        await unchangedBy(async () => {
          await host.datapath.ensureNetwork(network());
          await host.unmark(network().switchName);
          await host.datapath.removeNetwork(network(), []);
        });
      });

      promise("leaves alone a foreign switch that has the name by now", async () => {
        await host.plantSwitch(network().switchName, ["10.1.1.1/24"]);

        await unchangedBy(() => host.datapath.removeNetwork(network(), []));
      });

      promise("leaves a shared switch to the others with their addresses; the last one removes it", async () => {
        const [one, two] = [network(1, { switchName: SHARED }), network(2, { switchName: SHARED })];
        const before = await host.see();
        await host.datapath.ensureNetwork(one);
        await host.datapath.ensureNetwork(two);
        expect((await link(SHARED))?.addresses).toEqual(["10.1.1.1/24", "10.1.2.1/24"]);

        await host.datapath.removeNetwork(one, [two]);
        expect((await link(SHARED))?.addresses).toEqual(["10.1.2.1/24"]);
        await host.datapath.removeNetwork(two, []);

        expect(await host.see()).toEqual(before);
      });
    });

    describe("removeStraySwitch", () => {
      promise("removes the switch that carries the mark for that network, and no other", async () => {
        await host.datapath.ensureNetwork(network(2));
        await host.plantSwitch(SHARED);
        await unchangedBy(async () => {
          await host.datapath.ensureNetwork(network(1));
          await host.datapath.removeStraySwitch(networkId(1), new Set([network(2).switchName]));
        });
      });

      promise("leaves a switch that is in use by others", async () => {
        await host.datapath.ensureNetwork(network(1, { switchName: SHARED }));

        await unchangedBy(() => host.datapath.removeStraySwitch(networkId(1), new Set([SHARED])));
      });
    });

    describe("attach", () => {
      promise("makes one port in the switch and a free end with the endpoint's MAC and MTU", async () => {
        await host.datapath.ensureNetwork(network());

        const free = await host.datapath.attach(network(), endpoint(1, 1, { mtu: 1400 }));

        expect(free).toBe(endpoint().sandboxIfName);
        expect(await link(endpoint().hostIfName)).toMatchObject({ switchName: network().switchName, isUp: true });
        expect(await link(free)).toMatchObject({ mac: endpoint().mac, mtu: 1400 });
        expect((await link(free))?.switchName).toBeUndefined();
      });

      promise("changes neither MAC nor MTU of the switch", async () => {
        await host.datapath.ensureNetwork(network());
        const before = await link(network().switchName);
        await host.datapath.attach(network(), endpoint(1, 1, { mtu: 1280, mac: "02:00:00:00:00:01" }));

        expect(await link(network().switchName)).toEqual(before);
        await host.datapath.detach(endpoint());
        expect(await link(network().switchName)).toEqual(before);
      });

      promise("leaves one port when it is called twice", async () => {
        await host.datapath.ensureNetwork(network());
        await host.datapath.attach(network(), endpoint());
        const names = [...(await host.see()).keys()];

        await host.datapath.attach(network(), endpoint());

        expect([...(await host.see()).keys()].sort()).toEqual(names.sort());
      });

      promise("makes the switch anew when somebody deleted it", async () => {
        await host.datapath.ensureNetwork(network());
        await host.deleteLink(network().switchName);

        await host.datapath.attach(network(), endpoint());

        expect(await link(network().switchName)).toMatchObject({ isUp: true, addresses: ["10.1.1.1/24"] });
        expect((await link(endpoint().hostIfName))?.switchName).toBe(network().switchName);
      });

      for (const end of ["hostIfName", "sandboxIfName"] as const) {
        promise(`fails when a foreign link has the ${end}, which stays, and leaves nothing`, async () => {
          await host.datapath.ensureNetwork(network());
          await host.plantLink(endpoint()[end]);

          await unchangedBy(() =>
            expect(host.datapath.attach(network(), endpoint())).rejects.toMatchObject({ code: "host" }),
          );
        });
      }

      promise("refuses the MAC of the switch itself, and leaves nothing", async () => {
        await host.datapath.ensureNetwork(network());
        const thief = endpoint(1, 1, { mac: network().switchMac });

        await unchangedBy(() =>
          expect(host.datapath.attach(network(), thief)).rejects.toMatchObject({ code: "conflict" }),
        );
      });
    });

    describe("reattach", () => {
      promise("changes nothing about a port that is in its switch, nor about one that is absent", async () => {
        await host.datapath.ensureNetwork(network());
        await host.datapath.attach(network(), endpoint());

        await unchangedBy(async () => {
          await host.datapath.reattach(network(), endpoint());
          await host.datapath.reattach(network(), endpoint(2));
        });
      });

      promise("puts a port back that was taken out of its switch and set down", async () => {
        await host.datapath.ensureNetwork(network());
        await host.datapath.attach(network(), endpoint());
        const before = await host.see();
        await host.release(endpoint().hostIfName);
        await host.setDown(endpoint().hostIfName);

        await host.datapath.reattach(network(), endpoint());

        expect(await host.see()).toEqual(before);
      });

      promise("sets up a port that was set down", async () => {
        await host.datapath.ensureNetwork(network());
        await host.datapath.attach(network(), endpoint());
        const before = await host.see();
        await host.setDown(endpoint().hostIfName);

        await host.datapath.reattach(network(), endpoint());

        expect(await host.see()).toEqual(before);
      });

      promise("puts a port back after its switch was deleted and made again", async () => {
        await host.datapath.ensureNetwork(network());
        await host.datapath.attach(network(), endpoint());
        await host.deleteLink(network().switchName);

        await host.datapath.ensureNetwork(network());
        await host.datapath.reattach(network(), endpoint());

        expect((await link(endpoint().hostIfName))?.switchName).toBe(network().switchName);
      });

      promise("leaves a foreign link of that name alone", async () => {
        await host.datapath.ensureNetwork(network());
        await host.plantLink(endpoint().hostIfName);

        await unchangedBy(() => host.datapath.reattach(network(), endpoint()));
      });
    });

    describe("detach", () => {
      promise("removes both ends, and succeeds when there are none", async () => {
        await host.datapath.ensureNetwork(network());
        await unchangedBy(async () => {
          await host.datapath.attach(network(), endpoint());
          await host.datapath.detach(endpoint());
          await host.datapath.detach(endpoint());
        });
      });

      promise("removes a port that a crash left without its mark", async () => {
        await host.datapath.ensureNetwork(network());
        await unchangedBy(async () => {
          await host.datapath.attach(network(), endpoint());
          await host.unmark(endpoint().hostIfName);
          await host.datapath.detach(endpoint());
        });
      });

      promise("leaves a foreign link of that name alone", async () => {
        await host.plantLink(endpoint().hostIfName);

        await unchangedBy(() => host.datapath.detach(endpoint()));
      });

      promise("leaves the port of another endpoint alone", async () => {
        await host.datapath.ensureNetwork(network());
        await host.datapath.attach(network(), endpoint());

        await unchangedBy(() => host.datapath.detach({ endpointId: endpointId(2), hostIfName: endpoint().hostIfName }));
      });
    });

    describe("what is asked", () => {
      promise("inspectSwitch tells absent, ours and foreign switches apart", async () => {
        await host.datapath.ensureNetwork(network());
        await host.plantSwitch(SHARED, ["192.0.2.1/24", "2001:db8::1/64"]);

        expect(await host.datapath.inspectSwitch(ifName("nothing"))).toEqual({ state: "absent" });
        expect(await host.datapath.inspectSwitch(network().switchName)).toEqual({
          state: "ours",
          networkId: networkId(),
        });
        expect(await host.datapath.inspectSwitch(SHARED)).toEqual({
          state: "foreign",
          addresses: ["192.0.2.1/24", "2001:db8::1/64"],
        });
      });

      promise("inspectSwitch refuses a link that is no switch", async () => {
        await host.plantLink("eth9");

        await expect(host.datapath.inspectSwitch(ifName("eth9"))).rejects.toMatchObject({
          code: "conflict",
          message: expect.stringContaining("eth9") as string,
        });
      });

      promise("isNameTaken is true for any link", async () => {
        await host.plantLink("eth9");

        expect(await host.datapath.isNameTaken(ifName("eth9"))).toBe(true);
        expect(await host.datapath.isNameTaken(ifName("eth8"))).toBe(false);
      });

      promise("inventory lists what carries the mark and nothing else", async () => {
        await host.plantSwitch(SHARED);
        await host.plantLink("eth9");
        await host.datapath.ensureNetwork(network());
        await host.datapath.attach(network(), endpoint());

        expect(await host.datapath.inventory()).toEqual({
          switches: [{ networkId: networkId(), ifName: network().switchName }],
          ports: [{ endpointId: endpointId(), ifName: endpoint().hostIfName }],
        });
      });
    });

    checkRefused();
  });
}

/** What a Datapath promises about the frames that pass its ports. @param makeHost - as for `describeDatapath`. */
export function describeSwitching(name: string, makeHost: () => Promise<SwitchingHost>, refused: Refused = {}): void {
  const { promise, checkRefused } = promises(refused);
  let host: SwitchingHost;
  const [one, two, three] = [1, 2, 3].map((n) => endpoint(n)) as [Endpoint, Endpoint, Endpoint]; // of three numbers
  const switchName = network().switchName;
  const open = network(1, { isGuarded: false });
  const apart = network(1, { isIccAllowed: false });
  const attachAll = async (to: Network) => {
    await host.datapath.ensureNetwork(to);
    for (const each of [one, two, three]) await host.datapath.attach(to, each);
  };
  const send = (from: Endpoint, destination: string, source = from.mac) =>
    host.send(from.sandboxIfName, source, destination);
  /** Frames of one that a guarded port stops: from a MAC of nobody's, of another endpoint's and of the switch. */
  const forged = async () => {
    const reached: Record<string, readonly string[]> = {};
    for (const source of [NOBODY, two.mac, network().switchMac]) reached[source] = await send(one, BROADCAST, source);
    return reached;
  };
  const NOWHERE = { [NOBODY]: [], [two.mac]: [], [network().switchMac]: [] };
  const everybodyButOne = [three.sandboxIfName, two.sandboxIfName, switchName].sort();

  describe(`Switching: ${name}`, () => {
    beforeEach(async () => {
      host = await makeHost();
    });

    describe("attach", () => {
      promise("lets an endpoint's own frames go where they belong", async () => {
        await attachAll(network());

        expect(await send(one, BROADCAST)).toEqual(everybodyButOne);
        expect(await send(one, two.mac)).toEqual([two.sandboxIfName]);
        expect(await send(one, network().switchMac)).toEqual([switchName]);
      });

      promise("keeps frames with a foreign source MAC out of the switch", async () => {
        await attachAll(network());

        expect(await forged()).toEqual(NOWHERE);
      });

      promise("leaves an endpoint the frames for its MAC when another one sends from that MAC", async () => {
        await attachAll(network());
        await send(three, BROADCAST, two.mac);

        expect(await send(one, two.mac)).toEqual([two.sandboxIfName]);
      });

      promise("leaves it those frames when a port of a network that is not guarded sends from that MAC", async () => {
        await attachAll(network());
        await host.datapath.attach(open, three);
        await send(three, BROADCAST, two.mac);

        expect(await send(one, two.mac)).toEqual([two.sandboxIfName]);
      });

      promise("gives an endpoint no frames for a MAC that is not its own", async () => {
        await attachAll(network());

        expect(await send(one, NOBODY)).toEqual([]);
      });

      promise("lets all of that pass on a network that is not guarded", async () => {
        await attachAll(open);

        expect(await send(one, BROADCAST, NOBODY)).toEqual(everybodyButOne);
        expect(await send(one, "02:99:00:00:00:02")).toEqual([three.sandboxIfName, two.sandboxIfName].sort());
        await send(three, BROADCAST, two.mac);
        expect(await send(one, two.mac)).toEqual([three.sandboxIfName]);
      });

      for (const isGuarded of [true, false]) {
        const of = isGuarded ? "a guarded network" : "a network that is not guarded";
        promise(`keeps endpoints of ${of} apart without icc, and not from the host`, async () => {
          await attachAll({ ...apart, isGuarded });

          expect(await send(one, BROADCAST)).toEqual([switchName]);
          expect(await send(one, two.mac)).toEqual([]);
          expect(await send(one, network().switchMac)).toEqual([switchName]);
        });
      }
    });

    describe("reattach", () => {
      promise("closes a port that somebody opened", async () => {
        await attachAll({ ...apart, isGuarded: true });
        for (const { hostIfName } of [one, two, three]) await host.openPort(hostIfName);
        expect(await send(one, BROADCAST, NOBODY)).toEqual(everybodyButOne);

        for (const each of [one, two, three]) await host.datapath.reattach(apart, each);

        expect(await send(one, BROADCAST)).toEqual([switchName]);
        expect(await forged()).toEqual(NOWHERE);
      });

      promise("opens a port of a network that is not guarded", async () => {
        await attachAll(open);
        await host.closePort(two.hostIfName);
        expect(await send(one, NOBODY)).toEqual([three.sandboxIfName]);

        await host.datapath.reattach(open, two);

        expect(await send(one, NOBODY)).toEqual([three.sandboxIfName, two.sandboxIfName].sort());
      });

      promise("closes a port that comes back into its switch", async () => {
        await attachAll(network());
        for (const { hostIfName } of [one, two]) await host.release(hostIfName);

        for (const each of [one, two]) await host.datapath.reattach(network(), each);

        expect(await send(one, two.mac)).toEqual([two.sandboxIfName]);
        expect(await send(one, NOBODY)).toEqual([]);
        expect(await forged()).toEqual(NOWHERE);
      });

      promise("closes the ports after the switch was deleted and made again", async () => {
        await attachAll(apart);
        await host.deleteLink(switchName);

        await host.datapath.ensureNetwork(apart);
        for (const each of [one, two, three]) await host.datapath.reattach(apart, each);

        expect(await send(one, BROADCAST)).toEqual([switchName]);
        expect(await forged()).toEqual(NOWHERE);
      });
    });

    describe("ensureHairpin", () => {
      promise("lets an endpoint's frames come back to it, until it is switched off", async () => {
        await attachAll(network());

        await host.datapath.ensureHairpin(one, true);
        expect(await send(one, one.mac)).toEqual([one.sandboxIfName]);
        await host.datapath.ensureHairpin(one, false);
        expect(await send(one, one.mac)).toEqual([]);
      });

      promise("is left as it is by reattach", async () => {
        await attachAll(network());
        await host.datapath.ensureHairpin(one, true);

        await host.datapath.reattach(network(), one);

        expect(await send(one, one.mac)).toEqual([one.sandboxIfName]);
      });

      promise("succeeds for a port that is absent or in no switch", async () => {
        await attachAll(network());
        await host.release(one.hostIfName);

        await host.datapath.ensureHairpin(one, true);
        await host.datapath.ensureHairpin(endpoint(4), true);
      });

      promise("leaves the port of another endpoint alone", async () => {
        await attachAll(network());

        await host.datapath.ensureHairpin({ endpointId: two.endpointId, hostIfName: one.hostIfName }, true);

        expect(await send(one, one.mac)).toEqual([]);
      });
    });

    checkRefused();
  });
}

/** Registers promises; those that are refused are skipped with their reason. */
function promises(refused: Refused) {
  const promised = new Set<string>();
  const promise = (title: string, test: () => Promise<void>): void => {
    promised.add(title);
    const reason = refused[title];
    if (reason === undefined) it(title, test);
    else it.skip(`${title} (${reason})`, test);
  };
  const checkRefused = (): void => {
    it("refuses only promises that there are", () => {
      expect(Object.keys(refused).filter((title) => !promised.has(title))).toEqual([]);
    });
  };
  return { promise, checkRefused };
}
