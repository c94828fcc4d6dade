// What the operator has the daemon mend: what carries tsnet's mark and is in no record, and addresses that nobody has.
import { beforeEach, describe, expect, it } from "vitest";
import { ADDRESS_GRACE_MS } from "../../../src/cnm/lost-addresses.ts";
import { CnmLocks } from "../../../src/cnm/parts.ts";
import { Repair, type UnheldAddress } from "../../../src/cnm/repair.ts";
import { TsnetError } from "../../../src/errors.ts";
import {
  endpointId,
  endpointRequest,
  joinRequest,
  networkId,
  networkRequest,
  pool4,
} from "../../support/cnm-builder.ts";
import { CnmRig, OTHER_IPAM } from "../../support/cnm-rig.ts";

const UNHELD: UnheldAddress = { addressSpace: "LocalDefault", subnet: "10.1.1.0/24", address: "10.1.1.99" };

let rig: CnmRig;
let released: string[];
let looks: number;
/** For how long addresses have been given out. */
let ageMs: number | undefined;

beforeEach(async () => {
  [rig, released, looks, ageMs] = [new CnmRig(), [], 0, ADDRESS_GRACE_MS];
  await rig.createNetwork(networkRequest(1, {}, { pools: [{ ...pool4(), auxAddresses: ["10.1.1.77/24"] }] }));
  await rig.createEndpoint(endpointRequest(1));
  await rig.join(joinRequest(1));
});

async function repair(...addresses: readonly UnheldAddress[]) {
  const { registry, datapath, ovs, firewall, ports } = rig;
  const pools = {
    ...OTHER_IPAM,
    releaseAddress: async (_space: string, _subnet: string, address: string) => void released.push(address),
  };
  const parts = {
    registry,
    datapaths: { bridge: datapath, ovs },
    links: datapath,
    firewall,
    ports,
    pools,
    locks: new CnmLocks(),
    releaseAddresses: async () => {},
    lookAtHost: async () => void looks++,
    heldForMs: () => ageMs,
  };
  return new Repair(parts).run({ addresses });
}

describe("the repair that an operator asks for", () => {
  it("changes nothing where nothing is wrong, and has the host looked at", async () => {
    const before = rig.datapath.snapshot();

    expect(await repair()).toEqual({ done: [], left: [] });
    expect([rig.datapath.snapshot(), looks]).toEqual([before, 1]);
  });

  it("removes a switch and a port without a record, a port on that switch first", async () => {
    const before = rig.datapath.snapshot();
    const stray = `tsv${endpointId(9).slice(0, 12)}`;
    rig.datapath.plant("tsn-9", { kind: "switch", mark: `network:${networkId(9)}` });
    rig.datapath.plant(stray, {
      kind: "port",
      backend: "bridge",
      mark: `endpoint:${endpointId(9)}`,
      switchName: "tsn-9",
    });
    rig.ovs.plant("tsn-8", { kind: "switch", mark: `network:${networkId(8)}` });

    const { done, left } = await repair();

    expect([[...done].sort(), left]).toEqual([["tsn-8 removed", "tsn-9 removed", `${stray} removed`].sort(), []]);
    expect(rig.datapath.snapshot()).toEqual(before);
  });

  it("leaves what carries no mark, whatever it is called", async () => {
    rig.datapath.plant("tsn-0123456789a", { kind: "switch" });
    const before = rig.datapath.snapshot();

    expect(await repair()).toEqual({ done: [], left: [] });
    expect(rig.datapath.snapshot()).toEqual(before);
  });

  it("leaves a port whose other end is in a container, and the switch that it is on, and says so", async () => {
    const stray = `tsv${endpointId(9).slice(0, 12)}`;
    const mark = `endpoint:${endpointId(9)}`;
    rig.datapath.plant("tsn-9", { kind: "switch", mark: `network:${networkId(9)}` });
    rig.datapath.plant(stray, { kind: "port", backend: "bridge", mark, switchName: "tsn-9", isAway: true });
    const before = rig.datapath.snapshot();

    const { done, left } = await repair();

    expect([done, rig.datapath.snapshot()]).toEqual([[], before]);
    expect(left).toContain(
      `${stray} was not removed: its other end is in a container, whose connections go on; \`ip link del\` ends them`,
    );
  });

  it("says what it could not remove, and removes the others", async () => {
    rig.datapath.plant("tsn-9", { kind: "switch", mark: `network:${networkId(9)}` });
    rig.ovs.plant("tsn-8", { kind: "switch", mark: `network:${networkId(8)}` });
    rig.datapath.failWrite(1);

    const { done, left } = await repair();

    expect(done).toEqual(["tsn-8 removed"]);
    expect(left).toEqual([expect.stringMatching(/^tsn-9 was not removed: network .* cannot be removed/)]);
  });

  it("goes on with the other switches while Open vSwitch is away", async () => {
    rig.datapath.plant("tsn-9", { kind: "switch", mark: `network:${networkId(9)}` });
    rig.ovs.onCall = () => {
      throw new TsnetError("unavailable", "Open vSwitch does not answer");
    };

    expect(await repair()).toEqual({ done: ["tsn-9 removed"], left: [] });
  });

  it("removes nothing while a record is damaged", async () => {
    rig.datapath.plant("tsn-9", { kind: "switch", mark: `network:${networkId(9)}` });
    rig.registry.damage.add("endpoint", endpointId(5), { torn: true });
    const before = rig.datapath.snapshot();

    const { done, left } = await repair(UNHELD);

    expect([done, left, released]).toEqual([[], [expect.stringContaining("records are damaged")], []]);
    expect(rig.datapath.snapshot()).toEqual(before);
  });

  it("releases an address that nobody has", async () => {
    expect(await repair(UNHELD)).toEqual({ done: ["address 10.1.1.99 of 10.1.1.0/24 released"], left: [] });
    expect(released).toEqual(["10.1.1.99"]);
  });

  it.each<[what: string, change: Partial<UnheldAddress>, why: string]>([
    ["that an endpoint has", { address: "10.1.1.2" }, "an endpoint has it, or the network itself"],
    ["of the network's gateway", { address: "10.1.1.1" }, "an endpoint has it, or the network itself"],
    ["that the network keeps", { address: "10.1.1.77" }, "an endpoint has it, or the network itself"],
    ["of no network", { subnet: "10.1.2.0/24" }, "which network it is of cannot be told"],
  ])("does not release an address %s", async (_what, change, why) => {
    const { done, left } = await repair({ ...UNHELD, ...change });

    expect([done, released]).toEqual([[], []]);
    expect(left).toEqual([expect.stringContaining(why)]);
  });

  it("does not release an address that was given out just now: its container may be about to start", async () => {
    ageMs = ADDRESS_GRACE_MS - 1;

    const { left } = await repair(UNHELD);

    expect([released, left]).toEqual([[], [expect.stringContaining("a container may be about to start")]]);
  });

  it("does not release an address that is not in use", async () => {
    ageMs = undefined;

    expect((await repair(UNHELD)).left).toEqual([expect.stringContaining("it is not in use")]);
  });
});
