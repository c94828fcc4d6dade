// Connections that the kernel remembers go on as they began, whatever the rules say since. So the flows of a port that is
// published no more are forgotten, and the UDP flows that came to a port before it was published (nothing answered them,
// and a sender that goes on keeps such an entry alive). No other flow is touched.
import { type Family, formatAddress, parseAddress } from "../cidr.ts";
import type { GuardedEndpoint } from "../cnm/firewall.ts";
import type { PublishedPort } from "../cnm/ports.ts";
import type { Conntrack, Flow, FlowTuple } from "../host/conntrack.ts";
import type { Rtnetlink } from "../host/rtnetlink.ts";
import { PROTOCOL_NUMBERS } from "./element-key.ts";
import { bareAddresses, isTranslated, isWildcard } from "./elements.ts";

/** Ends what came to an endpoint by ports that it has no more. Each listing reads all flows of the host, so there are few. */
export async function forgetFlows(
  conntrack: Conntrack,
  { network, endpoint }: GuardedEndpoint,
  ports: readonly PublishedPort[],
): Promise<void> {
  const { address, addressIpv6 } = bareAddresses(endpoint);
  const isTranslatedMode = network.mode !== "routed";
  for (const [family, own] of [[4, address] as const, [6, addressIpv6] as const]) {
    if (own === undefined) continue;
    for (const name of new Set(ports.map(({ protocol }) => protocol))) {
      const wanted = { family, protocol: PROTOCOL_NUMBERS[name], isDestinationTranslated: isTranslatedMode };
      const flows = await conntrack.listFlows({ ...wanted, reply: { source: own } });
      const gone = ports.filter(({ protocol }) => protocol === name);
      for (const flow of flows) {
        if (gone.some((port) => isOf(port, flow, isTranslatedMode))) await conntrack.deleteFlow(flow);
      }
    }
  }
}

function isOf(port: PublishedPort, { original, reply }: Flow, isTranslatedMode: boolean): boolean {
  if (reply.sourcePort !== port.containerPort) return false;
  return !isTranslatedMode || isTo(port, original);
}

function isTo(port: PublishedPort, { destination, destinationPort }: FlowTuple): boolean {
  return destinationPort === port.hostPort && (isWildcard(port) || destination === canonical(port.hostAddress));
}

/** Ends UDP flows to addresses of this host that began before their port was published. */
export async function forgetUntranslatedFlows(
  { conntrack, links }: { readonly conntrack: Conntrack; readonly links: Rtnetlink },
  ports: readonly PublishedPort[],
): Promise<void> {
  for (const family of [4, 6] as const satisfies readonly Family[]) {
    const udp = ports.filter((port) => port.protocol === "udp" && isTranslated(port, family));
    if (udp.length === 0) continue;
    const own = new Set((await links.listAddresses()).map(({ address }) => formatAddress(address)));
    const wanted = { family, protocol: PROTOCOL_NUMBERS.udp, isDestinationTranslated: false };
    for (const flow of await conntrack.listFlows(wanted)) {
      const isToPort = own.has(flow.original.destination) && udp.some((port) => isTo(port, flow.original));
      if (isToPort) await conntrack.deleteFlow(flow);
    }
  }
}

function canonical(address: string): string {
  return formatAddress(parseAddress(address));
}
