// While containers come and go tsnet starts no command: everything goes by netlink, OVSDB and OpenFlow. Seen by strace(1).
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { expect, it } from "vitest";
import { NODE } from "../../support/lab-serve.ts";
import { ServeHost } from "../../support/serve-host.ts";
import { waitUntil } from "../../support/wait-until.ts";

const DAEMON = join(import.meta.dirname, "../../../dist/tsnet.js");
const TRACE = "/run/trace";
/** After it tsnet has looked at what changed, and deleted what is out of use. */
const SETTLED_MS = 2000;

it.each(["bridge", "ovs"] as const)(
  "starts no command for the life of a container with a published port, backend=%s",
  async (backend) => {
    const strace = ["strace", "-f", "-e", "trace=execve", "-o", TRACE];
    await using host = await ServeHost.up("commands", { backend, argv: [...strace, NODE, DAEMON, "serve"] });
    await waitUntil("recovery", () => host.recoveries() > 0);
    const commands = async () => (await readFile(host.namespace.outside(TRACE), "utf8")).match(/execve\(.*/g) ?? [];
    const wish = { subnet: "10.85.0.0/24", gateway: "10.85.0.1", options: { backend } };
    const network = await host.engine.createNetwork(wish);
    await host.engine.stop(await host.engine.start(network, { port: 8080 }));
    let before: readonly string[] = [];
    const isSettled = async () => {
      const former = before;
      before = await commands();
      return before.length === former.length;
    };
    await waitUntil("no more commands", isSettled, { limitMs: 30_000, intervalMs: SETTLED_MS });
    expect(before.length).toBeGreaterThan(1); // it is seen, as nft for the network is

    for (let n = 0; n < 3; n++) {
      const running = [await host.engine.start(network, { port: 8080 }), await host.engine.start(network)];
      await pause(SETTLED_MS / 4);
      for (const each of running) await host.engine.stop(each);
    }
    await pause(SETTLED_MS);

    expect((await commands()).slice(before.length)).toEqual([]);
  },
);
