// What the legacy iptables filter table does in FORWARD and in the engine's chains, read without a process, so that tsnet
// can tell an operator which rule is missing: Docker sets FORWARD's policy to DROP. Nothing is ever written here, and nothing is
// loaded: the table is asked for only if the kernel already lists it. Follows include/uapi/linux/netfilter/x_tables.h,
// netfilter_ipv4/ip_tables.h, netfilter_ipv6/ip6_tables.h and netfilter/xt_mark.h (revision 1).
//
//   entry:  matching fields, zero where anything matches: addresses and masks, char in[16], out[16], masks of these, ...;
//           u32 cache, u16 target offset, u16 next offset, ...
//           matches, then one target; each: u16 size, char name[29], u8 revision, data
import { readFileSync } from "node:fs";
import type { Family } from "../cidr.ts";
import { TsnetError, messageOf } from "../errors.ts";
import { AF_INET, AF_INET6, SOCK_DGRAM, closeSocket, getSocketOption, openSocket } from "./libc.ts";
import { isErrno, textOf } from "./netlink.ts";

const SO_GET_INFO = 64;
const SO_GET_ENTRIES = 65;
const INFO_LENGTH = 84;
const ENTRIES_HEADER_LENGTH = 40;
const PART_HEADER_LENGTH = 32;
const NF_INET_FORWARD = 2;
/** IFNAMSIZ. */
const NAME_LENGTH = 16;

/** Verdicts are stored as -verdict - 1 (x_tables.h, "standard target"). */
const [DROP, ACCEPT] = [-1, -2] as const;

/** Target of the entry before the first rule of a chain that is not built in; the chain's name stands in it. */
const CHAIN_HEAD = "ERROR";

/** IPT_INV_VIA_OUT: `! -o`. */
const INVERTED_OUTPUT = 0x2;

/** A table that changes between the two calls that read it is read again, so many times. */
const READ_ATTEMPTS = 5;

/** What differs between the families: offsets in and lengths of `ipt_ip`/`ip6t_ip6` and `ipt_entry`/`ip6t_entry`. */
const FAMILIES = {
  4: {
    names: "ip_tables_names",
    domain: AF_INET,
    level: 0,
    outputAt: 32,
    invertedAt: 83,
    fieldsLength: 84,
    entryLength: 112,
  },
  6: {
    names: "ip6_tables_names",
    domain: AF_INET6,
    level: 41,
    outputAt: 80,
    invertedAt: 132,
    fieldsLength: 136,
    entryLength: 168,
  },
} as const satisfies Record<Family, object>;

/** One family's legacy filter table. */
export interface LegacyFilter {
  readonly family: Family;
  readonly forwardPolicy: "ACCEPT" | "DROP";
  /** Rules in the chain itself, the policy not counted. */
  readonly forwardRuleCount: number;
  /** Whether the chain has a rule that is exactly `-m mark --mark M/M -j ACCEPT`, a comment aside. */
  readonly acceptsMark: (mark: number) => boolean;
  /** The links for which a rule `-o LINK -j DROP` stands in one of these chains, whatever else it looks at. */
  readonly linksDroppedIn: (chains: readonly string[]) => readonly string[];
}

/**
 * Reads the legacy filter table of the network namespace of the calling thread.
 *
 * @returns undefined if the kernel has no such table, as on a host where only iptables-nft or nft was used.
 * @throws TsnetError `host`; reading needs CAP_NET_ADMIN and the user id of root.
 */
export function readLegacyFilter(family: Family): LegacyFilter | undefined {
  const { names, domain } = FAMILIES[family];
  if (!readNames(names).includes("filter")) return undefined;
  const fd = openSocket(domain, SOCK_DGRAM, 0);
  try {
    const { rules, first, last } = readRules(fd, family);
    const chain = rules.filter(({ at }) => at >= first && at <= last);
    const policy = chain.at(-1);
    return {
      family,
      forwardPolicy: policy?.verdict === ACCEPT ? "ACCEPT" : "DROP",
      forwardRuleCount: chain.length - 1,
      acceptsMark: (mark) => chain.slice(0, -1).some((rule) => acceptsOnly(rule, mark >>> 0)),
      linksDroppedIn: (chains) =>
        rules
          .filter(({ verdict, chain: name }) => verdict === DROP && chains.includes(name))
          .flatMap(({ output }) => (output === undefined ? [] : [output])),
    };
  } finally {
    closeSocket(fd);
  }
}

/** The list exists once the module is loaded and names the tables in use in this namespace; reading it loads nothing. */
function readNames(file: string): string[] {
  try {
    return readFileSync(`/proc/thread-self/net/${file}`, "utf8").split("\n");
  } catch (failure) {
    if (failure instanceof Error && "code" in failure && failure.code === "ENOENT") return [];
    throw new TsnetError("host", `cannot read /proc/net/${file}: ${messageOf(failure)}`, { cause: failure });
  }
}

