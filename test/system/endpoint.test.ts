// What a container gets on a tsnet network: addresses, MAC, MTU, names, routes, and what stays when it is restarted or
// moved between networks while it runs.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Census } from "../support/census.ts";
import { TEST_IMAGE } from "../support/image.ts";
import { OPEN, SystemHost, type TestNetwork, VARIANTS } from "../support/system-host.ts";

const HOST = "192.0.2.10";
const HOST_IPV6 = "2001:db8:1::10";

describe.each(VARIANTS)("a container with the %s", (variant) => {
  let host: SystemHost;
  let before: Census;
  /** 10.60.0.0/24 and fd60::/64. */
  let dual: TestNetwork;
  /** 10.61.0.0/24. */
  let single: TestNetwork;

  beforeAll(async () => {
    host = await SystemHost.up(variant);
    before = await host.census();
    dual = await host.network("dual", "--ipv6", "--subnet", "10.60.0.0/24", "--subnet", "fd60::/64");
    single = await host.network("single", "--subnet", "10.61.0.0/24");
  });
  afterAll(async () => await host?.[Symbol.asyncDispose]());

  it("has the addresses and the MAC address that --ip, --ip6 and --mac-address ask for", async () => {
    const wanted = ["--ip", "10.60.0.77", "--ip6", "fd60::77", "--mac-address", "02:11:22:33:44:55"];
    await using container = await host.run("wanted", dual, ...wanted);

    expect(await container.interfaces()).toEqual([
      { name: "eth0", mac: "02:11:22:33:44:55", mtu: 1500, addresses: ["10.60.0.77/24", "fd60::77/64"] },
    ]);
    await expect.poll(() => host.tryReach(host, "10.60.0.77")).toEqual(OPEN);
  });

  it("has a MAC address made of its IPv4 address, the same again after a restart", async () => {
    await using container = await host.run("derived", dual, "--ip", "10.60.0.78", "--ip6", "fd60::78");
    const [first] = await container.interfaces();

    await host.docker("restart", "-t", "0", container.name);

    expect(first?.mac).toBe("02:42:0a:3c:00:4e");
    expect(await container.interface("eth0")).toEqual(first);
  });

  it("has a default route of each family and leaves by both, without docker_gwbridge", async () => {
    await using container = await host.run("both", dual);

    expect(await container.routesVia()).toEqual(["default via 10.60.0.1 dev eth0", "default via fd60::1 dev eth0"]);
    expect(await host.lab.askEcho("tcp", host.neighbour.address, container.name)).toBe(HOST);
    expect(await host.lab.askEcho("tcp", host.neighbour.addressIpv6, container.name)).toBe(HOST_IPV6);
    expect(await host.docker("network", "ls", "--format", "{{.Name}}")).not.toContain("docker_gwbridge");
  });

  it("gets an answer to the first packet of its first process over IPv6, without waiting for duplicates [F83]", async () => {
    const ping = ["ping", "-6", "-c1", "-W1", "fd60::1"];

    const output = await host.docker("run", "--rm", "--network", dual.name, TEST_IMAGE, ...ping);

    expect(output).toContain("1 packets received");
  });

  it("and all links of its network have the MTU of -o mtu", async () => {
    await using network = await host.network("small", "-o", "mtu=1400");
    await using container = await host.run("small-1", network);

    expect((await container.interface("eth0")).mtu).toBe(1400);
    expect(await mtusOfMarkedLinks(network)).toEqual([1400, 1400]);
  });

  it("has the smaller MTU that --driver-opt gives it alone", async () => {
    await using container = await host.run("mtu", dual);

    await host.docker("network", "connect", "--driver-opt", "mtu=1300", single.name, container.name);

    expect((await container.interface("eth0")).mtu).toBe(1500);
    expect((await container.interface("eth1")).mtu).toBe(1300);
  });

  it("has an interface named after -o ifprefix", async () => {
    await using network = await host.network("named", "-o", "ifprefix=lan");
    await using container = await host.run("named-1", network);

    expect((await container.interfaces()).map(({ name }) => name)).toEqual(["lan0"]);
  });

  it("has the routes of -o routes and uses them", async () => {
    const addresses = ["--ipv6", "--subnet", "10.62.0.0/24", "--subnet", "fd62::/64"];
    const routes = "routes=10.99.0.0/16 via 10.62.0.9,fd99::/64 via fd62::9";
    await using network = await host.network("routes", ...addresses, "-o", routes, "-o", "antispoof=false");
    await using router = await host.run("router", network, "--ip", "10.62.0.9", "--ip6", "fd62::9");
    await using container = await host.run("routes-1", network);
    await router.exec(["ip", "address", "add", "10.99.0.1/32", "dev", "lo"]);

    expect(await container.routesVia()).toContain("10.99.0.0/16 via 10.62.0.9 dev eth0");
    expect(await container.routesVia()).toContain("fd99::/64 via fd62::9 dev eth0");
    await expect.poll(() => host.tryReach(container, "10.99.0.1")).toEqual(OPEN);
  });

  it("has no default route and no docker_gwbridge with -o gateway=none", async () => {
    await using network = await host.network("closed", "-o", "gateway=none");
    await using container = await host.run("closed-1", network);

    expect(await container.routesVia()).toEqual([]);
    expect(await container.interfaces()).toHaveLength(1);
    expect(await host.docker("network", "ls", "--format", "{{.Name}}")).not.toContain("docker_gwbridge");
  });

  it("has an address in whichever of the network's subnets --ip names, and the gateway of that one", async () => {
    const subnets = ["--subnet", "10.63.0.0/24", "--subnet", "10.64.0.0/24"];
    await using network = await host.network("two-subnets", ...subnets);
    await using first = await host.run("first", network, "--ip", "10.63.0.5");
    await using second = await host.run("second", network, "--ip", "10.64.0.5");

    expect(await first.routesVia()).toEqual(["default via 10.63.0.1 dev eth0"]);
    expect(await second.routesVia()).toEqual(["default via 10.64.0.1 dev eth0"]);
    expect(await host.lab.askEcho("tcp", host.neighbour.address, second.name)).toBe(HOST);
    await expect.poll(() => host.tryReach(first, "10.64.0.5")).toEqual(OPEN);
  });

  it("gets a second network while it runs, and gives one up: the default route moves to the one that is left", async () => {
    await using peer = await host.run("peer", single);
    await using container = await host.run("mover", dual);
    await host.docker("network", "connect", "--ip", "10.61.0.99", single.name, container.name);
    expect((await container.interfaces()).map(({ name }) => name)).toEqual(["eth0", "eth1"]);
    expect(await container.routesVia()).toContain("default via 10.60.0.1 dev eth0");
    await expect.poll(async () => await host.tryReach(container, await peer.address())).toEqual(OPEN);

    await host.docker("network", "disconnect", dual.name, container.name);

    expect((await container.interfaces()).map(({ name, addresses }) => [name, ...addresses])).toEqual([
      ["eth1", "10.61.0.99/24"],
    ]);
    expect(await container.routesVia()).toEqual(["default via 10.61.0.1 dev eth1"]);
    expect(await host.lab.askEcho("tcp", host.neighbour.address, container.name)).toBe(HOST);

    await host.docker("network", "connect", dual.name, container.name);
    expect((await container.routesVia())[0]).toMatch(/^default via 10\.60\.0\.1 /);
  });

  it("is on all its networks again, with its addresses, when it is restarted or its process is killed", async () => {
    await using container = await host.run("phoenix", dual, "--ip", "10.60.0.88", "--restart", "always");
    await host.docker("network", "connect", "--ip", "10.61.0.88", single.name, container.name);
    const addresses = async () => (await container.interfaces()).flatMap((each) => each.addresses).toSorted();
    const first = await addresses();
    expect(first).toHaveLength(3);

    await host.docker("restart", "-t", "0", container.name);
    expect(await addresses()).toEqual(expect.arrayContaining(["10.60.0.88/24", "10.61.0.88/24"]));

    const pid = await container.pid();
    await host.exec(["kill", "-KILL", String(pid)]);
    await container.restarted(pid);
    expect(await addresses()).toEqual(expect.arrayContaining(["10.60.0.88/24", "10.61.0.88/24"]));
    expect(await host.lab.askEcho("tcp", host.neighbour.address, container.name)).toBe(HOST);
    await expect.poll(() => host.tryReach(host, "10.61.0.88")).toEqual(OPEN);
  });

  it("takes its default route from the network with the highest --gw-priority, where the engine has that", async () => {
    if (host.lab.engine.version !== "28.5") {
      const refused = await host.refusalOf("network", "connect", "--gw-priority", "9", single.name, "nobody");
      expect(refused).toContain("unknown flag: --gw-priority");
      return;
    }
    await using early = await host.network("early", "--subnet", "10.65.0.0/24"); // by name it would be the first
    await using container = await host.run("priority", early);

    await host.docker("network", "connect", "--gw-priority", "9", single.name, container.name);

    expect(await container.routesVia()).toEqual(["default via 10.61.0.1 dev eth1"]);
  });

  it("leaves no port, address or record behind when it exits by itself", async () => {
    const sections = ["links", "addresses", "routes", "nft", "records"];
    const ownBefore = await host.census();

    await host.docker("run", "--rm", "--network", dual.name, TEST_IMAGE, "true");

    await expect.poll(() => host.changesSince(ownBefore, sections), { timeout: 10_000 }).toEqual([]);
  });

  it("leaves nothing on the host when it and its networks are removed", async () => {
    await host.removeEverything();

    await expect.poll(() => host.changesSince(before), { timeout: 15_000, interval: 500 }).toEqual([]);
  });

  it("causes no warning in tsnet's log", () => {
    expect(host.complaints()).toEqual([]);
  });

  /** Of the bridge and the ports of a network, found by the marks that the README names. */
  async function mtusOfMarkedLinks(network: TestNetwork): Promise<number[]> {
    const id = await host.docker("network", "inspect", "--format", "{{.Id}}", network.name);
    const links = JSON.parse(await host.exec(["ip", "-json", "link"])) as MarkedLink[];
    const bridge = links.find(({ ifalias }) => ifalias === `tsnet:network:${id}`);
    const ports = links.filter(({ master }) => master !== undefined && master === bridge?.ifname);
    expect(ports.map(({ ifalias }) => ifalias?.replace(/[0-9a-f]{64}$/, ""))).toEqual(["tsnet:endpoint:"]);
    return [bridge?.mtu ?? 0, ...ports.map(({ mtu }) => mtu)];
  }
});

interface MarkedLink {
  readonly ifname: string;
  readonly mtu: number;
  readonly ifalias?: string;
  readonly master?: string;
}
