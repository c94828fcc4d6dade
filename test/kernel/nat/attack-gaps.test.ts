// Attackers who wait for a gap: they send before their container has a network, while rules are changed, lost and restored,
// and in the place of a container that is gone.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Endpoint } from "../../../src/cnm/endpoint.ts";
import type { Network } from "../../../src/cnm/network.ts";
import { AttackLab, GUARDED, UNGUARDED, sceneOn } from "../../support/attack-lab.ts";
import { gatewayClaim } from "../../support/attacks-arp.ts";
import { datagramFrame, uniqueBytes } from "../../support/attacks.ts";
import { endpoint } from "../../support/cnm-builder.ts";
import { EagerSender, FrameSocket } from "../../support/frame-capture.ts";
import { ethernet } from "../../support/frames.ts";
import { startHostAgent } from "../../support/host-agent.ts";
import { NetNamespace } from "../../support/namespace.ts";
import { shell } from "../../support/packet-lab.ts";
import { waitUntil } from "../../support/wait-until.ts";

/** Each takes 50 ms. */
const STARTS = 40;

let stage: AttackLab;
let late: NetNamespace;
beforeAll(async () => {
  stage = await AttackLab.up([GUARDED, UNGUARDED]);
  late = await NetNamespace.create("late");
});
afterAll(async () => {
  await late?.[Symbol.asyncDispose]();
  await stage?.[Symbol.asyncDispose]();
});

/** The n-th container that comes later. */
function latecomer(network: Network, n: number): Endpoint {
  const on = network === GUARDED ? 1 : 2;
  const last = 100 + (n % 100);
  return endpoint(1000 + n, on, {
    address: `10.1.${on}.${last}/24`,
    addressIpv6: `fd00:1:${on}::${last}/64`,
    mac: `02:42:0a:02:0${on}:${last.toString().padStart(2, "0").slice(-2)}`,
  });
}

function lawful(network: Network, { mac, address = "" }: Endpoint, data = uniqueBytes()): Buffer {
  const { victim } = sceneOn(network);
  return ethernet(datagramFrame({ from: mac, to: victim.mac }, [address.replace(/\/.*/, ""), victim[4]], { data }));
}

function victimOf(network: Network): FrameSocket {
  const [, { namespace }] = stage.on(network);
  return FrameSocket.open(namespace, "eth0");
}

/** Sends a lawful frame until the victim hears one: from then on the container's port is open. */
async function isHeard(at: NetNamespace, by: FrameSocket, frame: Buffer, trace: Buffer): Promise<void> {
  using sender = EagerSender.open(at);
  await waitUntil("the container to be heard", () => sender.trySend("eth0", frame) && by.count(trace) > 0, {
    intervalMs: 1,
  });
}

describe("a container that sends before it has a network [S23]", () => {
  it.each([
    ["without antispoof poisons the victim at each", UNGUARDED, STARTS],
    ["with antispoof poisons it at none", GUARDED, 0],
  ] as const)(`%s of ${STARTS} starts`, async (_title, network, expected) => {
    using victim = victimOf(network);
    let [poisoned, taken] = [0, 0];
    for (let n = 0; n < STARTS; n++) {
      const started = latecomer(network, n);
      const frame = gatewayClaim(sceneOn(network), started.mac);
      const trace = uniqueBytes();

      using sender = EagerSender.open(late);
      taken += await sender.sendWhile("eth0", [frame], async () => {
        await stage.start(network, started, late);
        await isHeard(late, victim, lawful(network, started, trace), trace);
        // The lawful frame may be the first one that is heard.
        if (expected > 0)
          await waitUntil("the forged one", () => victim.count(frame.subarray(14)) > 0, { intervalMs: 1 });
      });

      if (victim.count(frame.subarray(14)) > 0) poisoned += 1;
      victim.forget();
      await stage.remove(network, started);
    }

    console.log(`S23: ${taken} forged frames sent during ${STARTS} starts, victim poisoned at ${poisoned} of them`);
    expect(taken).toBeGreaterThan(STARTS);
    expect(poisoned).toBe(expected);
  });

  it("is not heard at all while the rules know nothing of its port", async () => {
    using victim = victimOf(GUARDED);
    const { agent, host } = stage.lab;
    const started = latecomer(GUARDED, 99);
    const [unheard, heard] = [uniqueBytes(), uniqueBytes()];
    const free = await agent.datapath.attach(GUARDED, started, []);
    await shell(host, [`ip link set ${free} netns ${late.name} name eth0 up`]);
    using sender = EagerSender.open(late);

    await waitUntil("the link to be up", () => sender.trySend("eth0", lawful(GUARDED, started, unheard)));
    await agent.firewall.ensureEndpoint({ network: GUARDED, endpoint: started, ports: [] });
    await isHeard(late, victim, lawful(GUARDED, started, heard), heard);

    expect(victim.count(unheard)).toBe(0);
    await stage.remove(GUARDED, started);
  });
});

