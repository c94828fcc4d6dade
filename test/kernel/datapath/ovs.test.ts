// What is special to Open vSwitch, in userspace: seen with ovs-vsctl(8) and ovs-ofctl(8), and with traffic between sandboxes.
import { describe, expect, it } from "vitest";
import type { Endpoint } from "../../../src/cnm/endpoint.ts";
import type { Network } from "../../../src/cnm/network.ts";
import * as builder from "../../support/cnm-builder.ts";
import type { NetNamespace } from "../../support/namespace.ts";
import { type OvsDatapathHost, ovsDatapathHost } from "../../support/ovs-datapath-host.ts";
import { managementOf } from "../../support/ovs-flows.ts";
import { canPing, shell } from "../../support/packet-lab.ts";
import { waitUntil } from "../../support/wait-until.ts";
import { pings, sandboxOf } from "./sandbox.ts";

const { endpoint, endpointId, ifName, networkId } = builder;
const network = (n = 1, more: Partial<Network> = {}) => builder.network(n, { backend: "ovs", ...more });
const BR = network().switchName;
const SHARED = ifName("shared0");
const BYTES = 20_000_000;

/** Columns of a row as ovs-vsctl prints them. */
async function columns(host: OvsDatapathHost, table: string, name: string, ...wanted: readonly string[]) {
  const text = await host.ovs.vsctl("get", table, name, ...wanted);
  return Object.fromEntries(text.split("\n").map((value, n) => [wanted[n], value]));
}

async function flowsOf(host: OvsDatapathHost, bridge: string): Promise<readonly string[]> {
  const dump = ["ovs-ofctl", "-O", "OpenFlow14", "--no-stats", "dump-flows", managementOf(host.ovs, bridge)];
  const text = await host.namespace.exec(dump);
  return text.split("\n").filter((line) => line.includes("actions="));
}

/** How many of as many bytes arrive over TCP. */
async function transfer(from: NetNamespace, to: NetNamespace, address: string): Promise<number> {
  const receiver = to.spawn(["sh", "-c", "busybox nc -l -p 7001 | wc -c"]);
  let text = "";
  receiver.stdout?.on("data", (chunk: Buffer) => (text += chunk.toString()));
  await waitUntil(
    "the receiver to listen",
    async () => (await to.exec(["ss", "-Hltn", "sport = :7001"])).trim() !== "",
  );
  await from.exec(["sh", "-c", `head -c ${BYTES} /dev/zero | timeout 50 busybox nc -w 20 ${address} 7001`]);
  return waitUntil("the receiver to end", () => (text === "" ? undefined : Number(text)));
}

