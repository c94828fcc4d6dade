// Calls that come twice, late, in the wrong order, a hundred at once or for nothing, against the real daemon and the kernel.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Census } from "../../support/census.ts";
import { networkId } from "../../support/cnm-builder.ts";
import { DaemonCalls, type Result, countOk, endpointBody, errorsOf, ids, portMap } from "../../support/daemon-calls.ts";
import { ServeHost } from "../../support/serve-host.ts";

const HUNDRED = Array.from({ length: 100 }, (_, at) => at + 1);
const OK = { kind: "ok" };
/** A daemon that looks at the host meanwhile has files open. */
const REST = { timeout: 20_000, interval: 200 } as const;

describe("the daemon on the real kernel", () => {
  let host: ServeHost;
  let calls: DaemonCalls;
  let before: Census;

  beforeAll(async () => {
    host = await ServeHost.up("order");
    calls = new DaemonCalls(host.engine);
    // The first network of a host turns forwarding on, and the first rules make the table.
    await calls.createNetwork(99);
    await calls.deleteNetwork(99);
    before = await host.restingCensus();
  });
  afterAll(async () => await host?.[Symbol.asyncDispose]());

  describe("with a network", () => {
    beforeEach(async () => expect(await calls.createNetwork(1)).toMatchObject(OK));
    afterEach(async () => {
      expect(await calls.deleteNetwork(1)).toMatchObject(OK);
      await expect.poll(() => host.changesSince(before), REST).toEqual([]);
    });

    it("removes all that Join made when DeleteEndpoint comes without Leave, and a late Leave succeeds [F40]", async () => {
      await calls.createEndpoint(1);
      await calls.join(1);
      await calls.program(1, 8080);
      expect(await veths()).toHaveLength(2);

      expect(await calls.deleteEndpoint(1)).toMatchObject(OK);

      await expect.poll(veths).toEqual([]);
      expect(await calls.leave(1)).toMatchObject(OK);
    });

    it("makes one endpoint out of a hundred equal CreateEndpoints at once, and all succeed [F41]", async () => {
      const results = await Promise.all(HUNDRED.map(async () => calls.createEndpoint(1)));

      expect(countOk(results)).toBe(100);
      expect(new Set(results.map((result) => JSON.stringify(result))).size).toBe(1);
      expect(await calls.createEndpoint(1)).toEqual(results[0]);
      await calls.join(1);
      expect(await veths()).toHaveLength(2);
      await calls.deleteEndpoint(1);
    });

    it("has one winner among a hundred CreateEndpoints of one id with different addresses at once [F41]", async () => {
      const results = await Promise.all(
        HUNDRED.map(async (n) => calls.createEndpoint(1, { address: `10.1.1.${n + 1}/24` })),
      );

      expect(countOk(results)).toBe(1);
      expect(errorsOf(results)).toEqual([expect.stringContaining("exists already, with other properties")]);
      await calls.deleteEndpoint(1);
    });

    it("gives a hundred equal Joins at once the same answer and one link; another sandbox is refused and the first one stays [F42]", async () => {
      await calls.createEndpoint(1);

      const results = await Promise.all(HUNDRED.map(async () => calls.join(1)));
      const other = await calls.join(1, { sandbox: "other" });

      expect(countOk(results)).toBe(100);
      expect(new Set(results.map((result) => JSON.stringify(result))).size).toBe(1);
      expect(other).toMatchObject({ kind: "error", text: expect.stringContaining("it is joined to") });
      expect(await calls.join(1)).toEqual(results[0]);
      expect(await veths()).toHaveLength(2);
      await calls.deleteEndpoint(1);
    });

    it("answers a hundred Leaves at once and then a hundred DeleteEndpoints at once with success [F43]", async () => {
      await calls.createEndpoint(1);
      await calls.join(1);
      await calls.program(1, 8080);

      const left = await Promise.all(HUNDRED.map(async () => calls.leave(1)));
      const deleted = await Promise.all(HUNDRED.map(async () => calls.deleteEndpoint(1)));

      expect([countOk(left), countOk(deleted)]).toEqual([100, 100]);
      await expect.poll(veths).toEqual([]);
    });

    it("lets a Leave and a DeleteEndpoint that overtake a Join wait for it, and nothing is left [F44]", async () => {
      for (const n of HUNDRED.slice(0, 50)) {
        await calls.createEndpoint(n);
        const results = await Promise.all([calls.join(n), calls.leave(n), calls.deleteEndpoint(n)]);
        expect(results.slice(1)).toMatchObject([OK, OK]);
      }

      await expect.poll(veths).toEqual([]);
    });

    it("refuses DeleteNetwork while a container has an endpoint, keeps that working, and removes all with it [F46]", async () => {
      const other = { subnet: "10.77.0.0/24", gateway: "10.77.0.1" };
      const network = await host.engine.createNetwork(other);
      const endpoint = await host.engine.start(network);
      await calls.createEndpoint(5); // never joined: goes with its network
      expect(await calls.deleteNetwork(1)).toMatchObject(OK);

      const refused = await calls.ask("NetworkDriver.DeleteNetwork", { NetworkID: network.id });

      expect(refused).toMatchObject({ kind: "error", text: expect.stringContaining("it goes with the last of them") });
      expect(await host.reachesGateway(endpoint)).toBe(true);
      await host.engine.stop(endpoint);
      await host.engine.removeNetwork(network);
    });
  });

  it("has one network out of a hundred equal CreateNetworks at once, and all succeed [F47]", async () => {
    const results = await Promise.all(HUNDRED.map(async () => calls.createNetwork(1)));

    expect(countOk(results)).toBe(100);
    expect(await calls.createNetwork(1, { options: { mtu: "1400" } })).toMatchObject({
      kind: "error",
      text: expect.stringContaining("exists already, with other options"),
    });
    await calls.deleteNetwork(1);
    await expect.poll(() => host.changesSince(before), REST).toEqual([]);
  });

  it("has one winner among a hundred networks with one subnet at once, and the others change nothing [F47]", async () => {
    const results = await Promise.all(HUNDRED.map(async (n) => calls.createNetwork(n, { subnet: "10.1.1.0/24" })));

    expect(countOk(results)).toBe(1);
    await Promise.all(HUNDRED.map(async (n) => calls.deleteNetwork(n)));
    await expect.poll(() => host.changesSince(before), REST).toEqual([]);
  });

  it("has one winner among a hundred networks of different MTUs on one bridge at once [F47]", async () => {
    const of = (n: number) => ({ options: { bridge: "shared0", mtu: String(1300 + n) } });
    const results = await Promise.all(HUNDRED.map(async (n) => calls.createNetwork(n, of(n))));

    expect(countOk(results)).toBe(1);
    await Promise.all(HUNDRED.map(async (n) => calls.deleteNetwork(n)));
    await expect.poll(() => host.changesSince(before), REST).toEqual([]);
  });

  it("has one network of a subnet at a time while a hundred are made and removed at once with endpoints [F56]", async () => {
    const life = async (n: number): Promise<Result[]> => {
      const call = { network: n, address: "10.1.1.7/24" };
      const made = await calls.createNetwork(n, { subnet: "10.1.1.0/24" });
      const started =
        made.kind === "ok" ? [await calls.createEndpoint(n, call), await calls.join(n, { network: n })] : [];
      const bridges = made.kind === "ok" ? await links("bridge") : [];
      expect(bridges.length).toBeLessThanOrEqual(1);
      const ended = [await calls.deleteEndpoint(n, n), await calls.deleteNetwork(n)];
      expect([...started, ...ended].map(({ kind }) => kind)).toEqual([...started, ...ended].map(() => "ok"));
      return [made];
    };

    const made = (await Promise.all(HUNDRED.map(life))).flat();

    expect(countOk(made)).toBeGreaterThanOrEqual(1);
    await expect.poll(() => host.changesSince(before), REST).toEqual([]);
  });

  it("refuses every making verb for what it does not know, answers every removing one with success, and changes nothing [F45]", async () => {
    const unknown = ids(77, 77);
    const making: readonly (readonly [string, object])[] = [
      ["NetworkDriver.CreateEndpoint", endpointBody(77, { network: 77 })],
      ["NetworkDriver.Join", { ...unknown, SandboxKey: "/var/run/docker/netns/x" }],
      [
        "NetworkDriver.ProgramExternalConnectivity",
        { ...unknown, Options: { "com.docker.network.portmap": portMap(80) } },
      ],
      ["IpamDriver.RequestAddress", { PoolID: "10.1.1.0/24+00000000", Address: "", Options: {} }],
    ];
    const removing: readonly (readonly [string, object])[] = [
      ["NetworkDriver.RevokeExternalConnectivity", unknown],
      ["NetworkDriver.Leave", unknown],
      ["NetworkDriver.DeleteEndpoint", unknown],
      ["NetworkDriver.EndpointOperInfo", unknown],
      ["NetworkDriver.DeleteNetwork", { NetworkID: networkId(77) }],
      ["NetworkDriver.FreeNetwork", { NetworkID: networkId(77) }],
      ["IpamDriver.ReleaseAddress", { PoolID: "10.1.1.0/24+00000000", Address: "10.1.1.9" }],
      ["IpamDriver.ReleasePool", { PoolID: "10.1.1.0/24+00000000" }],
    ];

    const refused = await Promise.all(making.map(async ([verb, body]) => calls.ask(verb, body)));
    const done = await Promise.all(removing.map(async ([verb, body]) => calls.ask(verb, body)));

    expect(countOk(refused)).toBe(0);
    expect(errorsOf(refused).every((text) => /has no|no record|not in the records/.test(text))).toBe(true);
    expect(countOk(done)).toBe(removing.length);
    await expect.poll(() => host.changesSince(before), REST).toEqual([]);
  });

  it("answers a thousand Activates on twenty connections while endpoints are made, and forgets nothing [F24]", async () => {
    await calls.createNetwork(1);
    const activate = async () => {
      for (let n = 0; n < 50; n++) {
        expect(await host.engine.call("Plugin.Activate")).toEqual({ Implements: ["NetworkDriver", "IpamDriver"] });
      }
    };

    const storm = Promise.all(HUNDRED.slice(0, 50).map(activate));
    const made = await Promise.all(
      HUNDRED.map(async (n) => [await calls.createEndpoint(n), await calls.join(n)] as const),
    );
    await storm;

    expect(countOk(made.flat())).toBe(200);
    expect(await veths()).toHaveLength(200);
    await Promise.all(HUNDRED.map(async (n) => calls.deleteEndpoint(n)));
    await calls.deleteNetwork(1);
    await expect.poll(() => host.changesSince(before), REST).toEqual([]);
  });

  it("answers or undoes fifty calls in flight when it is told to end, and ends within 10 s with 0 [F13]", async () => {
    await calls.createNetwork(1);
    const inFlight = HUNDRED.slice(0, 50).map(
      async (n) => [await calls.createEndpoint(n), await calls.join(n)] as const,
    );
    await calls.createNetwork(1, {}); // behind it the fifty are under way

    const startedAt = performance.now();
    expect(await host.serve.stop()).toBe(0);
    expect(performance.now() - startedAt).toBeLessThan(10_000);

    const answers = await Promise.all(inFlight);
    const joined = answers.filter(([, join]) => join.kind === "ok").length;
    expect(await veths()).toHaveLength(2 * joined);
    await host.serve.startAgain();
    await Promise.all(HUNDRED.map(async (n) => calls.deleteEndpoint(n)));
    expect(await calls.deleteNetwork(1)).toMatchObject(OK);
    const sections = Object.keys(before).filter((name) => name !== "open files");
    await expect.poll(() => host.changesSince(before, sections), REST).toEqual([]);
  });

  it("has logged no error of its own", () => {
    expect(host.complaints((line) => line.includes('"level":40') || line.includes("shutting down"))).toEqual([]);
  });

  async function links(kind: string): Promise<readonly string[]> {
    const found = JSON.parse(await host.exec("ip", "-json", "link", "show", "type", kind)) as { ifname?: string }[];
    return found.flatMap(({ ifname }) => ifname ?? []);
  }

  async function veths(): Promise<readonly string[]> {
    return await links("veth");
  }
});
