// The real daemon starts on damaged records beside containers that run: nothing of them is touched, and what is asked of it
// afterwards is done, or refused with what to do.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { type Census, diffCensus, takeCensus } from "../../support/census.ts";
import type { EngineEndpoint, EngineNetwork } from "../../support/engine-double.ts";
import { damageRecord, zeroTree } from "../../support/record-files.ts";
import { listRecords } from "../../support/system-records.ts";
import { ServeHost } from "../../support/serve-host.ts";

const PORT = 8080;

/** What is alive, besides rules: those are listed otherwise when no daemon owns their tables. */
const OF_THE_DAEMON: readonly string[] = ["state files", "processes", "nft"];

/** What the kernel adds to links by itself. */
const OF_THE_KERNEL = / fe80::|dst=fe80::|type=anycast/;

/** Two networks with a container each, the first one with a published port. */
class Stand implements AsyncDisposable {
  readonly host: ServeHost;
  readonly blue: EngineNetwork;
  readonly red: EngineNetwork;
  readonly inBlue: EngineEndpoint;
  readonly inRed: EngineEndpoint;
  readonly alive: Census;

  private constructor(host: ServeHost, parts: Pick<Stand, "blue" | "red" | "inBlue" | "inRed" | "alive">) {
    this.host = host;
    ({ blue: this.blue, red: this.red, inBlue: this.inBlue, inRed: this.inRed, alive: this.alive } = parts);
  }

  static async up(): Promise<Stand> {
    const host = await ServeHost.up("damaged");
    try {
      const blue = await host.engine.createNetwork({ subnet: "10.60.0.0/24", gateway: "10.60.0.1" });
      const red = await host.engine.createNetwork({ subnet: "10.61.0.0/24", gateway: "10.61.0.1" });
      const inBlue = await host.engine.start(blue, { port: PORT });
      const inRed = await host.engine.start(red);
      await host.listenIn(inBlue);
      return new Stand(host, { blue, red, inBlue, inRed, alive: await aliveOn(host) });
    } catch (failure) {
      await host[Symbol.asyncDispose]();
      throw failure;
    }
  }

  get file(): string {
    return join(this.host.serve.stateDir, "tsnet.db");
  }

  /** Ends the daemon, damages what it has recorded, and starts it again. */
  async damage(how: (file: string) => void): Promise<void> {
    await this.host.serve.stop();
    how(this.file);
    await this.host.serve.startAgain();
    await this.status();
  }

  /** Waits for recovery. */
  async status(): Promise<{ damage?: readonly string[]; networks: readonly { id: string }[] }> {
    const text = await this.host.exec(
      "curl",
      "-s",
      "--unix-socket",
      "/run/docker/plugins/tsnet.sock",
      "http://tsnet/status",
    );
    return JSON.parse(text) as Awaited<ReturnType<Stand["status"]>>; // status-read.ts
  }

  /** What of links, addresses, routes and rules is other than before the damage. */
  async touched(): Promise<string[]> {
    return diffCensus(this.alive, await aliveOn(this.host));
  }

  async doAllReach(): Promise<boolean[]> {
    const { host, inBlue, inRed } = this;
    return [await host.reachesGateway(inBlue), await host.reachesGateway(inRed), await host.reachesPort(PORT)];
  }

  /** Whatever is marked as the network's or the endpoint's. */
  async marked(id: string): Promise<string[]> {
    return (await this.host.links()).flatMap(({ ifname, ifalias }) => (ifalias?.endsWith(id) === true ? [ifname] : []));
  }

  /** Removes everything, as the engine does. @returns what is left of networks. */
  async removeAll(): Promise<string[]> {
    const { engine } = this.host;
    for (const endpoint of [this.inBlue, this.inRed]) await engine.stop(endpoint);
    for (const network of [this.blue, this.red]) await engine.removeNetwork(network);
    const ids = [this.blue, this.red, this.inBlue, this.inRed].map(({ id }) => id);
    const links = await Promise.all(ids.map((id) => this.marked(id)));
    return [...links.flat(), ...listRecords(this.host.serve.stateDir)];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.host[Symbol.asyncDispose]();
  }
}

