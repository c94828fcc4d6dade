// Rules of iptables-legacy, as `iptables-legacy-save` prints them (iptables(8), iptables-extensions(8)), in the form in which
// nft(8) would list the same ones (libnftables-json(5)): so that a packet passes them by the same code. What is not known here
// becomes an extension that nft does not show either, of which cannot be told whether it matches.
import type { Family } from "../../cidr.ts";
import { command } from "../doctor/shell-command.ts";
import type { Json } from "../rule-expression.ts";

/** Where the kernel calls a table's chains (include/uapi/linux/netfilter_ipv4.h); sources are translated later. */
const PRIORITIES: Readonly<Record<string, number>> = { raw: -300, mangle: -150, nat: -100, filter: 0, security: 50 };
const SOURCE_NAT_PRIORITY = 100;

/** `"…"` with `\"` in it, or a word; without an end `"…` reaches to the line's, so that no text is looked through twice. */
const WORD = /"(?:[^"\\]|\\[^])*"?|[^\s"]+/g;

/** Modules that ask for nothing by themselves, but by their options. */
const MODULES = new Set("tcp udp sctp icmp icmp6 comment conntrack state mark multiport addrtype".split(" "));

const VERDICTS = new Set(["ACCEPT", "DROP", "RETURN"]);

const DESTINATION = { 4: /^([\d.]+)(?::(\d+))?$/, 6: /^\[?([0-9a-f:]+?)\]?(?:(?<=\]):(\d+))?$/ } as const;

/** @returns objects like those of the array `nftables` of `nft -j list ruleset`. */
export function legacyObjects(text: string, family: Family): readonly Json[] {
  let table = "";
  let chains: string[] = [];
  return text.split("\n").flatMap((line): readonly Json[] => {
    const place = { family: nameOf(family), table: `${table} of iptables-legacy` };
    if (line.startsWith("*")) [table, chains] = [line.slice(1), []];
    if (line.startsWith(":")) {
      const [name = "", policy = ""] = line.slice(1).split(" ");
      chains.push(name);
      return [{ chain: { ...place, name, ...(policy !== "-" && hookOf(table, name, policy)) } }];
    }
    if (!line.startsWith("-A ")) return [];
    const [, chain = "", ...words] = (line.match(WORD) ?? []).map(unquote);
    const spec = words.map((word) => command`${word}`).join(" ");
    const removal = `${family === 4 ? "iptables" : "ip6tables"}-legacy -t ${table} -D ${chain} ${spec}`;
    return [{ rule: { ...place, chain, spec, removal, expr: statementsOf(words, family, chains) } }];
  });
}

function hookOf(table: string, chain: string, policy: string): Json {
  const isLate = table === "nat" && (chain === "INPUT" || chain === "POSTROUTING");
  const prio = isLate ? SOURCE_NAT_PRIORITY : PRIORITIES[table];
  return { type: table === "nat" ? "nat" : "filter", hook: chain.toLowerCase(), prio, policy: policy.toLowerCase() };
}

function nameOf(family: Family): string {
  return family === 4 ? "ip" : "ip6";
}

function unquote(word: string): string {
  return word.startsWith('"') ? word.slice(1, -1).replaceAll(/\\(.)/g, "$1") : word;
}

/** An option of a rule; `isNot` for one behind `!`. */
interface Option {
  readonly name: string;
  readonly isNot: boolean;
  readonly values: string[];
}

function optionsIn(words: readonly string[]): readonly Option[] {
  const options: Option[] = [];
  let isNot = false;
  for (const word of words) {
    const last = options.at(-1);
    const isText = last?.name === "--comment" && last.values.length === 0; // it may look like an option
    if (isText || !/^(?:-|!$)/.test(word)) last?.values.push(word);
    else if (word !== "!") options.push({ name: word, isNot, values: [] });
    isNot = !isText && word === "!";
  }
  return options;
}

function statementsOf(words: readonly string[], family: Family, chains: readonly string[]): readonly Json[] {
  const options = optionsIn(words);
  const at = options.findIndex(({ name }) => name === "-j" || name === "-g");
  const asked = at < 0 ? options : options.slice(0, at);
  const conditions = asked.flatMap(({ name, isNot, values: [value = ""] }): readonly Json[] => {
    if (name === "--comment" || (name === "-m" && MODULES.has(value))) return [];
    const condition = CONDITIONS[name]?.(value, family);
    if (condition === undefined) return [{ xt: { type: "match", name: name === "-m" ? value : name } }];
    return [{ match: { op: isNot ? "!=" : "==", left: condition[0], right: condition[1] } }];
  });
  return at < 0 ? conditions : [...conditions, targetOf(options.slice(at), family, chains)];
}

/** What is asked for, and with what it is compared; undefined for what is not known here. */
type Condition = (value: string, family: Family) => readonly [left: Json, right: unknown] | undefined;

const meta = (key: string): Json => ({ meta: { key } });
const payload = (protocol: string, field: string): Json => ({ payload: { protocol, field } });

const address = (field: string): Condition => {
  return (value, family) => {
    const [, addr, len] = /^([^/]+)\/(\d+)$/.exec(value) ?? []; // else a mask with gaps
    return addr === undefined ? undefined : [payload(nameOf(family), field), { prefix: { addr, len: Number(len) } }];
  };
};
const link = (key: string): Condition => {
  return (value) => [meta(key), value.replace(/\+$/, "*")];
};
const ports = (field: string): Condition => {
  return (value) => [payload("th", field), { set: value.split(",").map(portOf) }];
};
const echo = (protocol: string, request: string): Condition => {
  return (value) => [payload(protocol, "type"), value === request ? "echo-request" : value];
};

const connection: Condition = (value) => {
  const states = value.toLowerCase().split(",");
  const statuses = states.filter((state) => state === "dnat" || state === "snat");
  if (statuses.length > 0 && statuses.length < states.length) return undefined; // of two kinds, and one is enough
  return [{ ct: { key: statuses.length > 0 ? "status" : "state" } }, states];
};

const CONDITIONS: Readonly<Record<string, Condition>> = {
  "-s": address("saddr"),
  "-d": address("daddr"),
  "-i": link("iifname"),
  "-o": link("oifname"),
  "-p": (value) => [meta("l4proto"), value],
  "--sport": ports("sport"),
  "--sports": ports("sport"),
  "--dport": ports("dport"),
  "--dports": ports("dport"),
  "--state": connection,
  "--ctstate": connection,
  "--icmp-type": echo("icmp", "8"),
  "--icmpv6-type": echo("icmpv6", "128"),
  "--mark": (value) => {
    const [mark, mask = 0xffff_ffff] = value.split("/").map(Number);
    return [{ "&": [meta("mark"), mask] }, mark];
  },
  "--dst-type": (value) => {
    return value === "LOCAL" ? [{ fib: { result: "type", flags: ["daddr"] } }, "local"] : undefined;
  },
};

function portOf(text: string): unknown {
  const [first, last] = text.split(":").map(Number);
  return last === undefined ? first : { range: [first, last] };
}

function targetOf([target, more]: readonly Option[], family: Family, chains: readonly string[]): Json {
  const name = target?.values[0] ?? "";
  if (chains.includes(name)) return { [target?.name === "-g" ? "goto" : "jump"]: { target: name } };
  if (VERDICTS.has(name)) return { [name.toLowerCase()]: null };
  const [, addr, port] = DESTINATION[family].exec(more?.values[0] ?? "") ?? [];
  if (name !== "DNAT" || addr === undefined) return { xt: { type: "target", name } };
  return { dnat: { family: nameOf(family), addr, ...(port !== undefined && { port: Number(port) }) } };
}
