// An uplink with the host's own addresses on a bridge that tells VLANs apart: the host stays in its untagged frames, the
// containers are in a VLAN of the same wire.
import { describe, expect, it } from "vitest";
import {
  SWITCH,
  UPLINK,
  listenIn,
  networkIn,
  sandboxIn,
  shownVlans,
  untagged,
  vlanLab,
} from "../support/bridge-vlan-lab.ts";
import { canPing, reachable, shell } from "../support/packet-lab.ts";
import { waitUntil } from "../support/wait-until.ts";

const uplink = { parent: UPLINK, isAddressMoved: true };
const RED = networkIn(1, { vlan: 100 }, { uplink, mode: "l2" });
const BLUE = networkIn(2, { vlan: 200 }, { uplink });

describe("addresses moved to a bridge with VLANs", () => {
  it("keep the host in the untagged frames of the uplink, and come back with the last network", async () => {
    await using lab = await vlanLab();
    const { host, neighbour } = lab;
    await shell(host.namespace, [
      `ip link set ${UPLINK} up; ip address add 192.0.2.10/24 dev ${UPLINK}`,
      `ip route add default via 192.0.2.1 dev ${UPLINK}`,
    ]);
    await shell(neighbour, ["ip address add 192.0.2.1/24 dev wire"]);
    await listenIn(neighbour, 100, "10.1.1.99/24");
    await listenIn(neighbour, 200, "10.1.2.99/24");
    const addresses = () => host.namespace.exec(["ip", "-oneline", "-4", "address", "show", "dev", UPLINK]);
    const before = await addresses();

    await host.datapath.check(RED, []);
    await host.datapath.ensureNetwork(RED, []);
    await using red = await sandboxIn(host, RED, 1, []);
    await host.datapath.check(BLUE, [RED]);
    await host.datapath.ensureNetwork(BLUE, [RED]);
    await using blue = await sandboxIn(host, BLUE, 2, [RED]);

    expect(await shownVlans(host, UPLINK)).toEqual([untagged(1), "100", "200"]);
    expect(await shownVlans(host, SWITCH)).toEqual([untagged(1), "200"]);
    expect(await addresses()).toBe("");
    expect((await host.ipLink(SWITCH)).group).toBe("default");
    const pings = {
      "host to the neighbour": [host.namespace, "192.0.2.1"],
      "neighbour to the host": [neighbour, "192.0.2.10"],
      "red to the neighbour": [red, "10.1.1.99"],
      "blue to the neighbour": [blue, "10.1.2.99"],
      "blue to its gateway": [blue, "10.1.2.1"],
    } as const;
    const reachesAll = async () => (await reachable(pings)).length === Object.keys(pings).length;
    await waitUntil("all to answer", reachesAll, { limitMs: 30_000 });

    await host.datapath.removeNetwork(RED, [BLUE]);
    expect(await shownVlans(host, UPLINK)).toEqual([untagged(1), "200"]);
    await waitUntil("the host to answer", () => canPing(neighbour, "192.0.2.10"));
    await host.datapath.removeNetwork(BLUE, []);

    expect(await addresses()).toBe(before);
    expect((await host.ipLink(UPLINK)).master).toBeUndefined();
    await waitUntil("the host to answer", () => canPing(neighbour, "192.0.2.10"));
  });
});
