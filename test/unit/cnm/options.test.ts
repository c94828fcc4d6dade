import { describe, expect, it } from "vitest";
import {
  ENDPOINT_OPTIONS,
  NETWORK_OPTIONS,
  parseEndpointOptions,
  readNetworkOptions,
} from "../../../src/cnm/options.ts";

const read = (options: Readonly<Record<string, string>>) => readNetworkOptions(new Map(Object.entries(options)));
const readEndpoint = (options: Readonly<Record<string, string>>) =>
  parseEndpointOptions(new Map(Object.entries(options)));
const routes = (text: string) => [{ destination: "10.0.0.0/8", via: "10.1.2.9" }].slice(0, text === "" ? 0 : 1);

interface Case {
  readonly permitted: readonly (readonly [string, unknown])[];
  readonly refused: readonly string[];
}

const BOOL: Case = {
  permitted: [
    ["true", true],
    ["false", false],
  ],
  refused: ["", "yes", "1", "TRUE"],
};
const NO_NAMES = ["", "a234567890123456", "1eth", "--help", "a;b", "eth 1", "eth/1", "docker0", "br-0123456789ab"];
const VLANS = [1, 2, 100, 4094].map((id) => [String(id), id] as const);
const NO_VLANS = ["", " ", "0", "4095", "4096", "65537", "-1", "1.5", "1e2", "0x10", "ten"];

const NO_ENDS = [
  "0.0.0.0",
  "127.0.0.1",
  "169.254.1.1",
  "224.0.0.1",
  "255.255.255.255",
  "::",
  "::1",
  "fe80::1",
  "ff02::1",
];

function whole(least: number, most: number): Case {
  const refused = ["", String(least - 1), String(most + 1), "x", "1.5", " 7", "0x7"];
  return { permitted: [least, most].map((value) => [String(value), value] as const), refused };
}

/** For each option: values with what they mean, and values that are refused. */
const CASES: Readonly<Record<string, Case>> = {
  backend: {
    permitted: [
      ["bridge", "bridge"],
      ["ovs", "ovs"],
    ],
    refused: ["", "Bridge", " bridge", "bridge\n", "openvswitch"],
  },
  datapath: {
    permitted: ["auto", "kernel", "userspace"].map((type) => [type, type] as const),
    refused: ["", "netdev", "system", "Kernel"],
  },
  bridge: {
    permitted: ["a", "br0", "B-r_0.1", "a23456789012345"].map((name) => [name, name] as const),
    refused: ["", "a234567890123456", "1br", "-6", "--help", "a;b", "$(id)", "a b", "a/b", "tx%d", "é", "..", "br\n0"],
  },
  mode: {
    permitted: ["nat", "routed", "l2", "isolated"].map((mode) => [mode, mode] as const),
    refused: ["", "NAT", "macvlan", "constructor"],
  },
  gateway: {
    permitted: [
      ["auto", "auto"],
      ["none", "none"],
    ],
    refused: ["", "10.1.2.1", "None"],
  },
  vlan: { permitted: [...VLANS], refused: [...NO_VLANS, "10,20", "10-20"] },
  trunk: {
    permitted: [
      ["10", [10]],
      ["1,4094", [1, 4094]],
      ["10,20,30-33", [10, 20, 30, 31, 32, 33]],
      [" 20 , 10 ", [10, 20]],
      ["30-32,31,10-10", [10, 30, 31, 32]],
    ],
    refused: [
      ...NO_VLANS,
      "10,",
      ",10",
      "10,,20",
      "20-10",
      "10-",
      "-10",
      "10-20-30",
      "4090-4095",
      "0-5",
      "all",
      "10;20",
    ],
  },
  "shared-vlan": BOOL,
  parent: {
    permitted: ["eth1", "bond0", "eth0.10", "enp3s0f1"].map((name) => [name, name] as const),
    refused: NO_NAMES,
  },
  "parent-address": {
    permitted: [
      ["keep", "keep"],
      ["move", "move"],
    ],
    refused: ["", "Move", "true"],
  },
  tunnel: {
    permitted: ["vxlan", "gre", "geneve"].map((kind) => [kind, kind] as const),
    refused: ["", "VXLAN", "gretap", "stt", "none"],
  },
  peers: {
    permitted: [
      ["192.0.2.1", ["192.0.2.1"]],
      [" 192.0.2.2 , 192.0.2.1,192.0.2.2", ["192.0.2.1", "192.0.2.2"]],
      ["2001:DB8::2,2001:db8:0::1", ["2001:db8::1", "2001:db8::2"]],
    ],
    refused: [
      "",
      ",",
      "192.0.2.1,",
      "192.0.2.1;192.0.2.2",
      "192.0.2.1,2001:db8::1",
      "192.0.2.0/24",
      "host",
      ...NO_ENDS,
    ],
  },
  local: {
    permitted: [
      ["192.0.2.1", "192.0.2.1"],
      ["2001:DB8::1", "2001:db8::1"],
    ],
    refused: ["", "192.0.2.1,192.0.2.2", "eth0", "192.0.2.1/24", ...NO_ENDS],
  },
  vni: whole(0, 4_294_967_295),
  port: whole(1, 65_535),
  stp: BOOL,
  "stp-priority": whole(0, 65_535),
  "stp-forward-delay": whole(2, 30),
  "stp-hello": whole(1, 10),
  "stp-max-age": whole(6, 40),
  "stp-cost": whole(1, 65_535),
  "stp-port-priority": whole(0, 255),
  ageing: whole(0, 1_000_000),
  "mcast-snooping": BOOL,
  hairpin: BOOL,
  "dry-run": BOOL,
  mtu: {
    permitted: [
      ["68", 68],
      ["1500", 1500],
      ["65535", 65_535],
    ],
    refused: ["", "67", "65536", "-1", "1500.0", "1e3", "0x5dc", " 1500", "99999999999999", "NaN"],
  },
  masquerade: {
    permitted: [
      ["true", true],
      ["false", false],
    ],
    refused: ["", "yes", "1", "True", "0"],
  },
  icc: {
    permitted: [
      ["true", true],
      ["false", false],
    ],
    refused: ["", "yes", "0", "FALSE"],
  },
  "host-binding": {
    permitted: [
      ["192.0.2.1", "192.0.2.1"],
      ["0.0.0.0", "0.0.0.0"],
      ["127.0.0.1", "127.0.0.1"],
      ["FD00:0::0001", "fd00::1"],
      ["::", "::"],
      ["::ffff:192.0.2.1", "192.0.2.1"],
    ],
    refused: ["", "192.0.2.0/24", "192.0.2", "host", "fe80::1%eth0", " 192.0.2.1", "192.0.2.1:80", "[::1]"],
  },
  antispoof: {
    permitted: [
      ["true", true],
      ["false", false],
    ],
    refused: ["", "no", "1"],
  },
  ifprefix: {
    permitted: ["e", "eth", "Tsn_0", "a2345678901"].map((prefix) => [prefix, prefix] as const),
    refused: ["", "0eth", "a23456789012", "e-h", "e h", "eth%d", "e/h"],
  },
  routes: {
    permitted: [
      ["10.0.0.0/8 via 10.1.2.9", routes("one")],
      ["  10.0.0.0/8 via 10.1.2.9 ", routes("one")],
      [
        "10.0.0.0/8 via 10.1.2.9,FD00:0::/8 via fd01::0009",
        [...routes("one"), { destination: "fd00::/8", via: "fd01::9" }],
      ],
    ],
    refused: [
      "",
      "10.0.0.0/8",
      "10.0.0.0/8 via",
      "10.0.0.1/8 via 10.1.2.9",
      "10.0.0.0/33 via 10.1.2.9",
      "10.0.0.0/8 via fd01::9",
      "0.0.0.0/0 via 10.1.2.9",
      "::/0 via fd01::9",
      "10.0.0.0/8 via 10.1.2.9,",
      "10.0.0.0/8 dev eth0",
      "10.0.0.0/8 via 10.1.2.9 via 10.1.2.9",
    ],
  },
};

