// `tsnet set` and `tsnet plan` on a real engine: what containers reach before and after, and what stands on the host. With Open
// vSwitch, which keeps VLANs apart on every kernel.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Outcome, readTsnet, runTsnet } from "../support/operator.ts";
import { maskVolatile, readmeOutput } from "../support/readme-console.ts";
import type { TestContainer } from "../support/system-container.ts";
import { CLOSED, OPEN, SystemHost, type TestNetwork } from "../support/system-host.ts";
import { waitUntil } from "../support/wait-until.ts";

const GATEWAY = "10.60.0.1";
const PLAN = [
  "plan",
  ..."-o backend=ovs -o vlan=100 -o icc=false --subnet 10.61.0.0/24".split(" "),
] as const satisfies readonly string[];

interface Status {
  readonly vlan?: number;
  readonly mtu: number;
  readonly icc: boolean;
  readonly endpoints: readonly { readonly hostLink: string; readonly addresses: readonly string[] }[];
}

let host: SystemHost;
let network: TestNetwork;
let one: TestContainer;
let web: TestContainer;

beforeAll(async () => {
  host = await SystemHost.up("managed plugin", { backend: "ovs" });
  network = await host.network("lab", "-o", "vlan=100", "--subnet", "10.60.0.0/24", "--gateway", GATEWAY);
  one = await host.run("one", network);
  web = await host.run("web", network, "-p", "8080:80");
});
afterAll(async () => await host?.[Symbol.asyncDispose]());

const tsnet = (...words: string[]): Promise<Outcome> => runTsnet(host.lab, words);

const labStatus = (): Promise<Status> => readTsnet<Status>(host.lab, "inspect", "lab");

/** The VLANs of Open vSwitch's ports that are endpoints' or the host's link into a network. */
async function tags(): Promise<readonly string[]> {
  const rows = await host.ovs.vsctl("--format=csv", "--no-headings", "--columns=name,tag", "list", "Port");
  const ports = rows.split("\n").flatMap((row) => /^"?ts[gv][0-9a-f]+"?,(.*)$/.exec(row)?.[1] ?? []);
  return ports.toSorted();
}

/** Links of the host that lead into a network, with their addresses. */
async function hostLinks(): Promise<readonly string[]> {
  const links = JSON.parse(await host.exec(["ip", "-json", "-4", "address"])) as {
    ifname: string;
    addr_info: { local: string }[];
  }[];
  const own = links.filter(({ ifname }) => ifname.startsWith("tsg"));
  return own.flatMap(({ addr_info }) => addr_info.map(({ local }) => local));
}

/** Links, rules and switches, for comparing before and after. */
async function wholeHost(): Promise<string> {
  const links = (await host.exec(["ip", "link"])).replaceAll(/,?(?:NO-CARRIER|LOWER_UP|M-DOWN)\b|state \S+/g, ""); // the kernel's to say
  const rules = await host.exec(["nft", "--json", "--stateless", "list", "ruleset"]);
  const ports = await host.ovs.vsctl("--columns=name,tag,trunks,external_ids", "list", "Port");
  return [links, rules, ports].join("\n");
}

