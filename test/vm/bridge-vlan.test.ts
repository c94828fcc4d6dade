// VLANs on a Linux bridge: who is in which, seen with bridge(8), and who reaches whom. Every VLAN of the host's has a link of
// its own above the bridge; a neighbour is at the other end of the uplink.
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
import { endpoint } from "../support/cnm-builder.ts";
import { canPing, reachable } from "../support/packet-lab.ts";
import { waitUntil } from "../support/wait-until.ts";

const uplink = { parent: UPLINK, isAddressMoved: false };
const RED = networkIn(1, { vlan: 100 }, { uplink });
const BLUE = networkIn(2, { vlan: 200 }, { uplink });
const PLAIN = networkIn(3, {}, { uplink });
const port = (n: number) => endpoint(n).hostIfName;

describe("networks with VLANs on one bridge", () => {
  it("reach their own endpoints, the host and the neighbour, each in its VLAN", async () => {
    await using lab = await vlanLab();
    const { host, neighbour } = lab;
    for (const [of, others] of [
      [RED, []],
      [BLUE, [RED]],
      [PLAIN, [RED, BLUE]],
    ] as const) {
      await host.datapath.check(of, others);
      await host.datapath.ensureNetwork(of, others);
    }
    await using one = await sandboxIn(host, RED, 1, [BLUE, PLAIN]);
    await using _two = await sandboxIn(host, RED, 2, [BLUE, PLAIN]);
    await using blue = await sandboxIn(host, BLUE, 3, [RED, PLAIN]);
    await using plain = await sandboxIn(host, PLAIN, 4, [RED, BLUE]);
    await listenIn(neighbour, 100, "10.1.1.99/24");
    await listenIn(neighbour, 200, "10.1.2.99/24");
    await neighbour.exec(["ip", "address", "add", "10.1.3.99/24", "dev", "wire"]);

    expect(await shownVlans(host, port(1))).toEqual([untagged(100)]);
    expect(await shownVlans(host, port(3))).toEqual([untagged(200)]);
    expect(await shownVlans(host, port(4))).toEqual([untagged(1)]);
    expect(await shownVlans(host, UPLINK)).toEqual([untagged(1), "100", "200"]);
    expect(await shownVlans(host, SWITCH)).toEqual([untagged(1), "100", "200"]);
    await waitUntil("the host to answer", () => canPing(one, "10.1.1.1"));
    const pings = {
      "red to its peer": [one, "10.1.1.3"],
      "red to the neighbour": [one, "10.1.1.99"],
      "blue to the host": [blue, "10.1.2.1"],
      "blue to the neighbour": [blue, "10.1.2.99"],
      "plain to the host": [plain, "10.1.3.1"],
      "plain to the neighbour": [plain, "10.1.3.99"],
    } as const;
    expect(await reachable(pings)).toEqual(Object.keys(pings));
  });
});
