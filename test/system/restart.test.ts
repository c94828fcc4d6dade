// Restarts of tsnet, of the engine and of the whole host, with packets flowing meanwhile: what the kernel can keep is kept.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Census } from "../support/census.ts";
import type { TestContainer } from "../support/system-container.ts";
import { OPEN, SystemHost, type TestNetwork, VARIANTS } from "../support/system-host.ts";

const HOST = "192.0.2.10";
/** What tsnet makes; the engine's own parts change with its restarts. */
const OURS = ["links", "addresses", "routes", "nft", "records"];

describe.each(VARIANTS)("with live-restore and the %s", (variant) => {
  let host: SystemHost;
  let before: Census;
  let network: TestNetwork;
  let one: TestContainer;
  let two: TestContainer;

  beforeAll(async () => {
    host = await SystemHost.up(variant, { isLiveRestore: true });
    before = await host.census();
    network = await host.network("blue", "--ipv6", "--subnet", "10.90.0.0/24", "--subnet", "fd90::/64");
    one = await host.run("one", network);
    two = await host.run("two", network);
  });
  afterAll(async () => await host?.[Symbol.asyncDispose]());

  it("a stop and start of tsnet loses no packet between containers or to the outside, and changes nothing", async () => {
    const whole = await host.census();
    const flows = await startFlows();

    await host.stop();
    await host.start();

    expect(await Promise.all(flows.map((flow) => flow.countLost()))).toEqual([0, 0, 0]);
    await expect.poll(() => host.changesSince(whole, OURS)).toEqual([]);
  });

  it("a kill -9 of tsnet loses no packet, and the next container is served as before", async () => {
    const whole = await host.census();
    const flows = await startFlows();

    await host.kill9();
    if (variant === "tsnet serve") await host.start();

    {
      await using three = await host.run("three", network);
      await expect.poll(async () => await host.tryReach(three, await one.address())).toEqual(OPEN);
    }
    expect(await Promise.all(flows.map((flow) => flow.countLost()))).toEqual([0, 0, 0]);
    await expect.poll(() => host.changesSince(whole, OURS), { timeout: 10_000 }).toEqual([]);
  });

  it("a kill -9 of dockerd loses no packet, and its containers can be moved and removed afterwards [F21]", async () => {
    const flows = await startFlows();

    await host.lab.dockerd.kill();
    await host.lab.dockerd.start();

    expect(await Promise.all(flows.map((flow) => flow.countLost()))).toEqual([0, 0, 0]);
    await using other = await host.network("other");
    await using three = await host.run("three", network);
    await host.docker("network", "connect", other.name, two.name);
    await expect.poll(async () => await host.tryReach(three, await two.address())).toEqual(OPEN);
    await host.docker("network", "disconnect", other.name, two.name);
  });

  it("a container that is removed right after a kill -9 of tsnet leaves nothing behind", async () => {
    const whole = await host.census();
    const doomed = await host.run("doomed", network);
    await host.kill9();
    const removed = doomed[Symbol.asyncDispose](); // the engine repeats its calls until tsnet is back
    if (variant === "tsnet serve") await host.start();

    await removed;

    await expect.poll(() => host.changesSince(whole, OURS), { timeout: 20_000, interval: 500 }).toEqual([]);
    await using again = await host.run("doomed", network);
    await expect.poll(async () => await host.tryReach(again, await one.address())).toEqual(OPEN);
  });

  it("nothing is left on the host when all of it is removed, and tsnet's log has no complaint", async () => {
    await host.removeEverything();

    await expect.poll(() => host.changesSince(before, OURS), { timeout: 15_000, interval: 500 }).toEqual([]);
    expect(host.complaints()).toEqual([]);
  });

  /** Between containers by IPv4 and IPv6, and to the outside. */
  async function startFlows() {
    return [
      await host.startFlow(one, await two.address()),
      await host.startFlow(one, await two.address(6)),
      await host.startFlow(one, host.neighbour.address),
    ];
  }
});

describe.each(VARIANTS)("without live-restore and with the %s", (variant) => {
  let host: SystemHost;
  let before: Census;
  let fixed: TestContainer;
  let free: TestContainer;

  beforeAll(async () => {
    host = await SystemHost.up(variant);
    before = await host.census();
    const nat = await host.network("blue", "--ipv6", "--subnet", "10.91.0.0/24", "--subnet", "fd91::/64");
    const internal = await host.network("green", "--internal", "--subnet", "10.92.0.0/24");
    fixed = await host.run("fixed", nat, "--restart", "always", "--ip", "10.91.0.55", "--ip6", "fd91::55");
    free = await host.run("free", nat, "--restart", "always");
    await host.docker("network", "connect", "--ip", "10.92.0.55", internal.name, fixed.name);
    await host.run("temporary", nat);
  });
  afterAll(async () => await host?.[Symbol.asyncDispose]());

  it("containers with --restart always come back after a stop and start of dockerd, with the addresses of --ip [F20]", async () => {
    await host.lab.dockerd.stop();
    await host.lab.dockerd.start();

    await expectComeback();
  });

  it("containers with --restart always come back after a kill -9 of dockerd [F20]", async () => {
    await host.lab.dockerd.kill();
    await host.lab.dockerd.start();

    await expectComeback();
  });

  it("networks, rules and containers come back after a power cut [F25]", async () => {
    const whole = await host.census();

    await host.reboot();

    await expectComeback();
    await host.docker("start", "temporary");
    await expect.poll(() => rulesAndBridges(whole), { timeout: 10_000 }).toEqual([]);
  });

  it("nothing is left on the host when all of it is removed, and tsnet's log has no complaint", async () => {
    await host.removeEverything();

    // the engine's own bridge has another MAC address after each boot, and its rules another order
    const leftovers = async () => {
      const changes = await host.changesSince(before, ["links", "addresses", "records", "nft"]);
      return changes.filter(
        (line) => !/ifname=docker0 /.test(line) && (!line.startsWith("nft") || line.includes("tsnet")),
      );
    };
    await expect.poll(leftovers, { timeout: 15_000 }).toEqual([]);
    expect(host.complaints()).toEqual([]);
  });

  async function expectComeback(): Promise<void> {
    await fixed.restarted(0);
    await free.restarted(0);
    const addresses = (await fixed.interfaces()).flatMap((each) => each.addresses).toSorted();
    expect(addresses).toEqual(["10.91.0.55/24", "10.92.0.55/24", "fd91::55/64"]);
    await expect.poll(async () => await host.tryReach(fixed, await free.address())).toEqual(OPEN);
    await expect.poll(() => host.tryReach(free, "fd91::55")).toEqual(OPEN);
    await expect.poll(() => host.tryReach(host, "10.92.0.55")).toEqual(OPEN);
    expect(await host.lab.askEcho("tcp", host.neighbour.address, free.name)).toBe(HOST);
    expect(await free.execInside("ping", "-c1", "-W10", "fixed")).toContain("1 packets received");
  }

  /** Bridges with their addresses and MACs, and our rules; ports are new ones after a restart. */
  async function rulesAndBridges(whole: Census): Promise<readonly string[]> {
    const changes = await host.changesSince(whole, ["links", "addresses", "nft"]);
    return changes.filter(
      (line) => / ifname=tsn-| tsn-|inet tsnet|tsnet:/.test(line) && !line.includes("tsnet:endpoint"),
    );
  }
});
