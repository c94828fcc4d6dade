// What a switch of Open vSwitch would do with a frame: the question in the notation of flows (ovs-fields(7)), and the answer that
// `ofproto/trace --names` gives (ovs-vswitchd(8)). Pure.
import { CLIENT_PORT, type Packet, type Protocol } from "./packet.ts";

/** A frame that comes to a switch. */
export interface Frame {
  /** Name of the port by which it comes. */
  readonly inPort: string;
  readonly packet: Packet;
  readonly destinationMac: string;
  /** Of its tag; absent for an untagged one. */
  readonly vlan?: number;
}

/** A flow that it meets. */
export interface MetFlow {
  readonly bridge: string;
  readonly table: number;
  readonly priority: number;
  /** 0 where it has none. */
  readonly cookie: bigint;
  /** As ovs-ofctl(8) takes it; "" for one that matches everything. */
  readonly match: string;
  readonly actions: readonly string[];
  /** What Open vSwitch says to that. */
  readonly remarks: readonly string[];
}

/** The answer. */
export interface FlowTrace {
  /** In the order of the frame's way, on all switches that it passes. */
  readonly flows: readonly MetFlow[];
  /** The table where the way ended because no flow there matches. */
  readonly missedTable?: number;
  /** Names of ports, among words of the datapath such as `drop`. */
  readonly outputs: readonly string[];
  /** Whether it is put into a tunnel. */
  readonly isTunnelled: boolean;
  /** Whether a controller gets it, which may send it on or not. */
  readonly asksController: boolean;
}

/** Numbers in IPv4 and IPv6 (iana.org, Protocol Numbers). */
const NUMBER = { tcp: 6, udp: 17, sctp: 132, icmp: 1, "ipv6-icmp": 58 } as const satisfies Record<Protocol, number>;

const TTL = 64;
const SYN = "0x002";

/** The question: for a ping its request, for TCP the first packet. */
export function flowOf({ inPort, packet, destinationMac, vlan }: Frame): string {
  const { family, protocol, source, destination, sourceMac, port } = packet;
  const [type, from, to] = family === 4 ? ["0x0800", "nw_src", "nw_dst"] : ["0x86dd", "ipv6_src", "ipv6_dst"];
  const ping = family === 4 ? "icmp_type=8,icmp_code=0" : "icmpv6_type=128,icmpv6_code=0";
  return [
    `in_port=${inPort}`,
    ...(vlan === undefined ? [] : [`dl_vlan=${vlan}`]),
    ...(sourceMac === undefined ? [] : [`dl_src=${sourceMac}`]),
    `dl_dst=${destinationMac},dl_type=${type},${from}=${source},${to}=${destination}`,
    `nw_ttl=${TTL},nw_proto=${NUMBER[protocol]}`,
    port === undefined ? ping : `${protocol}_src=${CLIENT_PORT},${protocol}_dst=${port}`,
    ...(protocol === "tcp" ? [`tcp_flags=${SYN}`] : []),
  ].join(",");
}

/**
 * The answer. Lines of it, at any depth (ofproto/ofproto-dpif-xlate.c, xlate_report_table):
 *
 *     bridge("sw0")
 *     -------------
 *      0. tcp,in_port=a,tp_dst=80, priority 50000, cookie 0x5
 *         resubmit(,10)
 *     10. No match.
 *             drop
 *     Datapath actions: drop
 */
export function parseTrace(text: string): FlowTrace {
  const steps: Step[] = [];
  let bridge = "";
  for (const line of text.split("\n")) {
    const indent = line.search(/\S/);
    const [, name] = /^bridge\("(.*)"\)$/.exec(line) ?? [];
    const [, table, rest = ""] = /^\s*(\d+)\. (.*)$/.exec(line) ?? [];
    if (name !== undefined) steps.push({ indent, lines: [], bridge: (bridge = name) });
    else if (table !== undefined) steps.push({ indent, lines: [], bridge, table: Number(table), rest });
    else steps.findLast((step) => step.indent < indent)?.lines.push(line.trim());
  }
  const flows = steps.flatMap((step) => flowIn(step) ?? []);
  const last = steps.at(-1);
  const missedTable = last && flowIn(last) === undefined ? last.table : undefined;
  const done = text.matchAll(/^Datapath actions: (.*)$/gm);
  const outputs = Array.from(done, ([, actions = ""]) => actions).flatMap(namesIn);
  return {
    flows,
    ...(missedTable !== undefined && { missedTable }),
    outputs,
    isTunnelled: /^ +-> output to (?:native|kernel) tunnel$/m.test(text),
    asksController: outputs.includes("controller"),
  };
}

/** A switch, or a table of it, and what stands below that line. */
interface Step {
  readonly indent: number;
  readonly lines: string[];
  readonly bridge: string;
  readonly table?: number;
  readonly rest?: string;
}

const FLOW = /^(?:(.*), )?priority (\d+)(?:, cookie (0x[0-9a-f]+))?$/;
const REMARK = /^(?:->|>>) /;

/** @returns undefined where none matches. */
function flowIn({ bridge, table, rest = "", lines }: Step): MetFlow | undefined {
  const [, match = "", priority, cookie = "0"] = FLOW.exec(rest) ?? [];
  if (table === undefined || priority === undefined) return undefined;
  const actions = lines.filter((line) => !REMARK.test(line));
  const remarks = lines.filter((line) => REMARK.test(line)).map((line) => line.replace(REMARK, ""));
  return { bridge, table, priority: Number(priority), cookie: BigInt(cookie), match, actions, remarks };
}

/** `set(…),clone(tnl_push(…,out_port(br0)),eth0),3`: all names at any depth, but not that of the port below a tunnel. */
function namesIn(actions: string): readonly string[] {
  const words = actions.replace(/out_port\([^)]*\)/g, "").split(/[(),]+/);
  return words.filter((word) => word !== "").map((word) => word.replace(/^"(.*)"$/, "$1"));
}
