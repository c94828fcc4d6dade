// What the relays of all protocols share: a relay is the socket that holds a port of this host, and carries on to the
// container whatever reaches that socket, which is what the rules did not translate: connections to 127.0.0.1 and [::1],
// those of the other address family, those between endpoints of a network with icc=false.
//
// The gate says whom relays serve and how many at a time, all relays together: every connection and every UDP client
// takes a descriptor or two of the daemon, which needs some for itself.
import { isIPv6 } from "node:net";
import { type Address, contains, formatAddress, parseAddress, parseSubnet } from "../cidr.ts";
import type { PortProtocol, RelayTarget } from "../cnm/ports.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";

/** RFC 3927, RFC 4291 section 2.5.6: addresses that anyone on the link may take. */
const LINK_LOCAL = ["169.254.0.0/16", "fe80::/10"].map(parseSubnet);

/** RFC 4291 section 2.5.5.2: `::ffff:192.0.2.1`. */
const IPV4_MAPPED = parseSubnet("::ffff:0:0/96");

/** What a relay is to hold, and where it leads. */
export interface RelayPlan {
  /** A bare address of this host; `0.0.0.0` or `::` for all addresses of that family, and of that family only. */
  readonly address: string;
  /** 0: the kernel chooses. */
  readonly hostPort: number;
  readonly containerPort: number;
  readonly target: RelayTarget;
}

/** A port of this host that is held. */
export interface Relay {
  readonly protocol: PortProtocol;
  readonly address: string;
  readonly hostPort: number;
  /** Frees the port and cuts what is relayed; done once, however often it is asked for. */
  close(): Promise<void>;
}

/** Opens a relay. @throws what Node.js or `host/` say when the kernel refuses; `port-errors.ts` understands both. */
export type ListenRelay = (plan: RelayPlan, gate: RelayGate) => Promise<Relay>;

/** How much relays do at most. */
export interface RelayLimits {
  /** Connections, or UDP clients, at a time of one held socket. */
  readonly perSocket: number;
  /** The same of all held sockets together. */
  readonly total: number;
  /** How long the container may take to accept a connection. */
  readonly connectMs: number;
  /** How long a UDP client that neither sends nor gets anything is remembered. */
  readonly idleMs: number;
}

/** The limits of the daemon. */
export const RELAY_LIMITS: RelayLimits = { perSocket: 1024, total: 4096, connectMs: 10_000, idleMs: 90_000 };

/** What relays ask before they serve anyone. */
export interface RelayRules {
  /** @param address - bare, canonical; an IPv4 client of an IPv6 socket comes as IPv4. */
  readonly isRefused: (address: string) => boolean;
  readonly log: Log;
  readonly limits?: Partial<RelayLimits>;
}

/** Whom relays serve and how many. One for all relays of a daemon. */
export class RelayGate {
  readonly limits: RelayLimits;
  readonly log: Log;
  readonly #isRefused: (address: string) => boolean;
  #served = 0;

  constructor({ isRefused, log, limits }: RelayRules) {
    this.limits = { ...RELAY_LIMITS, ...limits };
    this.log = log;
    this.#isRefused = isRefused;
  }

  /** Whether a source is to be served. Link-local ones and those whose address is not known never are. */
  admits(remoteAddress: string | undefined): boolean {
    try {
      const [bare = ""] = (remoteAddress ?? "").split("%", 1);
      const address = unmapped(parseAddress(bare));
      return !LINK_LOCAL.some((subnet) => contains(subnet, address)) && !this.#isRefused(formatAddress(address));
    } catch (failure) {
      if (remoteAddress !== undefined) this.log.error({ remoteAddress, error: messageOf(failure) }, "relay source");
      return false;
    }
  }

  /** Takes a place for one more connection or client. @returns false when all are taken. */
  enter(): boolean {
    if (this.#served >= this.limits.total) return false;
    this.#served += 1;
    return true;
  }

  /** Gives back a place that `enter` took. */
  leave(): void {
    this.#served -= 1;
  }
}

/** The container's end of a relay. */
export interface Destination {
  readonly host: string;
  readonly port: number;
}

/** Where a relay leads: to the container's address of the same family as the held one, else to its other one. */
export function destinationOf({ address, containerPort, target }: RelayPlan): Destination | undefined {
  const preferred = isIPv6(address) ? target.addressIpv6 : target.address;
  const host = preferred ?? target.address ?? target.addressIpv6;
  return host === undefined ? undefined : { host, port: containerPort };
}

function unmapped(address: Address): Address {
  return contains(IPV4_MAPPED, address) ? { family: 4, value: address.value & 0xffff_ffffn } : address;
}
