// `tsnet attach`, `detach` and `agent` on a host with a real engine and the managed plugin, which itself has no right to any
// namespace. What is there is seen by ip(8), nft(8) and ovs-vsctl(8), and by packets.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Census } from "../support/census.ts";
import { readDoctor } from "../support/doctor-report.ts";
import { TEST_IMAGE } from "../support/image.ts";
import type { LabProcess } from "../support/lab-namespace.ts";
import { type Outcome, readTsnet, runTsnet, startTsnet } from "../support/operator.ts";
import { maskVolatile, readmeOutput } from "../support/readme-console.ts";
import { TestContainer } from "../support/system-container.ts";
import { CLOSED, OPEN, SystemHost, type TestNetwork } from "../support/system-host.ts";
import { waitUntil } from "../support/wait-until.ts";

const PAGE = ["httpd", "-f", "-p", "80", "-h", "/www"];
/** What the agent cannot do at once it tries again 3 s later. */
const AGENT = { timeout: 30_000 };
/** What a container has that Docker gave no network. */
const LOOPBACK_ALONE: readonly unknown[] = [];

let host: SystemHost;
let blue: TestNetwork;
let web: TestContainer;
let quiet: TestContainer;

beforeAll(async () => {
  host = await SystemHost.up("managed plugin", { isAlone: true, backend: "ovs" });
  blue = await host.network("blue", "--subnet", "10.70.0.0/24", "-o", "backend=bridge");
  web = await host.run("web", blue);
  quiet = await runQuiet("quiet");
});
afterAll(async () => await host?.[Symbol.asyncDispose]());