describe("a port's VLANs", () => {
  const VLANS = ["tag", "trunks", "vlan_mode"] as const;

  it.each([
    ["untagged", {}, { tag: "0", trunks: "[]", vlan_mode: "access" }],
    ["an access VLAN", { vlan: 100 }, { tag: "100", trunks: "[]", vlan_mode: "access" }],
    ["a trunk", { trunk: [20, 30] }, { tag: "[]", trunks: "[20, 30]", vlan_mode: "trunk" }],
    [
      "a trunk with a native VLAN",
      { vlan: 10, trunk: [20] },
      { tag: "10", trunks: "[20]", vlan_mode: "native-untagged" },
    ],
  ])("are those of the endpoint: %s", async (_what, vlans, expected) => {
    await using host = await ovsDatapathHost();
    const wanted = network(1, { vlans, isGuarded: !("trunk" in vlans), mode: "l2", isHostOnSwitch: false });
    await host.datapath.ensureNetwork(wanted, []);

    await host.datapath.attach(wanted, endpoint(1, 1, { vlans }), []);

    expect(await columns(host, "port", endpoint().hostIfName, ...VLANS)).toEqual(expected);
  });

  it("are there from the first moment on [F130]", async () => {
    await using host = await ovsDatapathHost();
    const wanted = network(1, { vlans: { vlan: 100 } });
    await host.datapath.ensureNetwork(wanted, []);
    const log = await host.ovs.monitor("Port", "name,tag,vlan_mode,external_ids");

    await host.datapath.attach(wanted, endpoint(1, 1, { vlans: { vlan: 100 } }), []);

    await host.ovs.vsctl("add-port", BR, "last", "tag=1", "--", "set", "interface", "last", "type=internal");
    await waitUntil("the monitor to show the last port", () => log.some((row) => row.includes("last")));
    const changes = log.filter((row) => row.includes(endpoint().hostIfName));
    const marks = [
      ["tsnet-endpoint", endpointId()],
      ["tsnet-network", networkId()],
    ];
    expect(changes).toEqual([[expect.anything(), "insert", endpoint().hostIfName, 100, "access", ["map", marks]]]);
  });

  it("of the host's link are the network's own, and the switch's own link is in none of them", async () => {
    await using host = await ovsDatapathHost();
    const [one, two] = [network(1, { vlans: { vlan: 100 }, switchName: SHARED }), network(2, { switchName: SHARED })];
    await host.datapath.ensureNetwork(one, []);
    await host.datapath.ensureNetwork(two, [one]);

    expect(await columns(host, "port", one.hostLink, ...VLANS)).toMatchObject({ tag: "100", vlan_mode: "access" });
    expect(await columns(host, "port", two.hostLink, ...VLANS)).toMatchObject({ tag: "0", vlan_mode: "access" });
    expect(await columns(host, "port", SHARED, ...VLANS)).toMatchObject({ tag: "4095", vlan_mode: "access" });
    expect((await host.see()).get(SHARED)).toMatchObject({ isUp: false, addresses: [] });
  });

  it("come back when somebody changed them [F128]", async () => {
    await using host = await ovsDatapathHost();
    await host.datapath.ensureNetwork(network(), []);
    await host.datapath.attach(network(), endpoint(), []);
    await host.ovs.vsctl(
      "clear",
      "port",
      endpoint().hostIfName,
      "tag",
      "--",
      "set",
      "port",
      network().hostLink,
      "tag=7",
    );

    await host.datapath.ensureNetwork(network(), []);
    await host.datapath.reattach(network(), endpoint());

    expect(await columns(host, "port", endpoint().hostIfName, "tag")).toEqual({ tag: "0" });
    expect(await columns(host, "port", network().hostLink, "tag")).toEqual({ tag: "0" });
  });
});

describe("a bridge of ours", () => {
  it("is closed by itself, forwards in userspace where the kernel cannot, and has our marks and its MAC", async () => {
    await using host = await ovsDatapathHost();
    await host.datapath.ensureNetwork(network(), []);

    expect(await columns(host, "bridge", BR, "fail_mode", "datapath_type", "external_ids")).toEqual({
      fail_mode: "secure",
      datapath_type: "netdev",
      external_ids: `{tsnet-network=${networkId()}}`,
    });
    expect((await host.see()).get(BR)?.mac).toBe(network().switchMac);
    expect((await host.see()).get(network().hostLink)?.mac).toBe(network().switchMac);
  });

  it("marks its links with alias and group", async () => {
    await using host = await ovsDatapathHost();
    await host.datapath.ensureNetwork(network(), []);
    await host.datapath.attach(network(), endpoint(), []);
    const links = await host.namespace.json<{ ifname: string; ifalias?: string; group: string }[]>([
      "ip",
      "-json",
      "link",
    ]);
    const of = (name: string) => links.find(({ ifname }) => ifname === name);

    for (const name of [BR, network().hostLink]) {
      expect(of(name)).toMatchObject({ ifalias: `tsnet:network:${networkId()}`, group: "29811" });
    }
    expect(of(endpoint().hostIfName)).toMatchObject({ ifalias: `tsnet:endpoint:${endpointId()}`, group: "29811" });
  });

  it("is refused in the kernel where the kernel has no Open vSwitch [F84]", async () => {
    await using host = await ovsDatapathHost();

    await expect(host.datapath.check(network(1, { datapathType: "kernel" }), [])).rejects.toMatchObject({
      code: "unsupported",
      message: expect.stringMatching(/permitted: userspace/) as string,
    });
    await host.datapath.check(network(1, { datapathType: "userspace" }), []);
  });

  it("is refused with an MTU that no tap device has", async () => {
    await using host = await ovsDatapathHost();

    await expect(host.datapath.check(network(1, { mtu: 65_535 }), [])).rejects.toMatchObject({ code: "unsupported" });
    await host.datapath.check(network(1, { mtu: 65_521 }), []);
    await host.datapath.ensureNetwork(network(1, { mtu: 65_521 }), []);
    expect((await host.see()).get(network().hostLink)?.mtu).toBe(65_521);
  });
});

