// What a link is at layer three: its addresses, the routes that leave by it, its neighbours. Read in the kernel's own
// bytes (`l3-address.ts`, `l3-route.ts`, `l3-neighbour.ts`), so that another link can be given all of it (`l3-move.ts`).
// Follows rtnetlink(7).
import type { Address } from "../cidr.ts";
import { TsnetError } from "../errors.ts";
import { type LinkRef, linkOfAddress } from "./l3-address.ts";
import {
  NUD,
  gatewayKey,
  isPermanent,
  linkOfNeighbour,
  neighbourKey,
  neighbourSelection,
  questionParts,
  stateOf,
} from "./l3-neighbour.ts";
import { gatewaysOver, isConfigured, isOverLink, nexthopObjectOf } from "./l3-route.ts";
import { AF_INET, AF_INET6 } from "./libc.ts";
import { NLM_F, findAttribute, isErrno, textOf } from "./netlink.ts";
import { type Change, changeInOrder } from "./netlink-sequence.ts";
import { NETLINK_ROUTE, NetlinkSocket } from "./netlink-socket.ts";
import { LINK_HEADER_LENGTH, linkHeader } from "./rtnetlink-link.ts";

/** Message types (include/uapi/linux/rtnetlink.h, RTM_*). */
export const RTM = {
  GETLINK: 18,
  NEWADDR: 20,
  DELADDR: 21,
  GETADDR: 22,
  NEWROUTE: 24,
  DELROUTE: 25,
  GETROUTE: 26,
  NEWNEIGH: 28,
  DELNEIGH: 29,
  GETNEIGH: 30,
  GETRULE: 34,
} as const;

const FAMILIES = [AF_INET, AF_INET6] as const;

/** Lengths of the headers with which the kernel wants to be asked: ifaddrmsg, rtmsg, fib_rule_hdr. */
const ASKING_HEADER = { [RTM.GETADDR]: 8, [RTM.GETROUTE]: 12, [RTM.GETRULE]: 12 } as const;

/** FRA_IIFNAME and FRA_OIFNAME (include/uapi/linux/fib_rules.h). */
const RULE_LINK = { 3: "iif", 17: "oif" } as const;

const ASK_INTERVAL_MS = 10;

/** IFLA_OPERSTATE, and its values IF_OPER_UNKNOWN and IF_OPER_UP (include/uapi/linux/if.h). */
const IFLA_OPERSTATE = 16;
const OPERATIONAL: readonly (number | undefined)[] = [0, 6];

/** Everything of one link, as plain data: payloads of rtnetlink messages in hexadecimal. */
export interface L3Snapshot {
  readonly link: LinkRef;
  /** RTM_NEWADDR, in the kernel's order: secondary addresses come after their primary one. */
  readonly addresses: readonly string[];
  /** RTM_NEWROUTE of all tables and both families; one over several links is in it when this link is one of them. */
  readonly routes: readonly string[];
  /** RTM_NEWNEIGH that the administrator made: permanent entries and proxies. */
  readonly neighbours: readonly string[];
}

/** Reads and tests the network namespace in which it was opened. Errors are as those of `Rtnetlink`. */
export class L3Config implements Disposable {
  readonly #socket: NetlinkSocket;

  private constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /** @throws TsnetError `host`. */
  static open(): L3Config {
    return new L3Config(NetlinkSocket.open(NETLINK_ROUTE));
  }

  [Symbol.dispose](): void {
    void this.#socket.close();
  }

  /** A link's configuration as it is now. An absent link has none. */
  async snapshot({ index, name }: LinkRef): Promise<L3Snapshot> {
    const hex = (payloads: readonly Buffer[]) => payloads.map((payload) => payload.toString("hex"));
    return {
      link: { index, name },
      addresses: hex(await this.addresses(index)),
      routes: hex((await this.routes()).filter((payload) => isOverLink(payload, index))),
      neighbours: hex((await this.neighbours(index)).filter(isPermanent)),
    };
  }

  /** What makes a snapshot of this link impossible to move, one phrase each: it names the link in a way of its own. */
  async hindrances({ index, name }: LinkRef): Promise<string[]> {
    const objects = (await this.routes())
      .filter((payload) => isOverLink(payload, index))
      .flatMap((payload) => nexthopObjectOf(payload) ?? []);
    const rules = (await this.#dump(RTM.GETRULE)).flatMap((payload) =>
      Object.entries(RULE_LINK).flatMap(([type, word]) => {
        const link = findAttribute(payload.subarray(ASKING_HEADER[RTM.GETRULE]), Number(type));
        return link !== undefined && textOf(link) === name ? [`a routing policy rule with ${word} ${name}`] : [];
      }),
    );
    return [...new Set([...rules, ...objects.map((id) => `a route over next hop object ${id}`)])];
  }

