// An attachment: an endpoint that the operator's command made (`tsnet attach`), and not the engine. What is recorded of it is
// enough to make it again in the same place when its namespace comes back, as that of a container that is started anew.
import type { EndpointRef } from "./endpoint.ts";
import type { StaticRoute } from "./network.ts";

/** Whose network namespace the endpoint's link is in. */
export interface AttachmentOwner {
  /** `container`: comes back when it is started; `netns`: a file that stands for a namespace; `pid`: a process, which never comes back. */
  readonly kind: "container" | "netns" | "pid";
  /** The container's id, the file's path, the number of the process. */
  readonly id: string;
  /** As it was called when it was attached last; for people. */
  readonly name: string;
  /** Which engine a container is of, in that one's words; absent for others, and in records of an older tsnet. */
  readonly engine?: string;
}

/** What is recorded besides the endpoint. */
export interface Attachment {
  readonly owner: AttachmentOwner;
  /** Of the link in the namespace. */
  readonly ifName: string;
  readonly hasDefaultRoute: boolean;
  /** Besides those of the network. */
  readonly routes: readonly StaticRoute[];
  /** Whether it ends with the namespace, and is not made again. */
  readonly isOnce: boolean;
}

/** What the operator asks for. Of an endpoint that is there already, what is absent stays as it is. */
export interface Attach extends EndpointRef {
  readonly owner: AttachmentOwner;
  readonly ifName: string;
  /** Bare addresses; absent: one of the network's is chosen for each family that the network has. */
  readonly address?: string;
  readonly addressIpv6?: string;
  readonly mac?: string;
  /** As with `--driver-opt`. */
  readonly options: ReadonlyMap<string, string>;
  readonly hasDefaultRoute: boolean;
  /** `10.0.0.0/8 via 10.1.2.9`. */
  readonly routes: readonly string[];
  readonly isOnce: boolean;
  /** Whether it is for one that is attached: who was detached meanwhile stays so. */
  readonly isAgain: boolean;
  /** Whether the caller finds the link in no place where it should be: it is made anew. */
  readonly isLost: boolean;
}

/** What the caller has to do in the namespace, which tsnet has no right to. */
export interface Attached extends Pick<Attachment, "ifName"> {
  /** Whether it was attached before, and keeps what it has. */
  readonly wasAttached: boolean;
  /** The link that the caller moves into the namespace. */
  readonly linkName: string;
  /** Its other end, which stays on the host. */
  readonly hostLink: string;
  readonly mac: string;
  readonly mtu: number;
  /** With prefix length, IPv4 first. */
  readonly addresses: readonly string[];
  /** Bare addresses for default routes, as far as they were asked for. */
  readonly gateways: readonly string[];
  /** Without `via`: the destination is on the link. */
  readonly routes: readonly { readonly destination: string; readonly via?: string }[];
}

/** Puts namespaces on networks that Docker does not put there. Every method rejects with a TsnetError. */
export interface AttachmentDriver {
  /**
   * Makes port, address and record; a second call changes nothing.
   *
   * @param signal - aborts when nobody learns of the answer: what was made is undone.
   * @throws TsnetError `conflict` for an endpoint that is there with other properties than those asked for; `not-found` for one
   * that is to be attached again and is not attached.
   */
  attach(request: Attach, signal: AbortSignal): Promise<Attached>;
  /** @returns whether there was anything to detach. @throws TsnetError `conflict` for an endpoint of the engine's. */
  detach(ref: EndpointRef): Promise<boolean>;
}
