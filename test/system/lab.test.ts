// The lab itself, with nothing of tsnet in it: what every other system test rests on. Run for another engine with
// TSNET_ENGINE=26.1 or 28.5.
import { existsSync } from "node:fs";
import { mkdir, readFile, readdir, readlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { diffCensus, takeAtRest, takeCensus } from "../support/census.ts";
import { selectedEngine } from "../support/engines.ts";
import { TEST_IMAGE } from "../support/image.ts";
import { cgroupNamesOf, findCgroups } from "../support/lab-cgroups.ts";
import { LabHost } from "../support/lab-host.ts";
import { LabNamespace, networkNamespaceOf } from "../support/lab-namespace.ts";
import { ECHO_PORT, type Neighbour, cable } from "../support/neighbour.ts";

const COMPOSE = `
services:
  server: { image: "${TEST_IMAGE}", init: false }
  client: { image: "${TEST_IMAGE}" }
`;

describe(`lab host with engine ${selectedEngine()}`, () => {
  let lab: LabHost;
  let neighbour: Neighbour;

  beforeAll(async () => {
    lab = await LabHost.up();
    neighbour = await lab.addNeighbour();
    await lab.docker("network", "create", "-d", "bridge", "lab-net");
    for (const name of ["one", "two"]) await lab.docker("run", "-d", "--net", "lab-net", "--name", name, TEST_IMAGE);
  });
  afterAll(async () => {
    await neighbour?.[Symbol.asyncDispose]();
    await lab?.[Symbol.asyncDispose]();
  });

  it("runs the engine that was asked for, in a network namespace of its own", async () => {
    const info = await lab.docker.api.version();

    expect(info.Version).toBe(lab.engine.fullVersion);
    expect(networkNamespaceOf(lab.namespace.keeperPid)).not.toBe(networkNamespaceOf("self"));
    expect(await readdir("/sys/class/net")).not.toContain("docker0");
  });

  it("lets two containers on one bridge reach each other by name", async () => {
    const output = await lab.docker("exec", "one", "ping", "-c1", "-W10", "two");

    expect(output).toContain("1 packets received");
  });

  it("shows the neighbour the lab host's address instead of the container's, over TCP and UDP", async () => {
    expect(await lab.docker("exec", "one", "nc", "-w10", neighbour.address, String(ECHO_PORT))).toBe("192.0.2.10");
    expect(await lab.askEcho("tcp", neighbour.address, "one")).toBe("192.0.2.10");
    expect(await lab.askEcho("udp", neighbour.address, "one")).toBe("192.0.2.10");
  });

  it("lets the host and a container reach a host two hops away", async () => {
    await using beyond = await neighbour.addBeyond();

    expect(await lab.askEcho("tcp", beyond.address, "one")).toBe("192.0.2.10");
    expect(await lab.askEcho("tcp", beyond.addressIpv6)).toBe("2001:db8:1::10");
  });

  it("brings up a compose file whose services find each other by name, and takes it down again", async () => {
    const folder = join(lab.folder, "composed");
    await mkdir(folder);
    await writeFile(join(folder, "docker-compose.yml"), `version: "3"\n${COMPOSE}`);
    const before = await takeCensus(lab.namespace);

    await lab.compose(folder, "up", "-d");
    const output = await lab.compose(folder, "exec", "-T", "client", "ping", "-c1", "-W10", "server");
    await lab.compose(folder, "down");

    expect(output).toContain("1 packets received");
    expect(diffCensus(before, await takeCensus(lab.namespace), ["links", "addresses", "rules"])).toEqual([]);
  });

  it("names a link, an address and a rule that came, and nothing else", async () => {
    const before = await takeAtRest(() => takeCensus(lab.namespace));

    await lab.exec(["ip", "link", "add", "foreign0", "type", "bridge"]);
    await lab.exec(["nft", "add", "table", "inet", "foreign"]);
    const changes = diffCensus(before, await takeCensus(lab.namespace));
    await lab.exec(["ip", "link", "delete", "foreign0"]);
    await lab.exec(["nft", "delete", "table", "inet", "foreign"]);

    expect(changes).toHaveLength(2);
    expect(changes[0]).toMatch(/^links: \+ ifname=foreign0 /);
    expect(changes[1]).toBe("nft: + table inet foreign");
    expect(diffCensus(before, await takeCensus(lab.namespace))).toEqual([]);
  });

  it("counts the same when a cable has just been plugged in as two seconds later", async () => {
    await using near = await LabNamespace.up("near");
    await using far = await LabNamespace.up("far");
    const addresses = ["192.0.2.3/24", "2001:db8::3/64"];
    await cable({ at: near, ifName: "net0", addresses }, { at: far, ifName: "net0", addresses: [] });

    const before = await takeCensus(near);
    await pause(2000);

    expect(before["addresses"]).toContain("net0 2001:db8::3/64");
    expect(diffCensus(before, await takeCensus(near))).toEqual([]);
  });

  it("keeps the containers' names but none of its links over a reboot, and starts again", async () => {
    await lab.simulateReboot();

    expect(await lab.exec(["ls", "/sys/class/net"])).toBe("lan0\nlo");
    expect(await lab.exec(["nft", "list", "ruleset"])).toBe("");
    await lab.dockerd.start();
    await lab.docker("start", "one", "two");
    expect(await lab.docker("exec", "one", "ping", "-c1", "-W10", "two")).toContain("1 packets received");
    expect(await lab.docker("exec", "one", "nc", "-w10", neighbour.address, String(ECHO_PORT))).toBe("192.0.2.10");
  });

  it("leaves no process, network namespace, mount, cgroup or folder behind when it is taken down", async () => {
    const doomed = await LabHost.up({ name: "doomed" });
    await doomed.docker("run", "-d", TEST_IMAGE);
    const { name } = doomed.namespace;
    const cgroups = cgroupNamesOf(doomed.folder);
    const network = networkNamespaceOf(doomed.namespace.keeperPid);

    await doomed[Symbol.asyncDispose]();

    expect(existsSync(doomed.folder)).toBe(false);
    expect(findCgroups(cgroups)).toEqual([]);
    expect(await processesThatMention(name)).toEqual([]);
    expect(await networkNamespaces()).not.toContain(network);
    expect(await readFile("/proc/self/mountinfo", "utf8")).not.toContain(name);
  });
});

/** Those that a process is in; a namespace can also be held by a mount, which `mountinfo` shows. */
async function networkNamespaces(): Promise<string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  return await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/ns/net`).catch(() => "")));
}

async function processesThatMention(text: string): Promise<string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
  return lines.filter((line) => line.includes(text));
}
