// Networks with `parent-address=move` on a Linux bridge and on Open vSwitch in userspace; on a bridge also when its wire is cut.
import { describe, expect, it } from "vitest";
import { describeMovedUplink } from "../../contract/moved-uplink.ts";
import { shell } from "../../support/packet-lab.ts";
import { MovedUplinkStand } from "../../support/moved-uplink-stand.ts";

describeMovedUplink("bridge");
describeMovedUplink("ovs", "netdev");

describe("a network with moved addresses whose switch lets nothing through to the gateways", () => {
  it("is refused with their names, everything is as before, and the host is left alone for a while", async () => {
    await using stand = await MovedUplinkStand.up("bridge");
    const { host } = stand.lab;
    await shell(host, [
      "nft 'add table bridge closed; add chain bridge closed in { type filter hook prerouting priority 0; }'",
      "nft add rule bridge closed in iifname nic0 drop",
    ]);
    const before = await stand.configuration();
    const made = stand.network();
    const refusal =
      "gateways 192.0.2.1, 10.91.0.1, fe80::1 of nic0 did not answer by lan, but had before; nic0 is as before";

    const tried = performance.now();
    await expect(stand.make(made)).rejects.toThrow(refusal);
    const triedMs = performance.now() - tried;
    const ofNic = (lines: readonly string[]) => lines.filter((line) => line.includes("nic0"));
    await expect.poll(async () => ofNic(await stand.configuration())).toEqual(ofNic(before));
    expect(await stand.switchOfNic()).toBeUndefined();

    const begin = performance.now();
    await expect(stand.agent.datapath.ensureNetwork(made, [])).rejects.toThrow(refusal);
    expect(performance.now() - begin).toBeLessThan(triedMs / 2); // no second try so soon
    await stand.agent.datapath.removeNetwork(made, []);
    await expect.poll(() => stand.configuration()).toEqual(before);
    await stand.requireReach();

    await shell(host, ["nft delete table bridge closed"]);
    await stand.make(made);
    expect(await stand.holders()).toEqual(["lan"]);
    await stand.requireReach();
  });
});