async function aliveOn(host: ServeHost): Promise<Census> {
  const census = await takeCensus(host.namespace, join(host.namespace.folder, "scratch"));
  const sections = Object.entries(census).filter(([name]) => !OF_THE_DAEMON.includes(name));
  const kept = sections.map(([name, lines]) => [name, lines.filter((line) => !OF_THE_KERNEL.test(line))] as const);
  const rules = (await host.exec("nft", "list", "ruleset")).split("\n").map((line) => line.trim());
  const words = rules
    .filter((line) => !/^(table .*|flags|flags (owner|persist).*)$/.test(line))
    .flatMap((line) => line.split(/[\s,]+/));
  return { ...Object.fromEntries(kept), rules: words };
}

describe("a daemon that starts on damaged records", () => {
  it("leaves a network whose record is damaged as it is, makes nothing in it, and removes it by its marks [F30]", async () => {
    await using stand = await Stand.up();
    const { host, blue, red } = stand;
    await stand.damage((file) => damageRecord(file, "network", blue.id));

    expect((await stand.touched()).join("\n")).toBe("");
    expect(await stand.doAllReach()).toEqual([true, true, false]); // loopback is relayed by the daemon
    const refusal = `the record of network ${blue.id.slice(0, 12)} is damaged: `;
    expect((await stand.status()).damage).toEqual([expect.stringContaining(refusal)]);
    await expect(host.engine.start(blue)).rejects.toThrow(refusal);
    await host.engine.stop(await host.engine.start(red));
    await expect(host.engine.createNetwork({ subnet: "10.60.0.0/25", gateway: "10.60.0.1" })).rejects.toThrow(
      "overlaps",
    );
    expect((await stand.touched()).join("\n")).toBe("");

    expect(await stand.removeAll()).toEqual([]);
    expect((await stand.status()).damage).toBeUndefined();
    expect(await host.exec("nft", "list", "ruleset")).not.toContain("tsnet");
  });

  it("leaves an endpoint whose record is damaged as it is, gives its address to nobody, and removes it by its marks [F30]", async () => {
    await using stand = await Stand.up();
    const { host, blue, inBlue } = stand;
    await stand.damage((file) => damageRecord(file, "endpoint", inBlue.id));

    expect((await stand.touched()).join("\n")).toBe("");
    expect((await stand.doAllReach()).slice(0, 2)).toEqual([true, true]);
    const other = await host.engine.start(blue);
    expect(other.address).not.toBe(inBlue.address);
    await host.engine.stop(other);
    await host.engine.stop(inBlue);

    expect(await stand.marked(inBlue.id)).toEqual([]);
    expect((await stand.status()).damage).toBeUndefined();
    expect(await host.exec("nft", "list", "ruleset")).not.toContain(inBlue.address.split("/")[0]);
    expect(await stand.removeAll()).toEqual([]);
  });

  it("counts an address whose record is damaged as in use until it is released [F08] [F30]", async () => {
    await using stand = await Stand.up();
    const { host, blue, inBlue } = stand;
    const [bare = ""] = inBlue.address.split("/");
    await stand.damage((file) => damageRecord(file, "address", `${blue.poolId}#${bare}`));

    expect((await stand.touched()).join("\n")).toBe("");
    const wish = { PoolID: blue.poolId, Address: bare, Options: {} };
    await expect(host.engine.ask("IpamDriver.RequestAddress", wish)).rejects.toThrow("is already in use");
    await host.engine.stop(inBlue);
    await expect(host.engine.ask("IpamDriver.RequestAddress", wish)).resolves.toMatchObject({
      Address: inBlue.address,
    });
  });

  it("keeps the subnet of a pool whose record is damaged, and what lives in it [F30]", async () => {
    await using stand = await Stand.up();
    const { host, blue } = stand;
    await stand.damage((file) => damageRecord(file, "pool", blue.poolId));

    expect((await stand.touched()).join("\n")).toBe("");
    expect(await stand.doAllReach()).toEqual([true, true, true]);
    await expect(host.engine.start(blue)).rejects.toThrow(
      "pool 10.60.0.0/24 gives out no addresses, its record is damaged",
    );
    await expect(host.engine.createNetwork({ subnet: "10.60.0.0/16", gateway: "10.60.9.1" })).rejects.toThrow(
      "overlaps",
    );
    expect(await stand.removeAll()).toEqual([]);
    await host.engine.createNetwork({ subnet: "10.60.0.0/24", gateway: "10.60.0.1" });
  });

  it("stays up when nothing can be read: what lives is left alone, what is new refused, what goes removed by marks [F30]", async () => {
    await using stand = await Stand.up();
    const { host, blue, red, inBlue, inRed } = stand;
    await stand.damage((file) => truncateSync(file, 0));

    expect((await stand.touched()).join("\n")).toBe("");
    expect((await stand.doAllReach()).slice(0, 2)).toEqual([true, true]);
    const refusal = /records in .* are damaged: .*; restore it from a copy/;
    await expect(host.engine.createNetwork({ subnet: "10.62.0.0/24", gateway: "10.62.0.1" })).rejects.toThrow(refusal);
    await expect(host.engine.start(blue)).rejects.toThrow(refusal);
    expect((await stand.status()).damage).toEqual([expect.stringMatching(refusal)]);
    await host.engine.stop(inBlue);
    await host.engine.removeNetwork(blue);
    expect([...(await stand.marked(blue.id)), ...(await stand.marked(inBlue.id))]).toEqual([]);
    expect((await stand.marked(red.id)).length + (await stand.marked(inRed.id)).length).toBeGreaterThan(1);
    expect(await host.reachesGateway(inRed)).toBe(true);
  });

  it("stays up on records of a newer format, does not touch them, and names both numbers [F31]", async () => {
    await using stand = await Stand.up();
    const { host, blue, inBlue } = stand;
    let before: readonly string[] = [];
    await stand.damage((file) => {
      using database = new DatabaseSync(file);
      database.exec("PRAGMA user_version = 7");
      database.close();
      before = hashes(stand.host.serve.stateDir);
    });

    expect((await stand.touched()).join("\n")).toBe("");
    const refusal = /have format 7, newer than 2 which this tsnet knows/;
    await expect(host.engine.createNetwork({ subnet: "10.62.0.0/24", gateway: "10.62.0.1" })).rejects.toThrow(refusal);
    await expect(host.engine.start(blue)).rejects.toThrow(refusal);
    await host.engine.stop(inBlue);
    expect(await stand.marked(inBlue.id)).toEqual([]);
    await host.serve.stop();
    expect(hashes(host.serve.stateDir)).toEqual(before);
  });

  it("mends a file with a damaged page, says so in its log, and goes on as if nothing had been", async () => {
    await using stand = await Stand.up();
    await stand.damage((file) => zeroTree(file, "records"));

    expect((await stand.touched()).join("\n")).toBe("");
    expect((await stand.status()).damage).toBeUndefined();
    expect(stand.host.complaints().join()).toMatch(/records mended|nothing was lost/);
    expect(existsSync(`${stand.file}.damaged-1`)).toBe(true);
    expect(await stand.removeAll()).toEqual([]);
  });

  it("is refused beside another one on the same records, which notices nothing [F37]", async () => {
    await using stand = await Stand.up();
    const { host } = stand;
    const other = { TSNET_STATE_DIR: host.serve.stateDir, TSNET_SOCKET: "/run/other.sock" };
    const argv = [
      "env",
      ...Object.entries(other).map((pair) => pair.join("=")),
      process.execPath,
      "dist/tsnet.js",
      "serve",
    ];
    const second = host.exec("sh", "-c", `cd ${process.cwd()} && exec "$0" "$@"`, ...argv);

    await expect(second).rejects.toThrow(`another tsnet uses ${host.serve.stateDir}`);
    expect((await stand.touched()).join("\n")).toBe("");
    expect(await stand.doAllReach()).toEqual([true, true, true]);
    await host.serve.kill9();
    await host.serve.startAgain();
    expect(await stand.removeAll()).toEqual([]);
  });
});

/** Of all files of records but empty ones, which a reader leaves. */
function hashes(directory: string): string[] {
  const files = readdirSync(directory).filter((name) => name.startsWith("tsnet.db") && !name.endsWith("-shm"));
  return files.sort().flatMap((name) => {
    const bytes = readFileSync(join(directory, name));
    return bytes.length === 0 ? [] : [`${name} ${createHash("sha256").update(bytes).digest("hex")}`];
  });
}
