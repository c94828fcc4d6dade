// The last look before a network is made or changed: whether this host can have it. Nothing is changed by it.
import { TsnetError } from "../errors.ts";
import type { Network } from "./network.ts";
import type { CnmParts } from "./parts.ts";
import { short } from "./registry.ts";

/** @throws TsnetError `unsupported`, `conflict`, `not-found`, `host` with what is missing or in the way, and the way out. */
export async function requirePossible(
  network: Network,
  { registry, datapaths, firewall }: Pick<CnmParts, "registry" | "datapaths" | "firewall">,
): Promise<void> {
  const { damage } = registry;
  if (damage.mayShare(network)) {
    const who = damage.idsOf("network").map(short).join(", ");
    const why = `network ${who}, whose record is damaged, may be on it; permitted: a switch of its own`;
    throw new TsnetError("host", `switch ${network.switchName} cannot be shared: ${why}`);
  }
  await datapaths[network.backend].check(network, registry.sharersOf(network));
  await firewall.check(network);
}
