// The daemon in surroundings that nobody chose for it.
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { NODE } from "../support/lab-serve.ts";
import { ServeHost } from "../support/serve-host.ts";

const DAEMON = join(import.meta.dirname, "../../dist/tsnet.js");
const WISH = { subnet: "10.99.0.0/24", gateway: "10.99.0.1" } as const;

describe("a daemon", () => {
  it.each([
    ["with umask 0", "umask 0000"],
    ["with umask 0777", "umask 0777"],
    ["in a folder that is no more", "mkdir /tmp/gone.$$ && cd /tmp/gone.$$ && rmdir /tmp/gone.$$"],
    [
      "without PATH and HOME, in another language and time zone",
      "unset HOME; export PATH= LC_ALL=tr_TR.UTF-8 LANG=ja_JP TZ=Asia/Kathmandu",
    ],
    [
      "with variables of other programs",
      "export IFS=x POSIXLY_CORRECT=1 NFT_DEBUG=all NODE_ENV=test DEBUG='*' FORCE_COLOR=3",
    ],
  ])("%s serves as any, and what it makes is open to nobody else [F136]", async (_how, lines) => {
    const argv = ["/bin/sh", "-c", `${lines}; exec "$@"`, "sh", NODE, DAEMON, "serve"];
    await using host = await ServeHost.up("surroundings", { argv });
    const before = await host.census();

    const network = await host.engine.createNetwork(WISH);
    const container = await host.engine.start(network);

    expect(await host.reachesGateway(container)).toBe(true);
    const modes = await host.exec(
      "stat",
      "-c",
      "%a",
      "/run/docker/plugins/tsnet.sock",
      host.serve.stateDir,
      `${host.serve.stateDir}/tsnet.db`,
    );
    expect(modes.trim().split("\n")).toEqual(["600", "700", "600"]);
    await host.engine.stop(container);
    await host.engine.removeNetwork(network);
    expect(await host.changesSince(before, ["links", "addresses", "nft", "records"])).toEqual([]);
    expect(host.complaints()).toEqual([]);
  });
});
