// Addresses that nobody has: the engine asked for one, or gave one back, in the moment when tsnet died, and does not come
// back to it. Every endpoint's address stands in its record, and every auxiliary one in its network's; what was in use
// before this start and stands in neither is nobody's.
import type { CnmParts } from "./parts.ts";
import type { Network } from "./network.ts";

/** For so long after a start the engine may still be about to make the endpoint that an address was for: it asks an absent tsnet for 15 s. */
export const ADDRESS_GRACE_MS = 20_000;

/** Whether there are any that were in use before this start. */
export function hasAddressesOfFormerLife({ registry, pools }: Pick<CnmParts, "registry" | "pools">): boolean {
  if (registry.damage.isAbsenceUnproven) return false;
  return registry
    .networks()
    .some(({ network }) =>
      network.pools.some(({ subnet }) => pools.listOfFormerLife(network.addressSpace, subnet).length > 0),
    );
}

/**
 * Releases them.
 *
 * @param isOperators - whether only those for which not the engine asked: no verb of the operator's outlives tsnet.
 * @returns what was released.
 * @throws TsnetError `host` if it cannot be recorded.
 */
export async function releaseLostAddresses(
  { registry, pools }: Pick<CnmParts, "registry" | "pools">,
  isOperators = false,
): Promise<string[]> {
  const released: string[] = [];
  if (registry.damage.isAbsenceUnproven) return released;
  for (const { network } of registry.networks()) {
    const claimed = claimedIn(network, registry);
    if (claimed === undefined) continue;
    for (const { subnet } of network.pools) {
      const former = pools.listOfFormerLife(network.addressSpace, subnet, isOperators);
      const lost = former.filter((address) => !claimed.has(address));
      for (const address of lost) await pools.releaseAddress(network.addressSpace, subnet, address);
      released.push(...lost);
    }
  }
  return released;
}

/** What is somebody's, bare. Undefined for a network of which it is not recorded. */
export function claimedIn(network: Network, registry: CnmParts["registry"]): ReadonlySet<string> | undefined {
  const { auxAddresses, id, pools } = network;
  if (auxAddresses === undefined) return undefined;
  const ofEndpoints = registry
    .endpointsOf(id)
    .flatMap(({ endpoint: { given, ...now } }) => [now, given].flatMap((at) => [at?.address, at?.addressIpv6]));
  const gateways = pools.map(({ gateway }) => gateway);
  return new Set([...ofEndpoints, ...gateways, ...auxAddresses].map((text) => text?.split("/")[0] ?? ""));
}
