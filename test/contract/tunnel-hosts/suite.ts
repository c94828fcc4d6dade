// What the promises about tunnels between hosts have in common: the hosts, and the network that these share.
import type { Backend } from "../../../src/cnm/network.ts";
import type { TestContainer } from "../../support/system-container.ts";
import type { TestNetwork } from "../../support/system-host.ts";
import type { TunnelHosts } from "../../support/tunnel-hosts.ts";

/** What the promises are about: three hosts, and a network that they have in common. */
export interface HostsSuite {
  readonly backend: Backend;
  readonly stand: TunnelHosts;
  /** Of hosts 1, 2 and 3. */
  networks: readonly TestNetwork[];
  /** One on each. */
  containers: readonly TestContainer[];
}

/** The container of the n-th host, from 1. */
export function containerOf({ containers }: HostsSuite, n: number): TestContainer {
  const found = containers[n - 1];
  if (found === undefined) throw new Error(`host ${n} has no container yet`);
  return found;
}

/** The network as the n-th host has it. */
export function networkOf({ networks }: HostsSuite, n: number): TestNetwork {
  const found = networks[n - 1];
  if (found === undefined) throw new Error(`host ${n} has no network yet`);
  return found;
}
