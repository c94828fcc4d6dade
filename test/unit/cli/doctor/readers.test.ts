import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { readContainers } from "../../../../src/cli/doctor/container-facts.ts";
import { findPrograms, installing, lackingPrograms } from "../../../../src/cli/doctor/host-programs.ts";
import { readKernel, readRoutes } from "../../../../src/cli/doctor/host-facts.ts";
import { readOvs } from "../../../../src/cli/doctor/ovs-facts.ts";
import { readTunnels } from "../../../../src/cli/doctor/tunnel-facts.ts";
import { readWaysBack } from "../../../../src/cli/doctor/way-back.ts";
import { TsnetError } from "../../../../src/errors.ts";
import { WEB, endpoint, link, network, row } from "../../../support/doctor-facts.ts";
import { PrintedHost } from "../../../support/printed-host.ts";

const NO_OVS = { bridges: [], ports: [], interfaces: [], silent: [] };
const OVS_NETWORK = network({ backend: "ovs", switch: "tsn-2" });
const LIST = "ovs-vsctl --timeout=5 --format=json --columns=";

describe("the ways to the peers of tunnels", () => {
  const marked = { ifalias: `tsnet:network:${WEB}` };
  const vxlan = link("tsx1", { ...marked, linkinfo: { info_kind: "vxlan", info_data: { id: 69 } } });
  const gre = link("tsx2", { ...marked, linkinfo: { info_kind: "gretap", info_data: { remote: "192.0.2.13" } } });
  const fdb = [
    { mac: "00:00:00:00:00:00", dst: "192.0.2.11" },
    { mac: "00:00:00:00:00:00", dst: "192.0.2.12" },
    { mac: "02:00:00:00:00:05", dst: "192.0.2.99" },
  ];
  const host = new PrintedHost({
    "bridge -json fdb show dev tsx1": fdb,
    "ip -json route get 192.0.2.11": [{ dst: "192.0.2.11", dev: "eth0" }],
    "ip -json route get 192.0.2.12": [{ dst: "192.0.2.12", dev: "eth0", metrics: [{ mtu: 1400 }] }],
    "ip -json route get 192.0.2.14": [{ dst: "192.0.2.14", dev: "eth0" }],
  });

  it("are those of bridges' links and of ports of Open vSwitch, with the MTU of the route or else of the link", async () => {
    const port = row("tsx3", {
      type: "geneve",
      external_ids: { "tsnet-network": WEB },
      options: { remote_ip: "192.0.2.14" },
    });

    const found = await readTunnels(host, [link("eth0"), vxlan, gre], { ...NO_OVS, interfaces: [port] });

    const of = { networkId: WEB };
    expect(found).toEqual([
      { ...of, link: "tsx1", kind: "vxlan", peer: "192.0.2.11", route: { dev: "eth0", mtu: 1500 } },
      { ...of, link: "tsx1", kind: "vxlan", peer: "192.0.2.12", route: { dev: "eth0", mtu: 1400 } },
      { ...of, link: "tsx2", kind: "gre", peer: "192.0.2.13" },
      { ...of, link: "tsx3", kind: "geneve", peer: "192.0.2.14", route: { dev: "eth0", mtu: 1500 } },
    ]);
  });

  it("are not those of others' tunnels", async () => {
    const { ifalias: _alias, ...foreign } = gre;

    expect(await readTunnels(host, [foreign], { ...NO_OVS, interfaces: [row("vx0", { type: "vxlan" })] })).toEqual([]);
  });
});

describe("Open vSwitch", () => {
  it("is read with its maps and empty columns, and asked whether its switches answer", async () => {
    const marks = ["map", [["tsnet-network", WEB]]];
    const headings = ["name", "external_ids"];
    const host = new PrintedHost({
      [`${LIST}name,external_ids list Bridge`]: { headings, data: [["tsn-2", marks]] },
      [`${LIST}name,external_ids list Port`]: { headings, data: [["tsn-2", ["map", []]]] },
      [`${LIST}name,type,error,external_ids,options list Interface`]: {
        headings: ["name", "type", "error", "external_ids", "options"],
        data: [
          ["tsn-2", "internal", ["set", []], ["map", []], ["map", []]],
          ["no0", "", "No such device", ["map", []], ["map", []]],
        ],
      },
    });

    expect(await readOvs(host, [OVS_NETWORK])).toEqual({
      bridges: [row("tsn-2", { external_ids: { "tsnet-network": WEB } })],
      ports: [row("tsn-2")],
      interfaces: [row("tsn-2", { type: "internal" }), row("no0", { error: "No such device" })],
      silent: ["tsn-2"],
    });
  });

  it("that does not answer is a fault where a network is on it", async () => {
    const { fault } = await readOvs(new PrintedHost({}), [OVS_NETWORK]);

    expect(fault).toContain("ovs-vsctl");
  });
});

