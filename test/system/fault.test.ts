// What goes wrong on the host or with the daemon in the middle of something: taken back at once, or put right on return.
import { chmod, copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { OPEN, SystemHost, type TestNetwork } from "../support/system-host.ts";

/** What tsnet makes. */
const OURS = ["links", "addresses", "routes", "nft", "records"];

/** For so long the engine asks an absent tsnet, and somewhat longer. */
const ABSENCE_MS = 21_000;
/** Between the last thing that the engine asks anew at its start and anything else. */
const QUIET_MS = 11_000;
/** Where the one who answers in tsnet's place writes what it was asked. */
const asked = "/run/asked";

describe("with tsnet serve", () => {
  let host: SystemHost;
  let network: TestNetwork;

  beforeAll(async () => {
    host = await SystemHost.up("tsnet serve");
    network = await host.network("blue", "--subnet", "10.96.0.0/24");
  });
  afterAll(async () => await host?.[Symbol.asyncDispose]());

  it("a network for which the host refuses the rules is taken back as a whole, and the message says why [F86]", async () => {
    const before = await host.census();
    const create = ["network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", "--subnet", "10.97.0.0/24", "red"];

    const message = await withNftThatRefusesOnce("10.97.0.0/24", () => host.refusalOf(...create));

    expect(message).toContain("refused by the test");
    expect(await host.changesSince(before)).toEqual([]);
    await host.docker(...create);
    await host.docker("network", "rm", "red");
  });

  it("a container that was removed while tsnet was away is gone when tsnet is back, and its address is free [F16]", async () => {
    const before = await host.census();
    const doomed = await host.run("doomed", network, "--ip", "10.96.0.66");

    await host.stop();
    await whileSomebodyElseAnswers(() => doomed[Symbol.asyncDispose]());
    await host.start();

    await expect.poll(() => host.changesSince(before, OURS), { timeout: 60_000, interval: 1000 }).toEqual([]);
    await using again = await host.run("doomed", network, "--ip", "10.96.0.66");
    await expect.poll(async () => await host.tryReach(host, await again.address())).toEqual(OPEN);
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

  it("an endpoint that the engine forgot with a kill -9 in the middle of its removal goes, and its address is free [F22]", async () => {
    const before = await host.census();
    await host.run("doomed", network, "--ip", "10.96.0.66");

    await host.stop();
    await whileSomebodyElseAnswers(async () => {
      const removal = host.docker("rm", "-f", "doomed").catch(() => {}); // the engine is gone before it ends
      await expect.poll(() => host.exec(["cat", asked]), { timeout: 20_000 }).toContain("DeleteEndpoint");
      await host.lab.dockerd.kill();
      await removal;
    }, "NetworkDriver.DeleteEndpoint");
    await host.start();
    await host.lab.dockerd.start();
    await host.docker("rm", "-f", "doomed").catch(() => {}); // the engine may know the container still

    await expect.poll(() => host.changesSince(before, OURS), { timeout: 60_000, interval: 1000 }).toEqual([]);
    await using again = await host.run("doomed", network, "--ip", "10.96.0.66");
    await expect.poll(async () => await host.tryReach(host, await again.address())).toEqual(OPEN);
  });

  it("a network that was removed while tsnet was away keeps its subnet until dockerd starts again, and no longer [F79]", async () => {
    const subnet = ["--subnet", "10.99.0.0/24"];
    const create = ["network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", ...subnet];
    await host.docker(...create, "doomed");
    await host.stop();
    await whileSomebodyElseAnswers(async () => void (await host.docker("network", "rm", "doomed")));
    await host.start();
    const before = await host.census();

    expect(await host.refusalOf(...create, "next")).toContain("10.99.0.0/24 overlaps pool");
    expect(await host.changesSince(before)).toEqual([]);
    await pause(ABSENCE_MS); // a tsnet that was not there before dockerd may have missed what it asked
    await host.lab.dockerd.stop();
    await host.lab.dockerd.start();
    await pause(QUIET_MS);
    await host.docker(...create, "next");

    await using container = await host.run("next", { name: "next", [Symbol.asyncDispose]: async () => {} });
    await expect.poll(async () => await host.tryReach(host, await container.address())).toEqual(OPEN);
  });

  it("of that network nothing is left when the next one is removed", async () => {
    await host.docker("network", "rm", "next");

    const left = (await host.census())["links"]?.filter((line) => line.includes("tsnet:network"));
    expect(left).toHaveLength(1); // that of the network of these tests
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
    const isRecorded = `grep -qs '{"subnet":"${subnet}"' ${join(host.stateDir, "tsnet.db-wal")}`;
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
   *
   * @param hung - a verb that gets no answer at all.
   */
  async function whileSomebodyElseAnswers(task: () => Promise<void>, hung = "none"): Promise<void> {
    const socket = "/run/docker/plugins/tsnet.sock";
    const serve = `(call, answer) => {
      require("node:fs").appendFileSync("${asked}", call.url + "\\n");
      if (call.url !== "/${hung}") answer.end('{"Err":"away","Error":"away"}');
    }`;
    await host.exec(["rm", "-f", asked]); // what was asked the last time
    const script = `require("node:http").createServer(${serve}).listen("${socket}")`;
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
