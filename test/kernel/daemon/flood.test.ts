// Many calls at once, and many one after the other, against the real daemon on the real kernel.
import { Agent, request } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Census } from "../../support/census.ts";
import { endpointId } from "../../support/cnm-builder.ts";
import { DaemonCalls, countOk, endpointBody, errorsOf, ids } from "../../support/daemon-calls.ts";
import { cycle } from "../../support/endurance.ts";
import type { Answer, EngineNetwork } from "../../support/engine-double.ts";
import { SOCKET } from "../../support/lab-serve.ts";
import { ServeHost } from "../../support/serve-host.ts";

const FLOOD = 500;
/** The daemon takes 256 connections. */
const CONNECTIONS = 200;
const CHURN_MS = 6000;
/** As many at least, however long they take. */
const CHURN_CYCLES = 20;
/** For so long the engine tries to reach a plugin that it has started (cnm-protocol.md 1.5). */
const ENGINE_PATIENCE_MS = 9000;
/** Fewer than it has. */
const FEW_FILES = 10;
const LIVES = 100;

describe("a flood of calls", () => {
  let host: ServeHost;
  let network: EngineNetwork;
  let before: Census;
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });

  beforeAll(async () => {
    host = await ServeHost.up("flood");
    network = await host.engine.createNetwork({ subnet: "10.88.0.0/16", gateway: "10.88.0.1" });
    before = await host.restingCensus();
  });
  afterAll(async () => {
    agent.destroy();
    await host?.[Symbol.asyncDispose]();
  });

  it("of five hundred endpoints that join at once gives each its own address, MAC and link, and Activate is answered meanwhile [F54]", async () => {
    const calls = new DaemonCalls({ call });
    const numbers = Array.from({ length: FLOOD }, (_, at) => at + 1);
    let isOver = false;
    const watching = watchActivate(() => isOver);
    const startedAt = performance.now();

    const made = await Promise.all(numbers.map(async (n) => start(calls, n)));
    const durationMs = performance.now() - startedAt;
    isOver = true;
    const delays = (await watching).toSorted((a, b) => a - b);

    const p99 = delays[Math.floor(delays.length * 0.99)] ?? 0;
    console.log(
      `${FLOOD} endpoints joined in ${(durationMs / 1000).toFixed(1)} s; Activate meanwhile: ` +
        `${delays.length} answers, median ${(delays[delays.length >> 1] ?? 0).toFixed(0)} ms, 99 of 100 within ${p99.toFixed(0)} ms`,
    );
    expect(errorsOf(made.map(({ joined }) => joined))).toEqual([]);
    expect(new Set(made.map(({ address }) => address)).size).toBe(FLOOD);
    expect(new Set(made.map(({ mac }) => mac)).size).toBe(FLOOD);
    expect(await veths()).toHaveLength(2 * FLOOD);
    expect(p99).toBeLessThan(5000);

    const ended = await Promise.all(made.map(async ({ n, address }) => stop(calls, n, address)));
    expect(countOk(ended.flat())).toBe(3 * FLOOD);
    await expectNothingLeft();
  });

  it("of calls right after a start with five hundred endpoints in the records is answered as it comes: Activate at once [F27]", async () => {
    const calls = new DaemonCalls({ call });
    const numbers = Array.from({ length: FLOOD }, (_, at) => 10_000 + at);
    const made = await Promise.all(numbers.map(async (n) => start(calls, n)));
    await host.serve.kill9();
    agent.destroy(); // its connections have ended

    await host.serve.startAgain();
    const startedAt = performance.now();
    const activated = call("Plugin.Activate").then(() => performance.now() - startedAt);
    const left = call("NetworkDriver.Leave", { NetworkID: network.id, EndpointID: endpointId(10_000) });

    expect(await activated).toBeLessThan(ENGINE_PATIENCE_MS);
    expect(await left).toEqual({});
    console.log(
      `${FLOOD} endpoints in the records: Activate after ${(await activated).toFixed(0)} ms, Leave after ` +
        `${(performance.now() - startedAt).toFixed(0)} ms`,
    );
    const ended = await Promise.all(made.map(async ({ n, address }) => stop(calls, n, address)));
    expect(countOk(ended.flat())).toBe(3 * FLOOD);
    await expectNothingLeft();
  });

  it("of endpoints that come and go keeps what is being made while the daemon looks at the host all the time [F57]", async () => {
    const calls = new DaemonCalls({ call });
    const end = performance.now() + CHURN_MS;
    const failures: string[] = [];
    let cycles = 0;
    const goesOn = () => performance.now() < end || cycles <= CHURN_CYCLES;
    const disturb = async () => {
      while (goesOn()) {
        await host.exec(
          "sh",
          "-c",
          `ip link add churn type veth peer churn2; ip link del churn; nft add table ip churn; nft delete table ip churn`,
        );
      }
    };
    const live = async (lane: number) => {
      for (let n = lane; goesOn(); n += 10) {
        const { address, joined } = await start(calls, 1000 + n);
        const links = await veths();
        const name = joined.kind === "ok" ? nameOf(joined.fields) : "";
        if (!links.includes(name)) failures.push(`${1000 + n}: ${name} is not there; ${JSON.stringify(joined)}`);
        failures.push(...errorsOf(await stop(calls, 1000 + n, address)));
        cycles += 1;
      }
    };

    await Promise.all([disturb(), ...Array.from({ length: 10 }, (_, lane) => live(lane))]);

    expect(failures).toEqual([]);
    expect(cycles).toBeGreaterThan(CHURN_CYCLES);
    await expectNothingLeft();
  });

  it("beyond the open files that the daemon may have fails in plain words, and all works again when it may have more [F62]", async () => {
    const calls = new DaemonCalls({ call });
    const { pid } = host.serve;
    const limit = async (files: number) => host.exec("prlimit", "--pid", String(pid), `--nofile=${files}:4096`);
    await Promise.all(Array.from({ length: 20 }, async () => call("Plugin.Activate"))); // connections to go on with
    await limit(FEW_FILES);

    const failed = await Promise.all(Array.from({ length: 20 }, async (_, n) => calls.createNetwork(n + 1)));
    await limit(4096);
    const again = await calls.createNetwork(1);

    expect(countOk(failed)).toBe(0);
    expect(errorsOf(failed).every((text) => /EMFILE|too many open files/i.test(text))).toBe(true);
    expect(again).toMatchObject({ kind: "ok" });
    expect(host.serve.pid).toBe(pid);
    for (let n = 1; n <= 20; n++) await calls.deleteNetwork(n);
    await expectNothingLeft();
  });

  it("of a hundred lives of endpoints leaves as many open files and as many bytes of records as before [F61]", async () => {
    const samples = await cycle(host, network, LIVES, LIVES / 4);

    const settled = samples.slice(1);
    expect(new Set(settled.map(({ files }) => files)).size).toBe(1);
    expect(settled.at(-1)?.recordBytes).toBeLessThan(2 * (settled[0]?.recordBytes ?? 0));
    await expectNothingLeft();
  });

  /** What the daemon starts and holds open for a moment is left out. */
  async function expectNothingLeft(): Promise<void> {
    const sections = Object.keys(before).filter((name) => name !== "open files" && name !== "processes");
    await expect.poll(() => host.changesSince(before, sections), { timeout: 20_000 }).toEqual([]);
  }

  async function start(calls: DaemonCalls, n: number) {
    const given = await calls.ask("IpamDriver.RequestAddress", { PoolID: network.poolId, Address: "", Options: {} });
    const address = String(given.kind === "ok" && given.fields["Address"]);
    const own = { ...ids(n), NetworkID: network.id };
    const created = await calls.ask("NetworkDriver.CreateEndpoint", { ...endpointBody(n, { address }), ...own });
    const joined = await calls.ask("NetworkDriver.Join", { ...own, SandboxKey: `/var/run/docker/netns/${n}` });
    return { n, address, mac: JSON.stringify(created), joined };
  }

  async function stop(calls: DaemonCalls, n: number, address: string) {
    const own = { ...ids(n), NetworkID: network.id };
    return [
      await calls.ask("NetworkDriver.Leave", own),
      await calls.ask("NetworkDriver.DeleteEndpoint", own),
      await calls.ask("IpamDriver.ReleaseAddress", { PoolID: network.poolId, Address: address.replace(/\/.*/, "") }),
    ];
  }

  /** Milliseconds of each of a row of calls, 20 ms apart. */
  async function watchActivate(isOver: () => boolean): Promise<readonly number[]> {
    const delays: number[] = [];
    while (!isOver()) {
      const startedAt = performance.now();
      await host.engine.call("Plugin.Activate");
      delays.push(performance.now() - startedAt);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return delays;
  }

  /** By connections that are kept, as the engine does it. */
  async function call(verb: string, body?: object): Promise<Answer> {
    const text = body === undefined ? "" : JSON.stringify(body);
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const where = {
      socketPath: host.namespace.outside(SOCKET),
      path: `/${verb}`,
      method: "POST",
      agent,
      timeout: 60_000,
    };
    const sent = request({ ...where, headers: { "Content-Length": Buffer.byteLength(text) } }, (response) => {
      let reply = "";
      response.on("data", (part: Buffer) => (reply += part.toString()));
      response.on("end", () => resolve(JSON.parse(reply) as Answer)); // every answer of tsnet is JSON
    });
    sent.on("timeout", () => sent.destroy(new Error(`${verb} has had no answer for 60 s`)));
    sent.on("error", reject).end(text);
    return promise;
  }

  function nameOf(joined: Answer): string {
    const { SrcName } = joined["InterfaceName"] as { SrcName: string }; // cnm-protocol.md 2.8
    return SrcName;
  }

  async function veths(): Promise<readonly string[]> {
    const found = JSON.parse(await host.exec("ip", "-json", "link", "show", "type", "veth")) as { ifname?: string }[];
    return found.flatMap(({ ifname }) => ifname ?? []);
  }
});
