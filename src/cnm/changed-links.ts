// Which links changed since the host was looked at last: so that one container that starts among a thousand has one port
// looked at, and not a thousand.
import type { Endpoint } from "./endpoint.ts";
import { isEndpointName } from "./names.ts";
import type { Network } from "./network.ts";

/** The names of the links that changed; undefined when it is not known which. An empty name stands for an unknown one. */
export type ChangedLinks = ReadonlySet<string> | undefined;

/** What of both changed. */
export function union(some: ChangedLinks, others: ChangedLinks): ChangedLinks {
  return some && others && new Set([...some, ...others]);
}

/**
 * Whether a network's switch, or what else it needs on the host, may have changed: the links of endpoints and the switches of
 * other networks do not matter to it, any other one may be its uplink.
 *
 * @param switches - the names of all networks' switches.
 */
export function concernsNetwork(
  changed: ChangedLinks,
  { switchName }: Pick<Network, "switchName">,
  switches: ReadonlySet<string>,
): boolean {
  if (changed === undefined || changed.has(switchName)) return true;
  return [...changed].some((name) => !isEndpointName(name) && !switches.has(name));
}

/** Whether an endpoint's port may have changed: by itself or with its switch. */
export function concernsPort(
  changed: ChangedLinks,
  { switchName }: Pick<Network, "switchName">,
  { hostIfName }: Pick<Endpoint, "hostIfName">,
): boolean {
  return changed === undefined || changed.has(switchName) || changed.has(hostIfName);
}