describe("tsnet set NETWORK", () => {
  it("moves the containers and the host's gateway into another VLAN, where they reach one another", async () => {
    expect(await tags()).toEqual(["100", "100", "100"]);
    await expect.poll(async () => await host.tryReach(one, await web.address())).toEqual(OPEN);

    const { stdout, stderr } = await tsnet("set", "lab", "vlan=200");

    expect(stderr).toBe("");
    expect(maskVolatile(stdout)).toBe(readmeOutput("tsnet set lab vlan=200"));
    expect(await tags()).toEqual(["200", "200", "200"]);
    expect(await hostLinks()).toEqual([GATEWAY]);
    await expect.poll(async () => await host.tryReach(one, await web.address())).toEqual(OPEN);
    await expect.poll(() => host.tryReach(one, GATEWAY)).toEqual(OPEN);
    await expect.poll(async () => await host.tryReach(host, await one.address())).toEqual(OPEN);
  });

  it("keeps a container that starts later in the new VLAN as well, and so it is after a restart of tsnet", async () => {
    await using late = await host.run("late", network);
    await host.stop();
    await host.start();

    expect(await tags()).toEqual(["200", "200", "200", "200"]);
    expect((await labStatus()).vlan).toBe(200);
    await expect.poll(async () => await host.tryReach(one, await late.address())).toEqual(OPEN);
    expect(await hostLinks()).toEqual([GATEWAY]);
  });

  it("closes the way from container to container with icc=false, and opens it again", async () => {
    await tsnet("set", "lab", "icc=false");
    expect(await host.tryReach(one, await web.address())).toEqual(CLOSED);
    await expect.poll(() => host.tryReach(one, GATEWAY)).toEqual(OPEN);

    await tsnet("set", "lab", "icc=true");
    await expect.poll(async () => await host.tryReach(one, await web.address())).toEqual(OPEN);
  });

  it("shows the neighbour the container's own address with masquerade=false, and the host's with true", async () => {
    await host.neighbour.exec(["ip", "route", "add", "10.60.0.0/24", "via", "192.0.2.10"]);
    const { address } = host.neighbour;
    expect(await host.lab.askEcho("tcp", address, "one")).toBe("192.0.2.10");

    await tsnet("set", "lab", "masquerade=false");
    expect(await host.lab.askEcho("tcp", address, "one")).toBe(await one.address());

    await tsnet("set", "lab", "masquerade=true");
    expect(await host.lab.askEcho("tcp", address, "one")).toBe("192.0.2.10");
  });

  it("gives all links of the network another MTU, also those inside of the containers", async () => {
    const { stdout } = await tsnet("set", "lab", "mtu=1400", "--json");

    expect(JSON.parse(stdout)).toEqual({ network: "lab", changes: [{ key: "mtu", from: "1500", to: "1400" }] });
    expect([(await one.interface("eth0")).mtu, (await web.interface("eth0")).mtu]).toEqual([1400, 1400]);
    const links = JSON.parse(await host.exec(["ip", "-json", "link"])) as { ifname: string; mtu: number }[];
    const own = links.filter(({ ifname }) => /^ts[gv]/.test(ifname)).map(({ mtu }) => mtu);
    expect(own).toEqual([1400, 1400, 1400]);
    await tsnet("set", "lab", "mtu=1500");
    expect((await one.interface("eth0")).mtu).toBe(1500);
  });

  it("says that nothing changes when all is so already", async () => {
    const before = await wholeHost();

    expect(await tsnet("set", "lab", "vlan=200", "icc=true")).toEqual({
      exitCode: 0,
      stdout: "network lab: nothing changes, it is so already",
      stderr: "",
    });
    expect(await wholeHost()).toBe(before);
  });

  it.each([
    ["backend=bridge", "option backend cannot be changed"],
    ["vlan=5000", 'option vlan: "5000" is not permitted'],
    ["vlam=10", 'unknown option "vlam", did you mean vlan'],
    ["mtu=9", "option mtu"],
    ["stp=true", "permitted with antispoof=false"],
  ])("refuses %s, and changes nothing", async (word, why) => {
    const before = await wholeHost();

    const { exitCode, stderr } = await tsnet("set", "lab", word, "icc=false");

    expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: expect.stringContaining(why) as string });
    expect(await wholeHost()).toBe(before);
    expect((await labStatus()).icc).toBe(true);
  });
});

describe("a wrong command line", () => {
  it.each([
    [["set", "lab", "vlan"], '"vlan" is no KEY=VALUE'],
    [["set", "lab"], "missing required argument"],
    [["plan", "--subnet", "10.61.0.0/24", "--gateway", "10.9.9.1"], "gateway 10.9.9.1 is in no --subnet"],
  ])("%o ends with exit code 2", async (words, why) => {
    const { exitCode, stderr } = await tsnet(...words);

    expect([exitCode, stderr]).toEqual([2, expect.stringContaining(why)]);
  });
});

describe("tsnet set CONTAINER", () => {
  it("gives a running container another address, by which it is reached and published, and keeps its routes", async () => {
    const [former, routes] = [await web.address(), await web.routesVia()];
    expect(former).toBe("10.60.0.3");

    const { stdout, stderr } = await tsnet("set", "web", "ip=10.60.0.50");

    expect(stderr).toMatch(/^tsnet: Docker goes on to show/);
    expect(maskVolatile(stdout)).toBe(readmeOutput("tsnet set web ip=10.60.0.50"));
    expect((await web.interface("eth0")).addresses).toEqual(["10.60.0.50/24"]);
    expect(await web.routesVia()).toEqual(routes);
    await expect.poll(() => host.tryReach(one, "10.60.0.50")).toEqual(OPEN);
    expect(await host.tryReach(one, former)).toEqual(CLOSED);
    await expect.poll(() => host.tryReach(web, GATEWAY)).toEqual(OPEN);
    const page = ["curl", "-sf", "-m", "5"];
    await waitUntil("the port from outside", () => host.neighbour.exec([...page, "http://192.0.2.10:8080/"]));
    await waitUntil("the port from the host", () => host.exec([...page, "http://127.0.0.1:8080/"]));
  });

  it("gives neither its old nor its new address to another container while it runs, and both when it has ended", async () => {
    const start = (name: string, ip: string) => [
      "run",
      "-d",
      "--name",
      name,
      "--network",
      "lab",
      "--ip",
      ip,
      "tsnet-test",
    ];
    const taken = await Promise.all(
      ["10.60.0.3", "10.60.0.50"].map((ip, n) => host.refusalOf(...start(`thief${n}`, ip))),
    );
    expect(taken).toEqual([expect.stringContaining("in use") as string, expect.stringContaining("in use") as string]);
    await host.docker("rm", "-f", "thief0", "thief1");

    await web[Symbol.asyncDispose]();

    await using old = await host.run("old", network, "--ip", "10.60.0.3");
    await using next = await host.run("next", network, "--ip", "10.60.0.50");
    expect([await old.address(), await next.address()]).toEqual(["10.60.0.3", "10.60.0.50"]);
  });

  it("refuses an address that is another container's, and changes nothing", async () => {
    await using other = await host.run("other", network, "--ip", "10.60.0.4");
    const before = await wholeHost();

    const { exitCode, stderr } = await tsnet("set", "one", "ip=10.60.0.4");

    expect(exitCode).toBe(1);
    expect(stderr).toContain("in use");
    expect(await other.address()).toBe("10.60.0.4");
    expect(await wholeHost()).toBe(before);
  });
});

