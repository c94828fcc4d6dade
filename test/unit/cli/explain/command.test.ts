// `tsnet explain` from its words to what it prints, with tools that say what the tools of a host say.
import { describe, expect, it } from "vitest";
import type { Explanation } from "../../../../src/cli/explain/explain.ts";
import { explain, readAsked } from "../../../../src/cli/explain/explain.ts";
import { readMachine } from "../../../../src/cli/explain/read-machine.ts";
import { readSwitching } from "../../../../src/cli/explain/read-switching.ts";
import { HostTools } from "../../../../src/cli/host-tools.ts";
import { TsnetError } from "../../../../src/errors.ts";
import { fakeContainer, fakeTools } from "../../../support/fake-tools.ts";
import { makeWorld } from "../../../support/explain-world.ts";

type Answers = Readonly<Record<string, unknown>>;

/** A host whose tools print this, by their command line; what is not there fails. */
class FakeHost extends HostTools {
  readonly #answers: Answers;

  constructor(answers: Answers, namespace?: string) {
    super(namespace);
    this.#answers = answers;
  }

  override inside(path: string): HostTools {
    return new FakeHost(this.#answers, path);
  }

  override async text(...words: readonly string[]): Promise<string> {
    const answer = this.#answers[words.join(" ")];
    if (answer !== undefined) return JSON.stringify(answer);
    throw new TsnetError("host", `${words.join(" ")}: exit code 2`, {
      cause: { stderr: "RTNETLINK answers: No route to host\n" },
    });
  }
}

const ETH0 = {
  ifname: "eth0",
  ifindex: 2,
  link_index: 22,
  address: "02:42:00:00:00:02",
  mtu: 1500,
  flags: ["UP", "LOWER_UP"],
  group: "29811",
  addr_info: [{ local: "10.1.0.2", prefixlen: 24 }],
  linkinfo: { info_kind: "veth", info_slave_kind: "bridge", info_slave_data: { state: "blocking" } },
  master: "blue0",
};
const EMPTY: Answers = {
  "ip -json -details address": [ETH0],
  "ip -json neighbour": [{ dst: "10.1.0.1", dev: "eth0", lladdr: "02:00:00:00:00:01", state: ["STALE"] }],
  "nft -j list ruleset": { nftables: [] },
  "bridge -json fdb show": [],
  "bridge -json vlan show": [],
};

const networks = makeWorld().networks.filter(({ name }) => name === "blue");

/** With container a on network blue, and container lonely on none. */
function toolsWith(answers: Answers = EMPTY) {
  const [a, lonely] = [fakeContainer("a"), fakeContainer("lonely")];
  const place = { networkId: "blue", endpointId: "a", container: { id: a.id, name: "a" }, addresses: ["10.1.0.2"] };
  const docker = { networks: [{ id: "blue", name: "blue", ipamDriver: "tsnet", subnets: [] }], places: [place] };
  const side = fakeContainer("side", { sharedWith: { id: a.id, name: "a" } });
  const fake = fakeTools({
    networks,
    containers: [a, lonely, side, fakeContainer("bare", { isOnHost: true })],
    docker,
  });
  return { ...fake, tools: { ...fake.tools, host: new FakeHost(answers) } };
}

describe("tsnet explain", () => {
  it.each(["0", "70000", "80/icmp", "http", "80/tcp/x", "-1"])(
    "refuses the port %s, and says what is permitted",
    (port) => {
      expect(() => readAsked("a", "host", port)).toThrow(
        `"${port}" is no port; permitted: 1-65535 with /tcp, /udp or /sctp`,
      );
    },
  );

  it("refuses who is not there, or on no network of tsnet, or no receiver", async () => {
    const ask = async (from: string, to: string) => await explain(toolsWith().tools, readAsked(from, to), {});

    await expect(ask("nobody", "a")).rejects.toThrow("Docker has no container nobody");
    await expect(ask("lonely", "a")).rejects.toThrow('container "lonely" is on no network of tsnet');
    await expect(ask("a", "lonely")).rejects.toThrow('container "lonely" is on no network of tsnet');
    await expect(ask("a", "outside")).rejects.toThrow("outside is no receiver; permitted: an address there");
    await expect(ask("a", "10.1.0.300")).rejects.toThrow('"10.1.0.300" is no IP address');
  });

  it("prints each step with its mark, where it stops, and what mends it", async () => {
    const { tools, lines } = toolsWith();

    expect(await explain(tools, readAsked("a", "198.51.100.9", "80"), {})).toBe(false);

    const text = lines.join("\n");
    expect(text).toContain("port 80/tcp from a to 198.51.100.9");
    expect(text).toMatch(/^container {2}known {3}a is on network blue \(nat\) as 10\.1\.0\.2$/m);
    expect(text).toMatch(/^container {2}probed {2}STOPS: a has no route to 198\.51\.100\.9 \(no route to host\)$/m);
    expect(text).toMatch(/^It stops at: container, /m);
    const enter = "nsenter -t $(docker inspect -f '{{.State.Pid}}' a) -n";
    expect(text).toContain(`To mend it:\n  ${enter} ip route add default via 10.1.0.2`);
  });

  it("takes a container in another one's namespace for that one, and one in the host's for the host", async () => {
    const { tools, lines, notes } = toolsWith();

    await explain(tools, readAsked("side", "198.51.100.9"), {});
    await explain(tools, readAsked("bare", "198.51.100.9"), {});

    expect(notes).toEqual(["tsnet: side shares the network of a: this is about a"]);
    expect(lines.join("\n")).toContain("a is on network blue (nat) as 10.1.0.2");
    expect(lines.join("\n")).toContain("the host has no route to 198.51.100.9");
  });

  it("prints the same as JSON", async () => {
    const { tools, lines } = toolsWith();

    expect(await explain(tools, readAsked("a", "198.51.100.9", "80/udp"), { json: true })).toBe(false);

    const printed = JSON.parse(lines.join("\n")) as Explanation;
    expect(printed).toMatchObject({ from: "a", to: "198.51.100.9", address: "198.51.100.9", port: "80/udp" });
    expect(printed.verdict).toMatchObject({ arrives: false, where: "container" });
    expect(printed.hops[0]).toEqual({
      hop: "container",
      mark: "known",
      text: "a is on network blue (nat) as 10.1.0.2",
      ok: true,
    });
  });

  it("says that what it cannot look at is missing, in place of an answer", async () => {
    const { "nft -j list ruleset": _rules, ...rest } = EMPTY;

    await expect(explain(toolsWith(rest).tools, readAsked("a", "host"), {})).rejects.toThrow("nft -j list ruleset");
  });
});

describe("what the tools print", () => {
  it("is read of links and neighbours", async () => {
    const machine = await readMachine(new FakeHost(EMPTY), "/nowhere");

    expect(machine.links).toEqual([
      {
        name: "eth0",
        index: 2,
        peerIndex: 22,
        mac: "02:42:00:00:00:02",
        mtu: 1500,
        isUp: true,
        hasCarrier: true,
        group: 29811,
        master: "blue0",
        addresses: [{ address: "10.1.0.2", prefixLength: 24 }],
        kind: "veth",
        portState: "blocking",
      },
    ]);
    const neighbour = { address: "10.1.0.1", link: "eth0", mac: "02:00:00:00:00:01", states: ["STALE"] };
    expect(machine.neighbours).toEqual([neighbour]);
  });

  it("is read of a bridge and of a tunnel", async () => {
    const bridge = {
      ...ETH0,
      linkinfo: { info_kind: "bridge", info_data: { vlan_filtering: 1, nf_call_iptables: 0 } },
    };
    const tunnel = { ...ETH0, flags: ["UP"], linkinfo: { info_kind: "gretap", info_data: { remote: "192.0.2.1" } } };
    const host = new FakeHost({ ...EMPTY, "ip -json -details address": [bridge, tunnel] });

    const { links } = await readMachine(host, "/nowhere");

    expect(links[0]).toMatchObject({ kind: "bridge", hasVlans: true, callsRules: false });
    expect(links[1]).toMatchObject({ kind: "gretap", remote: "192.0.2.1", isUp: true, hasCarrier: false });
  });

  it("is read of routes, also of those that are refused", async () => {
    const answers = {
      ...EMPTY,
      "ip -json route get 192.0.2.1": [{ dev: "eth0", gateway: "10.1.0.1", prefsrc: "10.1.0.2" }],
      "ip -json route get 10.1.0.2": [{ type: "local", dev: "lo", prefsrc: "10.1.0.2" }],
      "ip -json -6 route get fd00::1 from fd00::2 iif eth0": [{ dev: "eth1" }],
    };
    const { findRoute } = await readMachine(new FakeHost(answers), "/nowhere");

    const route = { link: "eth0", via: "10.1.0.1", source: "10.1.0.2", isLocal: false };
    expect(await findRoute({ to: "192.0.2.1" })).toEqual(route);
    expect(await findRoute({ to: "10.1.0.2" })).toEqual({ link: "lo", source: "10.1.0.2", isLocal: true });
    const query = { to: "fd00::1", from: "fd00::2", inLink: "eth0" };
    expect(await findRoute(query)).toEqual({ link: "eth1", isLocal: false });
    expect(await findRoute({ to: "192.0.2.2" })).toBe("no route to host");
  });

  it("is read of bridges: forwarding tables and VLANs", async () => {
    const fdb = { mac: "02:00:00:00:00:01", ifname: "tsva", master: "blue0", vlan: 10, state: "static" };
    const flood = { mac: "00:00:00:00:00:00", ifname: "tsx1", dst: "192.0.2.1", state: "permanent" };
    const vlans = [
      { vlan: 10, flags: ["PVID", "Egress Untagged"] },
      { vlan: 20, vlanEnd: 29 },
    ];
    const answers = {
      "bridge -json fdb show": [fdb, flood],
      "bridge -json vlan show": [{ ifname: "tsva", vlans }],
    };

    expect(await readSwitching(new FakeHost(answers), false)).toEqual({
      fdb: [
        { mac: "02:00:00:00:00:01", link: "tsva", master: "blue0", vlan: 10, state: "static" },
        { mac: "00:00:00:00:00:00", link: "tsx1", remote: "192.0.2.1", state: "permanent" },
      ],
      vlans: new Map([
        [
          "tsva",
          [
            { first: 10, last: 10, isPvid: true },
            { first: 20, last: 29, isPvid: false },
          ],
        ],
      ]),
    });
  });

  it("is read of Open vSwitch, and why there is none", async () => {
    const list = "ovs-vsctl --timeout=5 --format=json --columns";
    const uuid = (id: string) => ["uuid", id];
    const answers = {
      ...EMPTY,
      [`${list}=name,ports,datapath_type list Bridge`]: {
        headings: ["name", "ports", "datapath_type"],
        data: [["sw0", ["set", [uuid("p1"), uuid("p2")]], "netdev"]],
      },
      [`${list}=_uuid,name,tag,interfaces list Port`]: {
        headings: ["_uuid", "name", "tag", "interfaces"],
        data: [
          [uuid("p1"), "tsva", 100, uuid("i1")],
          [uuid("p2"), "tsx1", ["set", []], uuid("i2")],
        ],
      },
      [`${list}=_uuid,type,options list Interface`]: {
        headings: ["_uuid", "type", "options"],
        data: [
          [uuid("i1"), "", ["map", []]],
          [
            uuid("i2"),
            "gre",
            [
              "map",
              [
                ["key", "80"],
                ["remote_ip", "192.0.2.1"],
              ],
            ],
          ],
        ],
      },
    };

    expect((await readSwitching(new FakeHost(answers), true)).ovs).toEqual([
      { name: "tsva", bridge: "sw0", tag: 100, kind: "", isUserspace: true, remotes: [] },
      { name: "tsx1", bridge: "sw0", kind: "gre", isUserspace: true, remotes: ["192.0.2.1"] },
    ]);
    expect((await readSwitching(new FakeHost(EMPTY), true)).ovs).toMatch(/^ovs-vsctl .* list \w+: exit code 2$/);
  });
});