interface Rule {
  /** Offset in the table. */
  readonly at: number;
  /** Its name, empty for one that is built in. */
  readonly chain: string;
  /** The one link that it looks for. */
  readonly output?: string;
  /** Whether addresses, interfaces and protocol are left open. */
  readonly matchesAnyPacket: boolean;
  readonly matches: readonly { readonly name: string; readonly revision: number; readonly data: Buffer }[];
  /** Of a target that is a verdict, not a chain or an extension. */
  readonly verdict?: number;
}

/** All rules of the table, and where FORWARD begins and has its policy, which is a rule as well. */
function readRules(fd: number, family: Family): { rules: readonly Rule[]; first: number; last: number } {
  const { level } = FAMILIES[family];
  for (let attempt = 1; ; attempt++) {
    const info = named(INFO_LENGTH); // struct ipt_getinfo: name, u32 hooks, u32 entry[5], u32 underflow[5], u32 count, u32 size
    getSocketOption(fd, level, SO_GET_INFO, info);
    const size = info.readUInt32LE(80);
    const table = named(ENTRIES_HEADER_LENGTH + size);
    table.writeUInt32LE(size, 32);
    try {
      getSocketOption(fd, level, SO_GET_ENTRIES, table);
    } catch (failure) {
      if (attempt < READ_ATTEMPTS && isErrno(failure, "EAGAIN")) continue;
      throw failure;
    }
    const first = info.readUInt32LE(36 + 4 * NF_INET_FORWARD);
    const last = info.readUInt32LE(56 + 4 * NF_INET_FORWARD);
    return { rules: parseRules(table.subarray(ENTRIES_HEADER_LENGTH), family), first, last };
  }
}

function named(length: number): Buffer {
  const request = Buffer.alloc(length);
  request.write("filter", 0, "latin1");
  return request;
}

function parseRules(entries: Buffer, family: Family): Rule[] {
  const { fieldsLength, entryLength } = FAMILIES[family];
  const rules: Rule[] = [];
  let chain = "";
  for (let at = 0; at < entries.length;) {
    const entry = entries.subarray(at);
    const fields = entry.subarray(0, fieldsLength);
    const targetOffset = entry.readUInt16LE(fieldsLength + 4);
    const length = entry.readUInt16LE(fieldsLength + 6);
    if (length === 0) throw new TsnetError("host", "the kernel sent an iptables entry whose length is wrong");
    const target = entry.subarray(targetOffset, length);
    const targetName = textOf(target.subarray(2, 31));
    if (targetName === CHAIN_HEAD) chain = textOf(target.subarray(PART_HEADER_LENGTH));
    const output = outputOf(fields, family);
    rules.push({
      at,
      chain,
      ...(output !== "" && { output }),
      matchesAnyPacket: fields.every((byte) => byte === 0),
      matches: parseMatches(entry.subarray(entryLength, targetOffset)),
      ...(targetName === "" && { verdict: target.readInt32LE(PART_HEADER_LENGTH) }),
    });
    at += length;
  }
  return rules;
}

/** The name after `-o`; empty for none, for `! -o`, and for one that ends with `+`, of which the zero at the end is not compared. */
function outputOf(fields: Buffer, family: Family): string {
  const { outputAt, invertedAt } = FAMILIES[family];
  const name = textOf(fields.subarray(outputAt, outputAt + NAME_LENGTH));
  const mask = fields.subarray(outputAt + 2 * NAME_LENGTH, outputAt + 3 * NAME_LENGTH);
  const isInverted = (fields.readUInt8(invertedAt) & INVERTED_OUTPUT) !== 0;
  return isInverted || mask[name.length] === 0 ? "" : name;
}

function parseMatches(bytes: Buffer): Rule["matches"] {
  const matches: Rule["matches"][number][] = [];
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUInt16LE(at);
    if (length < PART_HEADER_LENGTH)
      throw new TsnetError("host", "the kernel sent an iptables match whose length is wrong");
    matches.push({
      name: textOf(bytes.subarray(at + 2, at + 31)),
      revision: bytes.readUInt8(at + 31),
      data: bytes.subarray(at + PART_HEADER_LENGTH, at + length),
    });
    at += length;
  }
  return matches;
}

function acceptsOnly(rule: Rule, mark: number): boolean {
  const matches = rule.matches.filter(({ name }) => name !== "comment");
  const [only] = matches;
  if (!rule.matchesAnyPacket || rule.verdict !== ACCEPT || matches.length !== 1 || !only) return false;
  if (only.name !== "mark" || only.revision !== 1) return false;
  const [value, mask, inverted] = [only.data.readUInt32LE(0), only.data.readUInt32LE(4), only.data.readUInt8(8)];
  return value === mark && mask === mark && inverted === 0;
}