describe("tsnet plan", () => {
  it("says what would be done, and changes nothing", async () => {
    const before = await wholeHost();

    const { exitCode, stdout } = await tsnet(...PLAN);

    expect(exitCode).toBe(0);
    expect(maskVolatile(stdout)).toBe(readmeOutput(`tsnet ${PLAN.join(" ")}`));
    expect(await wholeHost()).toBe(before);
  });

  it("is what a creation with dry-run=true answers, which makes no network", async () => {
    const before = await wholeHost();
    const create = ["network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", "-o", "backend=ovs"];

    const refusal = await host.refusalOf(...create, "-o", "dry-run=true", "--subnet", "10.62.0.0/24", "never");

    expect(refusal).toContain("dry run, nothing was changed; without it tsnet would make Open vSwitch bridge tsn-");
    expect(refusal).toContain("masquerade what leaves 10.62.0.0/24");
    expect(await host.docker("network", "ls", "-q", "--filter", "name=never")).toBe("");
    expect(await wholeHost()).toBe(before);
    await using made = await host.network("made", "--subnet", "10.62.0.0/24");
    expect(made.name).toBe("made");
  });
});

describe("with a Linux bridge and `tsnet serve`, of both families", () => {
  let bridge: SystemHost;
  let two: TestContainer;
  let site: TestContainer;

  beforeAll(async () => {
    bridge = await SystemHost.up("tsnet serve", { isAlone: true });
    const subnets = ["--subnet", "10.63.0.0/24", "--ipv6", "--subnet", "fd00:63::/64"];
    const made = await bridge.network("plain", ...subnets);
    two = await bridge.run("two", made);
    site = await bridge.run("site", made, "-p", "8081:80");
  });
  afterAll(async () => await bridge?.[Symbol.asyncDispose]());

  it("a container gets other addresses, and is reached by them alone", async () => {
    const [old4, old6] = [await site.address(), await site.address(6)];
    const routes = await site.routesVia();

    const { exitCode, stdout } = await runTsnet(bridge.lab, ["set", "site", "ip=10.63.0.50", "ip6=fd00:63::50"]);

    expect([exitCode, stdout]).toEqual([
      0,
      `container site: ip ${old4} -> 10.63.0.50\ncontainer site: ip6 ${old6} -> fd00:63::50`,
    ]);
    expect((await site.interface("eth0")).addresses).toEqual(["10.63.0.50/24", "fd00:63::50/64"]);
    expect(await site.routesVia()).toEqual(routes);
    for (const address of ["10.63.0.50", "fd00:63::50"])
      await expect.poll(() => bridge.tryReach(two, address)).toEqual(OPEN);
    for (const address of [old4, old6]) expect(await bridge.tryReach(two, address)).toEqual(CLOSED);
    await waitUntil("the port", () => bridge.exec(["curl", "-sf", "-m", "5", "http://127.0.0.1:8081/"]));
  });

  it("icc, antispoof and the MTU change, and hold for who is there", async () => {
    const { stdout } = await runTsnet(bridge.lab, "set plain icc=false antispoof=false mtu=1400".split(" "));

    expect(stdout.split("\n")).toHaveLength(3);
    expect(await bridge.tryReach(two, "10.63.0.50")).toEqual(CLOSED);
    expect((await two.interface("eth0")).mtu).toBe(1400);
    await runTsnet(bridge.lab, "set plain icc=true antispoof=true".split(" "));
    await expect.poll(() => bridge.tryReach(two, "10.63.0.50")).toEqual(OPEN);
  });

  it("a container has address, routes and MTU as before when its other address cannot be changed", async () => {
    await site.exec(["ip", "-6", "address", "flush", "dev", "eth0", "scope", "global"]);
    const [before, routes] = [await site.interface("eth0"), await site.routesVia()];
    const status = () => readTsnet(bridge.lab, "inspect", "plain");
    const recorded = await status();

    const wishes = ["ip=10.63.0.60", "ip6=fd00:63::60", "mtu=1300"];
    const { exitCode, stderr } = await runTsnet(bridge.lab, ["set", "site", ...wishes]);

    expect([exitCode, stderr]).toEqual([1, expect.stringContaining("nothing was changed: inside site: ")]);
    expect(await site.interface("eth0")).toEqual(before);
    expect(await site.routesVia()).toEqual(routes);
    expect(await status()).toEqual(recorded);
    await expect.poll(() => bridge.tryReach(two, "10.63.0.50")).toEqual(OPEN);
  });
});
