// A host that is switched on with the managed plugin enabled: dockerd starts it before anything else, when /run is still
// empty and no Open vSwitch runs. If a mount of the plugin were missing then, engine 20.10 would not start at all.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { selectedEngine } from "../support/engines.ts";
import { TEST_IMAGE } from "../support/image.ts";
import { LabHost } from "../support/lab-host.ts";
import { LabPlugin } from "../support/lab-plugin.ts";
import { waitUntil } from "../support/wait-until.ts";

/** Names and the addresses that they ask for. */
const CONTAINERS = { one: "10.61.0.11", two: "10.61.0.12" };
const NAMES = Object.keys(CONTAINERS);

describe(`a reboot with the managed plugin enabled on engine ${selectedEngine()}`, () => {
  let lab: LabHost;
  let addresses: string[];

  beforeAll(async () => {
    lab = await LabHost.up();
    await (await LabPlugin.create(lab)).enable();
    await lab.docker("network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", "--subnet", "10.61.0.0/24", "blue");
    for (const [name, address] of Object.entries(CONTAINERS)) {
      const run = ["run", "-d", "--restart", "always", "--name", name, "--network", "blue", "--ip", address];
      await lab.docker(...run, TEST_IMAGE);
    }
    addresses = await readAddresses();
    await lab.simulateReboot();
    await lab.exec(["rmdir", "/run/docker", "/run/openvswitch"]);
  });
  afterAll(async () => {
    await lab?.[Symbol.asyncDispose]();
  });

  it("comes up with nothing of the engine or of Open vSwitch in /run", async () => {
    expect(await lab.exec(["find", "/run", "-not", "-type", "d"])).toBe("");
    expect(await lab.exec(["ls", "/run"])).not.toMatch(/docker|openvswitch/);

    await lab.dockerd.start();

    const plugin = await LabPlugin.find(lab);
    await waitUntil("the daemon to run", () => plugin.pid() > 0, { limitMs: 60_000 });
  });

  it("has the network, its gateway address, its containers and their addresses back [F25]", async () => {
    await waitUntil(
      "both containers to run",
      async () => {
        const states = await lab.docker("inspect", "--format", "{{.State.Running}}", ...NAMES);
        return states === "true\ntrue";
      },
      { limitMs: 60_000 },
    );

    expect(await readAddresses()).toEqual(addresses);
    expect(await lab.exec(["ip", "-o", "address"])).toContain(" 10.61.0.1/24 ");
    expect(await lab.docker("exec", "one", "ping", "-c1", "-W10", "two")).toContain("1 packets received");
  });

  it("takes new networks and containers", async () => {
    await lab.docker("network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", "red");

    const output = await lab.docker("run", "--rm", "--network", "red", TEST_IMAGE, "ip", "-o", "address");

    expect(output).toContain(" 10.210.0.2/24 ");
  });

  async function readAddresses(): Promise<string[]> {
    const template = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.MacAddress}}{{end}}";
    return (await lab.docker("inspect", "--format", template, ...NAMES)).split("\n");
  }
});
