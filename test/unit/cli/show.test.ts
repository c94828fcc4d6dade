import { describe, expect, it } from "vitest";
import { show } from "../../../src/cli/show.ts";
import type { ShownSwitch } from "../../../src/cli/switches.ts";
import type { NetworkStatus } from "../../../src/cnm/requests.ts";
import { type Scene, deskIn, dockerWith, endpointStatus, networkStatus } from "../../support/cli-desk.ts";
import { endpointId, networkId } from "../../support/cnm-builder.ts";
import { type OvsRows, hostLink, ovsPrints } from "../../support/cli-host.ts";
import { RECORDED, RECORDED_NAMES, RECORDED_NETWORKS, VLAN_BRIDGE } from "../../support/recorded-host.ts";

const LINKS = "ip -json -details address";
const VLANS = "bridge -json vlan show";

/** Bridge tsn-1 with the container `web`, and what a test adds. */
function scene({ links = [], vlans = [], ovs, networks, prints = {} }: Partial<SceneParts> = {}): Scene {
  const one = networkStatus(1, { endpoints: [endpointStatus(1)] });
  const own = [
    hostLink("tsn-1", { ifalias: `tsnet:network:${networkId(1)}`, kind: "bridge", address: "10.1.1.1/24" }),
    hostLink("tsv1", { ifalias: `tsnet:endpoint:${endpointId(1)}`, kind: "veth", master: "tsn-1" }),
  ];
  return {
    networks: networks ?? [one],
    docker: dockerWith({ front: 1, floor: 2 }, { web: [1], db: [2] }),
    prints: { [LINKS]: [...own, ...links], [VLANS]: vlans, ...(ovs && ovsPrints(ovs)), ...prints },
  };
}

/** A host of which all is recorded. */
function recorded(): Scene {
  return { networks: RECORDED_NETWORKS, docker: dockerWith(...RECORDED_NAMES), prints: RECORDED };
}

interface SceneParts {
  readonly links: readonly object[];
  readonly vlans: readonly object[];
  readonly ovs: OvsRows;
  readonly networks: readonly NetworkStatus[];
  readonly prints: Readonly<Record<string, unknown>>;
}

async function shown(what: Scene, text?: string): Promise<readonly ShownSwitch[]> {
  const desk = deskIn(what);
  await show(desk, text, { json: true });
  return JSON.parse(desk.out.text) as readonly ShownSwitch[];
}

async function printed(what: Scene, text?: string): Promise<string> {
  const desk = deskIn(what);
  await show(desk, text, {});
  return desk.out.text;
}

/** Name, kind and who of each port of the one switch. */
async function portsIn(what: Scene, text?: string): Promise<readonly string[]> {
  const [only] = await shown(what, text);
  return (
    only?.ports.map(({ name, kind, isOurs, who, isMissing }) =>
      [name, kind, isOurs ? "ours" : "foreign", who, ...(isMissing ? ["missing"] : [])].join(" | "),
    ) ?? []
  );
}

