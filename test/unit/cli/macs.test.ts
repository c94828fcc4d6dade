import { describe, expect, it } from "vitest";
import { type NamedDestination, macs } from "../../../src/cli/macs.ts";
import type { NetworkStatus } from "../../../src/cnm/requests.ts";
import { deskIn, dockerWith, endpointStatus, networkStatus } from "../../support/cli-desk.ts";
import { hostLink, ovsPrints } from "../../support/cli-host.ts";
import { endpointId, networkId } from "../../support/cnm-builder.ts";
import { RECORDED, RECORDED_NAMES, RECORDED_NETWORKS } from "../../support/recorded-host.ts";

const [WEB, DB, OTHER] = ["02:42:0a:01:01:02", "02:42:0a:01:01:03", "06:00:00:00:00:01"];
const mark = (n: number) => ({ ifalias: `tsnet:network:${networkId(n)}` });
const ofEndpoint = (n: number) => ({ ifalias: `tsnet:endpoint:${endpointId(n)}`, master: "tsn-1", kind: "veth" });
const LINKS = [
  hostLink("tsn-1", { ...mark(1), kind: "bridge", address: "10.1.1.1/24" }),
  hostLink("tsv1", ofEndpoint(1)),
  hostLink("tsv2", ofEndpoint(2)),
  hostLink("eth1", { master: "tsn-1" }),
  hostLink("tap7", { master: "tsn-1", kind: "tun" }),
  hostLink("tsx1", { ...mark(1), master: "tsn-1", kind: "vxlan", id: 80 }),
];
const ONE = networkStatus(1, { parent: "eth1", endpoints: [endpointStatus(1), endpointStatus(2)] });

/** The rows of the table, cells parted by `|`. */
async function rows(
  fdb: readonly object[],
  { networks = [ONE], network = "front" }: { networks?: readonly NetworkStatus[]; network?: string } = {},
): Promise<readonly string[]> {
  const desk = deskIn({
    networks,
    docker: dockerWith({ front: 1, floor: 2, plain: 3 }, { web: [1], db: [2] }),
    prints: {
      "ip -json -details address": LINKS,
      "bridge -json vlan show": [],
      "bridge -json fdb show dev tsx1": [],
      "bridge -json -statistics fdb show br tsn-1": fdb,
    },
  });
  await macs(desk, network, {});
  const [, ...lines] = desk.out.text.trimEnd().split("\n");
  return lines.map((line) => line.split(/ {2,}/).join(" | "));
}

const entry = (mac: string, ifname: string, more: object = {}) => ({
  mac,
  ifname,
  master: "tsn-1",
  flags: [],
  ...more,
});
const learned = { updated: 7, used: 3, state: "" };

describe("tsnet macs on a Linux bridge", () => {
  it.each([
    ["a container", entry(WEB, "tsv1", { state: "static" }), `${WEB} | tsv1 | web | fixed`],
    ["a container that was learned", entry(WEB, "tsv1", learned), `${WEB} | tsv1 | web | 7 s`],
    ["what is behind a container", entry(OTHER, "tsv1", learned), `${OTHER} | tsv1 | behind web | 7 s`],
    ["the gateway", entry(OTHER, "tsn-1", { state: "permanent" }), `${OTHER} | tsn-1 | gateway | fixed`],
    ["what is beyond an uplink", entry(OTHER, "eth1", learned), `${OTHER} | eth1 | beyond eth1 | 7 s`],
    ["somebody unknown", entry(OTHER, "tap7", learned), `${OTHER} | tap7 | unknown | 7 s`],
  ])("names %s", async (_what, found, expected) => {
    expect(await rows([found])).toEqual([expected]);
  });

  it("names the peer of a tunnel from which an address came", async () => {
    const beyond = { mac: OTHER, ifname: "tsx1", dst: "192.0.2.11", flags: ["self"], state: "" };

    expect(await rows([entry(OTHER, "tsx1", learned), beyond])).toEqual([`${OTHER} | tsx1 | peer 192.0.2.11 | 7 s`]);
  });

  it("says when a container's address is seen elsewhere than at its own port", async () => {
    expect(await rows([entry(DB, "tap7", learned)])).toEqual([
      `${DB} | tap7 | unknown, with the MAC address of db | 7 s`,
    ]);
    expect(await rows([entry(DB, "tsv1", learned)])).toEqual([`${DB} | tsv1 | web, with the MAC address of db | 7 s`]);
  });

  it("leaves out addresses of groups, of the ports' own links, and of other switches", async () => {
    const found = [
      { mac: "33:33:00:00:00:01", ifname: "tsv1", flags: ["self"], state: "permanent" },
      entry("01:00:5e:00:00:01", "tsv1", { state: "permanent" }),
      entry("b2:a0:cb:86:a9:76", "tsv1", { state: "permanent" }),
      { ...entry(OTHER, "tap7", learned), master: "br9" },
    ];

    expect(await rows(found)).toEqual([]);
  });

  it.each([
    ["red", ["02:42:0a:05:00:02 | 100 | one", "02:a5:b8:e0:42:4a | 100 | gateway"]],
    ["blue", ["02:42:0a:05:01:02 | 200 | two"]],
    ["wide", ["02:42:0a:05:02:02 | 30 | three"]],
    ["plain", ["02:42:0a:05:03:02 | 1 | four", "02:a5:b8:e0:42:4a | 1 | gateway"]],
    ["far", ["02:42:0a:05:0a:02 | five", "02:42:0a:05:0a:03 | peer 192.0.2.2", "02:56:a4:c9:6b:29 | host"]],
  ])("lists those of %s once, and none of another VLAN", async (network, expected) => {
    const desk = deskIn({
      networks: RECORDED_NETWORKS,
      docker: dockerWith(...RECORDED_NAMES),
      prints: RECORDED,
    });

    await macs(desk, network, { json: true });

    const found = JSON.parse(desk.out.text) as readonly NamedDestination[];
    const words = found.map(({ mac, vlan, who }) => [mac, ...(vlan === undefined ? [] : [vlan]), who].join(" | "));
    expect(words.toSorted()).toEqual(expected);
  });

  it("lists of a network without VLANs and containers what is in no network's VLAN", async () => {
    const [red, blue, , plain] = RECORDED_NETWORKS;
    if (red === undefined || blue === undefined || plain === undefined) throw new Error("networks");
    const networks = [red, blue, { ...plain, endpoints: [] }];
    const desk = deskIn({ networks, docker: dockerWith(...RECORDED_NAMES), prints: RECORDED });

    await macs(desk, "plain", { json: true });

    const found = JSON.parse(desk.out.text) as readonly NamedDestination[];
    expect([...new Set(found.map(({ vlan }) => vlan))]).toEqual([1, 5, 30]);
  });

  it("fails for an unknown network, and for one whose switch is not there", async () => {
    await expect(rows([], { network: "nobody" })).rejects.toThrow(
      'tsnet has no network "nobody"; its networks are front',
    );
    const networks = [networkStatus(1, { switch: "gone" })];
    await expect(rows([], { networks })).rejects.toThrow("switch gone of network front is not there");
  });
});