describe("a container that Docker gave no network", () => {
  let before: Census;

  beforeAll(async () => {
    before = await host.census();
  });

  it("has an interface with an address after one command, and reaches the others and the host by it", async () => {
    const outcome = await tsnet("attach", "quiet", "blue");

    expectAsInReadme("tsnet attach quiet blue", outcome);
    expect(await quiet.interfaces()).toMatchObject([{ name: "eth0", mtu: 1500, addresses: ["10.70.0.3/24"] }]);
    expect(await quiet.routesVia()).toEqual([]);
    await expect.poll(() => host.tryReach(quiet, "10.70.0.2")).toEqual(OPEN);
    await expect.poll(() => host.tryReach(quiet, "10.70.0.1")).toEqual(OPEN);
    await expect.poll(() => host.tryReach(web, "10.70.0.3")).toEqual(OPEN);
  });

  it("keeps interface and address as they are when it is attached once more", async () => {
    const links = async () => await quiet.exec(["ip", "-details", "address"]); // its state is the kernel's to change
    const shown = (await links()).replaceAll(/ state \w+/g, "");
    const there = await host.restingCensus();

    const outcome = await tsnet("attach", "quiet", "blue");

    expect(outcome).toMatchObject({ exitCode: 0, stdout: "quiet has eth0 on blue: 10.70.0.3/24 (as before)" });
    expect((await links()).replaceAll(/ state \w+/g, "")).toBe(shown);
    expect(await host.changesSince(there)).toEqual([]);
  });

  it("is not attached with another address while it has one", async () => {
    const outcome = await tsnet("attach", "quiet", "blue", "--ip", "10.70.0.9");

    expect(outcome.exitCode).toBe(1);
    expect(outcome.stderr).toMatch(/quiet is attached .*, but with address 10\.70\.0\.3, not 10\.70\.0\.9; .*detach/);
  });

  it("is named by tsnet ls and tsnet inspect", async () => {
    expectAsInReadme("tsnet ls", await tsnet("ls"), "### Attach");
    expect((await tsnet("inspect", "blue")).stdout).toMatch(/quiet \(attached\) +10\.70\.0\.3\/24/);
    expect((await tsnet("ipam", "blue")).stdout).toMatch(/10\.70\.0\.3 +quiet/);
  });

  it("may not send from an address that is not its own", async () => {
    await quiet.exec(["ip", "address", "add", "10.70.0.77/24", "dev", "eth0"]);

    expect(await sends("10.70.0.77")).toBe(false);
    expect(await sends("10.70.0.3")).toBe(true);
    await quiet.exec(["ip", "address", "del", "10.70.0.77/24", "dev", "eth0"]);

    async function sends(source: string): Promise<boolean> {
      const ping = quiet.exec(["busybox", "ping", "-c1", "-W5", "-I", source, "10.70.0.2"]);
      return await ping.then(
        () => true,
        () => false,
      );
    }
  });

  it("gets back what was taken off inside when it is attached once more", async () => {
    await quiet.exec(["ip", "address", "flush", "dev", "eth0"]);

    await tsnet("attach", "quiet", "blue");

    await expect.poll(() => host.tryReach(quiet, "10.70.0.2")).toEqual(OPEN);
  });

  it.each([
    ["is in the namespace, as it was moved", (link: string) => ["ip", "link", "set", "dev", "eth0", "name", link]],
    ["is on the host still", (link: string) => ["ip", "link", "set", "dev", "eth0", "netns", "1", "name", link]],
    ["is gone", () => ["ip", "link", "del", "eth0"]],
  ])("gets its interface when it is attached once more and the link %s", async (_where, change) => {
    const { hostLink } = await readTsnet<{ readonly hostLink: string }>(host.lab, "attach", "quiet", "blue");
    const whole = await quiet.interfaces();
    await quiet.exec(["ip", "link", "set", "dev", "eth0", "down"]);
    await quiet.exec(change(hostLink.replace("tsv", "tsc")));

    expect((await tsnet("attach", "quiet", "blue")).stdout).toBe("quiet has eth0 on blue: 10.70.0.3/24");

    expect(await quiet.interfaces()).toEqual(whole);
    await expect.poll(() => host.tryReach(quiet, "10.70.0.2")).toEqual(OPEN);
  });

  it("gets a new interface when its link is in a foreign namespace, and the old one is gone", async () => {
    await host.exec(["ip", "netns", "add", "foreign"]);
    await quiet.exec(["ip", "link", "set", "dev", "eth0", "netns", "foreign"]);

    await tsnet("attach", "quiet", "blue");

    await expect.poll(() => host.tryReach(quiet, "10.70.0.2")).toEqual(OPEN);
    expect(await host.exec(["ip", "-n", "foreign", "-o", "link", "show", "type", "veth"])).toBe("");
    await host.exec(["ip", "netns", "del", "foreign"]);
  });

  it("keeps it when tsnet is killed and comes back", async () => {
    await host.kill9();
    await waitUntil("tsnet to answer", async () => (await tsnet("ls")).exitCode === 0, { limitMs: 60_000 });

    await expect.poll(() => host.tryReach(quiet, "10.70.0.2")).toEqual(OPEN);
    expect(await quiet.interfaces()).toHaveLength(1);
  });

  it("has nothing of it after detach, neither has the host, and the address is free", async () => {
    const outcome = await tsnet("detach", "quiet", "blue");

    expectAsInReadme("tsnet detach quiet blue", outcome);
    expect(await quiet.interfaces()).toEqual(LOOPBACK_ALONE);
    expect(await host.changesSince(before, SECTIONS_OF_THE_HOST)).toEqual([]);
    const [pool] = await readTsnet<readonly { readonly used: number }[]>(host.lab, "ipam", "blue");
    expect(pool?.used).toBe(2);
  });

  it("is not attached, as a note says, when it is detached once more", async () => {
    const outcome = await tsnet("detach", "quiet", "blue");

    expect(outcome).toMatchObject({ exitCode: 0, stdout: "" });
    expect(outcome.stderr).toBe("tsnet: quiet is not attached to blue: nothing was changed\n");
  });

  it("gets name, addresses, MAC, MTU and routes as they are asked for", async () => {
    const asked = ["--ip", "10.70.0.40", "--mac", "02:00:00:00:00:40", "--ifname", "lan7", "--mtu", "1400"];
    await tsnet("attach", "quiet", "blue", ...asked, "--default-route", "--route", "10.9.0.0/16 via 10.70.0.2");

    expect(await quiet.interfaces()).toEqual([
      { name: "lan7", mac: "02:00:00:00:00:40", mtu: 1400, addresses: ["10.70.0.40/24"] },
    ]);
    expect(await quiet.routesVia()).toEqual(["default via 10.70.0.1 dev lan7", "10.9.0.0/16 via 10.70.0.2 dev lan7"]);
    expect((await tsnet("attach", "quiet", "blue")).stdout).toContain("(as before)");
    await tsnet("detach", "quiet", "blue");
  });

  it("leaves nothing behind when the name is taken inside", async () => {
    await quiet.exec(["ip", "link", "add", "lan7", "type", "bridge"]);
    const there = await host.census();

    const outcome = await tsnet("attach", "quiet", "blue", "--ifname", "lan7");

    expect(outcome.exitCode).toBe(1);
    expect(outcome.stderr).toBe("tsnet: there is a link lan7 already; another name is given with --ifname\n");
    expect(await host.changesSince(there, SECTIONS_OF_THE_HOST)).toEqual([]);
    await quiet.exec(["ip", "link", "del", "lan7"]);
  });
});

