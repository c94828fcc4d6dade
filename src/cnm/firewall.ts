// The host's packet filter as the CNM verbs need it. Implemented in `nat/` and by the fake in the tests.
import type { Network } from "./network.ts";

/** Masquerading, isolation and forwarding for all networks together. */
export interface Firewall {
  /**
   * Looks whether this host can do what the network asks for, and changes nothing.
   *
   * @throws TsnetError `unsupported` with what is missing, or with the one command that the operator must type.
   */
  check(network: Network): Promise<void>;

  /**
   * Makes the host's rules be as these networks need them, all of them, in one transaction; a second identical call
   * changes nothing. Rules that do not carry our mark are left alone.
   *
   * @returns whether anything had to be changed.
   * @throws TsnetError `host`; then the rules are as before.
   */
  apply(networks: readonly Network[]): Promise<boolean>;
}
