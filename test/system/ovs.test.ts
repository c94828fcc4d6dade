// Networks on Open vSwitch with a real engine: `tsnet serve` speaks to the database's socket, the managed plugin, which does
// not see it, by TCP on the loopback device.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Census } from "../support/census.ts";
import { TEST_IMAGE } from "../support/image.ts";
import { LabOvs } from "../support/lab-ovs.ts";
import type { TestContainer } from "../support/system-container.ts";
import { CLOSED, OPEN, SystemHost, VARIANTS } from "../support/system-host.ts";
import { waitUntil } from "../support/wait-until.ts";

const OVS = ["-o", "backend=ovs"];
const SHARED = [...OVS, "-o", "bridge=sw0"];
/** The host's own, from outside. */
const HOST_ADDRESS = "192.0.2.10";

describe.each(VARIANTS)("networks on Open vSwitch with the %s", (variant) => {
  let host: SystemHost;
  let ovs: LabOvs;
  let before: Census;
  let one: TestContainer;
  let two: TestContainer;
  let other: TestContainer;

  beforeAll(async () => {
    host = await SystemHost.up(variant);
    for (const tool of ["iptables", "ip6tables"]) await host.exec([tool, "-P", "FORWARD", "ACCEPT"]);
  });
  afterAll(async () => await host?.[Symbol.asyncDispose]());

  it("are refused with the remedy as long as there is none", async () => {
    const message = await host.refusalOf("network", "create", "-d", "tsnet", ...OVS, "blue");

    expect(message).toMatch(/Open vSwitch/);
    expect(message).toMatch(/openvswitch-switch|TSNET_OVSDB/);
  });

  it("are the way out where a Linux bridge cannot tell VLANs apart [F84]", async () => {
    const probe = ["ip", "link", "add", "probe", "type", "bridge", "vlan_filtering", "1"];
    const hasVlans = await host.exec(probe).then(
      () => true,
      () => false,
    );
    const create = ["network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", "-o", "vlan=100", "plain"];

    if (hasVlans) {
      await host.exec(["ip", "link", "del", "probe"]);
      await host.docker(...create);
      await host.docker("network", "rm", "plain");
    } else expect(await host.refusalOf(...create)).toMatch(/VLAN.*backend=ovs/);
  });

  it("are made when it has come, without a restart of tsnet", async () => {
    ovs = await LabOvs.start(host.lab.namespace);
    if (variant === "managed plugin") await ovs.vsctl("set-manager", "ptcp:6640:127.0.0.1");
    before = await host.census();

    const blue = await host.network("blue", "--ipv6", ...SHARED, "-o", "vlan=100");
    const red = await host.network("red", ...SHARED, "-o", "vlan=200");
    one = await host.run("one", blue, "-p", "8080:80");
    two = await host.run("two", blue);
    other = await host.run("other", red);

    expect(await ovs.vsctl("get", "bridge", "sw0", "datapath_type")).toBe("netdev"); // this kernel has no module
  });

  it("have their ports tagged as access ports", async () => {
    const ports = await ovs.vsctl("--format=csv", "--no-headings", "--columns=tag,vlan_mode,trunks", "list", "port");

    expect(ports.split("\n").filter((line) => line.startsWith("100,")).length).toBeGreaterThanOrEqual(3);
    expect(ports.split("\n").filter((line) => /^[12]00,/.test(line))).toEqual(
      ports.split("\n").filter((line) => /^[12]00,access,/.test(line)),
    );
  });

  it("connect the containers of one VLAN over IPv4 and IPv6, and not those of another", async () => {
    await expect.poll(async () => await host.tryReach(one, await two.address())).toEqual(OPEN);
    await expect.poll(async () => await host.tryReach(one, await two.address(6))).toEqual(OPEN);
    expect(await host.tryReach(one, await other.address())).toEqual(CLOSED);
    expect(await host.tryReach(other, await two.address())).toEqual(CLOSED);
  });

  it("let containers out with the address of the host", async () => {
    await expect.poll(() => host.tryReach(other, host.neighbour.address)).toMatchObject({ ping: true });
    expect(await host.lab.askEcho("tcp", host.neighbour.address, "one")).toBe(HOST_ADDRESS);
  });

  it("publish ports to the outside and to the host", async () => {
    const ask = `exec 3<>/dev/tcp/${HOST_ADDRESS}/8080; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3`;

    for (const place of [host.neighbour, host]) {
      const page = async () => await place.exec(["timeout", "3", "bash", "--norc", "-c", ask]);
      await expect.poll(page).toMatch(/^HTTP\/1\.[01] /);
    }
  });

  it("give a container some of the network's VLANs by its driver options", async () => {
    const options = [...SHARED, "-o", "mode=l2", "-o", "trunk=30-32", "--subnet", "10.77.0.0/24"];
    await using trunk = await host.network("trunk", ...options);
    const inVlan = (id: number) => host.existingNetwork(`name=${trunk.name},driver-opt=vlan=${id}`);
    await using three = await host.run("three", inVlan(31));
    await using four = await host.run("four", inVlan(31));
    await using five = await host.run("five", inVlan(32));

    await expect.poll(async () => await host.tryReach(three, await four.address())).toEqual(OPEN);
    expect(await host.tryReach(three, await five.address())).toEqual(CLOSED);
    const message = await host.refusalOf(
      "run",
      "--rm",
      "--network",
      "name=trunk,driver-opt=vlan=33",
      TEST_IMAGE,
      "true",
    );
    expect(message).toMatch(/VLAN 33 .*30-32/);
  });

  it("go on when ovs-vswitchd was killed and started again [F125]", async () => {
    await ovs.killVswitchd();
    await ovs.startVswitchd();

    const isBack = async () => (await host.tryReach(one, await two.address())).ping;
    await waitUntil("the containers to reach each other", isBack, { limitMs: 30_000 });
    await expect.poll(async () => await host.tryReach(one, await two.address())).toEqual(OPEN);
    expect(await host.tryReach(one, await other.address())).toEqual(CLOSED);
  });

  it("go on when tsnet was killed and started again", async () => {
    await host.kill9();
    if (variant === "tsnet serve") await host.start();

    await waitUntil("tsnet to answer", async () => (await host.docker("network", "ls")).includes("blue"));
    await expect.poll(async () => await host.tryReach(one, await two.address())).toEqual(OPEN);
  });

  it("leave nothing behind", async () => {
    await host.removeEverything();

    expect(await ovs.vsctl("list-br")).toBe("");
    expect(await ovs.vsctl("--columns=name", "list", "port")).toBe("");
    await expect.poll(() => host.changesSince(before), { timeout: 15_000, interval: 500 }).toEqual([]);
  });
});
