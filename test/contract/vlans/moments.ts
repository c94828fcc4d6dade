// Moments in which something is made or removed, while everybody sends without a pause into every VLAN he can think of: a
// neighbour on the uplink, a container that stays (`steady`), and one that comes and goes (`guest`).
import { describe, expect, it } from "vitest";
import type { Network } from "../../../src/cnm/network.ts";
import type { PortVlans } from "../../../src/vlan.ts";
import { endpoint } from "../../support/cnm-builder.ts";
import { type Permitted, VlanFlooding } from "../../support/vlan-flooding.ts";
import { PATIENCE, type VlanHost } from "../../support/vlan-host.ts";
import { formatTags } from "../../support/vlan-probe.ts";
import { VlanStage } from "../../support/vlan-stage.ts";
import { waitUntil } from "../../support/wait-until.ts";

/** On an emulated processor a round takes seconds. */
const MANY = PATIENCE > 1 ? 3 : 20;
/** For scenes that differ from another one in what stays. */
const FEW = PATIENCE > 1 ? 2 : 5;
/** The container that comes and goes, as the stage makes the first one of network 1. */
const GUEST = endpoint(11, 1);

/** A network of the scene. */
interface Part extends PortVlans {
  readonly isOnUplink: boolean;
}

interface Scene {
  readonly title: string;
  readonly steady: Part;
  readonly guest: Part;
  /** What comes and goes: the guest, its network with it, or its port in the switch alone. */
  readonly what: "container" | "network" | "port";
  readonly rounds: number;
}

const SCENES: readonly Scene[] = [
  {
    title: "a container comes and goes in VLAN 100, beside VLAN 200",
    steady: { vlan: 200, isOnUplink: true },
    guest: { vlan: 100, isOnUplink: true },
    what: "container",
    rounds: MANY,
  },
  {
    title: "a container comes and goes on an untagged network, beside VLAN 200",
    steady: { vlan: 200, isOnUplink: true },
    guest: { isOnUplink: true },
    what: "container",
    rounds: FEW,
  },
  {
    title: "the port of a container is lost and put back in VLAN 100, beside VLAN 200",
    steady: { vlan: 200, isOnUplink: true },
    guest: { vlan: 100, isOnUplink: true },
    what: "port",
    rounds: MANY,
  },
  {
    title: "the port of a container is lost and put back on an untagged network, beside VLAN 200",
    steady: { vlan: 200, isOnUplink: true },
    guest: { isOnUplink: true },
    what: "port",
    rounds: FEW,
  },
  {
    title: "VLAN 100 comes and goes on the uplink, beside VLAN 200",
    steady: { vlan: 200, isOnUplink: true },
    guest: { vlan: 100, isOnUplink: true },
    what: "network",
    rounds: MANY,
  },
  {
    title: "VLAN 100 comes and goes on the uplink, beside an untagged network",
    steady: { isOnUplink: true },
    guest: { vlan: 100, isOnUplink: true },
    what: "network",
    rounds: FEW,
  },
  {
    title: "an untagged network comes and goes on the uplink, beside VLAN 200",
    steady: { vlan: 200, isOnUplink: true },
    guest: { isOnUplink: true },
    what: "network",
    rounds: FEW,
  },
  {
    title: "the uplink itself comes and goes, beside VLAN 200 which does not use it",
    steady: { vlan: 200, isOnUplink: false },
    guest: { vlan: 100, isOnUplink: true },
    what: "network",
    rounds: MANY,
  },
  {
    title: "the uplink itself comes and goes, beside an untagged network which does not use it",
    steady: { isOnUplink: false },
    guest: { vlan: 100, isOnUplink: true },
    what: "network",
    rounds: FEW,
  },
];

/** Creation and removal. */
export function describeMoments(makeHost: () => Promise<VlanHost>): void {
  describe("while everybody sends", () => {
    for (const { title, steady, guest, what, rounds } of SCENES) {
      it(`no frame leaks when ${title}, ${rounds} times [F130, S23]`, async () => {
        await using stage = await VlanStage.up(makeHost);
        const stays = planOf(stage, 2, steady);
        const comes = planOf(stage, 1, guest);
        await stage.make(...(what === "network" ? [stays] : [stays, comes]));
        const there = await stage.attach("steady", stays, 1);
        const home = await stage.machine("guest");
        using flooding = new VlanFlooding(stage);
        flooding.add("uplink", { namespace: stage.neighbour, ifName: "lan0" }, stage.station("uplink"), {
          ...(steady.isOnUplink && inbound(steady, "steady")),
          ...(guest.isOnUplink && inbound(guest, "guest")),
        });
        flooding.add("steady", there, there, outbound(steady));
        const sender = { mac: GUEST.mac, address: GUEST.address?.split("/")[0] ?? "" };
        flooding.add("guest", { namespace: home, ifName: "eth0" }, sender, outbound(guest));
        await stage.settle();

        const { leaks, arrived } = await flooding.during(async () => {
          if (what === "port") await stage.attach("guest", comes, 1, { namespace: home });
          for (let round = 0; round < rounds; round++) {
            if (what === "network") await stage.make(comes);
            if (what === "port") await stage.putBack("guest");
            else await stage.attach("guest", comes, 1, { namespace: home });
            const has = (name: string, at: string) => flooding.isSeen(name, at);
            const both = () => has(`uplink ${tagOf(guest)}`, "guest") && has("guest untagged", "uplink");
            await waitUntil("the guest to be heard and to hear", both, { limitMs: 50_000, intervalMs: 1 });
            flooding.look();
            if (what === "port") await stage.host.release(GUEST.hostIfName);
            else await stage.detach("guest");
            if (what === "network") await stage.unmake(comes);
          }
        });

        expect(leaks).toEqual([]);
        expect(arrived).toEqual(expect.arrayContaining(steady.isOnUplink ? ["steady untagged at uplink"] : []));
      });
    }
  });
}

function planOf(stage: VlanStage, n: number, { vlan, isOnUplink }: Part): Network {
  const { uplink, ...network } = stage.plan(n, vlan === undefined ? {} : { vlan });
  return isOnUplink && uplink !== undefined ? { ...network, uplink } : network;
}

function tagOf({ vlan }: Part): string {
  return formatTags(vlan === undefined ? [] : [vlan]);
}

/** A priority tag alone means no VLAN. */
function inbound(part: Part, at: string): Permitted {
  const there = { [at]: "untagged" };
  return part.vlan === undefined ? { untagged: there, "0": there } : { [tagOf(part)]: there };
}

function outbound(part: Part): Permitted {
  return part.isOnUplink ? { untagged: { uplink: tagOf(part) } } : {};
}
