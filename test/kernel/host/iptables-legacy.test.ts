import { describe, expect, it } from "vitest";
import { readLegacyFilter } from "../../../src/host/iptables-legacy.ts";
import { NetNamespace } from "../../support/namespace.ts";

const MARK = 0x40000;

describe.each([
  [4, "iptables-legacy", "/proc/net/ip_tables_names"],
  [6, "ip6tables-legacy", "/proc/net/ip6_tables_names"],
] as const)("readLegacyFilter of IPv%i", (family, iptables, names) => {
  const read = (ns: NetNamespace) => ns.enter(() => readLegacyFilter(family));
  const apply = (ns: NetNamespace, ...rules: string[]) =>
    ns.exec(["sh", "-ec", rules.map((rule) => `${iptables} ${rule}`).join("\n")]);

  it("gives undefined where the table is not in use, and does not bring it into use", async () => {
    await using ns = await NetNamespace.create();

    expect(read(ns)).toBeUndefined();

    expect(await ns.exec(["sh", "-c", `cat ${names} 2>/dev/null || true`])).toBe("");
  });

  it("is not deceived by rules of iptables-nft", async () => {
    await using ns = await NetNamespace.create();
    await ns.exec([iptables.replace("legacy", "nft"), "-P", "FORWARD", "DROP"]);

    expect(read(ns)).toBeUndefined();
  });

  it.each(["ACCEPT", "DROP"])("tells the policy %s and that the chain has no rule", async (policy) => {
    await using ns = await NetNamespace.create();
    await apply(ns, `-P FORWARD ${policy}`, "-A INPUT -j ACCEPT", "-A OUTPUT -j ACCEPT");

    expect(read(ns)).toMatchObject({ family, forwardPolicy: policy, forwardRuleCount: 0 });
    expect(read(ns)?.acceptsMark(MARK)).toBe(false);
  });

  it("counts the rules of the chain and not those of others", async () => {
    await using ns = await NetNamespace.create();
    await apply(ns, "-N OTHER", "-A OTHER -j ACCEPT", "-A FORWARD -j OTHER", "-A FORWARD -i eth0 -p tcp -j DROP");

    expect(read(ns)).toMatchObject({ forwardRuleCount: 2 });
  });

  it.each([
    "-A FORWARD -m mark --mark 0x40000/0x40000 -j ACCEPT",
    "-A FORWARD -m mark --mark 0x40000/0x40000 -m comment --comment tsnet -j ACCEPT",
    "-A FORWARD -m comment --comment tsnet -m mark --mark 0x40000/0x40000 -j ACCEPT",
  ])("finds %s among other rules", async (rule) => {
    await using ns = await NetNamespace.create();
    await apply(ns, "-P FORWARD DROP", "-A FORWARD -i eth0 -p tcp --dport 80 -j DROP", rule, "-A FORWARD -j LOG");

    const filter = read(ns);

    expect(filter?.acceptsMark(MARK)).toBe(true);
    expect(filter?.acceptsMark(0x80000)).toBe(false);
  });

  it("finds a mark whose highest bit is set", async () => {
    await using ns = await NetNamespace.create();
    await apply(ns, "-A FORWARD -m mark --mark 0x80000000/0x80000000 -j ACCEPT");

    expect(read(ns)?.acceptsMark(0x80000000)).toBe(true);
  });

  it.each([
    "-A FORWARD -m mark --mark 0x40000 -j ACCEPT",
    "-A FORWARD -m mark ! --mark 0x40000/0x40000 -j ACCEPT",
    "-A FORWARD -m mark --mark 0x40000/0x40000 -j DROP",
    "-A FORWARD -m mark --mark 0x40000/0x40000 -j RETURN",
    "-A FORWARD -m mark --mark 0x40000/0x40000 -j LOG",
    "-A FORWARD -i eth0 -m mark --mark 0x40000/0x40000 -j ACCEPT",
    "-A FORWARD -p tcp -m mark --mark 0x40000/0x40000 -j ACCEPT",
    "-A FORWARD -m mark --mark 0x40000/0x40000 -m conntrack --ctstate NEW -j ACCEPT",
    "-A INPUT -m mark --mark 0x40000/0x40000 -j ACCEPT",
    "-A FORWARD -j ACCEPT",
  ])("does not take %s for the rule", async (rule) => {
    await using ns = await NetNamespace.create();
    await apply(ns, rule);

    expect(read(ns)?.acceptsMark(MARK)).toBe(false);
  });

  it("gives the links to which a chain drops, whatever else its rules look at", async () => {
    await using ns = await NetNamespace.create();
    const source = family === 4 ? "10.0.0.0/8" : "fd00::/8";
    await apply(
      ns,
      "-N ONE",
      "-N TWO",
      "-N OTHER",
      "-A TWO -o docker0 -j DROP",
      `-A ONE ! -s ${source} -o br-0123456789ab -j DROP`,
      "-A ONE -o accepted0 -j ACCEPT",
      "-A ONE ! -o inverted0 -j DROP",
      "-A ONE -o wild+ -j DROP",
      "-A ONE -i input0 -j DROP",
      "-A OTHER -o other0 -j DROP",
      "-A FORWARD -o forward0 -j DROP",
    );

    expect(read(ns)?.linksDroppedIn(["ONE", "TWO"]).toSorted()).toEqual(["br-0123456789ab", "docker0"]);
  });

  it("reads a table of 3000 rules", async () => {
    await using ns = await NetNamespace.create();
    const rules = "-A FORWARD -p tcp -j DROP\\n".repeat(2999) + "-A FORWARD -m mark --mark 0x40000/0x40000 -j ACCEPT";
    await ns.exec(["bash", "--norc", "-c", `printf -- '*filter\\n${rules}\\nCOMMIT\\n' | ${iptables}-restore`]);

    expect(read(ns)?.forwardRuleCount).toBe(3000);
    expect(read(ns)?.acceptsMark(MARK)).toBe(true);
  });
});
