// The managed plugin on a real engine: what it may do, where it listens and writes, and how it refuses to start. What it
// promises stands in plugin/privileges.md; test/unit/plugin.test.ts compares that page with config.json.
import { existsSync, lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { selectedEngine } from "../support/engines.ts";
import { TEST_IMAGE } from "../support/image.ts";
import { LabHost } from "../support/lab-host.ts";
import { LabPlugin, type ProcessStatus } from "../support/lab-plugin.ts";
import { median } from "../support/ping-watch.ts";
import { waitUntil } from "../support/wait-until.ts";

/** Bits of linux/capability.h: CAP_NET_BIND_SERVICE 10, CAP_NET_ADMIN 12, CAP_NET_RAW 13. */
const NET_CAPABILITIES = ((1n << 10n) | (1n << 12n) | (1n << 13n)).toString(16).padStart(16, "0");
const NO_CAPABILITIES = "0".repeat(16);
/** What the engine and runc put into the rootfs of every plugin on the host's network: places for mounts, all empty. */
const MADE_BY_ENGINE = [
  ...[".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf"].map(
    (f) => `+ ${f} file`,
  ),
  ...["dev/pts", "dev/shm"].map((f) => `+ ${f} folder`),
];
const SOCKET = "/run/docker/plugins/tsnet.sock";

describe(`the managed plugin on engine ${selectedEngine()}`, () => {
  let lab: LabHost;
  let plugin: LabPlugin;
  let builtFiles: string[];
  const numbers: Record<string, string> = {};

  beforeAll(async () => {
    lab = await LabHost.up();
    plugin = await LabPlugin.create(lab);
    builtFiles = filesOf(plugin.rootfs);
    const { stdout } = await execa("du", ["-sm", "--apparent-size", plugin.rootfs]);
    await plugin.enable();
    numbers["rootfs"] = `${stdout.split("\t")[0]} MiB`;
  });
  afterAll(async () => {
    console.log(`plugin on engine ${selectedEngine()}: ${JSON.stringify(numbers)}`);
    await lab?.[Symbol.asyncDispose]();
  });

  it("is the network driver and the IPAM driver called tsnet, though its own reference is another", async () => {
    await lab.docker("network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", "blue");
    for (const name of ["one", "two"]) await lab.docker("run", "-d", "--name", name, "--network", "blue", TEST_IMAGE);

    const network = await lab.docker.api.getNetwork("blue").inspect();
    expect(network).toMatchObject({ Driver: "tsnet", IPAM: { Driver: "tsnet" } });
    expect(await lab.docker("exec", "one", "ping", "-c1", "-W10", "two")).toContain("1 packets received");
  });

  it("runs with three capabilities of the network and no way to others", () => {
    expect(plugin.status(plugin.pid())).toMatchObject(rights());
  });

  it("starts its commands with the same three capabilities", async () => {
    const seen = new Map<number, ProcessStatus>();
    const daemon = plugin.pid();
    const isNftSeen = () => [...seen.values()].some((status) => status["Name"] === "nft");

    for (let round = 0; round < 10 && !isNftSeen(); round++) {
      const progress = { isDone: false };
      const work = createAndRemoveNetworks().finally(() => (progress.isDone = true));
      while (!progress.isDone) {
        for (const pid of plugin.children(daemon)) seen.set(pid, plugin.status(pid));
        await nextTurn(); // a command that ends before it is looked at runs again in the next round
      }
      await work;
    }

    const children = [...seen.values()].filter((status) => status["CapEff"] !== undefined);
    expect(children.map((status) => status["Name"])).toContain("nft");
    for (const child of children) expect(child).toMatchObject(rights());
  });

  it("does not see the Docker socket, nor a process of the host", async () => {
    const root = join(lab.namespace.outside("/proc"), String(plugin.pid()), "root");

    for (const path of ["run/docker.sock", "var/run/docker.sock", "host/docker.sock"]) {
      expect(existsSync(join(root, path))).toBe(false);
    }
    expect(plugin.status(plugin.pid())["NSpid"]?.split("\t")).toHaveLength(2);
    expect(readdirSync(join(root, "host")).sort()).toEqual(["plugins", "proc-sys-net"]);
  });

  it("listens on its two sockets, for user 0 only, and on no port", async () => {
    const process = `pid=${plugin.pid()},`;

    const unix = (await lab.exec(["ss", "-Hxlp"])).split("\n").filter((line) => line.includes(process));
    const ports = (await lab.exec(["ss", "-Htulnp"])).split("\n").filter((line) => line.includes(process));

    expect(unix).toHaveLength(2);
    expect(ports).toEqual([]);
    const folder = lab.namespace.outside("/run/docker/plugins");
    const sockets = filesOf(folder).filter((line) => line.includes(" socket "));
    const paths = sockets.map((line) => line.replace(/ .*/, "").replace(/[0-9a-f]{64}/, "ID"));
    expect(new Set(paths)).toEqual(new Set(["ID/tsnet.sock", "tsnet.sock"]));
    expect(sockets.filter((line) => !line.includes(" 600 "))).toEqual([]);
  });

  it("switches forwarding on through its writable part of /proc/sys [F91]", async () => {
    await lab.exec(["sysctl", "-qw", "net.ipv4.ip_forward=0"]);

    await lab.docker("network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", "spare");

    expect(await lab.exec(["sysctl", "-n", "net.ipv4.ip_forward"])).toBe("1");
    await lab.docker("network", "rm", "spare");
  });

  it("writes nothing into its root file system [F137]", async () => {
    await lab.docker("plugin", "disable", "-f", "tsnet-plugin");

    const changes = difference(builtFiles, filesOf(plugin.rootfs)).map((line) => line.split(" ").slice(0, 3).join(" "));

    expect(changes.filter((change) => !MADE_BY_ENGINE.includes(change))).toEqual([]);
    await plugin.enable();
  });

  it("removes its sockets when it ends, and listens soon when it starts [F139]", async () => {
    const startTimes: number[] = [];
    const enableTimes: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      await lab.docker("plugin", "disable", "-f", "tsnet-plugin");
      expect(existsSync(lab.namespace.outside(SOCKET))).toBe(false);

      const enabledAt = performance.now();
      await lab.docker("plugin", "enable", "tsnet-plugin");

      enableTimes.push(performance.now() - enabledAt);
      const { time } = lastListening(plugin.log());
      startTimes.push(time - plugin.startedAt(plugin.pid()));
    }
    numbers["enable, median of 5"] = `${Math.round(median(enableTimes))} ms`;
    numbers["start to listening, median of 5"] = `${Math.round(median(startTimes))} ms`;
    numbers["resident, idle"] = `${plugin.status(plugin.pid())["VmRSS"]}`;
    expect(median(startTimes)).toBeLessThan(5000);
  });

  it("keeps its socket when a `tsnet serve` is started beside it", async () => {
    const serve = await lab.startServe();

    expect(await serve.ended).toBe(1);
    expect(serve.log()).toContain("another tsnet answers on /run/docker/plugins/tsnet.sock");
    await createAndRemoveNetworks();
  });

  it("is started again when it was killed, and replaces the socket that it left behind [F139]", async () => {
    const killed = plugin.pid();

    await lab.exec(["kill", "-KILL", String(killed)]);
    await waitUntil("another daemon to listen", () => isListening(plugin, killed), { limitMs: 60_000 });

    await createAndRemoveNetworks();
    expect(await lab.docker("exec", "one", "ping", "-c1", "-W10", "two")).toContain("1 packets received");
  });

  it("leaves a live `tsnet serve` its socket, and says so in the engine's log", async () => {
    await lab.docker("plugin", "disable", "-f", "tsnet-plugin");
    const serve = await lab.startServe();

    await expect(lab.docker("plugin", "enable", "tsnet-plugin")).rejects.toThrow();

    await expect.poll(() => complaintsOf(plugin)).toEqual(["tsnet: another tsnet answers on /host/plugins/tsnet.sock"]);
    await createAndRemoveNetworks();
    expect(await serve.stop()).toBe(0);
  });

  it("refuses to start with bad settings, in one message that names all of them", async () => {
    await lab.docker("plugin", "rm", "-f", "tsnet-plugin");
    const bad = await LabPlugin.create(lab, "tsnet-bad");
    await lab.docker("plugin", "set", "tsnet-bad", "TSNET_POOLS=nonsense", "TSNET_LOG_LEVEL=loud");

    await expect(lab.docker("plugin", "enable", "tsnet-bad")).rejects.toThrow();

    await expect
      .poll(() => complaintsOf(bad))
      .toEqual([expect.stringMatching(/TSNET_LOG_LEVEL="loud".*permitted: fatal, .*TSNET_POOLS="nonsense"/)]);
  });

  async function createAndRemoveNetworks(): Promise<void> {
    for (const name of ["red", "green"]) {
      await lab.docker("network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", name);
    }
    await lab.docker("network", "rm", "red", "green");
  }
});

