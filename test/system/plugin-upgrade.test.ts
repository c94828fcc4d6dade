// The life of the managed plugin beside running containers: installed from a registry, disabled and enabled, upgraded to
// another tag, removed and installed anew.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Census, diffCensus } from "../support/census.ts";
import { selectedEngine } from "../support/engines.ts";
import { TEST_IMAGE } from "../support/image.ts";
import { LabHost } from "../support/lab-host.ts";
import { LabPlugin } from "../support/lab-plugin.ts";
import { PingWatch } from "../support/ping-watch.ts";
import { REGISTRY, startRegistry } from "../support/registry.ts";
import { takeSystemCensus } from "../support/system-census.ts";

const FIRST = `${REGISTRY}/tsnet:9.1`;
const SECOND = `${REGISTRY}/tsnet:9.2`;

describe(`a plugin from a registry on engine ${selectedEngine()}`, () => {
  let lab: LabHost;
  let plugin: LabPlugin;
  let before: Census;

  beforeAll(async () => {
    lab = await LabHost.up();
    await startRegistry(lab);
    for (const [reference, version] of [
      [FIRST, "9.1.0"],
      [SECOND, "9.2.0"],
    ] as const) {
      await LabPlugin.create(lab, reference, version);
      await lab.docker("plugin", "push", reference);
      await lab.docker("plugin", "rm", reference);
    }
  });
  afterAll(async () => {
    await lab?.[Symbol.asyncDispose]();
  });

  it("is installed by its reference, with a setting, and found as `-d tsnet`", async () => {
    await lab.docker("plugin", "install", "--grant-all-permissions", FIRST, "TSNET_POOLS=10.77.0.0/16:24");
    plugin = await LabPlugin.find(lab, FIRST);
    before = await takeSystemCensus(lab.namespace, plugin.stateDir);

    await createNetwork("blue", "--subnet", "10.78.0.0/24");
    for (const name of ["one", "two"]) await lab.docker("run", "-d", "--name", name, "--network", "blue", TEST_IMAGE);

    await expect.poll(lastVersion).toBe("9.1.0");
    expect(await addressesOf("blue")).toEqual(["10.78.0.2/24", "10.78.0.3/24"]);
    expect(await lab.docker("exec", "one", "ping", "-c1", "-W10", "two")).toContain("1 packets received");
  });

  it("keeps networks, addresses and running containers when it is disabled and enabled", async () => {
    const ping = await PingWatch.start(lab, "one", "10.78.0.3");
    const census = await takeSystemCensus(lab.namespace, plugin.stateDir);

    await lab.docker("plugin", "disable", "-f", FIRST);
    await ping.hears();
    await lab.docker("plugin", "enable", FIRST);

    expect(await ping.stop()).toMatchObject({ lost: 0 });
    const sections = Object.keys(census).filter((section) => section !== "processes");
    const changes = async () => diffCensus(census, await takeSystemCensus(lab.namespace, plugin.stateDir), sections);
    await expect.poll(changes, { timeout: 15_000, interval: 500 }).toEqual([]); // it listens before it has recovered
    await expectRecordsAreKept();
  });

  it("keeps networks, addresses, running containers and its settings when it is upgraded to another tag [F17]", async () => {
    const ping = await PingWatch.start(lab, "one", "10.78.0.3");

    await lab.docker("plugin", "disable", "-f", FIRST);
    await lab.docker("plugin", "upgrade", "--grant-all-permissions", "--skip-remote-check", FIRST, SECOND);
    await lab.docker("plugin", "enable", FIRST);

    await expect.poll(lastVersion).toBe("9.2.0"); // the engine writes it down behind its answer
    expect(await ping.stop()).toMatchObject({ lost: 0 });
    await expectRecordsAreKept();
    await createNetwork("red");
    expect(await lab.docker("network", "inspect", "--format", "{{range .IPAM.Config}}{{.Subnet}}{{end}}", "red")).toBe(
      "10.77.0.0/24",
    );
  });

  it("lets running containers talk on after it was removed, while the engine still lists its networks [F19]", async () => {
    const ping = await PingWatch.start(lab, "one", "10.78.0.3");

    await lab.docker("plugin", "rm", "-f", FIRST);

    expect(await ping.stop()).toMatchObject({ lost: 0 });
    expect(
      (await lab.docker("network", "ls", "--format", "{{.Name}}", "--filter", "driver=tsnet")).split("\n"),
    ).toEqual(["blue", "red"]);
  });

  it("says after it was installed anew that an old network must be recreated [F19]", async () => {
    await lab.docker("plugin", "install", "--grant-all-permissions", SECOND, "TSNET_POOLS=10.77.0.0/16:24");
    plugin = await LabPlugin.find(lab, SECOND);

    const attempt = lab.docker("run", "--rm", "--network", "blue", TEST_IMAGE, "true");

    await expect(attempt).rejects.toThrow(/remove (the|and recreate the) network/);
  });

  it("removes what an old network left on the host, and nothing of it stays [F19]", async () => {
    await lab.docker("rm", "-f", "one", "two");
    await lab.docker("network", "rm", "blue", "red");

    const after = await takeSystemCensus(lab.namespace, plugin.stateDir);
    const sections = Object.keys(before).filter((section) => !["processes", "plugin sockets"].includes(section));
    expect(diffCensus(before, after, sections)).toEqual([]);
  });

  it("makes networks and containers again", async () => {
    await createNetwork("blue");
    for (const name of ["one", "two"]) await lab.docker("run", "-d", "--name", name, "--network", "blue", TEST_IMAGE);

    expect(await lab.docker("exec", "one", "ping", "-c1", "-W10", "two")).toContain("1 packets received");
  });

  async function createNetwork(name: string, ...options: string[]): Promise<void> {
    await lab.docker("network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", ...options, name);
  }

  /** The addresses of the containers that run are still theirs, and a container that is started again gets its own. */
  async function expectRecordsAreKept(): Promise<void> {
    const stolen = lab.docker("run", "--rm", "--network", "blue", "--ip", "10.78.0.3", TEST_IMAGE, "true");
    await expect(stolen).rejects.toThrow(/remote: .*10\.78\.0\.3/);
    await lab.docker("run", "-d", "--name", "three", "--network", "blue", TEST_IMAGE);
    expect(await lab.docker("exec", "three", "ping", "-c1", "-W10", "two")).toContain("1 packets received");
    expect((await addressesOf("blue")).slice(0, 2)).toEqual(["10.78.0.2/24", "10.78.0.3/24"]);
    expect(await addressesOf("blue")).toHaveLength(3);
    await lab.docker("rm", "-f", "three");
  }

  async function addressesOf(network: string): Promise<string[]> {
    const template = "{{range .Containers}}{{println .IPv4Address}}{{end}}";
    return (await lab.docker("network", "inspect", "--format", template, network)).trim().split("\n").sort();
  }

  function lastVersion(): string | undefined {
    const line = plugin.log().findLast((text) => text.includes('"msg":"listening"')) ?? "";
    return /"version":"([^"]+)"/.exec(line)?.[1];
  }
});
