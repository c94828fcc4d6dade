// The one program that tsnet starts, `nft`, in all the ways in which a program can fail. What a failure leaves is judged by the
// rules in the kernel. The tests run side by side, since most of them wait.
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { describe, expect, it } from "vitest";
import { messageOf } from "../../../src/errors.ts";
import { dualStack } from "../../support/cnm-builder.ts";
import { startHostAgent } from "../../support/host-agent.ts";
import { NetNamespace } from "../../support/namespace.ts";
import { DOCKER, hostWith, listed, ourTables, stateOf } from "../../support/ruled-host.ts";
import { waitUntil } from "../../support/wait-until.ts";

/** Known again among all processes of the machine. */
const SECONDS = `98766.${process.pid}`;
/** The engine waits for 30 s, and tsnet answers after 20. */
const CALL_LIMIT_MS = 20_000;

const WANTED = stateOf(dualStack());

/** Stands in for `nft`: at the run whose number is in the file `at`, or at every one, it does what is in the file `fault`. */
const SHIM = `#!/bin/sh
here=FOLDER
real() { "$here/nft" "$@"; }
read -r count < "$here/count"
read -r at < "$here/at"
count=$((count + 1))
echo $count > "$here/count"
[ "$at" = every ] || [ "$at" = $count ] || exec "$here/nft" "$@"
echo > "$here/hit"
. "$here/fault"
`;

/** A host whose `nft` is the shim, and the rules that it has without and with a network. */
async function standFor() {
  const folder = mkdtempSync(join(tmpdir(), "tsnet-nft-shim-"));
  const place = (name: string) => join(folder, name);
  copyFileSync("/usr/sbin/nft", place("nft"));
  writeFileSync(place("shim"), SHIM.replace("FOLDER", folder), { mode: 0o755 });
  const behave = (at: number | "every", fault = "") => {
    rmSync(place("hit"), { force: true });
    for (const [name, line] of Object.entries({ count: 0, at, fault })) writeFileSync(place(name), `${line}\n`);
  };
  behave(0);
  const { at, agent, ...host } = await hostWith(DOCKER, { prepare: [`mount --bind ${place("shim")} /usr/sbin/nft`] });
  const bare = await listed(at);
  await agent.firewall.apply(WANTED);
  const whole = await ourTables(at);
  await agent.firewall.apply(stateOf());
  return {
    at,
    behave,
    /** Whether the fault was come by. */
    isHit: () => existsSync(place("hit")),
    countRuns: () => Number(readFileSync(place("count"), "utf8")),
    /** What one application says. */
    apply: async () =>
      await agent.firewall.apply(WANTED).then(
        () => "applied",
        (failure: unknown) => {
          expect(failure).toMatchObject({ code: "host" });
          return messageOf(failure);
        },
      ),
    /** That the next application makes everything whole, whatever is there, and the network's end leaves nothing. */
    expectRepair: async () => {
      behave(0);
      await agent.firewall.apply(WANTED);
      expect(await ourTables(at)).toBe(whole);
      await agent.firewall.apply(stateOf());
      expect(await listed(at)).toBe(bare);
    },
    [Symbol.asyncDispose]: async () => {
      await host[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

describe.concurrent("nft", () => {
  it.each([
    ["fails with 10 MB of words", "head -c 10000000 /dev/zero | tr '\\0' x >&2; exit 1", /: exit code 1: x{100}/],
    ["is killed", "kill -KILL $$", /: ended by SIGKILL$/],
    ["prints junk", "echo '{ \"nftables\": nothing }'", / printed no JSON$/],
    ["prints something else, as another version might", "echo '{\"metainfo\": 1}'", / printed no ruleset$/],
    ["prints half of it", 'real "$@" | head -c 50', / printed no JSON$/],
    ["prints nothing and does nothing", "exit 0", / printed no JSON$/],
  ])("that %s is named in a short message, and nothing was changed [F86]", async (_how, fault, message) => {
    await using stand = await standFor();
    const before = await listed(stand.at);
    stand.behave(1, fault);

    const said = await stand.apply();

    expect(said).toMatch(message);
    expect(said.length).toBeLessThan(4096);
    expect(await listed(stand.at)).toBe(before);
    await stand.expectRepair();
  });

  it.each([
    ["fails at", "exit 1"],
    ["did its work and is killed before it can say so at", 'real "$@" > /dev/null; kill -KILL $$'],
  ])(
    "that %s any of its runs leaves nothing that the next application does not make whole [F86, F89]",
    async (_how, fault) => {
      await using stand = await standFor();
      let [n, isHit] = [0, true];
      while (isHit) {
        stand.behave(++n, fault);
        await stand.apply();
        isHit = stand.isHit();
        await stand.expectRepair();
      }

      expect(n).toBeGreaterThan(5);
    },
    180_000,
  );

  it("that hangs and ignores SIGTERM is killed with all that it started, and the call fails in time [F87]", async () => {
    await using stand = await standFor();
    stand.behave("every", `trap '' TERM; sleep ${SECONDS} & sleep ${SECONDS}`);
    const begin = performance.now();

    const said = await stand.apply();

    expect(said).toBe("nft -j list chains: killed after 10000 ms");
    expect(performance.now() - begin).toBeLessThan(CALL_LIMIT_MS);
    const left = async () => await stand.at.exec(["sh", "-c", `pgrep -x -f 'sleep ${SECONDS}' || true`]);
    await waitUntil("what it started to end", async () => (await left()) === "");
    await stand.expectRepair();
  });

  it("that takes 2 seconds for each run does not keep a call beyond its time [F88]", async () => {
    await using stand = await standFor();
    stand.behave("every", 'sleep 2; real "$@"');

    expect(await stand.apply()).toBe("applied");

    expect(stand.countRuns() * 2_000).toBeLessThan(CALL_LIMIT_MS); // the rest is short, but on a busy machine
    await stand.expectRepair();
  });

  it("that is missing is named, nothing is kept, and what needs no rules is served [F85]", async () => {
    await using at = await NetNamespace.create("no-nft");
    const agent = await startHostAgent(at, { prepare: ["mount -t tmpfs none /usr/sbin"] });

    await expect(agent.firewall.check(dualStack())).rejects.toMatchObject({
      code: "host",
      message: expect.stringMatching(/^nft .*: not found/) as string,
    });
    await expect(agent.firewall.apply(WANTED)).rejects.toThrow("not found");

    expect(await listed(at)).toBe("");
    await agent.datapath.ensureNetwork(dualStack(), []);
    expect(await at.exec(["ip", "-o", "link"])).toContain(dualStack().switchName);
    await agent.datapath.removeNetwork(dualStack(), []);
  });
});
