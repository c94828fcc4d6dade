import { describe, expect, it } from "vitest";
import { parseSubnet } from "../../../../src/cidr.ts";
import { dropsOf } from "../../../../src/cli/doctor/foreign-drops.ts";
import { ADMITTED_MARK as MARK_IT_LOOKS_FOR } from "../../../../src/cli/doctor/marks.ts";
import type { Traffic } from "../../../../src/cli/doctor/rule-fit.ts";
import type { Ruleset } from "../../../../src/cli/doctor/rules-facts.ts";
import type { Json } from "../../../../src/cli/rule-expression.ts";
import { ADMITTED_MARK } from "../../../../src/nat/table-inet.ts";

/** What containers of a network begin. */
const OUT: Traffic = { from: ["tsn-1"], to: ["eth0"], source: parseSubnet("10.1.1.0/24"), family: 4 };
/** What comes to them. */
const IN: Traffic = { from: ["eth0"], to: ["tsn-1"], destination: parseSubnet("10.1.1.0/24"), family: 4 };

const ANSWERS: Traffic = { ...IN, isAnswer: true };
const TRANSLATED: Traffic = { ...IN, isTranslated: true };

const DROP = { drop: null };
const ACCEPT = { accept: null };
const counter = { counter: { packets: 0, bytes: 0 } };
const match = (left: object, right: unknown, op = "==") => ({ match: { op, left, right } });
const meta = (key: string) => ({ meta: { key } });
const ip = (field: string) => ({ payload: { protocol: "ip", field } });
const subnet = (addr: string, len: number) => ({ prefix: { addr, len } });
const admitted = match({ "&": [meta("mark"), ADMITTED_MARK] }, ADMITTED_MARK);

/** A table with a base chain of the forward hook and others, each a list of rules. */
function table(policy: "accept" | "drop", chains: Readonly<Record<string, readonly (readonly Json[])[]>>): Ruleset {
  const place = { family: "ip", table: "filter" };
  const rules = Object.entries(chains).flatMap(([chain, all]) =>
    all.map((expr, at) => ({ ...place, chain, handle: at + 1, expr })),
  );
  const names = Object.keys(chains).filter((name) => name !== "FORWARD");
  const base = { ...place, name: "FORWARD", hook: "forward", policy };
  return { chains: [base, ...names.map((name) => ({ ...place, name }))], rules };
}

function found(ruleset: Ruleset, traffic = OUT): readonly string[] {
  return dropsOf(ruleset, traffic).map(({ where, fit }) => `${fit} ${where}`);
}