describe("the cases of this file", () => {
  it("cover every network option", () => {
    expect(Object.keys(CASES).sort()).toEqual(Object.keys(NETWORK_OPTIONS).sort());
  });
});

describe.each(Object.entries(CASES))("option %s", (name, { permitted, refused }) => {
  it.each(permitted)("takes %j", (text, value) => {
    expect(read({ [name]: text })).toMatchObject({ settings: { [name]: value }, faults: [] });
  });

  it.each(refused)("refuses %j and says what is permitted", (text) => {
    const { faults } = read({ [name]: text });

    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain(`option ${name}: ${JSON.stringify(text)} is not permitted`);
    expect(faults[0]).toContain("; permitted: ");
  });
});

describe("Docker's own spelling", () => {
  it.each([
    ["com.docker.network.bridge.name", "br0", { bridge: "br0" }],
    ["com.docker.network.driver.mtu", "9000", { mtu: 9000 }],
    ["com.docker.network.bridge.enable_ip_masquerade", "false", { masquerade: false }],
    ["com.docker.network.container_iface_prefix", "net", { ifprefix: "net" }],
    ["com.docker.network.bridge.enable_icc", "false", { icc: false }],
    ["com.docker.network.bridge.host_binding_ipv4", "192.0.2.1", { "host-binding": "192.0.2.1" }],
  ])("%s is taken", (name, text, settings) => {
    expect(read({ [name]: text })).toMatchObject({ settings, faults: [] });
  });

  it("stands in the message when its value is refused", () => {
    expect(read({ "com.docker.network.driver.mtu": "67" }).faults).toEqual([
      'option com.docker.network.driver.mtu: "67" is not permitted; permitted: 68-65535, with IPv6 at least 1280',
    ]);
  });

  it("may stand beside ours with the same value", () => {
    expect(read({ mtu: "9000", "com.docker.network.driver.mtu": "9000" }).faults).toEqual([]);
  });

  it("is refused beside ours with another value, in either order", () => {
    const [ours, dockers] = ["mtu", "com.docker.network.driver.mtu"];

    expect(read({ [ours]: "9000", [dockers]: "1500" }).faults).toEqual([
      `options ${ours} and ${dockers} mean the same and differ`,
    ]);
    expect(read({ [dockers]: "1500", [ours]: "9000" }).faults).toEqual([
      `options ${dockers} and ${ours} mean the same and differ`,
    ]);
  });
});

