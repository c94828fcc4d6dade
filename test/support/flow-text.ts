// Flows in the notation of `ovs-ofctl --no-stats dump-flows` (ovs-fields(7), ovs-actions(7)), in the order that it has.
import type { Action } from "../../src/host/openflow-actions.ts";
import type { FieldName, FieldValue } from "../../src/host/openflow-fields.ts";
import type { Flow } from "../../src/host/openflow-flow.ts";
import type { Match, Masked } from "../../src/host/openflow-match.ts";

/** Names of fields, in the order in which matches show them. */
const NAMES: readonly (readonly [FieldName, string, ("hex" | "port")?])[] = [
  ["reg0", "reg0", "hex"],
  ["reg1", "reg1", "hex"],
  ["reg2", "reg2", "hex"],
  ["reg3", "reg3", "hex"],
  ["reg15", "reg15", "hex"],
  ["inPort", "in_port", "port"],
  ["vlanVid", "dl_vlan"],
  ["ethSrc", "dl_src"],
  ["ethDst", "dl_dst"],
  ["ethType", "dl_type", "hex"],
  ["ipv4Src", "nw_src"],
  ["ipv4Dst", "nw_dst"],
  ["arpSpa", "arp_spa"],
  ["arpTpa", "arp_tpa"],
  ["ipv6Src", "ipv6_src"],
  ["ipv6Dst", "ipv6_dst"],
  ["ipProto", "nw_proto"],
  ["arpOp", "arp_op"],
  ["arpSha", "arp_sha"],
  ["arpTha", "arp_tha"],
  ["ipFrag", "nw_frag"],
  ["udpSrc", "tp_src"],
  ["udpDst", "tp_dst"],
  ["tcpSrc", "tp_src"],
  ["tcpDst", "tp_dst"],
  ["icmpv6Type", "icmp_type"],
  ["icmpv6Code", "icmp_code"],
  ["ndTarget", "nd_target"],
  ["ndSll", "nd_sll"],
  ["ndTll", "nd_tll"],
];

/** EtherType and protocol in one word. */
const PROTOCOLS: Readonly<Record<string, string>> = {
  "2054": "arp",
  "2048": "ip",
  "34525": "ipv6",
  "2048 6": "tcp",
  "2048 17": "udp",
  "34525 6": "tcp6",
  "34525 17": "udp6",
  "34525 58": "icmp6",
};

const FRAGMENTS: Readonly<Record<number, string>> = { 0: "no", 1: "first", 3: "later" };

/** How actions name fields. */
const NXM: Readonly<Partial<Record<FieldName, readonly [name: string, bits: number]>>> = {
  reg0: ["NXM_NX_REG0", 32],
  reg1: ["NXM_NX_REG1", 32],
  reg2: ["NXM_NX_REG2", 32],
  reg3: ["NXM_NX_REG3", 32],
  vlanTci: ["NXM_OF_VLAN_TCI", 16],
  ethSrc: ["NXM_OF_ETH_SRC", 48],
  ethDst: ["NXM_OF_ETH_DST", 48],
  shortInPort: ["NXM_OF_IN_PORT", 16],
};

/** One flow in one line. */
export function formatFlow({ table, priority, cookie, match, actions, goTo }: Flow): string {
  const owner = cookie === 0n ? [] : [`cookie=0x${cookie.toString(16)}`];
  const head = [...owner, ...(table === 0 ? [] : [`table=${table}`])].map((part) => `${part}, `).join("");
  const steps = [...actions.map(formatAction), ...(goTo === undefined ? [] : [`goto_table:${goTo}`])];
  return `${head}${[`priority=${priority}`, ...formatMatch(match)].join(",")} actions=${steps.join(",") || "drop"}`;
}

function formatMatch(match: Match): readonly string[] {
  const [ethType, ipProto] = [match.ethType, match.ipProto].map((value) =>
    typeof value === "number" ? value : undefined,
  );
  const both = `${ethType} ${ipProto}`;
  const isOneWord = ipProto !== undefined && both in PROTOCOLS;
  const word = PROTOCOLS[isOneWord ? both : String(ethType)];
  const fields = NAMES.flatMap(([name, shown, as]) => {
    const value = match[name];
    if (value === undefined) return [];
    if (name === "ethType" && word !== undefined) return [];
    if (name === "ipProto" && isOneWord) return [];
    return [formatField(name, shown, value, as)];
  });
  const isRegister = (field: string) => field.startsWith("reg");
  return [
    ...(word === undefined ? [] : [word]),
    ...fields.filter(isRegister),
    ...fields.filter((field) => !isRegister(field)),
  ];
}

function formatField(name: FieldName, shown: string, value: FieldValue | Masked, as?: "hex" | "port"): string {
  if (name === "vlanVid" && typeof value === "number")
    return value === 0 ? "vlan_tci=0x0000/0x1fff" : `dl_vlan=${value & 0xfff}`;
  if (name === "ipFrag" && typeof value === "number") return `nw_frag=${FRAGMENTS[value] ?? value}`;
  if (as === "port" && value === 65_534) return `${shown}=LOCAL`;
  if (typeof value !== "object") return `${shown}=${as === "hex" ? hex(value) : value}`;
  if (name === "ipv4Dst") return `${shown}=${value.value}/4`;
  if (name === "vlanVid") return `vlan_tci=${hex(value.value, 4)}/${hex(value.mask, 4)}`;
  return `${shown}=${as === "hex" ? `${hex(value.value)}/${hex(value.mask)}` : `${value.value}/${value.mask}`}`;
}

function formatAction(action: Action): string {
  switch (action.kind) {
    case "output":
      if (typeof action.port === "number") return `output:${action.port}`;
      return action.port === "inPort" ? "IN_PORT" : "NORMAL";
    case "set":
      return action.field === "vlanVid"
        ? `set_field:${action.value}->vlan_vid`
        : `set_field:${hex(action.value)}->${action.field}`;
    case "move": {
      const { from, to, bits } = action;
      return `move:${formatBits(from.field, from.offset ?? 0, bits)}->${formatBits(to.field, to.offset ?? 0, bits)}`;
    }
    case "popVlan":
      return "pop_vlan";
    case "pushVlan":
      return "push_vlan:0x8100";
    case "resubmit":
      return `resubmit(,${action.table})`;
    case "learn": {
      const { table, seconds, priority, cookie, limit, copies } = action.learn;
      const head = [
        `table=${table}`,
        `hard_timeout=${seconds}`,
        `priority=${priority}`,
        `cookie=0x${cookie.toString(16)}`,
      ];
      const specs = copies.map(({ from, to, bits, becomes }) => {
        const [source, target] = [formatBits(from, 0, bits), formatBits(to, 0, bits)];
        if (becomes === "load") return `load:${source}->${target}`;
        return source === target ? target : `${target}=${source}`;
      });
      return `learn(${[...head, `limit=${limit}`, ...specs].join(",")})`;
    }
    case "unknown":
      return `unknown(${action.bytes})`;
  }
}

function formatBits(field: FieldName, offset: number, bits: number): string {
  const [name, all] = NXM[field] ?? [field, 0];
  return bits === all ? `${name}[]` : `${name}[${offset}..${offset + bits - 1}]`;
}

function hex(value: FieldValue, digits = 1): string {
  if (value === 0 && digits === 1) return "0";
  return typeof value === "number" ? `0x${value.toString(16).padStart(digits, "0")}` : value;
}
