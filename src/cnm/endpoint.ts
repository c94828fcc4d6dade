// What tsnet knows of one endpoint, a container's place on a network: plain data, stored as it stands as a record.
import type { PortVlans } from "../vlan.ts";
import type { IfName, NetworkId } from "./network.ts";

/** 64 hex digits. Checked where it comes in (`api/`). */
export type EndpointId = string & { readonly __brand: "EndpointId" };

/** Both ids, as most verbs carry them. */
export interface EndpointRef {
  readonly networkId: NetworkId;
  readonly endpointId: EndpointId;
}

/** One endpoint. */
export interface Endpoint extends EndpointRef {
  /** `10.1.2.3/24`; absent without IPv4. */
  readonly address?: string;
  /** `fd00::3/64`; absent without IPv6. */
  readonly addressIpv6?: string;
  /**
   * The addresses that the engine gave it and believes it to have, of the families in which it was given another one since.
   * They stay in use in IPAM until the engine gives them back; the other ones go when the endpoint goes.
   */
  readonly given?: Pick<Endpoint, "address" | "addressIpv6">;
  /** `02:42:0a:01:02:03`. */
  readonly mac: string;
  /** The network's, or some of them. */
  readonly vlans: PortVlans;
  /** Bytes, 68 to the network's. */
  readonly mtu: number;
  /** The end of the veth pair that stays on the host, a port of the switch. */
  readonly hostIfName: IfName;
  /** The end that the engine moves into the sandbox. */
  readonly sandboxIfName: IfName;
}
