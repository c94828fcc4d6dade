// The way of a packet through nftables rules, in the forms in which `nft -j list ruleset` prints them.
import { describe, expect, it } from "vitest";
import type { Machine } from "../../../../src/cli/explain/machine.ts";
import type { Packet } from "../../../../src/cli/explain/packet.ts";
import { runHook, translate } from "../../../../src/cli/explain/rule-run.ts";
import type { Json } from "../../../../src/cli/rule-expression.ts";
import { Ruleset } from "../../../../src/cli/explain/ruleset.ts";

const PACKET: Packet = {
  family: 4,
  protocol: "tcp",
  source: "10.1.0.2",
  destination: "192.0.2.9",
  port: 80,
  sourceMac: "02:42:00:00:00:02",
  inLink: "blue0",
  outLink: "eth0",
  mark: 0,
  isTranslated: false,
};

const chain = (name: string, more: Json = {}): Json => ({ chain: { family: "inet", table: "t", name, ...more } });
const base = (name: string, more: Json = {}) =>
  chain(name, { type: "filter", hook: "forward", prio: 0, policy: "accept", ...more });
const rule = (name: string, ...expr: readonly Json[]): Json => ({
  rule: { family: "inet", table: "t", chain: name, handle: 5, expr },
});
const match = (left: unknown, right: unknown, op = "=="): Json => ({ match: { op, left, right } });
const meta = (key: string) => ({ meta: { key } });
const payload = (protocol: string, field: string) => ({ payload: { protocol, field } });
const ct = (key: string) => ({ ct: { key } });

function machineWith(...rules: readonly Json[]): Machine {
  const links = [{ name: "blue0", group: 29811, addresses: [{ address: "10.1.0.1", prefixLength: 24 }] }].map(
    (link) => ({
      ...link,
      index: 4,
      mac: "",
      mtu: 1500,
      isUp: true,
      hasCarrier: true,
      kind: "bridge",
    }),
  );
  return { links, neighbours: [], rules: new Ruleset(rules), sockets: [], findRoute: async () => "none" };
}

const run = (rules: readonly Json[], packet: Partial<Packet> = {}) =>
  runHook(machineWith(...rules), "forward", { ...PACKET, ...packet }, 4);

describe("a condition", () => {
  const holding: readonly (readonly [string, Json])[] = [
    ["of a link", match(meta("iifname"), "blue0")],
    ["of links by the beginning of their name", match(meta("oifname"), "eth*")],
    ["of a link's group", match(meta("iifgroup"), 29811)],
    ["of an address", match(payload("ip", "saddr"), "10.1.0.2")],
    ["of a subnet", match(payload("ip", "saddr"), { prefix: { addr: "10.1.0.0", len: 24 } })],
    ["of a range of addresses", match(payload("ip", "daddr"), { range: ["192.0.2.1", "192.0.2.20"] })],
    ["of an address that is another one", match(payload("ip", "daddr"), "192.0.2.8", "!=")],
    ["of a protocol", match(meta("l4proto"), { set: ["tcp", "udp"] })],
    ["of a port", match(payload("tcp", "dport"), 80)],
    ["of a port of any protocol", match(payload("th", "dport"), { set: [22, { range: [79, 81] }] })],
    ["of a port that is larger", match(payload("tcp", "dport"), 79, ">")],
    ["of a new connection", match(ct("state"), ["new", "related"], "in")],
    ["of a connection that is not established", match(ct("state"), ["established"], "!=")],
    ["of a set", match({ concat: [meta("iifname"), payload("ip", "saddr")] }, "@homes")],
    ["of a set with counters", match(payload("ip", "saddr"), "@counted")],
    ["of where an address is", match({ fib: { result: "type", flags: ["daddr"] } }, "local", "!=")],
    ["of bits of the mark", match({ "&": [meta("mark"), 8] }, 0)],
  ];
  const other: readonly (readonly [string, Json])[] = [
    ["of another link", match(meta("iifname"), "green0")],
    ["of another family", match(payload("ip6", "saddr"), "fd00::1", "!=")],
    ["of another protocol", match(payload("udp", "dport"), 81, "!=")],
    ["of a ping", match(payload("icmp", "type"), "echo-request")],
    ["of another subnet", match(payload("ip", "saddr"), { prefix: { addr: "10.2.0.0", len: 16 } })],
    ["of an established connection", match(ct("state"), ["established", "related"], "in")],
    ["of a translated connection", match(ct("status"), "dnat", "in")],
    ["of a set in which it is not", match(payload("ip", "daddr"), "@counted")],
    ["of a set that is not there", match(payload("ip", "daddr"), "@nothing")],
    ["of raw bytes in a set that is empty", match({ payload: { base: "th", offset: 96, len: 24 } }, "@nothing")],
  ];
  const sets: readonly Json[] = [
    {
      set: {
        family: "inet",
        table: "t",
        name: "homes",
        elem: [{ concat: ["blue0", { prefix: { addr: "10.1.0.0", len: 24 } }] }],
      },
    },
    { set: { family: "inet", table: "t", name: "counted", elem: [{ elem: { val: "10.1.0.2", counter: {} } }] } },
  ];

  it.each(holding)("%s holds", (_title, condition) => {
    expect(run([base("c"), ...sets, rule("c", condition, { drop: null })]).verdict).toBe("drop");
  });

  it.each(other)("%s does not", (_title, condition) => {
    expect(run([base("c"), ...sets, rule("c", condition, { drop: null })])).toMatchObject({
      verdict: "accept",
      doubts: [],
    });
  });

  it("that nft does not show is neither, and the rule is named", () => {
    const opaque = { xt: { type: "match", name: "multiport" } };
    const outcome = run([base("c"), rule("c", match(meta("iifname"), "blue0"), opaque, { drop: null })]);

    expect(outcome.verdict).toBe("accept");
    expect(outcome.doubts).toEqual(['"iifname blue0 (multiport) drop" in chain c of table inet t']);
  });

  it("that nft does not show is of no weight beside one that does not hold", () => {
    const opaque = { xt: { type: "match", name: "multiport" } };

    expect(run([base("c"), rule("c", match(meta("iifname"), "x"), opaque, { drop: null })]).doubts).toEqual([]);
  });
});

