// The host's packet filter as the CNM verbs need it. Implemented in `nat/` and by the fake in the tests.
import type { Endpoint } from "./endpoint.ts";
import type { Network } from "./network.ts";
import type { PublishedPort } from "./ports.ts";

/** An endpoint as the rules know it: who it is, and what it publishes. */
export interface GuardedEndpoint {
  readonly network: Network;
  readonly endpoint: Endpoint;
  /** Empty for none. */
  readonly ports: readonly PublishedPort[];
}

/** Everything that the rules are for. */
export interface FirewallState {
  readonly networks: readonly Network[];
  /** The joined endpoints of these networks. */
  readonly endpoints: readonly GuardedEndpoint[];
  /** There may be others, alive, that cannot be named: nothing that is there is taken away. */
  readonly isPartial?: boolean;
}

/**
 * Masquerading, isolation, forwarding, published ports, and who may send as whom. Calls take effect one after the other,
 * in the order in which they were made.
 */
export interface Firewall {
  /**
   * Looks whether this host can do what the network asks for, and changes nothing.
   *
   * @throws TsnetError `unsupported` with what is missing, or with the one command that the operator must type.
   */
  check(network: Network): Promise<void>;

  /**
   * Makes the host's rules be as this state needs them, all of them, in one transaction; a second identical call
   * changes nothing. Rules that do not carry our mark are left alone.
   *
   * @returns whether anything had to be changed.
   * @throws TsnetError `host`; then the rules are as before.
   */
  apply(state: FirewallState): Promise<boolean>;

  /** Whether rules of others, which ours go by, may have changed unnoticed when links have: then `apply` has to look again. */
  goesByLinks(): boolean;

  /**
   * Makes the elements of one endpoint be there, in one transaction, and ends the connections of ports that it does not
   * publish any more.
   *
   * @param former - the ports that it had: those that it does not publish any more are taken away.
   * @throws TsnetError `host`; then the rules are as before.
   */
  ensureEndpoint(guarded: GuardedEndpoint, former?: readonly PublishedPort[]): Promise<void>;

  /** Takes all elements of one endpoint away, in one transaction, and ends its ports' connections. Absent is no failure. */
  removeEndpoint(guarded: GuardedEndpoint): Promise<void>;
}