describe("tsnet show", () => {
  it("draws a switch with the host's link, its containers, and ports that are not tsnet's", async () => {
    const tap = hostLink("tap7", { kind: "tun", master: "tsn-1" });
    const down = hostLink("tap9", { kind: "tun", master: "tsn-1", isDown: true });

    expect(await printed(scene({ links: [tap, down] }))).toBe(
      [
        "SWITCH, PORTS   KIND       WHO",
        "tsn-1           bridge     front",
        "├─ tsn-1        host       10.1.1.1/24",
        "├─ tsv1         container  web",
        "├─ tap7         foreign",
        "└─ tap9 (down)  foreign",
        "",
      ].join("\n"),
    );
  });

  it("has no part of Open vSwitch, and no note, where there is none and no network wants it", async () => {
    const desk = deskIn(scene());

    await show(desk, undefined, {});

    expect(desk.notes.text).toBe("");
    expect(desk.out.text).toContain("tsn-1");
  });

  it("notes why Open vSwitch cannot be read when a network is on it, and marks its switch as missing", async () => {
    const network = networkStatus(2, { backend: "ovs", switch: "sw1", endpoints: [endpointStatus(2, 2)] });
    const desk = deskIn(scene({ networks: [network] }));

    await show(desk, "floor", {});

    expect(desk.notes.text).toMatch(/^tsnet: Open vSwitch cannot be read: ovs-vsctl .*: not found\n$/);
    expect(desk.out.text).toBe(
      "SWITCH, PORTS      KIND       WHO\nsw1 (missing)      ovs        floor\n└─ tsv2 (missing)  container  db\n",
    );
  });

  it("says the VLANs of ports as the kernel has them", async () => {
    const text = await printed(recorded(), VLAN_BRIDGE);

    expect(text.split("\n").slice(1, -1)).toEqual([
      "sw0                 bridge                         blue, plain, red, wide",
      "├─ tsg430bd0df42b5  host       100                 10.5.0.1/24",
      "├─ sw0              host       1, trunk 100        10.5.3.1/24",
      "├─ tsvddfb11d20be7  container  1                   four",
      "├─ tsvdf39e09e9abf  container  100                 one",
      "├─ tsva47453c9846d  container  30, trunk 31-33,40  three",
      "├─ tsv844ea607ddbd  container  200                 two",
      "├─ eth1             uplink     trunk 100,200",
      "└─ tap7             foreign    5, trunk 300-303",
    ]);
  });

  it("says of a port that has no VLAN that it has none", async () => {
    const links = [hostLink("br0", { kind: "bridge", hasVlans: true }), hostLink("none", { master: "br0" })];

    expect(await printed(scene({ links }), "br0")).toContain("└─ none        foreign          none");
  });

  it("says of each link of a tunnel where it leads", async () => {
    const switches = await shown(recorded());

    const tunnels = switches.flatMap(({ ports }) => ports.flatMap(({ kind, who }) => (kind === "tunnel" ? [who] : [])));
    expect(tunnels.toSorted()).toEqual([
      "geneve 81 to 192.0.2.2",
      "gre 258 to 192.0.2.2",
      "gre to 2001:db8::2",
      "vxlan 80 to 192.0.2.2",
    ]);
  });

  it("marks what the records have and the host lacks: a container's link, an uplink, a tunnel, peers of one", async () => {
    const tunnel = { kind: "gre", vni: 7, local: "192.0.2.10", peers: ["192.0.2.11", "192.0.2.12"] } as const;
    const networks = [
      networkStatus(1, {
        endpoints: [endpointStatus(1), endpointStatus(2), endpointStatus(3, 1, { state: "created" })],
      }),
      networkStatus(2, { switch: "tsn-1", parent: "eth1" }),
      networkStatus(3, { switch: "tsn-1", tunnel }),
    ];
    const links = [
      hostLink("tsx1", {
        kind: "gretap",
        okey: "0.0.0.7",
        remote: "192.0.2.11",
        master: "tsn-1",
        ifalias: "tsnet:network:x",
      }),
    ];

    expect(await portsIn(scene({ networks, links }))).toEqual([
      "tsn-1 | host | ours | 10.1.1.1/24",
      "tsv2 | container | ours | db | missing",
      "tsv1 | container | ours | web",
      "eth1 | uplink | ours |  | missing",
      "tsx1 | tunnel | ours | gre 7 to 192.0.2.11",
      " | tunnel | ours | gre 7 to 192.0.2.12 | missing",
    ]);
  });

  it("says of a link that was taken out of its switch that it is missing there", async () => {
    const what = scene();
    const made = what.prints?.[LINKS] as readonly object[]; // as `scene` made it
    const links = made.map((link) => ({ ...link, master: undefined }));

    expect(await portsIn({ ...what, prints: { ...what.prints, [LINKS]: links } })).toContain(
      "tsv1 | container | ours | web | missing",
    );
  });

  it("says of a link with tsnet's mark and no record that there is none", async () => {
    const links = [hostLink("tsvlost", { master: "tsn-1", ifalias: "tsnet:endpoint:0123456789abcdef" })];

    expect(await portsIn(scene({ links }))).toContain(
      "tsvlost | container | ours | endpoint 0123456789ab, of which tsnet has no record",
    );
  });

  it("tells the ports of tsnet from others on a switch of Open vSwitch, which may be another's as well", async () => {
    const networks = [
      networkStatus(1, { endpoints: [endpointStatus(1)], backend: "ovs", switch: "ovs0", parent: "eth1" }),
    ];
    const marks = { "tsnet-network": networkId(1) };
    const ovs: OvsRows = {
      ovs0: {
        ports: {
          ovs0: { type: "internal" },
          tsv1: { tag: 100, marks: { ...marks, "tsnet-endpoint": endpointId(1) } },
          eth1: { trunks: [0, 100, 200], mode: "trunk", marks },
          tsx1: { type: "vxlan", options: { remote_ip: "192.0.2.11", key: "80" }, tag: 0, marks },
          tsg1: { type: "internal", tag: 100, marks },
          vm0: {},
          vm2: {},
          vm1: { tag: 7, trunks: [8], mode: "native-tagged" },
        },
      },
    };
    const there = ["ovs0", "eth1", "vm0", "vm1"].map((name) => hostLink(name));
    const links = [hostLink("tsg1", { address: "10.1.1.1/24" }), ...there];

    const text = await printed(scene({ networks, ovs, links }), "ovs0");

    expect(text.split("\n").map((line) => line.split(/ {2,}/))).toEqual([
      ["SWITCH, PORTS", "KIND", "VLAN", "WHO"],
      ["ovs0", "ovs, foreign", "front"],
      ["├─ ovs0", "host, foreign", "all"],
      ["├─ tsg1", "host", "100", "10.1.1.1/24"],
      ["├─ tsv1", "container", "100", "web"],
      ["├─ eth1", "uplink", "untagged, trunk 100,200"],
      ["├─ tsx1", "tunnel", "vxlan 80 to 192.0.2.11"],
      ["├─ vm0", "foreign", "all"],
      ["├─ vm1", "foreign", "7, trunk 8"],
      ["└─ vm2 (missing)", "foreign", "all"],
      [""],
    ]);
  });

  it("finds a switch by its name and by its network, and names the others that are not tsnet's", async () => {
    const links = [hostLink("docker0", { kind: "bridge" })];

    expect((await shown(scene({ links }), "docker0")).map(({ name }) => name)).toEqual(["docker0"]);
    expect((await shown(scene({ links }), "front")).map(({ name }) => name)).toEqual(["tsn-1"]);
    expect(await printed(scene({ links }))).toMatch(/\n\nnot of tsnet: docker0\n$/);
    await expect(shown(scene({ links }), "nobody")).rejects.toThrow(
      'no switch of this host and no network of tsnet is called "nobody"; there are docker0, tsn-1',
    );
  });

  it("says how to make a switch where tsnet has none", async () => {
    expect(await printed({ prints: { [LINKS]: [], [VLANS]: [] } })).toBe(
      "tsnet has no switch; `docker network create -d tsnet NAME` makes one\n",
    );
  });
});
