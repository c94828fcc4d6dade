// Rules of iptables-legacy as `iptables-legacy-save` 1.8.9 printed them, and what becomes of a packet that meets them.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { legacyObjects } from "../../../../src/cli/explain/legacy-rules.ts";
import type { Machine } from "../../../../src/cli/explain/machine.ts";
import type { Packet } from "../../../../src/cli/explain/packet.ts";
import { readMachine } from "../../../../src/cli/explain/read-machine.ts";
import { runHook, translate } from "../../../../src/cli/explain/rule-run.ts";
import { Ruleset } from "../../../../src/cli/explain/ruleset.ts";
import { HostTools } from "../../../../src/cli/host-tools.ts";
import { TsnetError } from "../../../../src/errors.ts";

const PACKET: Packet = {
  family: 4,
  protocol: "tcp",
  source: "10.1.0.2",
  destination: "192.0.2.9",
  port: 80,
  inLink: "blue0",
  outLink: "eth0",
  mark: 0x2000_0000,
  isTranslated: false,
};
const PING = { protocol: "icmp" } as const;
const IPV6 = { family: 6, source: "fd00::2", destination: "2001:db8::9" } as const;

/** As the tool prints a table with these rules. */
function save(rules: readonly string[], table = "filter", policy = "ACCEPT"): string {
  const chains = table === "nat" ? ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"] : ["INPUT", "FORWARD", "OUTPUT"];
  const heads = chains.map((chain) => `:${chain} ${policy} [0:0]`);
  return [`*${table}`, ...heads, ":DOCKER-USER - [0:0]", ...rules, "COMMIT", ""].join("\n");
}

function machineWith(text: string, family: 4 | 6 = 4): Machine {
  const rules = new Ruleset(legacyObjects(text, family));
  return { links: [], neighbours: [], rules, sockets: [], findRoute: async () => "none" };
}

const forward = (rules: readonly string[], more: Partial<Packet> = {}, policy?: string) => {
  const packet = { ...PACKET, ...more };
  return runHook(machineWith(save(rules, "filter", policy), packet.family), "forward", packet, packet.family);
};

describe("a condition of iptables-legacy", () => {
  it.each<readonly [string, Partial<Packet>]>([
    ["-s 10.1.0.0/24", {}],
    ["-d 192.0.2.9/32", {}],
    ["! -d 10.1.0.0/24", {}],
    ["-i blue0 ! -o blue0", {}],
    ["-i blue+ -o eth+", {}],
    ["-p tcp -m tcp --dport 80", {}],
    ["-p tcp -m tcp --sport 1024:65535 --dport 79:81", {}],
    ["-p tcp -m multiport --dports 22,79:81", {}],
    ["-m conntrack --ctstate NEW,ESTABLISHED", {}],
    ["-m conntrack ! --ctstate RELATED,ESTABLISHED", {}],
    ["-m state --state NEW", {}],
    ["-m conntrack ! --ctstate DNAT", {}],
    ["-m conntrack --ctstate DNAT", { isTranslated: true }],
    ["-m mark --mark 0x20000000/0x20000000", {}],
    ["-m mark ! --mark 0x1", {}],
    ["-m addrtype ! --dst-type LOCAL", {}],
    ['-m comment --comment "-j ACCEPT ! \\"quoted\\""', {}],
    ["-p icmp -m icmp --icmp-type 8", PING],
    ["-s fd00::/64 -p tcp", IPV6],
    ["-p ipv6-icmp -m icmp6 --icmpv6-type 128", { ...IPV6, protocol: "ipv6-icmp" }],
  ])("holds: %s", (condition, more) => {
    expect(forward([`-A FORWARD ${condition} -j DROP`], more)).toMatchObject({ verdict: "drop", doubts: [] });
  });

  it.each<readonly [string, Partial<Packet>]>([
    ["-s 10.2.0.0/24", {}],
    ["-i green0", {}],
    ["! -i blue0", {}],
    ["-p udp -m udp --dport 80", {}],
    ["-p tcp -m multiport --dports 22,443", {}],
    ["-p tcp -m multiport ! --dports 22,80", {}],
    ["-m conntrack --ctstate RELATED,ESTABLISHED", {}],
    ["-m conntrack --ctstate DNAT", {}],
    ["-m mark --mark 0x1", {}],
    ["-m addrtype --dst-type LOCAL", {}],
    ["-p icmp -m icmp --icmp-type 0", PING],
  ])("does not: %s", (condition, more) => {
    expect(forward([`-A FORWARD ${condition} -j DROP`], more)).toMatchObject({ verdict: "accept", doubts: [] });
  });

  it.each([
    "-m limit --limit 5/min",
    "-m iprange --src-range 10.0.0.1-10.0.0.9",
    "-d 192.0.0.0/255.0.255.0",
    "-m conntrack --ctstate NEW,DNAT",
    "-m addrtype --dst-type BROADCAST",
    "-f",
  ])("is neither, and the rule is named: %s", (condition) => {
    const { verdict, doubts } = forward([`-A FORWARD ${condition} -j DROP`]);

    expect(verdict).toBe("accept");
    expect(doubts).toEqual([`"${condition} -j DROP" in chain FORWARD of table ip filter of iptables-legacy`]);
  });
});

