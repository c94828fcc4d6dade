// Asks a switch of Open vSwitch itself what it would do with the packet (`ofproto/trace`): thus flows count that are not
// tsnet's, and what the switch has learned. Nothing is sent, and without a packet nothing is learned either.
import { TsnetError } from "../../errors.ts";
import type { NamedNetwork } from "../catalog.ts";
import { command } from "../doctor/shell-command.ts";
import { bare } from "../words.ts";
import type { Facts, Place, Way } from "./facts.ts";
import { type FlowTrace, type Frame, type MetFlow, flowOf, parseTrace } from "./flow-trace.ts";
import { Trace } from "./hop.ts";
import { familyOf, linkNamed } from "./machine.ts";
import type { Packet } from "./packet.ts";
import { translate } from "./rule-run.ts";
import type { OvsPort } from "./switching.ts";

/** Where the frame should come out: a port by name, or by any tunnel. */
export type Exit = { readonly port: string } | "tunnel";

/** `ts`, the first 16 bits of the cookies of tsnet's flows (README, Open vSwitch). */
const OURS = 0x7473n;
const OWNER_OFFSET = 48n;

/** Kinds of ports that are tunnels (ovs-vswitchd.conf.db(5), table Interface, type). */
const TUNNELS = new Set("vxlan geneve gre ip6gre erspan ip6erspan lisp stt gtpu bareudp srv6".split(" "));

/** What a switch is asked. */
export interface SwitchQuestion extends Omit<Frame, "destinationMac"> {
  readonly network: Pick<NamedNetwork, "backend" | "switch">;
  /** Absent where nobody on this host knows it yet. */
  readonly destinationMac: string | undefined;
  readonly to: Exit;
  /** Number of steps before those that belong to this switch. */
  readonly since: number;
}

/** Notes what the switch says, if it is one of Open vSwitch and nothing but antispoof has stopped the packet there. */
export async function askSwitch(
  way: Way,
  { network, to, since, destinationMac, ...frame }: SwitchQuestion,
): Promise<void> {
  const { trace, facts } = way;
  const { ovs } = facts.switching;
  if (network.backend !== "ovs" || typeof ovs !== "object") return;
  if (trace.hops.slice(since).some(({ ok, hop }) => !ok && hop !== "antispoof")) return;
  const name = network.switch;
  const skip = (why: string) => trace.pass("switch", "probed", `the flows of ${name} were not looked at: ${why}`);
  if (wouldSend(ovs, name)) return skip("with tunnels in userspace Open vSwitch would ask the network for their peers");
  if (destinationMac === undefined) return skip("the MAC address to which it goes is not known yet");
  const text = await facts.traceFlow(name, flowOf({ ...frame, destinationMac })).catch(refusalOf);
  if (typeof text === "object") return skip(text.message);
  const answer = parseTrace(text);
  if (answer.outputs.length === 0) return skip("Open vSwitch answers in words that tsnet does not know");
  judge(way, name, answer, to, destinationMac);
}

function refusalOf(failure: unknown): TsnetError {
  if (failure instanceof TsnetError) return failure;
  throw failure;
}

/** Even for a mere question it sends a request for a peer's address that it does not know (ofproto-dpif-xlate.c, build_tunnel_send). */
function wouldSend(ovs: readonly OvsPort[], bridge: string): boolean {
  const userspace = ovs.filter(({ isUserspace }) => isUserspace);
  const hasTunnels = userspace.some(({ kind }) => TUNNELS.has(kind));
  const leadsThere = ({ kind }: OvsPort) => TUNNELS.has(kind) || kind === "patch";
  return hasTunnels && userspace.some((port) => port.bridge === bridge && leadsThere(port));
}

/** Whether a look at what comes next finds nothing wrong. */
export function isInOrder({ facts }: Way, look: (way: Way) => void): boolean {
  const trace = new Trace();
  look({ facts, trace });
  return trace.verdict().arrives;
}