describe("sandboxes on one switch", () => {
  it("reach each other and the gateway, over IPv4 and IPv6, by ping and by TCP", async () => {
    await using host = await ovsDatapathHost();
    const wanted = builder.dualStack(1, { backend: "ovs" });
    await host.datapath.ensureNetwork(wanted, []);
    await using one = await sandboxOf(host, wanted, 1, 1500, { addressIpv6: "fd00:1:1::2/64" });
    await using two = await sandboxOf(host, wanted, 2, 1500, { addressIpv6: "fd00:1:1::3/64" });
    const targets = ["10.1.1.3", "fd00:1:1::3", "10.1.1.1", "fd00:1:1::1"];

    expect(await Promise.all(targets.map((to) => pings(one, to)))).toEqual([true, true, true, true]);
    expect(await transfer(one, two, "10.1.1.3")).toBe(BYTES);
    expect(await transfer(one, host.namespace, "10.1.1.1")).toBe(BYTES);
    expect(await transfer(host.namespace, one, "10.1.1.2")).toBe(BYTES);
  });

  it("are not heard by the host where their port is, but by the gateway alone", async () => {
    await using host = await ovsDatapathHost();
    await host.datapath.ensureNetwork(network(), []);
    await using one = await sandboxOf(host, network(), 1);
    await pings(one, "10.1.1.1");

    const [neighbour] = await one.json<{ lladdr: string }[]>(["ip", "-json", "neigh", "show", "10.1.1.1"]);

    expect(neighbour?.lladdr).toBe(network().switchMac);
    expect(await host.namespace.exec(["ip", "neigh", "show", "dev", endpoint().hostIfName])).toBe("");
  });

  it("of different VLANs do not reach each other", async () => {
    await using host = await ovsDatapathHost();
    const [red, blue] = [
      network(1, { switchName: SHARED, vlans: { vlan: 100 } }),
      network(1, { switchName: SHARED, vlans: { vlan: 200 }, id: networkId(2), mode: "l2", isHostOnSwitch: false }),
    ];
    await host.datapath.ensureNetwork(red, []);
    await host.datapath.ensureNetwork(blue, [red]);
    await using one = await sandboxOf(host, red, 1, 1500, { vlans: { vlan: 100 } });
    await using two = await sandboxOf(host, red, 2, 1500, { vlans: { vlan: 100 } });
    await using other = await sandboxOf(host, blue, 3, 1500, { vlans: { vlan: 200 } });

    expect(await pings(one, "10.1.1.3")).toBe(true);
    expect(await pings(two, "10.1.1.1")).toBe(true);
    expect(await canPing(other, "10.1.1.2")).toBe(false);
    expect(await canPing(one, "10.1.1.4")).toBe(false);
    expect(await canPing(other, "10.1.1.1")).toBe(false);
  });
});