describe("a rule of iptables-legacy", () => {
  it("is named in its own words, with the command that removes it as a shell reads it", () => {
    const { by, fix } = forward([
      `-A FORWARD -p tcp -m comment --comment "it\\'s not \\"it\\"" -j REJECT --reject-with tcp-reset`,
    ]);

    const spec = `-p tcp -m comment --comment 'it'\\''s not "it"' -j REJECT --reject-with tcp-reset`;
    expect(by).toBe(`"${spec}" in chain FORWARD of table ip filter of iptables-legacy`);
    expect(fix).toBe(`iptables-legacy -t filter -D FORWARD ${spec}`);
    expect(forward(["-A FORWARD -j DROP"], IPV6).fix).toBe("ip6tables-legacy -t filter -D FORWARD -j DROP");
  });

  it("jumps into chains, comes back, and obeys the policy at the end", () => {
    const jump = "-A FORWARD -j DOCKER-USER";

    expect(forward([jump, "-A DOCKER-USER -d 192.0.2.9/32 -j DROP"]).verdict).toBe("drop");
    expect(forward([jump, "-A FORWARD -j DROP", "-A DOCKER-USER -j RETURN"]).verdict).toBe("drop");
    expect(forward(["-A FORWARD -g DOCKER-USER", "-A FORWARD -j DROP"]).verdict).toBe("accept");
    expect(forward(["-A FORWARD -j LOG --log-prefix x"], {}, "DROP").by).toBe(
      "the policy of chain FORWARD of table ip filter of iptables-legacy",
    );
    expect(forward(["-A FORWARD -i blue0 -j ACCEPT"], {}, "DROP").verdict).toBe("accept");
  });

  it("translates", () => {
    const at = (hook: string, ...rules: readonly string[]) => translate(machineWith(save(rules, "nat")), hook, PACKET);
    const dnat = "-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination";

    expect(at("prerouting", `${dnat} 10.1.0.7:8080`)).toMatchObject({ kind: "dnat", address: "10.1.0.7", port: 8080 });
    expect(at("prerouting", `${dnat} 10.1.0.7`)).toMatchObject({ kind: "dnat", address: "10.1.0.7" });
    expect(at("prerouting", `${dnat} 10.1.0.7-10.1.0.9`)).not.toHaveProperty("address");
    expect(at("postrouting", "-A POSTROUTING -s 10.1.0.0/24 ! -o blue0 -j MASQUERADE")).toMatchObject({
      kind: "masquerade",
    });
    const six = machineWith(save([`${dnat} [fd00::7]:8080`], "nat"), 6);
    expect(translate(six, "prerouting", { ...PACKET, ...IPV6 })).toMatchObject({ address: "fd00::7", port: 8080 });
  });
});

describe("the rules of iptables-legacy", () => {
  const asked: string[] = [];
  let proc = "";

  beforeEach(() => {
    proc = mkdtempSync(join(tmpdir(), "tsnet-proc-"));
    asked.length = 0;
  });
  afterEach(() => rmSync(proc, { recursive: true }));

  /** Tools of which those of iptables-legacy print this, or fail. */
  class Tools extends HostTools {
    readonly #printed: string | undefined;

    constructor(printed?: string) {
      super();
      this.#printed = printed;
    }

    override async text(command: string): Promise<string> {
      if (!command.includes("legacy")) return "";
      asked.push(command);
      if (this.#printed !== undefined) return this.#printed;
      throw new TsnetError("host", `${command}: not found`);
    }
  }

  it("are not asked for where the kernel lists none, which would load them", async () => {
    writeFileSync(join(proc, "ip6_tables_names"), "");
    await readMachine(new Tools(), proc);

    expect(asked).toEqual([]);
  });

  it("are read where it lists some", async () => {
    writeFileSync(join(proc, "ip_tables_names"), "filter\n");
    const machine = await readMachine(new Tools(save(["-A FORWARD -j DROP"])), proc);

    expect(asked).toEqual(["iptables-legacy-save"]);
    expect(runHook(machine, "forward", PACKET, 4).verdict).toBe("drop");
  });

  it("are named as not judged where they cannot be read", async () => {
    writeFileSync(join(proc, "ip_tables_names"), "filter\n");
    const machine = await readMachine(new Tools(), proc);

    const doubts = ["the rules of iptables-legacy: iptables-legacy-save: not found"];
    expect(runHook(machine, "forward", PACKET, 4)).toMatchObject({ verdict: "accept", doubts });
    expect(runHook(machine, "forward", { ...PACKET, ...IPV6 }, 6).doubts).toEqual([]);
    expect(runHook(machine, "forward", PACKET, "bridge").doubts).toEqual([]);
  });
});