/** A frame that the host sends by its port of the switch: after its rules have translated it. */
export function frameOfHost(
  { host }: Pick<Facts, "host">,
  inPort: string,
  packet: Packet,
): Omit<Frame, "destinationMac"> {
  const { mac, addresses = [] } = linkNamed(host, inPort) ?? {};
  const isHidden = translate(host, "postrouting", packet)?.kind === "masquerade";
  const own = addresses.find(({ address }) => familyOf(address) === packet.family)?.address;
  const source = isHidden && own !== undefined ? own : packet.source;
  return { inPort, packet: { ...packet, source, ...(mac !== undefined && { sourceMac: mac }) } };
}

/** As it is once antispoof, which has been told of, lets it pass. */
export function admitted(packet: Packet, { network, endpoint }: Place): Packet {
  if (!network.antispoof) return packet;
  const own = endpoint.addresses.map(bare).filter((address) => familyOf(address) === packet.family);
  const source = own.length === 0 || own.includes(packet.source) ? packet.source : (own[0] ?? packet.source);
  return { ...packet, source, sourceMac: endpoint.mac };
}

function judge({ trace, facts }: Way, name: string, answer: FlowTrace, to: Exit, mac: string): void {
  const { outputs, isTunnelled, asksController } = answer;
  if (to === "tunnel" && isTunnelled) return trace.pass("switch", "probed", `${name} puts it into the tunnel`);
  if (to !== "tunnel" && outputs.includes(to.port)) {
    return trace.pass("switch", "probed", `${name} hands it to ${to.port}, where ${mac} is`);
  }
  const flow = answer.flows.findLast(({ cookie }) => !isOurs(cookie)) ?? answer.flows.at(-1);
  const by = `by ${sayFlow(flow, answer)}`;
  if (asksController) {
    return trace.pass(
      "switch",
      "probed",
      `${name} hands it to its controller, and what that does cannot be told; ${by}`,
    );
  }
  const { ovs } = facts.switching;
  const ports = typeof ovs === "object" ? ovs.filter((port) => outputs.includes(port.name)) : [];
  const others = ports.map((port) => port.name).join(", ");
  const expected = to === "tunnel" ? "into the tunnel" : `to ${to.port}`;
  const what = others === "" ? "drops it" : `hands it to ${others}, not ${expected},`;
  trace.stop("switch", "probed", `${name} ${what} ${by}`, flow && mend(flow));
}

function isOurs(cookie: bigint): boolean {
  return cookie >> OWNER_OFFSET === OURS;
}

function sayFlow(flow: MetFlow | undefined, { missedTable }: FlowTrace): string {
  const missed = missedTable === undefined ? "" : `table ${missedTable}, where no flow matches it`;
  if (flow === undefined) return missed;
  const { cookie, actions, remarks } = flow;
  const whose = isOurs(cookie) ? "tsnet's own flow" : "a flow that is not tsnet's";
  const remark = remarks.length === 0 ? "" : ` (${remarks.join("; ")})`;
  return `${whose}: "${formatFlow(flow)} actions=${actions.join(",")}"${remark}${missed && `, and ${missed}`}`;
}

function formatFlow({ table, priority, cookie, match }: MetFlow): string {
  const mark = cookie === 0n ? "" : `cookie=0x${cookie.toString(16)},`;
  return `${mark}table=${table},priority=${priority}${match && `,${match}`}`;
}

/** For a flow of somebody else's; `NORMAL` is there for all frames, and then it is what the switch has learned that is wrong. */
function mend(flow: MetFlow): string | undefined {
  const { bridge, cookie, actions, remarks } = flow;
  if (isOurs(cookie)) return undefined;
  if (remarks.includes("forwarding to learned port")) return command`ovs-appctl fdb/flush ${bridge}`;
  if (actions.includes("NORMAL")) return undefined;
  const which = formatFlow(flow).replace(/^cookie=\w+/, "$&/-1");
  return command`ovs-ofctl --strict del-flows ${bridge} ${which}`;
}
