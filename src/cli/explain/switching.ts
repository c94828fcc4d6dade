// The switches of the host as explain sees them: forwarding tables and VLANs of bridges, ports of Open vSwitch. Plain data.

/** An entry of a bridge's forwarding table. */
export interface FdbEntry {
  readonly mac: string;
  /** The port behind which it is. */
  readonly link: string;
  readonly master?: string;
  /** Of a tunnel: the host to which frames go. */
  readonly remote?: string;
  readonly vlan?: number;
  /** `static` and `permanent` are not learned; "" is. */
  readonly state: string;
}

/** A VLAN of a bridge's port. */
export interface PortVlan {
  readonly first: number;
  readonly last: number;
  /** Untagged frames are in it. */
  readonly isPvid: boolean;
}

/** A port of Open vSwitch. */
export interface OvsPort {
  readonly name: string;
  readonly bridge: string;
  /** Whether its bridge forwards in userspace. */
  readonly isUserspace: boolean;
  /** VLAN of its untagged frames. */
  readonly tag?: number;
  /** Of a tunnel: `vxlan`, `gre`, `geneve`; else "", `internal`, … */
  readonly kind: string;
  /** Far ends of a tunnel. */
  readonly remotes: readonly string[];
}

/** All switches. */
export interface Switching {
  readonly fdb: readonly FdbEntry[];
  /** By port. */
  readonly vlans: ReadonlyMap<string, readonly PortVlan[]>;
  /** Why there is none in place of the ports; absent where no network needs Open vSwitch. */
  readonly ovs?: readonly OvsPort[] | string;
}
