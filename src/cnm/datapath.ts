// The switch as the CNM verbs need it. Implemented by `datapath/bridge/` and by the fake in the tests; both pass
// `test/contract/datapath.ts`.
import type { Endpoint } from "./endpoint.ts";
import type { IfName, Network } from "./network.ts";

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

/** A software switch on this host. Any call may come twice; the second identical one changes nothing. */
export interface Datapath {
  readonly kind: "bridge";

  /** Changes nothing. @throws TsnetError `conflict` if a link of that name is no switch of this kind. */
  inspectSwitch(name: IfName): Promise<FoundSwitch>;

  /** Whether any link has that name. */
  isNameTaken(name: IfName): Promise<boolean>;

  /** Makes the switch and the host's addresses on it. @throws TsnetError `host`, or `conflict` for a foreign link. */
  ensureNetwork(network: Network): Promise<void>;

  /**
   * Takes the network's addresses from the switch, and removes the switch if it is tsnet's and no other network uses it.
   * Absent parts are no failure. Parts that do not carry our mark are left alone.
   *
   * @param others - the other networks on the same switch.
   */
  removeNetwork(network: Network, others: readonly Network[]): Promise<void>;

  /**
   * Removes a switch that carries our mark for that network, for when its record was lost. Absent is no failure.
   *
   * @param inUse - switches of other networks: one of them may have been made for that network and outlived it.
   */
  removeStraySwitch(networkId: string, inUse: ReadonlySet<IfName>): Promise<void>;

  /**
   * Makes the endpoint's port. Ports of a network without `isIccAllowed` exchange no frames with one another. Into ports
   * of a guarded network come frames from the endpoint's own MAC only, and out of them go no frames for another one;
   * that holds from the first frame on.
   *
   * @returns the link that libnetwork shall move into the sandbox.
   * @throws TsnetError `conflict` if the endpoint's MAC is the switch's own, `exhausted` if the switch has no port left.
   */
  attach(network: Network, endpoint: Endpoint): Promise<IfName>;

  /**
   * Puts a port that exists back into its switch, and back to how `attach` made it: as after the switch was lost, or after
   * somebody changed the port. An absent port is no failure.
   */
  reattach(network: Network, endpoint: Endpoint): Promise<void>;

  /**
   * Lets frames leave by the port by which they came, or not: what an endpoint sends to its own published port comes back
   * to it by then. A port that is put back into its switch has lost it. An absent port is no failure; a link without our
   * mark for the endpoint is left alone.
   */
  ensureHairpin(endpoint: Pick<Endpoint, "endpointId" | "hostIfName">, isOn: boolean): Promise<void>;

  /** Removes the endpoint's port, both ends. Absent is no failure; a link without our mark for it is left alone. */
  detach(endpoint: Pick<Endpoint, "endpointId" | "hostIfName">): Promise<void>;

  /** Everything on this host that carries our mark. */
  inventory(): Promise<Inventory>;
}