describe("foreign rules", () => {
  it("are looked through for the mark that tsnet's own rules set", () => {
    expect(MARK_IT_LOOKS_FOR).toBe(ADMITTED_MARK);
  });

  it.each<[what: string, rules: readonly (readonly Json[])[]]>([
    ["tsnet's mark is accepted at the end", [[admitted, counter, ACCEPT]]],
    ["everything is accepted", [[ACCEPT]]],
    ["the network's link is accepted by a pattern", [[match(meta("iifname"), "tsn-*"), ACCEPT]]],
    ["the network's subnet is accepted", [[match(ip("saddr"), subnet("10.1.0.0", 16)), ACCEPT]]],
  ])("with policy drop drop nothing where %s", (_what, rules) => {
    expect(found(table("drop", { FORWARD: rules }))).toEqual([]);
  });

  it.each<[what: string, rule: readonly Json[], finding: readonly string[]]>([
    ["everything", [counter, DROP], ["all"]],
    ["everything, with an answer", [{ reject: { type: "icmp" } }], ["all"]],
    ["what comes by the switch", [match(meta("iifname"), "tsn-1"), DROP], ["all"]],
    ["what comes by one of several links", [match(meta("iifname"), { set: ["tsn-1", "docker0"] }), DROP], ["all"]],
    ["what goes elsewhere than to docker0", [match(meta("oifname"), "docker0", "!="), DROP], ["all"]],
    ["part of the subnet", [match(ip("saddr"), subnet("10.1.1.128", 25)), DROP], ["some"]],
    ["one address of the world", [match(ip("daddr"), "198.51.100.1"), DROP], ["some"]],
    ["one port", [match({ payload: { protocol: "tcp", field: "dport" } }, 25), DROP], ["some"]],
    ["what is too much", [{ limit: { rate: 5, per: "second", inv: true } }, DROP], ["some"]],
    ["what begins", [match({ ct: { key: "state" } }, "new", "in"), DROP], ["all"]],
    ["what belongs to nothing", [match({ ct: { key: "state" } }, ["invalid"], "in"), DROP], []],
    ["another link", [match(meta("iifname"), "docker0"), DROP], []],
    ["another subnet", [match(ip("saddr"), subnet("172.17.0.0", 16)), DROP], []],
    ["IPv6", [match(meta("nfproto"), "ipv6"), DROP], []],
    ["what a module of iptables looks at", [{ xt: { type: "match", name: "addrtype" } }, DROP], []],
    ["the members of a named set", [match(ip("saddr"), "@bad"), DROP], []],
  ])("that drop %s are found as far as they concern the network", (_what, rule, finding) => {
    const fits = found(table("accept", { FORWARD: [rule] })).map((text) => text.split(" ")[0]);

    expect(fits).toEqual(finding);
  });

  it.each<[what: string, rule: readonly Json[], way: Traffic, finding: readonly string[]]>([
    ["what iptables rejects", [{ xt: { type: "target", name: "REJECT" } }], OUT, ["all"]],
    ["what iptables only notes", [{ xt: { type: "target", name: "LOG" } }], OUT, []],
    ["answers", [match({ ct: { key: "state" } }, { set: ["established", "related"] }), DROP], ANSWERS, ["all"]],
    ["what begins", [match({ ct: { key: "state" } }, "new"), DROP], ANSWERS, []],
    ["what is translated", [match({ ct: { key: "status" } }, "dnat", "in"), DROP], TRANSLATED, ["all"]],
    ["what is translated", [match({ ct: { key: "status" } }, "dnat", "in"), DROP], IN, []],
  ])("that drop %s are judged by how the connection stands", (_what, rule, way, finding) => {
    const fits = found(table("accept", { FORWARD: [rule] }), way).map((text) => text.split(" ")[0]);

    expect(fits).toEqual(finding);
  });

  it("behind one that leaves the chain for a reason that is not known are not known to drop", () => {
    const chains = {
      FORWARD: [[{ jump: { target: "LOCAL" } }]],
      LOCAL: [[{ xt: { type: "match", name: "addrtype" } }, { return: null }], [DROP]],
    };

    expect(found(table("accept", chains))).toEqual([]);
    expect(found(table("drop", chains))).toEqual(["all ip filter FORWARD"]);
  });

  it("of another hook are looked through when asked for", () => {
    const chains = [{ family: "ip", table: "filter", name: "INPUT", hook: "input", policy: "drop" }];

    expect(dropsOf({ chains, rules: [] }, { ...OUT, to: [] }, "input").map(({ where }) => where)).toEqual([
      "ip filter INPUT",
    ]);
  });

  it("are followed into other chains and back", () => {
    const chains = {
      FORWARD: [
        [{ jump: { target: "USER" } }],
        [match(meta("oifname"), "docker0"), { jump: { target: "NOT" } }],
        [DROP],
      ],
      USER: [[match(ip("saddr"), subnet("10.1.1.0", 24)), { return: null }], [DROP]],
      NOT: [[DROP]],
    };

    expect(found(table("accept", chains))).toEqual(["all ip filter FORWARD handle 3"]);
  });

  it("behind one that accepts all drop nothing, behind one that accepts some they do", () => {
    const accepting = (rule: readonly Json[]) => table("accept", { FORWARD: [rule, [DROP]] });

    expect(found(accepting([match(meta("iifname"), "tsn-1"), ACCEPT]))).toEqual([]);
    expect(found(accepting([match(ip("daddr"), "198.51.100.1"), ACCEPT]))).toEqual(["all ip filter FORWARD handle 2"]);
  });

  it("that a jump reaches for some of the traffic, and that accept all that gets there, drop nothing behind", () => {
    const chains = {
      FORWARD: [[match(ip("daddr"), "198.51.100.1"), { jump: { target: "ONE" } }]],
      ONE: [[ACCEPT], [DROP]],
    };

    expect(found(table("accept", chains))).toEqual([]);
  });

  it("that go round in a circle end", () => {
    const chains = { FORWARD: [[{ jump: { target: "A" } }]], A: [[{ jump: { target: "A" } }]] };

    expect(found(table("drop", chains))).toEqual(["all ip filter FORWARD"]);
  });

  it("are judged for each direction", () => {
    const toSwitch = table("accept", { FORWARD: [[match(meta("oifname"), "tsn-1"), DROP]] });

    expect([found(toSwitch, OUT), found(toSwitch, IN)]).toEqual([[], ["all ip filter FORWARD handle 1"]]);
  });

  it("name the command that takes the rule away, or lets tsnet's traffic through a policy", () => {
    const mends = (ruleset: Ruleset) => dropsOf(ruleset, OUT).map(({ mend }) => mend);

    expect(mends(table("accept", { FORWARD: [[DROP]] }))).toEqual(["nft delete rule ip filter FORWARD handle 1"]);
    expect(mends(table("drop", { FORWARD: [] }))).toEqual([
      "nft add rule ip filter FORWARD 'meta mark & 0x20000000 == 0x20000000 accept'",
    ]);
  });

  it("of tsnet's own table, of other hooks and of the other family are not looked at", () => {
    const chain = { family: "ip", table: "filter", name: "FORWARD", hook: "forward", policy: "drop" };
    const others = [
      { ...chain, family: "inet", table: "tsnet" },
      { ...chain, hook: "input" },
      { ...chain, family: "ip6" },
    ];

    expect(found({ chains: others, rules: [] })).toEqual([]);
  });
});
