// The packet whose way is explained, as rules see it: the first one of a connection.
import type { Family } from "../../cidr.ts";

/** Protocols that can be asked for; without a port it is a ping. */
export type Protocol = "tcp" | "udp" | "sctp" | "icmp" | "ipv6-icmp";

/** A port that clients get from the kernel. */
export const CLIENT_PORT = 40_000;

/** One packet at one place of its way. */
export interface Packet {
  readonly family: Family;
  readonly protocol: Protocol;
  /** Bare addresses; the source "" while the host has not chosen one. */
  readonly source: string;
  readonly destination: string;
  /** The destination's; absent for a ping. */
  readonly port?: number;
  readonly sourceMac?: string;
  /** The link of the host by which it came; absent for what the host itself sends. */
  readonly inLink?: string;
  /** The one by which it leaves, once that is known. */
  readonly outLink?: string;
  /** The kernel's mark on it, which rules set and read. */
  readonly mark: number;
  /** Whether its destination was translated. */
  readonly isTranslated: boolean;
}

/** `port 80/tcp`, `ping`. */
export function sayWhat({ protocol, port }: Pick<Packet, "protocol" | "port">): string {
  return port === undefined ? "ping" : `port ${port}/${protocol}`;
}