function rights(): ProcessStatus {
  const [has, none] = [NET_CAPABILITIES, NO_CAPABILITIES];
  return { NoNewPrivs: "1", CapEff: has, CapPrm: has, CapBnd: has, CapInh: none, CapAmb: none };
}

/** One line a file: path, kind, mode, size, modification time. */
function filesOf(folder: string): string[] {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
  return names.map((name) => {
    const file = lstatSync(join(folder, name));
    const kind = file.isDirectory() ? "folder" : file.isSocket() ? "socket" : "file";
    const content = file.isFile() ? `${file.size} ${file.mtimeMs}` : "-";
    return `${name} ${kind} ${(file.mode & 0o7777).toString(8)} ${content}`;
  });
}

function difference(before: readonly string[], after: readonly string[]): string[] {
  return [
    ...before.filter((line) => !after.includes(line)).map((line) => `- ${line}`),
    ...after.filter((line) => !before.includes(line)).map((line) => `+ ${line}`),
  ];
}

/** What it said before it could log, each complaint once: the engine starts it more than once. */
function complaintsOf(plugin: LabPlugin): string[] {
  return [...new Set(plugin.log().filter((line) => line.startsWith("tsnet: ")))];
}

/** Whether a daemon other than the killed one runs and has said that it listens. */
function isListening(daemon: LabPlugin, killed: number): boolean {
  const pid = daemon.pid();
  return pid !== killed && lastListening(daemon.log()).time > daemon.startedAt(pid);
}

/** When the daemon last said that it listens, in milliseconds since 1970. */
function lastListening(log: readonly string[]): { readonly time: number } {
  const line = log.findLast((text) => text.includes('"msg":"listening"')) ?? "";
  return { time: Date.parse(/"time":"([^"]+)"/.exec(line)?.[1] ?? "") };
}
