import { describe, expect, it } from "vitest";
import { originOf, refuseSpanningTree } from "../../../../src/datapath/uplink/moved-uplinks.ts";
import { uplinkVlans } from "../../../../src/datapath/uplink/uplink-vlans.ts";
import type { Link } from "../../../../src/host/rtnetlink-link.ts";
import { ifName, network } from "../../../support/cnm-builder.ts";

const link = (name: string, mac: string): Link => {
  return { index: 1, name, group: 0, mac, mtu: 1500, isUp: true, altNames: [] };
};
const moved = network(1, {
  mode: "l2",
  vlans: { vlan: 100 },
  uplink: { parent: ifName("eth0"), isAddressMoved: true },
});

describe("a spanning tree beside moved addresses", () => {
  it("is refused, whichever network wants which of them, and on a switch that has it already", () => {
    const withTree = network(2, { switchSettings: { stp: true } });
    const refusal = "parent-address=move and stp=true cannot be had on one switch";

    expect(() => refuseSpanningTree([moved, withTree])).toThrow(refusal);
    expect(() => refuseSpanningTree([withTree, moved])).toThrow(refusal);
    expect(() => refuseSpanningTree([moved], true)).toThrow(refusal);
  });

  it("is nobody's concern where one of them is missing", () => {
    refuseSpanningTree([moved]);
    refuseSpanningTree([network(2, { switchSettings: { stp: true } })], true);
  });
});

describe("an uplink with moved addresses", () => {
  it("carries untagged frames besides the VLANs of its networks", () => {
    expect(uplinkVlans(ifName("eth0"), [moved])).toEqual({ tagged: [100], isUntagged: true });
  });
});

describe("the NIC to which a switch's addresses belong", () => {
  it("is the port with the MAC address of the switch's link", () => {
    const [near, far] = [link("eth0", "02:00:00:00:00:01"), link("eth1", "02:00:00:00:00:02")];

    expect(originOf(link("br0", "02:00:00:00:00:02"), [near, far])).toBe(far);
  });

  it("is not guessed", () => {
    const ports = [link("eth0", "02:00:00:00:00:01")];

    expect(() => originOf(link("br0", "02:00:00:00:00:02"), ports)).toThrow("move them by hand first");
  });
});
