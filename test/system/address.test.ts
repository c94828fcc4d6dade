// Pools and addresses as the engine asks tsnet's IPAM for them, with tsnet's own network driver and with Docker's.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TEST_IMAGE } from "../support/image.ts";
import { OPEN, SystemHost, type TestNetwork } from "../support/system-host.ts";

describe("addresses from tsnet", () => {
  let host: SystemHost;
  const settings = { TSNET_POOLS: "10.210.0.0/22:24,fd00:210::/48:64" };

  beforeAll(async () => void (host = await SystemHost.up("tsnet serve", { settings })));
  afterAll(async () => await host?.[Symbol.asyncDispose]());

  it("come from different default pools for different networks, of both families", async () => {
    await using one = await host.network("one", "--ipv6");
    await using two = await host.network("two", "--ipv6");

    expect([...(await subnetsOf(one)), ...(await subnetsOf(two))]).toEqual([
      "10.210.0.0/24",
      "fd00:210::/64",
      "10.210.1.0/24",
      "fd00:210:0:1::/64",
    ]);
  });

  it("avoid a default pool that the host has a route to, and end with a count when no pool is left [F73, F74]", async () => {
    await host.exec(["ip", "route", "add", "10.210.0.128/25", "dev", "lan0"]);
    await using one = await host.network("one");
    await using two = await host.network("two");
    await using three = await host.network("three");
    const chosen = await Promise.all([one, two, three].map(subnetsOf));

    const message = await host.refusalOf("network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", "four");
    await host.exec(["ip", "route", "delete", "10.210.0.128/25"]);

    expect(chosen.flat()).toEqual(["10.210.1.0/24", "10.210.2.0/24", "10.210.3.0/24"]);
    expect(message).toContain("no IPv4 pool left to choose, give --subnet: 10.210.0.0/22:24: 3 of 4 in use");
    expect(message).toContain("1 overlap routes of this host");
  });

  it("start behind the gateway of --gateway, stay in --ip-range, and leave out --aux-address", async () => {
    const aux = ["--aux-address", "printer=10.70.0.129", "--aux-address", "phone=10.70.0.131"];
    const range = ["--subnet", "10.70.0.0/24", "--gateway", "10.70.0.130", "--ip-range", "10.70.0.128/29"];
    await using network = await host.network("range", ...range, ...aux);

    await using given = await fill(network, 5);
    const message = await host.refusalOf("run", "-d", "--rm", "--network", "range", TEST_IMAGE);
    await using named = await host.run("named", network, "--ip", "10.70.0.9");

    expect(given.addresses).toEqual(["10.70.0.128", "10.70.0.132", "10.70.0.133", "10.70.0.134", "10.70.0.135"]);
    expect(message).toContain("no address left in range 10.70.0.128/29 of 10.70.0.0/24 (8 of 8 in use)");
    expect(await named.address()).toBe("10.70.0.9");
  });

  it("are refused by name when they are the gateway, auxiliary, in use, or not the subnet's [F78]", async () => {
    await using network = await host.network("taken", "--subnet", "10.71.0.0/24", "--aux-address", "nas=10.71.0.7");
    await using _holder = await host.run("holder", network, "--ip", "10.71.0.8");
    const refusal = async (address: string) =>
      await host.refusalOf("run", "-d", "--rm", "--network", "taken", "--ip", address, TEST_IMAGE);

    expect(await refusal("10.71.0.1")).toContain("address 10.71.0.1 is the gateway of pool 10.71.0.0/24");
    expect(await refusal("10.71.0.7")).toContain("address 10.71.0.7 is already in use in pool 10.71.0.0/24");
    expect(await refusal("10.71.0.8")).toContain("address 10.71.0.8 is already in use in pool 10.71.0.0/24");
    expect(await refusal("10.71.0.0")).toContain("is the network address of subnet 10.71.0.0/24");
    expect(await refusal("10.71.1.5")).toMatch(/10\.71\.1\.5|no configured subnet/);
  });

  it.each([
    ["10.72.0.0/31", ["10.72.0.1"]],
    ["10.72.0.0/30", ["10.72.0.2"]],
    ["10.72.0.0/29", ["10.72.0.2", "10.72.0.3", "10.72.0.4", "10.72.0.5", "10.72.0.6"]],
  ])("of %s are all given out, then the pool says that it is full", async (subnet, addresses) => {
    await using network = await host.network("small", "--subnet", subnet);

    await using given = await fill(network, addresses.length);
    const message = await host.refusalOf("run", "-d", "--rm", "--network", "small", TEST_IMAGE);

    expect(given.addresses).toEqual(addresses);
    const all = addresses.length + 1;
    expect(message).toContain(`no address left in`);
    expect(message).toContain(`(${all} of ${all} in use)`);
    expect(message).toContain(subnet);
  });

  it.each([
    ["fd72::/127", ["fd72::1"]],
    ["fd72::/126", ["fd72::2", "fd72::3"]],
  ])("of %s are all given out beside IPv4, then the pool says that it is full [F75]", async (subnet, addresses) => {
    await using network = await host.network("small6", "--ipv6", "--subnet", "10.73.0.0/24", "--subnet", subnet);

    await using given = await fill(network, addresses.length, 6);
    const message = await host.refusalOf("run", "-d", "--rm", "--network", "small6", TEST_IMAGE);

    expect(given.addresses).toEqual(addresses);
    expect(message).toMatch(new RegExp(`no address left in .*${subnet}`));
  });

  it("are used again only when no fresh one is left, the one released longest ago first [F75]", async () => {
    await using network = await host.network("reuse", "--subnet", "10.74.0.0/29");
    const given: string[] = [];
    for (let round = 1; round <= 7; round++) {
      await using container = await host.run(`reuse-${round}`, network);
      given.push(await container.address());
    }

    const last = given.map((address) => Number(address.split(".")[3]));

    expect(last).toEqual([2, 3, 4, 5, 6, 2, 3]);
  });

  it("of two networks may not overlap, and the message names both subnets [F73]", async () => {
    await using _first = await host.network("first", "--subnet", "10.75.0.0/16");

    const message = await refusedNetwork("--subnet", "10.75.4.0/24");

    expect(message).toContain("subnet 10.75.4.0/24 overlaps pool 10.75.0.0/16 in the default segment");
  });

  it("may overlap in another segment for the modes l2 and isolated, and not where the host routes", async () => {
    const same = ["--subnet", "10.76.0.0/24", "--gateway", "10.76.0.1"];
    const segment = (name: string) => ["--ipam-opt", `segment=${name}`];
    await using _default = await host.network("east", ...same, ...segment("east"), "-o", "mode=isolated");
    await using west = await host.network("west", ...same, ...segment("west"), "-o", "mode=l2");
    await using container = await host.run("west-1", west, "--ip", "10.76.0.2");

    const sameSegment = await refusedNetwork(...same, ...segment("west"), "-o", "mode=l2");
    const routed = await refusedNetwork(...same, ...segment("north"));

    expect(await container.address()).toBe("10.76.0.2");
    expect(sameSegment).toContain('subnet 10.76.0.0/24 overlaps pool 10.76.0.0/24 in segment "west"');
    expect(routed).toMatch(
      /subnet 10\.76\.0\.0\/24 overlaps 10\.76\.0\.0\/24 of network [0-9a-f]{12}; where the host routes/,
    );
  });

  it("serve Docker's own bridge driver as well", async () => {
    await host.docker(
      "network",
      "create",
      "-d",
      "bridge",
      "--ipam-driver",
      "tsnet",
      "--subnet",
      "10.77.0.0/24",
      "docker",
    );
    await using network = host.existingNetwork("docker");
    await using one = await host.run("one", network);
    await using two = await host.run("two", network, "--ip", "10.77.0.200");

    expect([await one.address(), await two.address()]).toEqual(["10.77.0.2", "10.77.0.200"]);
    await expect.poll(() => host.tryReach(one, "10.77.0.200")).toEqual(OPEN);
  });

  it("are not needed: Docker's own IPAM serves a tsnet network", async () => {
    await using network = await host.network("by-docker", "--ipam-driver", "default", "--subnet", "10.78.0.0/24");
    await using one = await host.run("one", network);
    await using two = await host.run("two", network);

    expect([await one.address(), await two.address()]).toEqual(["10.78.0.2", "10.78.0.3"]);
    await expect.poll(async () => await host.tryReach(one, await two.address())).toEqual(OPEN);
    expect(await host.lab.askEcho("tcp", host.neighbour.address, one.name)).toBe("192.0.2.10");
  });

  it("must be there in the modes nat and routed: --ipam-driver null is refused with the modes that do without", async () => {
    const create = ["network", "create", "-d", "tsnet", "--ipam-driver", "null"];

    const nat = await host.refusalOf(...create, "bare");
    const routed = await host.refusalOf(...create, "-o", "mode=routed", "bare");

    expect(nat).toContain("mode nat needs addresses; with --ipam-driver null the modes l2 and isolated are permitted");
    expect(routed).toContain("mode routed needs addresses");
  });

  it("can be left out with --ipv6 too, where the engine allows it", async () => {
    const create = ["network", "create", "-d", "tsnet", "--ipam-driver", "null", "--ipv6", "-o", "mode=l2", "bare"];
    if (host.lab.engine.version !== "28.5") {
      expect(await host.refusalOf(...create)).toContain("IPv6");
      return;
    }
    await host.docker(...create);
    await using network = host.existingNetwork("bare");
    await using container = await host.run("bare-1", network);

    expect((await container.interface("eth0")).addresses).toEqual([]);
  });

  it("are refused without a trace: no container, pool or address stays behind", async () => {
    await host.removeEverything();

    const { records } = await host.census();

    expect(records).toEqual([]);
    expect(host.complaints()).toEqual([]);
  });

  async function subnetsOf(network: TestNetwork): Promise<string[]> {
    const format = "{{range .IPAM.Config}}{{.Subnet}} {{end}}";
    return (await host.docker("network", "inspect", "--format", format, network.name)).split(" ");
  }

  async function refusedNetwork(...options: string[]): Promise<string> {
    return await host.refusalOf("network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", ...options, "refused");
  }

  /** Starts so many containers, which stay until the result is disposed of, and reads their addresses. */
  async function fill(network: TestNetwork, count: number, family: 4 | 6 = 4): Promise<Filled> {
    const containers = new AsyncDisposableStack();
    const addresses: string[] = [];
    for (let at = 0; at < count; at++) {
      const container = containers.use(await host.run(`${network.name}-${at}`, network));
      addresses.push(await container.address(family));
    }
    return { addresses, [Symbol.asyncDispose]: () => containers.disposeAsync() };
  }
});

interface Filled extends AsyncDisposable {
  readonly addresses: readonly string[];
}