describe("tsnet attach", () => {
  it.each([
    ["a network alone", ["blue"]],
    ["a container besides --pid", ["quiet", "blue", "--pid", "1"]],
    ["an option that there is not", ["quiet", "blue", "--wlan", "7"]],
  ])("ends with 2 for a wrong command line: %s", async (_what, words) => {
    const outcome = await tsnet("attach", ...words);

    expect(outcome.exitCode).toBe(2);
    expect(outcome.stderr).toMatch(/^tsnet: .*\n(?:.*\n)?\(tsnet --help lists what there is\)\n$/);
  });

  it.each([
    ["the gateway", "10.70.0.1", /address 10\.70\.0\.1 is the gateway/],
    ["the broadcast address", "10.70.0.255", /address 10\.70\.0\.255 is the broadcast address of 10\.70\.0\.0\/24/],
    ["another container's address", "10.70.0.2", /address 10\.70\.0\.2 is in use by endpoint/],
    ["an address of another subnet", "10.1.1.1", /in no subnet of the network; permitted: 10\.70\.0\.0\/24/],
  ])("refuses %s", async (_, ip, message) => {
    const outcome = await tsnet("attach", "quiet", "blue", "--ip", ip);

    expect(outcome.exitCode).toBe(1);
    expect(outcome.stderr).toMatch(message);
    expect(await quiet.interfaces()).toEqual(LOOPBACK_ALONE);
  });

  it("says whose network a container shares, and gives the link to that one", async () => {
    await using owner = await runQuiet("owner");
    await using guest = await runQuiet("guest", `container:${owner.name}`);

    const outcome = await tsnet("attach", "guest", "blue");

    expect(outcome.stderr).toBe("tsnet: guest shares the network of owner: this is about owner\n");
    expect(outcome.stdout).toMatch(/^owner has eth0 on blue/);
    await expect.poll(() => host.tryReach(guest, "10.70.0.2")).toEqual(OPEN);
    expect((await tsnet("detach", "owner", "blue")).stdout).toMatch(/^owner is off blue/);
  });

  it("refuses a container that Docker has connected, one on the host's network, and one that does not run", async () => {
    await using onHost = await runQuiet("on-host", "host");
    await host.docker("create", "--name", "asleep", "--network", "none", TEST_IMAGE);

    expect((await tsnet("attach", "web", "blue")).stderr).toMatch(/Docker has connected web to blue already/);
    expect((await tsnet("attach", onHost.name, "blue")).stderr).toMatch(
      /on-host is in the host's own network namespace/,
    );
    expect((await tsnet("attach", "asleep", "blue")).stderr).toMatch(
      /container asleep does not run.*docker start asleep/,
    );
    await host.docker("rm", "asleep");
  });

  it("puts a named namespace and a process on a network, and refuses a file that is none", async () => {
    await host.exec(["ip", "netns", "add", "lab1"]);
    const pid = String(await quiet.pid());

    expect((await tsnet("attach", "--netns", "/run/netns/lab1", "blue", "--ip", "10.70.0.50")).exitCode).toBe(0);
    expect((await tsnet("attach", "--pid", pid, "blue", "--ip", "10.70.0.51")).exitCode).toBe(0);

    const inside = ["ip", "netns", "exec", "lab1", "busybox", "ping", "-c1", "-W2", "10.70.0.51"];
    await waitUntil("the process to answer", () => host.exec(inside));
    expect((await tsnet("attach", "--netns", "/etc/hosts", "blue")).stderr).toMatch(/no network namespace/);
    expect((await tsnet("detach", "--netns", "/run/netns/lab1", "blue")).stdout).toMatch(/^\/run\/netns\/lab1 is off/);
    expect((await tsnet("detach", "--pid", pid, "blue")).stdout).toMatch(/is off blue/);
    await host.exec(["ip", "netns", "del", "lab1"]);
  });
});