  /** RTM_NEWADDR payloads of one link. */
  async addresses(linkIndex: number): Promise<Buffer[]> {
    return (await this.#dump(RTM.GETADDR)).filter((payload) => linkOfAddress(payload) === linkIndex);
  }

  /** RTM_NEWROUTE payloads of all links and tables, but for those that the kernel keeps for itself. */
  async routes(): Promise<Buffer[]> {
    return this.#dump(RTM.GETROUTE, isConfigured);
  }

  /** RTM_NEWNEIGH payloads of one link, proxies included. */
  async neighbours(linkIndex: number): Promise<Buffer[]> {
    const entries: Buffer[] = [];
    for (const isProxy of [false, true]) {
      const request = { type: RTM.GETNEIGH, parts: neighbourSelection(linkIndex, isProxy) };
      const messages = await this.#socket.dump("list neighbours", request);
      entries.push(...messages.map(({ payload }) => payload));
    }
    return entries.filter((payload) => linkOfNeighbour(payload) === linkIndex);
  }

  /**
   * Which machines answer on a link, asked by the kernel itself: ARP or neighbour solicitation, first at the MAC address
   * that is known, then with a question to all. An entry that the administrator made cannot be asked: it counts as answer.
   *
   * @param deadlineMs - the kernel needs 3 s to give up one way of asking, unless it was set otherwise.
   */
  async answering(link: LinkRef, machines: readonly Address[], deadlineMs: number): Promise<Address[]> {
    const deadline = performance.now() + deadlineMs;
    const asked = new Map<string, "directly" | "everybody">();
    const answered = new Set<string>();
    let open = machines;
    while (open.length > 0) {
      const entries = new Map((await this.neighbours(link.index)).map((entry) => [neighbourKey(entry), entry]));
      const questions: Change[] = [];
      open = open.filter((machine) => {
        const key = gatewayKey(machine);
        const entry = entries.get(key);
        const state = entry === undefined ? NUD.FAILED : stateOf(entry);
        const before = asked.get(key);
        const isAnswer = before !== undefined && (state & NUD.REACHABLE) !== 0;
        if (isAnswer || (state & (NUD.PERMANENT | NUD.NOARP)) !== 0) {
          answered.add(key);
          return false;
        }
        const isOver = state === 0 || (state & (NUD.FAILED | NUD.STALE)) !== 0;
        if (before === "everybody" && isOver) return false;
        if (before === undefined || isOver) {
          const isKnown = before === undefined && state !== 0 && (state & (NUD.FAILED | NUD.INCOMPLETE)) === 0;
          asked.set(key, isKnown ? "directly" : "everybody");
          questions.push(this.#question(link, machine, isKnown ? entry : undefined));
        }
        return true;
      });
      const [refusal] = await changeInOrder(questions);
      if (refusal !== undefined && !isErrno(refusal.error, "EINVAL", "ENOENT")) throw refusal.error;
      if (performance.now() > deadline) break;
      if (open.length > 0) await new Promise((resolve) => setTimeout(resolve, ASK_INTERVAL_MS));
    }
    return machines.filter((machine) => answered.has(gatewayKey(machine)));
  }

  /**
   * Waits until a link that got a carrier really sends. The kernel does that behind the request that caused it, and drops
   * packets until then: dev_activate(), called by linkwatch_do_dev() in net/core/link_watch.c.
   *
   * @returns whether it does within the limit.
   */
  async becomesOperational(link: LinkRef, limitMs: number): Promise<boolean> {
    const deadline = performance.now() + limitMs;
    for (;;) {
      const request = { type: RTM.GETLINK, parts: [linkHeader(link.index)] };
      const [message] = await this.#socket.request(`look up link ${link.name}`, request);
      const state = message && findAttribute(message.payload.subarray(LINK_HEADER_LENGTH), IFLA_OPERSTATE);
      if (OPERATIONAL.includes(state?.readUInt8(0))) return true;
      if (performance.now() > deadline) return false;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  #question(link: LinkRef, machine: Address, known: Buffer | undefined): Change {
    const flags = known === undefined ? NLM_F.CREATE : 0;
    const parts = questionParts(machine, link.index, known);
    return { doing: `ask for a neighbour on link ${link.name}`, type: RTM.NEWNEIGH, flags, parts };
  }

  async #dump(
    type: keyof typeof ASKING_HEADER,
    isWanted: (payload: Buffer) => boolean = () => true,
  ): Promise<Buffer[]> {
    const payloads: Buffer[] = [];
    for (const family of FAMILIES) {
      const header = Buffer.alloc(ASKING_HEADER[type]);
      header.writeUInt8(family, 0);
      // A kernel without IPv6 answers for all families instead.
      const isOfFamily = ({ payload }: { payload: Buffer }) => payload.readUInt8(0) === family && isWanted(payload);
      try {
        const messages = await this.#socket.dump("read layer three", { type, parts: [header] }, isOfFamily);
        payloads.push(...messages.map(({ payload }) => payload));
      } catch (failure) {
        if (!isErrno(failure, "EOPNOTSUPP", "EAFNOSUPPORT")) throw failure;
      }
    }
    return payloads;
  }
}

/** The gateways of all routes of a snapshot over its link, each once. */
export function gatewaysOf({ link, routes }: L3Snapshot): Address[] {
  const gateways = routes.flatMap((hex) => gatewaysOver(Buffer.from(hex, "hex"), link.index));
  return [...new Map(gateways.map((gateway) => [gatewayKey(gateway), gateway])).values()];
}

/** @throws TsnetError `host` that lists what was refused, if anything was but for the given reasons. */
export async function changeAll(doing: string, changes: readonly Change[], ...absences: string[]): Promise<void> {
  const refusals = (await changeInOrder(changes)).filter(({ error }) => !isErrno(error, ...absences));
  if (refusals.length === 0) return;
  const texts = new Set(refusals.map(({ error }) => error.message));
  throw new TsnetError("host", `${doing}: ${[...texts].join("; ")}`, { cause: refusals[0]?.error });
}
