// Notices that somebody changed links, addresses, forwarding or nftables on this host: netlink sockets that listen to
// multicast groups and are emptied by a timer. Of what changed no more is told than the names of the links: where
// notifications were lost (ENOBUFS) not even those, and everything is worth looking at. Follows netlink(7), rtnetlink(7), include/uapi/linux/nfnetlink.h.
import { closeSocket, receiveNow } from "./libc.ts";
import { findAttribute, parseAttributes, textOf } from "./netlink.ts";
import { NETLINK_NETFILTER, NETLINK_ROUTE, openNetlink } from "./netlink-socket.ts";
import { IFLA, LINK_HEADER_LENGTH } from "./rtnetlink-link.ts";
import { RTM } from "./rtnetlink-requests.ts";

/** RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR (include/uapi/linux/rtnetlink.h). */
const LINK_GROUPS = 0x1 | 0x10 | 0x100;

/** RTNLGRP_IPV4_NETCONF and RTNLGRP_IPV6_NETCONF, groups 24 and 25: forwarding was switched, or a link came. */
const FORWARDING_GROUPS = (1 << (24 - 1)) | (1 << (25 - 1));

/** NFNLGRP_NFTABLES is group 7: tables, chains, rules, sets. Changes by iptables-legacy are not announced anywhere. */
const NFTABLES_GROUPS = 1 << (7 - 1);

/** A `struct nlmsghdr`, in which the port of who made the change stands last. */
const HEADER_LENGTH = 16;
const HEADER_PORT = 12;

/** A `struct netconfmsg` padded; attribute and value that say "all links" (include/uapi/linux/netconf.h). */
const NETCONF_HEADER_LENGTH = 4;
const NETCONFA_IFINDEX = 1;
const NETCONFA_IFINDEX_ALL = -1;

/** So that a storm of notifications cannot hold the event loop; the rest waits for the next turn of the timer. */
const DRAIN_LIMIT = 1000;

/** Where the type of a message stands in its header, and the types that are about links. */
const HEADER_TYPE = 4;
const LINK_TYPES: readonly number[] = [RTM.NEWLINK, RTM.DELLINK];

/** What changed: links and their addresses, or what the firewall rests on, nftables and forwarding. */
export type WatchedKind = "links" | "firewall";

/** The names of the links that changed; empty for one of which only an address is known to have changed. */
export type ChangedNames = ReadonlySet<string>;

interface WatchedSocket {
  readonly kind: WatchedKind;
  readonly fd: number;
  /** Whether a notification, a whole netlink message, is worth looking at the host. */
  readonly isOfInterest: (message: Buffer) => boolean;
}

type OnChange = (kind: WatchedKind, names?: ChangedNames) => void;

/** Watches the network namespace in which it was opened. */
export class NetlinkWatch implements Disposable {
  readonly #sockets: WatchedSocket[];
  readonly #timer: NodeJS.Timeout;
  readonly #buffer = Buffer.allocUnsafeSlow(32_768); // what does not fit is a change as well

  private constructor(sockets: WatchedSocket[], intervalMs: number, onChange: OnChange) {
    this.#sockets = sockets;
    this.#timer = setInterval(() => this.#look(onChange), intervalMs).unref();
  }

  /**
   * Begins to watch. The timer does not keep the process alive.
   *
   * @param onChange - called at most once per interval and kind; must not throw. `names` is absent if notifications were lost.
   * @param options.ownPort - gives the netlink port whose changes of nftables are our own and no news.
   * @throws TsnetError `host`, EPERM without CAP_NET_ADMIN.
   */
  static open(
    intervalMs: number,
    onChange: OnChange,
    { ownPort }: { readonly ownPort?: () => number } = {},
  ): NetlinkWatch {
    const isForeign = (message: Buffer) => message.readUInt32LE(HEADER_PORT) !== ownPort?.();
    const wanted = [
      { kind: "links", protocol: NETLINK_ROUTE, groups: LINK_GROUPS, isOfInterest: () => true },
      { kind: "firewall", protocol: NETLINK_ROUTE, groups: FORWARDING_GROUPS, isOfInterest: isAboutAllLinks },
      { kind: "firewall", protocol: NETLINK_NETFILTER, groups: NFTABLES_GROUPS, isOfInterest: isForeign },
    ] as const;
    const sockets: WatchedSocket[] = [];
    try {
      for (const { protocol, groups, ...watched } of wanted) {
        sockets.push({ ...watched, fd: openNetlink(protocol, groups) });
      }
      return new NetlinkWatch(sockets, intervalMs, onChange);
    } catch (failure) {
      for (const { fd } of sockets) closeSocket(fd);
      throw failure;
    }
  }

  /** Ends watching. A second call does nothing. */
  close(): void {
    clearInterval(this.#timer);
    for (const { fd } of this.#sockets.splice(0)) closeSocket(fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #look(onChange: OnChange): void {
    const changed = new Map<WatchedKind, Set<string> | undefined>();
    for (const socket of this.#sockets) {
      const names = this.#drain(socket);
      if (names?.size === 0) continue;
      const others = changed.has(socket.kind) ? changed.get(socket.kind) : new Set<string>();
      changed.set(socket.kind, names && others && new Set([...others, ...names]));
    }
    for (const [kind, names] of changed) onChange(kind, names);
  }

  /** @returns the names of what was there of interest, undefined if that cannot be told. */
  #drain({ fd, isOfInterest }: WatchedSocket): Set<string> | undefined {
    const names = new Set<string>();
    let isComplete = true;
    for (let received = 0; received < DRAIN_LIMIT; received++) {
      try {
        const length = receiveNow(fd, this.#buffer);
        if (length === undefined) return isComplete ? names : undefined;
        for (const message of messagesIn(this.#buffer.subarray(0, length)).filter(isOfInterest))
          names.add(nameIn(message));
      } catch {
        isComplete = false; // ENOBUFS: notifications were lost. To look again is right after any failure.
      }
    }
    return undefined;
  }
}

/** The name of the link that a notification is about, empty if it names none. */
function nameIn(message: Buffer): string {
  if (!LINK_TYPES.includes(message.readUInt16LE(HEADER_TYPE))) return "";
  return textOf(findAttribute(message.subarray(HEADER_LENGTH + LINK_HEADER_LENGTH), IFLA.IFNAME) ?? Buffer.alloc(0));
}

/** Forwarding of all links: of single ones it is told whenever a link comes, and it follows. */
function isAboutAllLinks(message: Buffer): boolean {
  const attributes = parseAttributes(message.subarray(HEADER_LENGTH + NETCONF_HEADER_LENGTH));
  return attributes.get(NETCONFA_IFINDEX)?.readInt32LE() === NETCONFA_IFINDEX_ALL;
}

/** The messages of a datagram with their headers. What is malformed is one message. */
function messagesIn(datagram: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  for (let at = 0; at + HEADER_LENGTH <= datagram.length;) {
    const length = Math.max(datagram.readUInt32LE(at), HEADER_LENGTH);
    messages.push(datagram.subarray(at, at + length));
    at += (length + 3) & ~3;
  }
  return messages;
}