describe("tsnet detach", () => {
  it("takes off the owner of a network that is shared over two containers, and says whose it is", async () => {
    await using owner = await runQuiet("owner");
    await using guest = await runQuiet("guest", `container:${owner.name}`);
    await using friend = await runQuiet("friend", `container:${guest.name}`);
    await tsnet("attach", friend.name, "blue");

    const outcome = await tsnet("detach", friend.name, "blue");

    expect(outcome.stderr).toBe("tsnet: friend shares the network of owner: this is about owner\n");
    expect(outcome.stdout).toMatch(/^owner is off blue/);
    expect(await owner.interfaces()).toEqual(LOOPBACK_ALONE);
  });

  it("leaves a container alone that had the name before, and runs", async () => {
    await runQuiet("renamed");
    await tsnet("attach", "renamed", "blue");
    await host.docker("rename", "renamed", "old");
    await using old = new TestContainer(host, "old");
    const before = await old.interfaces();
    await using _heir = await runQuiet("renamed");

    const outcome = await tsnet("detach", "renamed", "blue");

    expect(outcome.stderr).toBe("tsnet: renamed is not attached to blue: nothing was changed\n");
    expect(await old.interfaces()).toEqual(before);
    expect((await tsnet("detach", "old", "blue")).stdout).toMatch(/^old is off blue/);
  });

  it("finds a namespace that is gone by the words with which it was attached", async () => {
    await host.exec(["ip", "netns", "add", "lab2"]);
    const words = ["--netns", "/var/run/netns/lab2", "blue"];
    await tsnet("attach", ...words);
    await host.exec(["ip", "netns", "del", "lab2"]);

    expect((await tsnet("detach", ...words)).stdout).toMatch(/^\/run\/netns\/lab2 is off blue/);
  });
});

