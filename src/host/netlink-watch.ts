// Notices that somebody changed links, addresses or nftables on this host: two netlink sockets that listen to multicast
// groups and are emptied by a timer. What changed is not told, only that it is worth looking: a lost notification
// (ENOBUFS) then needs no treatment of its own. Follows netlink(7), rtnetlink(7), include/uapi/linux/nfnetlink.h.
import { closeSocket, receiveNow } from "./libc.ts";
import { NETLINK_NETFILTER, NETLINK_ROUTE, openNetlink } from "./netlink-socket.ts";

/** RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR (include/uapi/linux/rtnetlink.h). */
const LINK_GROUPS = 0x1 | 0x10 | 0x100;

/** NFNLGRP_NFTABLES is group 7: tables, chains, rules, sets. Changes by iptables-legacy are not announced anywhere. */
const NFTABLES_GROUPS = 1 << (7 - 1);

/** So that a storm of notifications cannot hold the event loop; the rest waits for the next turn of the timer. */
const DRAIN_LIMIT = 1000;

/** What changed: links and their addresses, or nftables. */
export type WatchedKind = "links" | "firewall";

/** Watches the network namespace in which it was opened. Our own changes are noticed too. */
export class NetlinkWatch implements Disposable {
  readonly #sockets: { readonly kind: WatchedKind; readonly fd: number }[];
  readonly #timer: NodeJS.Timeout;
  readonly #buffer = Buffer.allocUnsafeSlow(8192); // the content is not read: what does not fit is a change as well

  private constructor(links: number, firewall: number, intervalMs: number, onChange: (kind: WatchedKind) => void) {
    this.#sockets = [
      { kind: "links", fd: links },
      { kind: "firewall", fd: firewall },
    ];
    this.#timer = setInterval(() => this.#look(onChange), intervalMs).unref();
  }

  /**
   * Begins to watch. The timer does not keep the process alive.
   *
   * @param onChange - called at most once per interval and kind; must not throw.
   * @throws TsnetError `host`, EPERM without CAP_NET_ADMIN.
   */
  static open(intervalMs: number, onChange: (kind: WatchedKind) => void): NetlinkWatch {
    const links = openNetlink(NETLINK_ROUTE, LINK_GROUPS);
    try {
      return new NetlinkWatch(links, openNetlink(NETLINK_NETFILTER, NFTABLES_GROUPS), intervalMs, onChange);
    } catch (failure) {
      closeSocket(links);
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

  #look(onChange: (kind: WatchedKind) => void): void {
    const changed = this.#sockets.filter(({ fd }) => this.#drain(fd)).map(({ kind }) => kind);
    for (const kind of changed) onChange(kind);
  }

  /** @returns whether anything was there. */
  #drain(fd: number): boolean {
    for (let received = 0; received < DRAIN_LIMIT; received++) {
      try {
        if (receiveNow(fd, this.#buffer) === undefined) return received > 0;
      } catch {
        // ENOBUFS: notifications were lost. To look again is right after any failure.
      }
    }
    return true;
  }
}
