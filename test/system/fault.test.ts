// What goes wrong on the host or with the daemon in the middle of something: taken back at once, or put right on return.
import { chmod, copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { OPEN, SystemHost, type TestNetwork } from "../support/system-host.ts";

/** What tsnet makes. */
const OURS = ["links", "addresses", "routes", "nft", "records"];

describe("with tsnet serve", () => {
  let host: SystemHost;
  let network: TestNetwork;

  beforeAll(async () => {
    host = await SystemHost.up("tsnet serve");
    network = await host.network("blue", "--subnet", "10.96.0.0/24");
  });
  afterAll(async () => await host?.[Symbol.asyncDispose]());

  it("a network for which the host refuses the rules is taken back as a whole, and the message says why", async () => {
    const before = await host.census();
    const create = ["network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", "--subnet", "10.97.0.0/24", "red"];

    const message = await withNftThatRefusesOnce("10.97.0.0/24", () => host.refusalOf(...create));

    expect(message).toContain("refused by the test");
    expect(await host.changesSince(before)).toEqual([]);
    await host.docker(...create);
    await host.docker("network", "rm", "red");
  });

  it("a container that was removed while tsnet was away is gone when tsnet is back, and its address is free", async () => {
    const before = await host.census();
    const doomed = await host.run("doomed", network, "--ip", "10.96.0.66");

    await host.stop();
    await whileSomebodyElseAnswers(() => doomed[Symbol.asyncDispose]());
    await host.start();

    await expect.poll(() => host.changesSince(before, OURS), { timeout: 60_000, interval: 1000 }).toEqual([]);
    await using again = await host.run("doomed", network, "--ip", "10.96.0.66");
    expect(await host.tryReach(host, await again.address())).toEqual(OPEN);
  });

  it("a network whose last container was removed while tsnet was away can be removed", async () => {
    const before = await host.census();
    const doomedNetwork = await host.network("doomed", "--subnet", "10.98.0.0/24");
    const doomed = await host.run("doomed", doomedNetwork);

    await host.stop();
    await whileSomebodyElseAnswers(() => doomed[Symbol.asyncDispose]());
    await host.start();
    await doomedNetwork[Symbol.asyncDispose]();

    await expect.poll(() => host.changesSince(before, OURS), { timeout: 60_000, interval: 1000 }).toEqual([]);
  });

  it("tsnet's log says no more than the refusals", () => {
    expect(host.complaints()).toEqual([]);
  });

  /** Puts a program before the host's nft that fails once, when the tables are looked at for the network with that subnet: its record is there by then. */
  async function withNftThatRefusesOnce<T>(subnet: string, task: () => Promise<T>): Promise<T> {
    const folder = join(host.lab.folder, "nft");
    await mkdir(folder);
    await copyFile("/usr/sbin/nft", join(folder, "real"));
    const armed = join(folder, "armed");
    await writeFile(armed, "");
    const isRecorded = `grep -qs '"subnet":"${subnet}"' ${join(host.stateDir, "tsnet.db-wal")}`;
    const refuse = `case " $* " in *" -t "*) ${isRecorded} && rm ${armed} 2>/dev/null && { echo "Error: refused by the test" >&2; exit 1; };; esac`;
    await writeFile(join(folder, "nft"), `#!/bin/sh\n${refuse}\nexec ${folder}/real "$@"\n`);
    for (const file of ["real", "nft"]) await chmod(join(folder, file), 0o755);
    await host.exec(["mount", "--bind", join(folder, "nft"), "/usr/sbin/nft"]); // in the lab's own mount namespace
    try {
      return await task();
    } finally {
      await host.exec(["umount", "--lazy", "/usr/sbin/nft"]); // the daemon may be running it in this moment
    }
  }

  /**
   * Answers the engine with failures in tsnet's place. It is what the engine comes to by itself after asking an absent tsnet
   * for 15 seconds a call: it goes on, and never tells tsnet what it removed.
   */
  async function whileSomebodyElseAnswers(task: () => Promise<void>): Promise<void> {
    const socket = "/run/docker/plugins/tsnet.sock";
    const script = `require("node:http").createServer((_, answer) => answer.end('{"Err":"away","Error":"away"}')).listen("${socket}")`;
    const other = await host.lab.namespace.spawn("other", [process.execPath, "-e", script]);
    await expect.poll(() => host.exec(["sh", "-c", `test -S ${socket} && echo yes || echo no`])).toBe("yes");
    try {
      await task();
    } finally {
      await host.exec(["kill", "-KILL", String(other.pid)]);
      await other.ended;
    }
  }
});
