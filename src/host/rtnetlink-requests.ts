// How rtnetlink is asked: the message types, and requests about one link, whose errors name it. What is asked is in the
// other `rtnetlink-*.ts`, the queue in `netlink-socket.ts`.
import { TsnetError } from "../errors.ts";
import { noteChange } from "./changes.ts";
import { NLM_F, type NetlinkMessage, isErrno, textAttribute, u32Attribute } from "./netlink.ts";
import { NETLINK_ROUTE, type NetlinkRequest, NetlinkSocket } from "./netlink-socket.ts";
import { IFLA, type Link, linkHeader, parseLink } from "./rtnetlink-link.ts";

/** Message types (include/uapi/linux/rtnetlink.h, RTM_*). */
export const RTM = {
  NEWLINK: 16,
  DELLINK: 17,
  GETLINK: 18,
  SETLINK: 19,
  NEWADDR: 20,
  DELADDR: 21,
  GETADDR: 22,
  GETROUTE: 26,
  NEWNEIGH: 28,
  DELNEIGH: 29,
  GETNEIGH: 30,
  GETVLAN: 114,
} as const;

/** Asks for the notification that a change causes (include/uapi/linux/netlink.h). */
const NLM_F_ECHO = 0x8;

/** Counters are a third of a link's description, and nobody here reads them. */
const WITHOUT_COUNTERS = u32Attribute(IFLA.EXT_MASK, 1 << 3); // RTEXT_FILTER_SKIP_STATS

/** A change of one link: what goes into the message, and the refusals that mean that there was nothing to do. */
export interface LinkRequest {
  /** What is being done, for the error message, in front of "link NAME". */
  readonly doing: string;
  readonly index: number;
  readonly type: number;
  readonly parts: readonly Buffer[];
  /** Errno names. */
  readonly successes?: readonly string[];
  readonly flags?: number;
}

/** Requests to the kernel's links in one network namespace. */
export class LinkRequests implements Disposable {
  readonly #socket: NetlinkSocket;

  /** Opens a socket in this thread's network namespace. @throws TsnetError `host`. */
  constructor() {
    this.#socket = NetlinkSocket.open(NETLINK_ROUTE);
  }

  [Symbol.dispose](): void {
    void this.#socket.close();
  }

  /** The description of the one link that the parts name. @returns undefined if there is none. */
  async get(doing: string, parts: readonly Buffer[]): Promise<Buffer | undefined> {
    return this.ask(doing, { type: RTM.GETLINK, parts: [...parts, WITHOUT_COUNTERS] }, ["ENODEV"]);
  }

  /** What the kernel answers to a question. @param absent - errno names that mean: nothing. @returns undefined for nothing. */
  async ask(doing: string, request: NetlinkRequest, absent: readonly string[]): Promise<Buffer | undefined> {
    const [message] = await instead<NetlinkMessage[]>([], absent, this.#socket.request(doing, request));
    return message?.payload;
  }

  /** The link of that name, or undefined. A link that has the name only as an alternative name does not count. */
  async find(name: string): Promise<Link | undefined> {
    const payload = await this.get(`look up link ${name}`, [linkHeader(0), textAttribute(IFLA.IFNAME, name)]);
    const link = payload && parseLink(payload);
    return link?.name === name ? link : undefined;
  }

  /** The link of that name. @throws TsnetError `host` with errno ENODEV if there is none. */
  async require(name: string): Promise<Link> {
    const link = await this.find(name);
    if (link) return link;
    throw new TsnetError("host", `link ${name} does not exist`, { cause: { errno: "ENODEV" } });
  }

  /** All links, ordered by nothing in particular. */
  async list(): Promise<Link[]> {
    const parts = [linkHeader(0), WITHOUT_COUNTERS];
    const messages = await this.#socket.dump("list links", { type: RTM.GETLINK, parts });
    return messages.map(({ payload }) => parseLink(payload));
  }

  /** Makes a link. @returns its index. */
  async add(doing: string, name: string, parts: readonly Buffer[]): Promise<number> {
    const flags = NLM_F.CREATE | NLM_F.EXCL | NLM_F_ECHO;
    const [made] = await this.#socket.request(doing, { type: RTM.NEWLINK, flags, parts });
    noteChange();
    return (made ? parseLink(made.payload) : await this.require(name)).index; // before Linux 6.2 nothing is echoed
  }

  /** Asks for a link to be made in a way that no kernel does. @returns the errno name of the refusal. */
  async refusal(doing: string, parts: readonly Buffer[], expected: readonly string[]): Promise<string> {
    const request = { type: RTM.NEWLINK, flags: NLM_F.CREATE | NLM_F.EXCL, parts };
    try {
      await this.#socket.request(doing, request);
    } catch (failure) {
      const errno = expected.find((name) => isErrno(failure, name));
      if (errno !== undefined) return errno;
      throw failure;
    }
    throw new TsnetError("internal", `${doing}: the kernel made a link that it had to refuse`);
  }

  /** Changes one link, which an error names by its name as long as it has one. */
  async change({ doing, index, successes = [], ...request }: LinkRequest): Promise<void> {
    const isChanged = this.#socket.request(this.naming(doing, index), request).then(() => true);
    const replaces = ((request.flags ?? 0) & NLM_F.REPLACE) !== 0; // then nobody learns whether it was so before
    if ((await instead(false, successes, isChanged)) && !replaces) noteChange();
  }

  /** Lists, and takes the given refusals for an empty list. */
  async dump(
    doing: Parameters<NetlinkSocket["dump"]>[0],
    request: NetlinkRequest,
    empties: readonly string[] = [],
  ): Promise<Buffer[]> {
    const messages = await instead<NetlinkMessage[]>([], empties, this.#socket.dump(doing, request));
    return messages.map(({ payload }) => payload);
  }

  /** What is being done with a link, by its name, asked for only when it failed. */
  naming(doing: string, index: number): () => Promise<string> {
    return async () => {
      const payload = await this.get(`look up link ${index}`, [linkHeader(index)]).catch(() => undefined);
      return `${doing} link ${payload ? parseLink(payload).name : `with index ${index}`}`;
    };
  }
}

/** The result, or `value` if the kernel refused with one of these reasons. */
async function instead<T>(value: T, reasons: readonly string[], result: Promise<T>): Promise<T> {
  try {
    return await result;
  } catch (failure) {
    if (isErrno(failure, ...reasons)) return value;
    throw failure;
  }
}