describe("a bridge of the user's own", () => {
  it("keeps his flows, his ports and his settings; only guarded endpoints get flows of ours", async () => {
    await using host = await ovsDatapathHost();
    await host.plantSwitch(SHARED);
    await shell(host.namespace, ["ip link add theirs type veth peer name theirs-end"]);
    await host.ovs.vsctl("add-port", SHARED, "theirs", "tag=9");
    const management = managementOf(host.ovs, SHARED);
    const flow = "cookie=0x99,priority=7,in_port=theirs,actions=NORMAL";
    await host.namespace.exec(["ovs-ofctl", "-O", "OpenFlow14", "--names", "add-flow", management, flow]);
    const wanted = network(1, { switchName: SHARED, isSwitchOurs: false });
    const before = [await flowsOf(host, SHARED), await host.see(), await host.ovs.vsctl("list", "bridge", SHARED)];

    await host.datapath.ensureNetwork(wanted, []);
    await host.datapath.attach(wanted, endpoint(), []);

    const during = await flowsOf(host, SHARED);
    expect(during).toEqual(expect.arrayContaining([...(before[0] as readonly string[])]));
    expect(during.length).toBeGreaterThan(2);
    await host.datapath.detach(endpoint());
    await host.datapath.removeNetwork(wanted, []);
    expect([await flowsOf(host, SHARED), await host.see(), await host.ovs.vsctl("list", "bridge", SHARED)]).toEqual(
      before,
    );
  });

  it("carries what its endpoints send, and not what they send under other names", async () => {
    await using host = await ovsDatapathHost();
    await host.plantSwitch(SHARED);
    const wanted = network(1, { switchName: SHARED, isSwitchOurs: false });
    await host.datapath.ensureNetwork(wanted, []);
    await using one = await sandboxOf(host, wanted, 1);
    await using two = await sandboxOf(host, wanted, 2);

    expect(await pings(one, "10.1.1.3")).toBe(true);
    expect(await pings(two, "10.1.1.1")).toBe(true);
    await shell(one, ["ip link set eth0 address 02:00:00:00:00:99", "ip neigh flush all"]);
    expect(await canPing(one, "10.1.1.3")).toBe(false);
  });

  it("answers for the gateway by the network's link alone, and answers as before when the network is removed", async () => {
    await using host = await ovsDatapathHost();
    await host.plantSwitch(SHARED);
    const before = await host.ovs.vsctl("get", "interface", SHARED, "external_ids");
    const answersTo = async () => await host.namespace.exec(["sysctl", "-n", `net.ipv4.conf.${SHARED}.arp_ignore`]);
    const setting = await answersTo();
    const wanted = network(1, { switchName: SHARED, isSwitchOurs: false });
    await host.datapath.ensureNetwork(wanted, []);
    {
      await using one = await sandboxOf(host, wanted, 1);
      await pings(one, "10.1.1.1");

      const replies = await one.exec(["busybox", "arping", "-b", "-c3", "-I", "eth0", "10.1.1.1"]);

      const macs = replies.match(/(?<=\[)[0-9a-f:]{17}(?=\])/g) ?? [];
      expect(new Set(macs)).toEqual(new Set([wanted.switchMac]));
      await host.datapath.detach(endpoint(1));
    }
    await host.datapath.removeNetwork(wanted, []);
    expect(await answersTo()).toBe(setting);
    expect(await host.ovs.vsctl("get", "interface", SHARED, "external_ids")).toBe(before);
  });

  it("is left alone with a port that has the name of the host's link", async () => {
    await using host = await ovsDatapathHost();
    await host.plantSwitch(SHARED);
    const wanted = network(1, { switchName: SHARED, isSwitchOurs: false });
    await host.ovs.vsctl(
      "add-port",
      SHARED,
      wanted.hostLink,
      "--",
      "set",
      "interface",
      wanted.hostLink,
      "type=internal",
    );
    const before = await host.see();

    await expect(host.datapath.ensureNetwork(wanted, [])).rejects.toMatchObject({ code: "conflict" });

    expect(await host.see()).toEqual(before);
  });
});

describe("what is removed", () => {
  it("leaves no rows, no links and no flows on a switch that others use", async () => {
    await using host = await ovsDatapathHost();
    const [one, two] = [
      network(1, { switchName: SHARED, isGuarded: false, vlans: { vlan: 100 } }),
      network(2, { switchName: SHARED }),
    ];
    await host.datapath.ensureNetwork(two, []);
    const before = [await flowsOf(host, SHARED), await host.see()];

    await host.datapath.ensureNetwork(one, [two]);
    const withoutEndpoints = await flowsOf(host, SHARED);
    const attached: Endpoint[] = [1, 2].map((n) => endpoint(n, 1, { vlans: { vlan: 100 } }));
    for (const each of attached) await host.datapath.attach(one, each, [two]);
    for (const each of attached) await host.datapath.detach(each);
    expect(await flowsOf(host, SHARED)).toEqual(withoutEndpoints);
    await host.datapath.removeNetwork(one, [two]);

    expect([await flowsOf(host, SHARED), await host.see()]).toEqual(before);
  });

  it("is found again when its link had gone before [F127]", async () => {
    await using host = await ovsDatapathHost();
    await host.datapath.ensureNetwork(network(), []);
    const before = [await flowsOf(host, BR), await host.see()];
    await host.datapath.attach(network(), endpoint(), []);
    await shell(host.namespace, [`ip link del ${endpoint().hostIfName}`]);
    await waitUntil("Open vSwitch to see it", async () => {
      return (await columns(host, "interface", endpoint().hostIfName, "ifindex"))["ifindex"] === "0";
    });

    await host.datapath.ensureNetwork(network(), []);

    expect([await flowsOf(host, BR), await host.see()]).toEqual(before);
  });
});