describe("what the kernel cannot do", () => {
  const VLANS = network({ vlan: 10 });
  const trial = "unshare --net -- ip link add name trial0 type bridge";

  it("is tried if a network asks for it", async () => {
    expect(await readKernel(new PrintedHost({ [trial]: [] }), [VLANS])).toEqual(["bridge VLAN filtering"]);
    expect(await readKernel(new PrintedHost({ [trial]: [], [`${trial} vlan_filtering 1`]: [] }), [VLANS])).toEqual([]);
    expect(await readKernel(new PrintedHost({}), [network()])).toEqual([]);
  });

  it("is not known where the trial itself is not possible", async () => {
    await expect(readKernel(new PrintedHost({}), [VLANS])).rejects.toThrow("unshare");
  });
});

describe("routes", () => {
  it("are those out of the host, of all tables", async () => {
    const host = new PrintedHost({
      "ip -4 -json route show table all": [
        { dst: "default", dev: "eth0" },
        { dst: "10.8.0.0/16", dev: "wg0", table: "51820" },
        { type: "local", dst: "192.0.2.10", dev: "eth0", table: "local" },
        { type: "unreachable", dst: "10.9.0.0/16" },
      ],
      "ip -6 -json route show table all": [],
    });

    expect((await readRoutes(host)).map(({ dst }) => dst)).toEqual(["default", "10.8.0.0/16"]);
  });
});

describe("the ways back to containers", () => {
  const host = new PrintedHost({
    "ip -json route get 10.1.1.2": [{ dst: "10.1.1.2", dev: "wg0" }],
    "ip -json route get 10.1.1.3": [{ type: "unreachable", dst: "10.1.1.3" }],
  });
  const six = endpoint(4, { addresses: ["fd00::4/64"] });
  const web = network({ endpoints: [endpoint(2), endpoint(3), six, endpoint(5, { state: "created" })] });

  it("are asked of the kernel where the filter of the network's link is strict, for IPv4", async () => {
    const of = { network: "web", link: "tsn-1" };

    expect(await readWaysBack(host, [web], [link("tsn-1")], new Set(["tsn-1"]))).toEqual([
      { ...of, source: "10.1.1.2", back: "wg0" },
      { ...of, source: "10.1.1.3" },
    ]);
  });

  it("are not asked where it is not, or the host is not on the network", async () => {
    const strict = new Set(["tsn-1"]);

    expect(await readWaysBack(host, [web], [link("tsn-1")], new Set(["eth0"]))).toEqual([]);
    expect(await readWaysBack(host, [{ ...web, mode: "l2" }], [link("tsn-1")], strict)).toEqual([]);
  });
});

describe("the programs that commands need", () => {
  const all = ["ip", "bridge", "nft", "nsenter", "unshare", "sysctl"];

  it("are those of Open vSwitch only where a network is on it", () => {
    expect(lackingPrograms(new Set(all), [network()])).toEqual([]);
    expect(lackingPrograms(new Set(all.slice(1)), [OVS_NETWORK])).toEqual([
      "ip",
      "ovs-vsctl",
      "ovs-ofctl",
      "ovs-appctl",
    ]);
  });

  it("are installed with what the host has for that", () => {
    const how = (program: string) =>
      [["apt-get"], ["dnf"], []].map((installers) => installing(program, new Set(installers)));

    expect(how("ip")).toEqual([
      "apt-get install iproute2",
      "dnf install iproute",
      "install package iproute2 or iproute",
    ]);
    expect(how("sysctl")).toEqual([
      "apt-get install procps",
      "dnf install procps-ng",
      "install package procps or procps-ng",
    ]);
  });

  it("are looked for where the commands look for them", () => {
    const bin = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    const isHere = (name: string) => bin.some((folder) => existsSync(`${folder}/${name}`));

    expect([...findPrograms()].sort()).toEqual(
      [...all, "ovs-vsctl", "ovs-ofctl", "ovs-appctl", "apt-get", "dnf"].filter(isHere).sort(),
    );
  });
});

describe("what containers have inside", () => {
  const isOnHost = false;
  const found = { id: "c2", name: "box-2", isRunning: true, pid: 4_194_305, isOnHost };

  it("is not asked of one that ended or went meanwhile", async () => {
    const look = (findContainer: () => Promise<typeof found>) =>
      readContainers({ findContainer, host: new PrintedHost({}) }, [network()]);

    expect(await look(async () => ({ ...found, isRunning: false }))).toEqual([]);
    expect(await look(async () => found)).toEqual([]); // no process has that number
    const missing = () => Promise.reject(new TsnetError("not-found", "Docker has no such container"));
    expect(await look(missing)).toEqual([]);
  });

  it("is not known if one that is there cannot be looked into", async () => {
    const findContainer = async () => ({ ...found, pid: process.pid });

    await expect(readContainers({ findContainer, host: new PrintedHost({}) }, [network()])).rejects.toThrow("address");
  });
});