describe("an unknown option [F101]", () => {
  it.each([
    ["mut", "mtu"],
    ["MTU", "mtu"],
    ["mod", "mode"],
    ["masquarade", "masquerade"],
    ["brigde", "bridge"],
    ["gatway", "gateway"],
    ["com.docker.network.driver.mut", "com.docker.network.driver.mtu"],
  ])("%s is refused with the nearest known one, %s", (name, meant) => {
    const { faults } = read({ [name]: "1" });

    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain(`unknown option "${name}", did you mean ${meant}; known: `);
    for (const key of Object.keys(NETWORK_OPTIONS)) expect(faults[0]).toContain(key);
  });

  it.each(["com.example.team", "x", "", "zzzzzzzz"])("%j is refused without a guess when nothing is near", (name) => {
    expect(read({ [name]: "" }).faults[0]).toMatch(/^unknown option ".*"; known: /);
  });

  it.each(["constructor", "__proto__", "toString", "hasOwnProperty", "valueOf"])(
    "%s, a name that every object has, is as unknown as any other",
    (name) => {
      expect(readNetworkOptions(new Map([[name, "1"]])).faults[0]).toContain(`unknown option "${name}"`);
    },
  );

  it("is shortened in the message", () => {
    expect(read({ ["x".repeat(10_000)]: "" }).faults[0]?.length).toBeLessThan(500);
    expect(read({ mtu: "1".repeat(10_000) }).faults[0]?.length).toBeLessThan(300);
  });
});

describe("all options together", () => {
  it("have these defaults", () => {
    expect(read({}).settings).toEqual({
      backend: "bridge",
      gateway: "auto",
      "shared-vlan": false,
      "parent-address": "keep",
      masquerade: true,
      icc: true,
      ifprefix: "eth",
      routes: [],
      "dry-run": false,
    });
  });

  it("tell what is wrong with a VLAN and with a list of them", () => {
    expect(read({ vlan: "4095" }).faults).toEqual([
      'option vlan: "4095" is not permitted (4095 is no VLAN, VLANs are 1-4094); permitted: 1-4094',
    ]);
    expect(read({ trunk: "" }).faults).toEqual([
      'option trunk: "" is not permitted (an empty list carries nothing; leave the option out); permitted: list of VLANs such as 10,20,30-39',
    ]);
    expect(read({ trunk: "20-10" }).faults[0]).toContain("(range 20-10 runs backwards)");
    expect(read({ trunk: "10,x" }).faults[0]).toContain('("x" is neither a VLAN nor a range of VLANs)');
  });

  it("report every fault at once", () => {
    const { faults } = read({ mtu: "1", mode: "x", bridge: "a;b", routes: "none", unknown: "" });

    expect(faults).toHaveLength(5);
  });

  it("tell why a bridge of the engine itself is not permitted", () => {
    for (const name of ["docker0", "docker_gwbridge", "br-0123456789ab"]) {
      expect(read({ bridge: name }).faults[0]).toContain("a bridge of the engine itself");
    }
  });

  it("let the engine's own keys pass", () => {
    const keys = ["enable_ipv4", "enable_ipv6", "advertise_addr_nmsgs", "advertise_addr_ms"];

    expect(read(Object.fromEntries(keys.map((key) => [`com.docker.network.${key}`, "5"]))).faults).toEqual([]);
  });
});

describe("an endpoint's options", () => {
  it("are only these", () => {
    expect(Object.keys(ENDPOINT_OPTIONS)).toEqual(["vlan", "trunk", "mtu"]);
  });

  it.each(["68", "1500", "65535"])("take mtu %s", (text) => {
    expect(readEndpoint({ mtu: text })).toEqual({ mtu: Number(text) });
  });

  it("take a VLAN and a list of VLANs", () => {
    expect(readEndpoint({ vlan: "20", trunk: "30-32,10" })).toEqual({ vlan: 20, trunk: [10, 30, 31, 32] });
  });

  it.each([{ vlan: "0" }, { vlan: "4095" }, { vlan: "" }, { trunk: "" }, { trunk: "all" }])("refuse %j", (options) => {
    const [name = ""] = Object.keys(options);
    expect(() => readEndpoint(options)).toThrow(new RegExp(`option ${name}: .* is not permitted .*; permitted: `));
  });

  it("are absent when not given", () => {
    expect(readEndpoint({})).toEqual({});
  });

  it.each(["67", "65536", "", "x"])("refuse mtu %j", (text) => {
    expect(() => readEndpoint({ mtu: text })).toThrow(
      /option mtu: .* is not permitted; permitted: 68 to the network's/,
    );
  });

  it("report every fault at once", () => {
    expect(() => readEndpoint({ mtu: "1", vlan: "0", bridge: "br0", constructor: "" })).toThrow(
      /mtu.*vlan.*bridge.*constructor/,
    );
  });
});
