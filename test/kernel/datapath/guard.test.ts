// Attacks on the switch with frames that a container can send, by the numbers of the fault catalogue: each succeeds on a
// network that is not guarded, and fails on one that is. There are no rules: this is what the kernel's bridge holds by itself.
import { describe, expect, it } from "vitest";
import { type BridgeHost, bridgeHost } from "../../support/bridge-host.ts";
import { dualStack, endpoint, network } from "../../support/cnm-builder.ts";
import type { NetNamespace } from "../../support/namespace.ts";
import { canPing, shell } from "../../support/packet-lab.ts";
import { waitUntil } from "../../support/wait-until.ts";
import { PROBE, countFrames, frame, macOf, sendFrames } from "../../support/counted-frames.ts";
import { pings, sandboxOf } from "./sandbox.ts";

const BR = network().switchName;
const BROADCAST = "ff:ff:ff:ff:ff:ff";
const NOBODY = macOf(0xffff);
const [VICTIM, PEER] = [endpoint(2).mac, endpoint(3).mac];

/** A network with three sandboxes that it has heard of, and that from now on send nothing of their own accord. */
async function labOf(isGuarded: boolean) {
  await using stack = new AsyncDisposableStack();
  const host = stack.use(await bridgeHost());
  const wanted = network(1, { isGuarded });
  await host.datapath.ensureNetwork(wanted, []);
  const sandboxes: NetNamespace[] = [];
  for (const n of [1, 2, 3]) sandboxes.push(stack.use(await sandboxOf(host, wanted, n)));
  const [attacker, victim, peer] = sandboxes as [NetNamespace, NetNamespace, NetNamespace]; // of three numbers
  for (const sandbox of sandboxes) {
    await waitUntil("the port to forward", () => canPing(sandbox, "10.1.1.1"));
    await shell(sandbox, ["sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1", "ip link set eth0 arp off"]);
  }
  const disposables = stack.move();
  return { host, attacker, victim, peer, [Symbol.asyncDispose]: () => disposables.disposeAsync() };
}

/** Counts the frames for that MAC that come in by eth0 of a sandbox. */
async function countFor(sandbox: NetNamespace, destination: string): Promise<() => Promise<number>> {
  const seen = await countFrames(sandbox, {
    frames: { ifName: "eth0", matching: `ether type 0x${PROBE} ether daddr ${destination}` },
  });
  return async () => (await seen())["frames"] ?? 0;
}

const entryCount = async (host: BridgeHost) =>
  (await host.namespace.json<unknown[]>(["bridge", "-json", "fdb", "show", "br", BR])).length;

describe.each([
  ["not guarded", false],
  ["guarded", true],
])("on a network that is %s", (_what, isGuarded) => {
  it(`a stolen MAC takes ${isGuarded ? "none" : "all"} of 1,000 frames from the victim [S04]`, async () => {
    await using lab = await labOf(isGuarded);
    const [stolen, kept] = [await countFor(lab.attacker, VICTIM), await countFor(lab.victim, VICTIM)];
    await sendFrames(lab.attacker, "eth0", [frame(VICTIM, NOBODY)], 100);

    for (const half of [500, 500]) await sendFrames(lab.peer, "eth0", [frame(PEER, VICTIM)], half);

    await waitUntil("the frames to arrive", async () => (await stolen()) + (await kept()) === 1_000);
    expect([await stolen(), await kept()]).toEqual(isGuarded ? [0, 1_000] : [1_000, 0]);
  });

  it(`5,000 MACs ${isGuarded ? "leave the forwarding table as it is" : "fill the forwarding table"} [S05]`, async () => {
    await using lab = await labOf(isGuarded);
    const before = await entryCount(lab.host);
    const flood = Array.from({ length: 5_000 }, (_, n) => frame(macOf(n), BROADCAST));

    await sendFrames(lab.attacker, "eth0", flood);

    const added = (await entryCount(lab.host)) - before;
    if (isGuarded) expect(added).toBe(0);
    else expect(added).toBeGreaterThan(1_000); // frames that come too fast are lost on their way
  });

  it(`a third party sees ${isGuarded ? "no" : "all"} frames for a MAC that nobody has [S06]`, async () => {
    await using lab = await labOf(isGuarded);
    const [sniffed, received] = [await countFor(lab.attacker, NOBODY), await countFor(lab.victim, VICTIM)];
    const frames = [...Array.from({ length: 100 }, () => frame(PEER, NOBODY)), frame(PEER, VICTIM)];

    await sendFrames(lab.peer, "eth0", frames);

    await waitUntil("the last frame to arrive", async () => (await received()) === 1);
    if (!isGuarded) await waitUntil("the others to arrive at the third party", async () => (await sniffed()) >= 100);
    expect(await sniffed()).toBe(isGuarded ? 0 : 100);
  });

  it(`a third party sees no frames for a MAC that is known [S06]`, async () => {
    await using lab = await labOf(isGuarded);
    const [sniffed, received] = [await countFor(lab.attacker, VICTIM), await countFor(lab.victim, VICTIM)];

    await sendFrames(lab.peer, "eth0", [frame(PEER, VICTIM)], 100);

    await waitUntil("the frames to arrive", async () => (await received()) === 100);
    expect(await sniffed()).toBe(0);
  });
});

describe.each([
  ["off", 0],
  ["on", 1],
])("with br_netfilter %s", (_what, value) => {
  it.each([
    ["reach one another with icc", true],
    ["do not reach one another without icc, and reach the host", false],
  ])("endpoints %s", async (_title, isIccAllowed) => {
    await using host = await bridgeHost();
    await shell(host.namespace, [
      `sysctl -qw net.bridge.bridge-nf-call-iptables=${value} net.bridge.bridge-nf-call-ip6tables=${value}`,
    ]);
    const wanted = dualStack(1, { isIccAllowed });
    await host.datapath.ensureNetwork(wanted, []);
    await using one = await sandboxOf(host, wanted, 1);
    await using two = await sandboxOf(host, wanted, 2);
    for (const gateway of ["10.1.1.1", "fd00:1:1::1"]) {
      await waitUntil("the host to answer", () => canPing(one, gateway));
    }

    for (const gateway of ["10.1.1.1", "fd00:1:1::1"]) {
      await waitUntil("the host to answer the other", () => canPing(two, gateway));
    }

    const ask = isIccAllowed ? pings : canPing;
    const answers = await Promise.all(["10.1.1.3", "fd00:1:1::3"].map((peer) => ask(one, peer)));

    expect(answers).toEqual([isIccAllowed, isIccAllowed]);
  });
});