describe("what is changed while somebody who is attached has no namespace", () => {
  it("is no failure, and is there when that one is attached again", async () => {
    await using late = await runQuiet("late");
    await host.exec(["ip", "netns", "add", "lab3"]);
    const netns = ["--netns", "/run/netns/lab3", "blue"];
    await tsnet("attach", "late", "blue", "--ip", "10.70.0.80");
    await tsnet("attach", ...netns, "--ip", "10.70.0.81");
    await host.docker("stop", "--time", "0", "late");
    await host.exec(["ip", "netns", "del", "lab3"]);

    const outcomes = [await tsnet("set", "blue", "mtu=1400"), await tsnet("set", "late", "ip=10.70.0.82")];

    expect(outcomes.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
    const note = "tsnet: late does not run: it gets this when it is started and attached again\n";
    const ofFile = "tsnet: /run/netns/lab3 is not there: it gets this when it is made and attached again\n";
    expect(outcomes.map(({ stderr }) => stderr.split("\n").toSorted())).toEqual(
      [`${note}${ofFile}`, note].map((text) => text.split("\n").toSorted()),
    );
    await host.docker("start", "late");
    await host.exec(["ip", "netns", "add", "lab3"]);
    expect((await tsnet("attach", "late", "blue")).stdout).toBe("late has eth0 on blue: 10.70.0.82/24");
    expect(await late.interfaces()).toMatchObject([{ name: "eth0", mtu: 1400, addresses: ["10.70.0.82/24"] }]);
    await expect.poll(() => host.tryReach(late, "10.70.0.2")).toEqual(OPEN);
    await tsnet("attach", ...netns);
    expect(await host.exec(["ip", "-n", "lab3", "-o", "link", "show", "dev", "eth0"])).toContain("mtu 1400");
    for (const words of [["late", "blue"], netns]) await tsnet("detach", ...words);
    await host.exec(["ip", "netns", "del", "lab3"]);
    expect((await tsnet("set", "blue", "mtu=1500")).exitCode).toBe(0);
  });

  it("is no failure where the container was removed, of which a note says what takes it off", async () => {
    {
      await using lost = await runQuiet("lost");
      await tsnet("attach", lost.name, "blue");
    }

    const { exitCode, stderr } = await tsnet("set", "blue", "mtu=1400");

    expect(exitCode).toBe(0);
    expect(stderr).toBe("tsnet: lost is gone, and only its record was changed: `tsnet detach` takes it off\n");
    await tsnet("detach", "lost", "blue");
    expect((await tsnet("set", "blue", "mtu=1500")).exitCode).toBe(0);
  });
});

describe("containers on one Open vSwitch switch", () => {
  it("of two networks with the same subnet get an address of their own network, and reach that one's alone", async () => {
    const options = ["--subnet", "192.168.0.0/24", "-o", "mode=l2", "-o", "bridge=sw0"];
    await using red = await host.network("red", ...options, "-o", "vlan=100", "--ipam-opt", "segment=red");
    await using floor = await host.network("floor", ...options, "-o", "vlan=200", "--ipam-opt", "segment=floor");
    await using friend = await host.run("friend", red);
    await using stranger = await host.run("stranger", floor, "--ip", "192.168.0.99");
    await using lonely = await runQuiet("lonely");

    expectAsInReadme("tsnet attach lonely red", await tsnet("attach", "lonely", "red"));

    await expect.poll(async () => await host.tryReach(lonely, await friend.address())).toEqual(OPEN);
    expect(await host.tryReach(lonely, await stranger.address())).toEqual(CLOSED);
    await tsnet("detach", "lonely", "red");
    expect((await tsnet("attach", "lonely", "floor", "--ip", "192.168.0.3")).exitCode).toBe(0);
    await expect.poll(async () => await host.tryReach(lonely, await stranger.address())).toEqual(OPEN);
    await tsnet("detach", "lonely", "floor");
  });

  it("reach those in their own VLAN and nobody in the other one", async () => {
    await host.network("vlans", "--subnet", "10.71.0.0/24", "-o", "mode=l2", "-o", "vlan=100", "-o", "trunk=200");
    const names = ["one", "two", "three"];
    const [one] = await Promise.all(names.map(async (name) => await runQuiet(name)));

    await tsnet("attach", "one", "vlans", "--vlan", "100", "--ip", "10.71.0.11");
    await tsnet("attach", "two", "vlans", "--vlan", "100", "--ip", "10.71.0.12");
    await tsnet("attach", "three", "vlans", "--vlan", "200", "--ip", "10.71.0.13");

    if (one === undefined) throw new Error("no container");
    await expect.poll(() => host.tryReach(one, "10.71.0.12")).toEqual(OPEN);
    expect(await host.tryReach(one, "10.71.0.13")).toEqual(CLOSED);
    const tags = await host.ovs.vsctl("--bare", "--columns=tag", "find", "port", "tag=200");
    expect(tags).toBe("200");
    expect((await tsnet("attach", "one", "vlans", "--vlan", "300")).stderr).toMatch(
      /VLAN 300 is none of the network's/,
    );
    for (const name of names) expect((await tsnet("detach", name, "vlans")).exitCode).toBe(0);
    expect(await host.ovs.vsctl("--bare", "--columns=tag", "find", "port", "tag=200")).toBe("");
    await host.docker("rm", "-f", ...names);
    await host.docker("network", "rm", "vlans");
  });
});

describe("a network of both families", () => {
  it("gives an address of each, and default routes by both gateways", async () => {
    await using dual = await host.network("dual", "--ipv6", "--subnet", "10.74.0.0/24", "--subnet", "fd00:74::/64");

    const outcome = await tsnet("attach", "quiet", dual.name, "--default-route");

    expect(outcome.stdout).toBe("quiet has eth0 on dual: 10.74.0.2/24, fd00:74::2/64");
    expect(await quiet.routesVia()).toEqual(["default via 10.74.0.1 dev eth0", "default via fd00:74::1 dev eth0"]);
    await waitUntil("the gateway to answer", () => quiet.exec(["busybox", "ping", "-c1", "-W2", "fd00:74::1"]));
    expect((await tsnet("attach", "quiet", dual.name)).stdout).toContain("(as before)");
    expect((await tsnet("attach", "quiet", "blue", "--default-route")).stderr).toMatch(
      /there is a default route by eth0 already/,
    );
    expect(await quiet.interfaces()).toHaveLength(1);
    await tsnet("detach", "quiet", dual.name);
  });
});

describe("a network whose addresses Docker gives out", () => {
  it("lends the highest free address, and Docker is told who has it", async () => {
    await using green = await host.network("green", "--ipam-driver", "default", "--subnet", "10.72.0.0/29");

    const outcome = await tsnet("attach", "quiet", green.name);

    expect(outcome.stdout).toBe("quiet has eth0 on green: 10.72.0.6/29");
    const refusal = await host.refusalOf("run", "--rm", "--network", "green", "--ip", "10.72.0.6", TEST_IMAGE, "true");
    expect(refusal).toMatch(/address 10\.72\.0\.6\/29 is in use by quiet \(tsnet attach\); `tsnet detach` frees it/);
    await tsnet("detach", "quiet", green.name);
    await host.docker("run", "--rm", "--network", "green", "--ip", "10.72.0.6", TEST_IMAGE, "true");
  });
});

describe("with tsnet agent", () => {
  let process: LabProcess;

  beforeAll(async () => {
    process = await startTsnet(host.lab, "tsnet-agent", ["agent"]);
  });
  afterAll(async () => void (await host.exec(["kill", "-KILL", String(process.pid)]).catch(() => {})));

  it("a container that starts again has its interface again, with the same address and MAC", async () => {
    await tsnet("attach", "quiet", "blue", "--ifname", "lan1");
    const before = await quiet.interfaces();
    const former = process.log().length; // when it began while `tsnet attach` was at it, it may have said the same of that

    await host.docker("restart", "--time", "0", "quiet");

    await expect.poll(() => quiet.interfaces(), AGENT).toEqual(before);
    await waitUntil("the agent to say so", () => process.log().slice(former).includes("quiet has lan1 on blue"));
    await expect.poll(() => host.tryReach(quiet, "10.70.0.2")).toEqual(OPEN);
  });

  it("a container that was attached once only has nothing after its restart", async () => {
    await using brief = await runQuiet("brief");
    await tsnet("attach", "brief", "blue", "--once");
    const before = await quiet.interfaces();

    await host.docker("restart", "--time", "0", "brief");
    await host.docker("restart", "--time", "0", "quiet");

    await expect.poll(() => quiet.interfaces(), AGENT).toEqual(before); // the later one
    expect(await brief.interfaces()).toEqual(LOOPBACK_ALONE);
    await tsnet("detach", "brief", "blue");
  });

  it("an agent that starts later attaches what started meanwhile", async () => {
    await host.exec(["kill", "-TERM", String(process.pid)]);
    expect(await process.ended).toBe(0);
    const before = await quiet.interfaces();
    await host.docker("restart", "--time", "0", "quiet");
    expect(await quiet.interfaces()).toEqual(LOOPBACK_ALONE);

    process = await startTsnet(host.lab, "tsnet-agent", ["agent"]);

    await expect.poll(() => quiet.interfaces(), AGENT).toEqual(before);
  });

  it("a container that is removed is off the network, and its address is free", async () => {
    await using lost = await runQuiet("lost");
    await tsnet("attach", "lost", "blue", "--ip", "10.70.0.60");

    await host.docker("rm", "-f", lost.name);

    await waitUntil("the agent to say so", () => process.log().includes("lost is removed and off blue"));
    expect((await tsnet("ipam", "blue")).stdout).not.toContain("10.70.0.60");
    await runQuiet("lost"); // for its own end
  });

  it("nothing was logged as a warning but what was refused", () => {
    expect(host.complaints().filter((line) => !line.includes("Operator."))).toEqual([]);
  });
});

describe("a network that Docker removes while somebody is attached to it", () => {
  it("stays for that one, and goes with its detach, which tsnet doctor names", async () => {
    await host.network("brown", "--subnet", "10.73.0.0/24");
    await using other = await runQuiet("other");
    await tsnet("attach", "quiet", "brown", "--ip", "10.73.0.10");
    await tsnet("attach", "other", "brown", "--ip", "10.73.0.11");
    const brown = await host.docker("network", "inspect", "--format", "{{.Id}}", "brown");

    await host.docker("network", "rm", "brown");

    await expect.poll(() => host.tryReach(other, "10.73.0.10")).toEqual(OPEN);
    const isSaid = () => /`tsnet detach` takes quiet, other off/.test(JSON.stringify(host.log()));
    await waitUntil("the engine to have copied the plugin's line", isSaid);
    const { findings } = await readDoctor(host.lab);
    const mends = findings.flatMap(({ id, mend }) => (id === "network-unfinished" ? mend.split(" && ") : []));
    expect(mends).toEqual(["other", "quiet"].map((name) => `tsnet detach ${name} ${brown.slice(0, 12)}`));
    for (const mend of mends) await tsnet(...mend.split(" ").slice(1));
    expect((await tsnet("ls")).stdout).not.toContain(brown.slice(0, 12));
    expect(await host.ovs.vsctl("list-br")).toBe("");
  });
});

/** What detaching leaves as it was before attaching; the records remember which address rests. */
const SECTIONS_OF_THE_HOST = ["links", "addresses", "routes", "nft", "ovs"];

async function runQuiet(name: string, network = "none"): Promise<TestContainer> {
  const page = network === "none" ? PAGE : []; // else the port is taken
  await host.docker("run", "-d", "--name", name, "--network", network, TEST_IMAGE, ...page);
  return new TestContainer(host, name);
}

async function tsnet(...words: readonly string[]): Promise<Outcome> {
  const outcome = await runTsnet(host.lab, words);
  return { ...outcome, stdout: outcome.stdout.trimEnd() };
}

function expectAsInReadme(command: string, { exitCode, stdout, stderr }: Outcome, heading?: string): void {
  expect(stderr).toBe("");
  expect(exitCode).toBe(0);
  expect(maskVolatile(stdout)).toBe(readmeOutput(command, heading));
}
