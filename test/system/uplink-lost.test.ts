// An uplink that goes and comes back under a running daemon, which nobody tells.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { EngineEndpoint, EngineNetwork } from "../support/engine-double.ts";
import { repairTime } from "../support/outage.ts";
import { ServeHost } from "../support/serve-host.ts";
import { waitUntil } from "../support/wait-until.ts";

/** Of which no machine of this host's is the gateway: mode l2. */
const WISH = { subnet: "10.97.0.0/24", gateway: "10.97.0.1", options: { parent: "up0" } } as const;
const OUTSIDE = "10.97.0.250";
/** Contract section 5, rule 5. */
const REPAIR_MS = 5000;

describe("a network with an uplink", () => {
  let host: ServeHost;
  let network: EngineNetwork;
  let one: EngineEndpoint;
  let two: EngineEndpoint;

  beforeAll(async () => {
    host = await ServeHost.up("uplink-lost");
    await host.exec("ip", "netns", "add", "segment");
    await plugIn("02:00:00:00:00:a1");
    network = await host.engine.createNetwork(WISH);
    [one, two] = [await host.engine.start(network), await host.engine.start(network)];
  });
  afterAll(async () => await host?.[Symbol.asyncDispose]());

  /** The link and a machine behind it, which has one MAC address always. */
  async function plugIn(mac: string): Promise<void> {
    const lines = [
      `ip link add up0 address ${mac} up type veth peer name eth0 address 02:00:00:00:00:99 netns segment`,
      `ip -netns segment address add ${OUTSIDE}/24 dev eth0`,
      "ip -netns segment link set eth0 up",
    ];
    await host.exec("sh", "-ec", lines.join("\n"));
  }

  async function reaches(from: EngineEndpoint, to: string): Promise<boolean> {
    return await host.engine.inside(from, "busybox", "ping", "-c1", "-W1", to).then(
      () => true,
      () => false,
    );
  }

  it("goes on without it, and has it again within 5 s of its return, with another MAC address and number [F105]", async () => {
    await waitUntil("the machine outside to answer", () => reaches(one, OUTSIDE));

    await host.exec("ip", "link", "delete", "up0");
    await waitUntil("the other container to answer", () => reaches(one, two.address.replace(/\/.*/, "")));
    expect(await reaches(one, OUTSIDE)).toBe(false);
    await host.engine.stop(await host.engine.start(network)); // containers come and go meanwhile

    let plugged = 0;
    const replace = async () => {
      await host.exec("sh", "-c", "ip link delete up0 2>/dev/null || true");
      await plugIn(`02:00:00:00:00:b${plugged++}`);
    };
    expect(await repairTime(replace, () => reaches(one, OUTSIDE), REPAIR_MS)).toBeLessThan(REPAIR_MS);
  });

  it("has it in the switch again after it was set down and taken out again and again, without a storm in the log [F108]", async () => {
    const flaps = "for n in $(seq 50); do ip link set up0 down; ip link set up0 up; ip link set up0 nomaster; done";
    const before = host.serve.log().split("\n").length;

    await host.exec("sh", "-ec", flaps);

    await waitUntil("the machine outside to answer again", () => reaches(one, OUTSIDE), { limitMs: 30_000 });
    expect(host.serve.log().split("\n").length - before).toBeLessThan(60);
    expect(host.complaints()).toEqual([]);
  });

  it("is gone with all that it had, but for the link itself", async () => {
    for (const endpoint of [one, two]) await host.engine.stop(endpoint);
    await host.engine.removeNetwork(network);

    expect((await host.links()).filter(({ ifname }) => /^ts[nv]/.test(ifname))).toEqual([]);
    expect(await host.exec("ip", "-o", "link", "show", "up0")).not.toContain("master");
  });
});