/** Counts what the victim hears of two kinds of forged frames while something happens. */
async function heardWhile(beset: AttackLab, act: () => Promise<unknown>) {
  const [attacking, attacked] = beset.on(GUARDED);
  const { attacker, victim, peer } = sceneOn(GUARDED);
  using ear = FrameSocket.open(attacked.namespace, "eth0");
  const arpFrame = gatewayClaim(sceneOn(GUARDED), attacker.mac);
  const data = uniqueBytes();
  const stolen = ethernet(datagramFrame({ from: peer.mac, to: victim.mac }, [attacker[4], victim[4]], { data }));
  using sender = EagerSender.open(attacking.namespace);
  const sent = await sender.sendWhile("eth0", [arpFrame, stolen], act);
  return { sent, arp: ear.count(arpFrame.subarray(14)), mac: ear.count(data) };
}

describe("an attacker that never stops [S24]", () => {
  it("is heard never while endpoints come and go and the rules are applied again", async () => {
    const seen = await heardWhile(stage, async () => {
      for (let n = 0; n < 10; n++) {
        await stage.start(GUARDED, latecomer(GUARDED, n), late);
        await stage.lab.agent.firewall.apply(stage.state);
        await stage.remove(GUARDED, latecomer(GUARDED, n));
      }
    });

    expect(seen.sent).toBeGreaterThan(1000);
    expect(seen).toMatchObject({ arp: 0, mac: 0 });
  });
});

describe("an attacker that never stops, where only tsnet can change its tables [S24]", () => {
  let beset: AttackLab;
  beforeAll(async () => {
    beset = await AttackLab.up([GUARDED]);
  });
  afterAll(async () => await beset?.[Symbol.asyncDispose]());

  it("is heard never while somebody flushes, deletes and changes everything [F113]", async () => {
    const commands = ["flush ruleset", "delete table bridge tsnet", "insert rule bridge tsnet identity accept"];
    const seen = await heardWhile(beset, async () => {
      for (const command of commands) await shell(beset.lab.host, [`nft ${command} || true`]);
      await beset.lab.agent.firewall.apply(beset.state);
    });

    expect(seen.sent).toBeGreaterThan(100);
    expect(seen).toMatchObject({ arp: 0, mac: 0 });
  });

  it("is heard never while tsnet dies and the next one replaces rules that were changed meanwhile", async () => {
    const seen = await heardWhile(beset, async () => {
      await beset.lab.agent.kill();
      await shell(beset.lab.host, ["nft flush chain inet tsnet leave"]);
      const next = await startHostAgent(beset.lab.host);
      expect(await next.firewall.apply(beset.state)).toBe(true);
    });

    expect(seen.sent).toBeGreaterThan(1000);
    expect(seen).toMatchObject({ arp: 0, mac: 0 });
  });
});

describe("an attacker that never stops, where anybody can change tsnet's tables (before Linux 6.9) [S24]", () => {
  let beset: AttackLab;
  beforeAll(async () => {
    beset = await AttackLab.up([GUARDED], { isKernelOld: true });
  });
  afterAll(async () => await beset?.[Symbol.asyncDispose]());

  it("is heard never while tsnet replaces rules of which one is missing", async () => {
    const seen = await heardWhile(beset, async () => {
      for (let n = 0; n < 5; n++) {
        await shell(beset.lab.host, ["nft flush chain inet tsnet leave"]);
        await beset.lab.agent.firewall.apply(beset.state);
      }
    });

    expect(seen.sent).toBeGreaterThan(1000);
    expect(seen).toMatchObject({ arp: 0, mac: 0 });
  });

  it("uses no peer's MAC address while all rules are gone, though it is heard, and not after their return [F113]", async () => {
    const gap = await heardWhile(beset, async () => {
      await shell(beset.lab.host, ["nft flush ruleset"]);
      await beset.lab.agent.firewall.apply(beset.state);
    });
    const after = await heardWhile(beset, async () => await shell(beset.lab.host, ["ip -json link"]));

    console.log(`S24: ${gap.arp} of ${gap.sent} forged ARP frames heard in the gap of a flushed ruleset`);
    expect(gap.mac).toBe(0);
    expect(after).toMatchObject({ arp: 0, mac: 0 });
  });
});

describe("a container in the place of another [S25]", () => {
  it("inherits neither name, nor addresses, nor ports", async () => {
    using victim = victimOf(GUARDED);
    const { host } = stage.lab;
    const [former, heir] = [latecomer(GUARDED, 1), { ...latecomer(GUARDED, 2), address: "10.1.1.101/24" }];
    const isNamed = async () => (await shell(host, ["nft list table bridge tsnet"])).includes(former.hostIfName);
    await stage.start(GUARDED, former, late);
    const [first, inherited, own] = [uniqueBytes(), uniqueBytes(), uniqueBytes()];
    await isHeard(late, victim, lawful(GUARDED, former, first), first);
    expect(await isNamed()).toBe(true);
    await stage.remove(GUARDED, former);

    await stage.start(GUARDED, heir, late);
    using sender = EagerSender.open(late);
    sender.trySend("eth0", lawful(GUARDED, former, inherited));
    await isHeard(late, victim, lawful(GUARDED, heir, own), own);

    expect(victim.count(inherited)).toBe(0);
    expect(await isNamed()).toBe(false);
    const table = await shell(host, [`bridge fdb show br ${GUARDED.switchName}`]);
    expect([table.includes(former.mac), table.includes(heir.mac)]).toEqual([false, true]);
    await stage.remove(GUARDED, heir);
  });
});
