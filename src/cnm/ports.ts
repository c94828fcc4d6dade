// Published ports as the CNM verbs see them, and who really holds them on this host. Implemented in `nat/` and by the
// fake in the tests. The rules that translate packets to these ports are the firewall's business (`firewall.ts`).
import type { EndpointId } from "./endpoint.ts";

/** A transport whose ports can be published. */
export type PortProtocol = "tcp" | "udp" | "sctp";

/** What the user asked for: one PortBinding of the engine (`docker run -p`), checked. */
export interface PortBinding {
  readonly protocol: PortProtocol;
  /** 1 to 65535. */
  readonly containerPort: number;
  /** A bare address of this host; empty for all addresses of both families. */
  readonly hostAddress: string;
  /** 0 to 65535; 0: any free number. */
  readonly hostPort: number;
  /** The last number of a range whose first free one is wanted; `hostPort` for exactly that one. Without meaning if `hostPort` is 0. */
  readonly hostPortEnd: number;
}

/** What is published: numbers chosen. With `hostPortEnd` set to `hostPort` it is the binding that asks for the same again. */
export interface PublishedPort {
  readonly protocol: PortProtocol;
  /** 1 to 65535. */
  readonly containerPort: number;
  /** As in the binding: empty for all addresses of both families. */
  readonly hostAddress: string;
  /** 1 to 65535; for all addresses of both families the same number in both. */
  readonly hostPort: number;
}

/** Bare addresses of the endpoint to which a relay connects. Without any, ports are held and nothing is relayed. */
export interface RelayTarget {
  /** `10.1.2.3`. */
  readonly address?: string;
  /** `fd00::3`. */
  readonly addressIpv6?: string;
}

/** Reserves ports of this host, so that no other container and no program gets them, and relays what reaches them untranslated. */
export interface PortHolder {
  /**
   * Holds all of these ports or none. An endpoint that holds some already gets no further ones: release first.
   *
   * @returns what is held, in the order of the bindings.
   * @throws TsnetError `conflict` naming protocol, address and port, and who has it if that is known; `unsupported` when
   * this host has no such address, no such protocol, or tsnet no right to the port; `host` if the kernel refuses.
   */
  hold(
    endpointId: EndpointId,
    bindings: readonly PortBinding[],
    target: RelayTarget,
  ): Promise<readonly PublishedPort[]>;

  /** Frees the endpoint's ports and cuts what is relayed to it. Unknown is no failure. */
  release(endpointId: EndpointId): Promise<void>;

  /** What the endpoint holds now, in the order of its bindings; empty for an unknown one. */
  heldBy(endpointId: EndpointId): readonly PublishedPort[];
}
