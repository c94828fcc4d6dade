// The commands of the README, as they stand there and in that order, typed into a shell on a host with tsnet.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Census } from "../support/census.ts";
import { TEST_IMAGE } from "../support/image.ts";
import { LabOvs } from "../support/lab-ovs.ts";
import { SystemHost } from "../support/system-host.ts";

const README = await readFile(join(import.meta.dirname, "../../README.md"), "utf8");
const SHELL_BLOCKS = blocksOf("sh");
const COMPOSE_FILES = blocksOf("yaml");

describe("the README", () => {
  let host: SystemHost;
  let before: Census;

  beforeAll(async () => {
    host = await SystemHost.up("managed plugin", { isAlone: true });
    await host.docker("tag", TEST_IMAGE, "alpine");
    await LabOvs.start(host.lab.namespace);
    await host.exec(["ip", "link", "add", "eth1", "up", "type", "veth", "peer", "name", "wire"]);
    await host.exec(["ip", "link", "add", "eth0", "up", "type", "veth", "peer", "name", "lan"]);
    await host.exec(["ip", "address", "add", "192.0.2.10/24", "dev", "eth0"]);
    before = await host.census();
  });
  afterAll(async () => await host?.[Symbol.asyncDispose]());

  it("has commands and a compose file", () => {
    expect(SHELL_BLOCKS.length).toBeGreaterThanOrEqual(8);
    expect(COMPOSE_FILES).toHaveLength(1);
  });

  it.each(SHELL_BLOCKS.map((commands, at) => [at + 1, commands] as const))(
    "has commands that all succeed in block %i",
    async (_number, commands) => {
      await host.exec(["sh", "-euc", commands]);
    },
  );

  it("has commands that take away again all that they made", async () => {
    await expect.poll(() => host.changesSince(before), { timeout: 15_000, interval: 500 }).toEqual([]);
  });

  it("has a compose file whose services find each other by name, on a network with its subnet and MTU", async () => {
    const folder = join(host.lab.folder, "readme");
    await mkdir(folder);
    await writeFile(join(folder, "docker-compose.yml"), COMPOSE_FILES[0] ?? "");

    await host.lab.compose(folder, "up", "-d", "db");
    const output = await host.lab.compose(folder, "run", "--rm", "-T", "app");
    const inspected = await host.docker("network", "inspect", "readme_back");
    await host.lab.compose(folder, "down");

    expect(output).toContain("1 packets received");
    expect(JSON.parse(inspected)).toMatchObject([
      { Driver: "tsnet", IPAM: { Driver: "tsnet", Config: [{ Subnet: "10.53.0.0/24" }] }, Options: { mtu: "1400" } },
    ]);
    await expect.poll(() => host.changesSince(before), { timeout: 15_000, interval: 500 }).toEqual([]);
  });

  it("has nothing that makes tsnet complain", () => {
    expect(host.complaints()).toEqual([]);
  });
});

function blocksOf(language: string): readonly string[] {
  return Array.from(
    README.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm")),
    ([, text = ""]) => text,
  );
}