describe("a hook", () => {
  const all = match(meta("nfproto"), "ipv4");

  it("is passed chain by chain by priority, and what one accepts the next one may drop", () => {
    const late = base("late", { prio: 10 });
    const outcome = run([late, rule("late", { drop: null }), base("early"), rule("early", all, { accept: null })]);

    expect(outcome).toMatchObject({ verdict: "drop", by: '"drop" in chain late of table inet t' });
    expect(outcome.fix).toBe("nft delete rule inet t late handle 5");
  });

  it("drops by a chain's policy what no rule accepts", () => {
    expect(run([base("c", { policy: "drop" })]).by).toBe("the policy of chain c of table inet t");
    expect(run([base("c", { policy: "drop" }), rule("c", all, { accept: null })]).verdict).toBe("accept");
  });

  it("comes back from a jump, and not from a goto", () => {
    const inner = [chain("inner"), rule("inner", { return: null })];
    const jump = [base("c"), rule("c", { jump: { target: "inner" } }), rule("c", { drop: null }), ...inner];
    const goto = [base("c"), rule("c", { goto: { target: "inner" } }), rule("c", { drop: null }), ...inner];

    expect(run(jump).verdict).toBe("drop");
    expect(run(goto).verdict).toBe("accept");
  });

  it("obeys verdict maps", () => {
    const map = {
      key: payload("tcp", "dport"),
      data: {
        set: [
          [22, { accept: null }],
          [80, { drop: null }],
        ],
      },
    };

    expect(run([base("c"), rule("c", { vmap: map })]).verdict).toBe("drop");
    expect(run([base("c"), rule("c", { vmap: map })], { port: 22 }).verdict).toBe("accept");
    expect(run([base("c"), rule("c", { vmap: map })], { port: 23 }).verdict).toBe("accept");
  });

  it("keeps a mark from one chain to the next", () => {
    const set = { mangle: { key: meta("mark"), value: { "|": [meta("mark"), 0x2000_0000] } } };
    const marked = match({ "&": [meta("mark"), 0x2000_0000] }, 0x2000_0000);
    const late = [base("late", { prio: 10, policy: "drop" }), rule("late", marked, { accept: null })];

    expect(run(late).verdict).toBe("drop");
    expect(run([...late, base("c"), rule("c", set)]).verdict).toBe("accept");
  });

  it("takes a rejection, also that of iptables, for a drop", () => {
    expect(run([base("c"), rule("c", { reject: null })]).verdict).toBe("drop");
    expect(run([base("c"), rule("c", { xt: { type: "target", name: "REJECT" } })]).verdict).toBe("drop");
  });

  it("is not passed by rules of another family", () => {
    const foreign = base("c", { family: "ip6", policy: "drop" });

    expect(run([foreign]).verdict).toBe("accept");
  });
});

describe("translation", () => {
  const nat = base("n", { type: "nat", hook: "prerouting" });
  const key = { concat: [meta("l4proto"), payload("th", "dport")] };
  const map = {
    map: {
      family: "inet",
      table: "t",
      name: "any4",
      elem: [[{ concat: ["tcp", 80] }, { concat: ["10.1.0.9", 8080] }]],
    },
  };
  const find = (...rules: readonly Json[]) => translate(machineWith(nat, map, ...rules), "prerouting", PACKET);

  it("finds address and port in a map", () => {
    const found = find(rule("n", { dnat: { family: "ip", addr: { map: { key, data: "@any4" } } } }));

    expect(found).toMatchObject({ kind: "dnat", address: "10.1.0.9", port: 8080 });
  });

  it("is none where the map has no entry, and the next rule's turn", () => {
    const other = { concat: [meta("l4proto"), payload("ip", "daddr")] };
    const found = find(
      rule("n", { dnat: { family: "ip", addr: { map: { key: other, data: "@any4" } } } }),
      rule("n", { dnat: { family: "ip", addr: "10.1.0.7" } }),
    );

    expect(found).toMatchObject({ kind: "dnat", address: "10.1.0.7" });
  });

  it("is known of iptables without where to", () => {
    expect(find(rule("n", { xt: { type: "target", name: "DNAT" } }))).not.toHaveProperty("address");
    expect(find(rule("n", { xt: { type: "target", name: "MASQUERADE" } }))?.kind).toBe("masquerade");
  });
});
