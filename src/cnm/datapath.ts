// The switch as the CNM verbs need it. Implemented by `datapath/bridge/` and by the fake in the tests; both pass
// `test/contract/datapath.ts`.
import type { Endpoint } from "./endpoint.ts";
import type { IfName, Network } from "./network.ts";

/** What carries tsnet's mark on this host. */
export interface Inventory {
  /** Switches that tsnet made. */
  readonly switches: readonly { readonly networkId: string; readonly ifName: IfName }[];
  /** Host ends of endpoints. */
  readonly ports: readonly { readonly endpointId: string; readonly ifName: IfName }[];
}

/** A software switch on this host. Any call may come twice; the second identical one changes nothing. */
export interface Datapath {
  readonly kind: "bridge";

  /**
   * Looks whether the network could be made, and changes nothing.
   *
   * @returns whether the switch exists already without being tsnet's: then it is used and never deleted.
   * @throws TsnetError `conflict` or `unsupported` with what stands in the way.
   */
  inspectSwitch(name: IfName): Promise<"absent" | "ours" | "foreign">;

  /** Makes the switch and the host's addresses on it. @throws TsnetError `host`. */
  ensureNetwork(network: Network): Promise<void>;

  /**
   * Takes the network's addresses from the switch, and removes the switch if it is tsnet's and `isLast`.
   * Absent parts are no failure. Parts that do not carry our mark are left alone.
   */
  removeNetwork(network: Network, isLast: boolean): Promise<void>;

  /** Makes the endpoint's port. @returns the link that libnetwork shall move into the sandbox. */
  attach(network: Network, endpoint: Endpoint): Promise<IfName>;

  /** Puts a port that exists back into its switch, as after the switch was lost. An absent port is no failure. */
  reattach(network: Network, endpoint: Endpoint): Promise<void>;

  /** Removes the endpoint's port, both ends. */
  detach(endpoint: Endpoint): Promise<void>;

  /** Everything on this host that carries our mark. */
  inventory(): Promise<Inventory>;
}
