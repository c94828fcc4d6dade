// What tsnet knows of one network after `CreateNetwork` was planned: plain data, stored as it stands as a record.
import type { PortVlans } from "../vlan.ts";

/** 64 hex digits, or 25 lower-case letters and digits for a swarm network. Checked where it comes in (`api/`). */
export type NetworkId = string & { readonly __brand: "NetworkId" };

/** Name of a network link: at most 15 characters, checked or made in `names.ts`. */
export type IfName = string & { readonly __brand: "IfName" };

/** See README, "Modes". */
export type NetworkMode = "nat" | "routed" | "l2" | "isolated";

/** Which kind of switch. */
export type Backend = "bridge" | "ovs";

/** Where an Open vSwitch switch forwards: `auto` is the kernel where that can, else userspace. */
export type DatapathType = "auto" | "kernel" | "userspace";

/** What a user may set of a switch that tsnet makes; absent: as the switch has it. Named as the options are; seconds. */
export interface SwitchSettings {
  /** IEEE 802.1D spanning tree. */
  readonly stp?: boolean;
  /** Of the switch; the lowest one becomes the root. */
  readonly "stp-priority"?: number;
  readonly "stp-forward-delay"?: number;
  readonly "stp-hello"?: number;
  readonly "stp-max-age"?: number;
  /** Of the uplink's port. */
  readonly "stp-cost"?: number;
  /** Of the uplink's port. */
  readonly "stp-port-priority"?: number;
  /** How long an address that was learned is kept. */
  readonly ageing?: number;
  /** Multicast goes to those only who asked for it (IGMP, MLD). */
  readonly "mcast-snooping"?: boolean;
  /** Frames may leave by the port by which they came. */
  readonly hairpin?: boolean;
}

/** A link of the host that leads from a switch to the world. */
export interface Uplink {
  readonly parent: IfName;
  /** Whether the addresses that the host has on it go to the switch. */
  readonly isAddressMoved: boolean;
}

/** How frames pass from host to host: RFC 7348, RFC 2784 with RFC 2890, RFC 8926. */
export type TunnelKind = "vxlan" | "gre" | "geneve";

/** Joins a switch with those of other hosts, each with each. */
export interface Tunnel {
  readonly kind: TunnelKind;
  /** The network's number on the wire; of GRE the key, absent for none. */
  readonly vni?: number;
  /** UDP; absent for GRE. */
  readonly port?: number;
  /** Bare address of this host. */
  readonly local: string;
  /** Bare addresses of the other hosts, of the same family as `local`, each once; none while this host is alone. */
  readonly peers: readonly string[];
}

/** A tunnel as it was asked for: this host's own address may be among the peers. */
export interface RequestedTunnel extends Omit<Tunnel, "local"> {
  readonly local?: string;
}

/** What a user asked for of that which depends on the place; absent: left to tsnet. Named as the options are. */
export interface RequestedPlace {
  readonly tunnel?: RequestedTunnel;
  readonly bridge?: IfName;
  readonly datapath?: DatapathType;
  /** Bytes. */
  readonly mtu?: number;
}

/** One subnet of a network, in canonical text. */
export interface NetworkPool {
  /** `10.1.2.0/24`. */
  readonly subnet: string;
  /** Bare address: the host's own in modes nat and routed, the physical router's in mode l2; absent if there is none. */
  readonly gateway?: string;
}

/** A route that every endpoint gets besides the connected ones. */
export interface StaticRoute {
  /** `10.0.0.0/8`. */
  readonly destination: string;
  /** Bare address inside one of the network's subnets. */
  readonly via: string;
}

/** One network. */
export interface Network {
  readonly id: NetworkId;
  readonly mode: NetworkMode;
  /** Docker's `--internal`: the host is reachable, nothing is forwarded. */
  readonly isInternal: boolean;
  /** Whether the host has the gateway addresses on the switch: modes nat and routed. */
  readonly isHostOnSwitch: boolean;
  readonly backend: Backend;
  /** A repeated `CreateNetwork` is told from another one by it. */
  readonly requested: RequestedPlace;
  /** Of an Open vSwitch switch that tsnet makes. */
  readonly datapathType: DatapathType;
  readonly switchName: IfName;
  /**
   * The host's link into the network: with the gateway addresses where the host has them, else perhaps not there. The
   * bridge itself; with VLANs, and on Open vSwitch, a link for each VLAN of the switch that needs one.
   */
  readonly hostLink: IfName;
  /** The host's link for the untagged frames of the switch, as `hostLink` has it: gets the addresses of a moved uplink. */
  readonly untaggedLink: IfName;
  /** Of the network's endpoints, as far as an endpoint has no VLANs of its own. The host is in the one named `vlan`. */
  readonly vlans: PortVlans;
  /** Whether another network of the switch may have the same VLANs, if that says so too. */
  readonly isVlanShared: boolean;
  /** Carries the network's VLANs, or its untagged frames if it has none. */
  readonly uplink?: Uplink;
  /** Carries what an endpoint of the network has: `vlan` untagged, `trunk` tagged. A network has an uplink, a tunnel or neither. */
  readonly tunnel?: Tunnel;
  readonly switchSettings: SwitchSettings;
  /** False for a switch that existed before: it is used and never deleted. */
  readonly isSwitchOurs: boolean;
  /** The MAC address of a switch that tsnet makes. */
  readonly switchMac: string;
  /** Gateway addresses, bare, that were on the switch before this network: they stay there after it. */
  readonly keptAddresses: readonly string[];
  /** Bytes, 68 to 65535. */
  readonly mtu: number;
  readonly isMasqueraded: boolean;
  /** False with `icc=false`: its endpoints reach the host and what is beyond it, and one another by published ports only. */
  readonly isIccAllowed: boolean;
  /** Option `antispoof`: an endpoint sends only from its own MAC and addresses. */
  readonly isGuarded: boolean;
  /** Bare address on which published ports listen when the user names none; absent for all addresses. */
  readonly hostBinding?: string;
  /** False with `gateway=none`: endpoints get no default route. */
  readonly hasDefaultRoute: boolean;
  readonly hasIpv6: boolean;
  /** Start of the interface's name inside the container; the engine appends a number. */
  readonly ifPrefix: string;
  readonly routes: readonly StaticRoute[];
  /** Of the IPAM driver that gave the pools. */
  readonly addressSpace: string;
  readonly pools: readonly NetworkPool[];
  /** By subnet, the pool of tsnet's own IPAM: pools of several segments may have the subnet. Without those that are not known. */
  readonly poolIds?: Readonly<Record<string, string>>;
  /** Bare addresses of `--aux-address`, which no endpoint gets; absent where it was not recorded. */
  readonly auxAddresses?: readonly string[];
  /** As it was asked for when it was created, of a network that was changed since: the engine's words stay the same. */
  readonly created?: CreatedNetwork;
}

/** What `placement.ts` finds on the host: the switch, and what follows from it. */
export type NetworkPlace = Pick<
  Network,
  "switchName" | "hostLink" | "untaggedLink" | "isSwitchOurs" | "keptAddresses" | "mtu" | "datapathType" | "tunnel"
>;

/** A network as it was asked for, before it has a place. */
export type PlannedNetwork = Omit<Network, keyof NetworkPlace | "created">;

/** What tells a repeated `CreateNetwork` from another one. */
export type CreatedNetwork = Omit<PlannedNetwork, "auxAddresses">;
