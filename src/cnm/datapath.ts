// The switch as the CNM verbs need it. Implemented by `datapath/bridge/`, `datapath/ovs/` and by the fake in the tests; all
// pass `test/contract/datapath.ts`.
import type { Endpoint } from "./endpoint.ts";
import type { Backend, IfName, Network, SwitchSettings } from "./network.ts";

/** What is found under the name of a switch. */
export type FoundSwitch =
  | { readonly state: "absent" }
  /** Carries our mark; `networkId` is the network for which it was made. */
  | { readonly state: "ours"; readonly networkId: string }
  /** Somebody else's switch of the right kind: it can be used, and is never deleted. */
  | { readonly state: "foreign"; readonly addresses: readonly string[] };

/** What carries tsnet's mark on this host. */
export interface Inventory {
  readonly switches: readonly { readonly networkId: string; readonly ifName: IfName }[];
  readonly ports: readonly { readonly endpointId: string; readonly ifName: IfName }[];
}

/** How packets to one address leave this host. */
export interface HostRoute {
  /** Bare address of this host from which they come, if nothing else says one. */
  readonly source: string;
  /** The largest packet that leaves by that link on that way, in bytes. */
  readonly mtu: number;
  /** Name of the link by which they leave; of an address of this host's own, the link that has it. */
  readonly link: string;
  readonly isOwn: boolean;
}

/** The links of this host, whatever they belong to, and where they lead. */
export interface HostLinks {
  /** Whether any link has that name. */
  isNameTaken(name: IfName): Promise<boolean>;

  /** The names of all links. */
  names(): Promise<ReadonlySet<string>>;

  /** The names of those whose other end is in another namespace, as that of a container's link is. */
  namesAway(): Promise<ReadonlySet<string>>;

  /** Bytes. @returns undefined for a link that does not exist. */
  mtuOf(name: IfName): Promise<number | undefined>;

  /** @param address - bare. @returns undefined if there is no way to it. */
  routeTo(address: string): Promise<HostRoute | undefined>;
}

/** What a switch has of some settings; `null`: nothing of its own, so that its default holds. Absent: it does not say. */
export type PresentSettings = { readonly [Key in keyof SwitchSettings]?: SwitchSettings[Key] | null };

/** Each kind of switch. */
export type Datapaths = { readonly [B in Backend]: Datapath };

/** A software switch on this host. Any call may come twice; the second identical one changes nothing. */
export interface Datapath {
  readonly kind: Backend;

  /** Changes nothing. @throws TsnetError `conflict` if a link of that name is no switch of this kind. */
  inspectSwitch(name: IfName): Promise<FoundSwitch>;

  /**
   * Looks whether this host and the switch can do what the network asks for, and whether its uplink is free, and changes
   * nothing.
   *
   * @param others - the other networks on the same switch.
   * @throws TsnetError `unsupported`, `conflict`, `not-found` with what is missing or in the way, and the way out.
   */
  check(network: Network, others: readonly Network[]): Promise<void>;

  /**
   * Makes the switch with its settings, its uplink, which carries exactly the VLANs of the networks that use it, the
   * network's tunnel, and the host's link into the network's VLAN with the host's addresses. What comes by one peer of a
   * tunnel goes to no other; between a tunnel and the host itself nothing passes.
   *
   * @param others - the other networks on the same switch.
   * @returns whether anything had to be changed.
   * @throws TsnetError `host`, `conflict` for a foreign link, `unavailable` while Open vSwitch is away.
   */
  ensureNetwork(network: Network, others: readonly Network[]): Promise<boolean>;

  /** What the switch and its uplink have now of the settings that the network names. Changes nothing. */
  readSettings(network: Network): Promise<PresentSettings>;

  /** Gives the switch and its uplink back what was read of them. Absent parts are no failure. */
  restoreSettings(network: Network, settings: PresentSettings): Promise<void>;

  /**
   * Takes the network's addresses from the switch, and what no other network needs: the host's link, the uplink with what
   * was moved from it, and the switch if it is tsnet's. Absent parts are no failure. Parts that do not carry our mark are
   * left alone.
   *
   * @param others - the other networks on the same switch.
   */
  removeNetwork(network: Network, others: readonly Network[]): Promise<void>;

  /**
   * Removes a switch that carries our mark for that network, for when its record was lost. Absent is no failure.
   *
   * @param inUse - switches of other networks: one of them may have been made for that network and outlived it. One with
   * ports of endpoints is in use as well, by a network that is not known.
   * @throws TsnetError `unavailable`, at once, while switches of this kind cannot be asked for.
   */
  removeStraySwitch(networkId: string, inUse: ReadonlySet<IfName>): Promise<void>;

  /**
   * Makes the endpoint's port in the endpoint's VLANs: there is no moment in which it carries others. Ports of a network
   * without `isIccAllowed` exchange no frames with one another. Into ports of a guarded network come frames from the
   * endpoint's own MAC only, and out of them go no frames for another one; that holds from the first frame on.
   *
   * @param others - the other networks on the same switch, for when the switch has gone and is made again.
   * @returns the link that libnetwork shall move into the sandbox.
   * @throws TsnetError `conflict` if the endpoint's MAC is the switch's own, `exhausted` if the switch has no port left.
   */
  attach(network: Network, endpoint: Endpoint, others: readonly Network[]): Promise<IfName>;

  /**
   * Puts a port that exists back into its switch, and back to how `attach` made it: as after the switch was lost, or after
   * somebody changed the port. An absent port is no failure. The switch is there: `ensureNetwork` came first.
   *
   * @param isHairpin - see `ensureHairpin`, which it spares; absent: a port that needs nothing else is left as it is.
   * @returns whether anything had to be changed; that a MAC address was no longer behind the port is not noticed.
   */
  reattach(network: Network, endpoint: Endpoint, isHairpin?: boolean): Promise<boolean>;

  /**
   * Lets frames leave by the port by which they came, or not: what an endpoint sends to its own published port comes back
   * to it by then. Switches that never do it, and need not, leave it. A port that is put back into its switch has lost
   * it. An absent port is no failure; a link without our mark for the endpoint is left alone.
   */
  ensureHairpin(endpoint: Pick<Endpoint, "endpointId" | "hostIfName">, isOn: boolean): Promise<void>;

  /**
   * Tells the other hosts of the network's tunnel that the endpoint is here: whoever learned its MAC elsewhere, or has its
   * address with another MAC, learns anew. Nothing waits for it: a tunnel that is not up now carries nothing. Without a
   * tunnel nothing is sent.
   *
   * @throws TsnetError `host`, `unavailable`.
   */
  announce(network: Network, endpoint: Endpoint): Promise<void>;

  /**
   * Deletes the endpoint's port and its links, both ends, also the one that a container has. Absent is no failure; a link without our mark for it is left alone.
   *
   * @throws TsnetError `host`; `unavailable` while switches of this kind cannot be asked for.
   */
  detach(endpoint: Pick<Endpoint, "endpointId" | "hostIfName">): Promise<void>;

  /** Everything on this host that carries our mark. */
  inventory(): Promise<Inventory>;
}