describe("tsnet macs on Open vSwitch", () => {
  const ports = {
    tsv1: { marks: { "tsnet-network": networkId(1), "tsnet-endpoint": endpointId(1) } },
    tsv2: { marks: { "tsnet-network": networkId(1), "tsnet-endpoint": endpointId(2) } },
    tsg1: { type: "internal", marks: { "tsnet-network": networkId(1) } },
    eth1: { marks: { "tsnet-network": networkId(1) } },
  };
  const network = { ...ONE, backend: "ovs", switch: "ovs0" } as const;

  async function found(prints: object, networks: readonly NetworkStatus[], marks?: Record<string, string>) {
    const desk = deskIn({
      networks,
      docker: dockerWith({ front: 1 }, { web: [1], db: [2] }),
      prints: {
        "ip -json -details address": [hostLink("tsg1", { address: "10.1.1.1/24" })],
        "bridge -json vlan show": [],
        ...ovsPrints({ ovs0: { ports, ...(marks && { marks }) } }),
        ...prints,
      },
    });
    await macs(desk, "front", { json: true });
    return JSON.parse(desk.out.text) as unknown;
  }

  it("reads the flows of a switch that tsnet made: what is fixed, and what was learned, of the VLAN", async () => {
    const flow = (table: number, rest: string, more = "") =>
      ` cookie=0x7473, duration=9.5s, table=${table}, n_packets=0, n_bytes=0, ${more}idle_age=1, ${rest}`;
    const flows = [
      "NXST_FLOW reply (xid=0x8):",
      flow(245, `priority=100,reg0=0x64,dl_dst=${WEB} actions=output:1`),
      flow(245, `priority=110,reg0=0x64,reg1=0x1/0x1,dl_dst=${WEB} actions=drop`),
      flow(245, "priority=200,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00 actions=NORMAL"),
      flow(245, `priority=100,reg0=0xc8,dl_dst=${OTHER} actions=output:1`),
      flow(246, `priority=100,reg0=0x64,dl_dst=${DB} actions=load:0x2->NXM_NX_REG3[0..15]`, "hard_timeout=300, "),
      flow(246, `priority=50,reg0=0x64,dl_dst=${DB} actions=load:0x4->NXM_NX_REG3[]`),
      flow(
        246,
        `priority=100,reg0=0x64,dl_dst=${OTHER} actions=load:0x4->NXM_NX_REG3[0..15]`,
        "hard_timeout=300, hard_age=2, ",
      ),
      flow(246, "priority=0 actions=drop"),
    ].join("\n");

    const marks = { "tsnet-network": networkId(1) };
    expect(await found({ "ovs-ofctl dump-flows ovs0": flows }, [{ ...network, vlan: 100 }], marks)).toEqual([
      { mac: OTHER, vlan: 100, port: "eth1", ageSeconds: 2, who: "beyond eth1" },
      { mac: DB, vlan: 100, port: "tsv2", ageSeconds: 9, who: "db" },
      { mac: WEB, vlan: 100, port: "tsv1", who: "web" },
    ]);
  });

  it("reads the table of a switch of the user's own", async () => {
    const table = [
      " port  VLAN  MAC                Age",
      `LOCAL     0  ${OTHER}    0`,
      `    1     0  ${WEB}   12`,
      `    9     0  06:00:00:00:00:09  static`,
      "",
    ].join("\n");

    expect(await found({ "ovs-appctl fdb/show ovs0": table }, [network])).toEqual([
      { mac: OTHER, port: "ovs0", ageSeconds: 0, who: "host" },
      { mac: "06:00:00:00:00:09", port: "port 9", who: "unknown" },
      { mac: WEB, port: "tsv1", ageSeconds: 12, who: "web" },
    ]);
  });
});
