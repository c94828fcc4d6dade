// By which links and subnets the host itself is on a network.
import type { NamedNetwork } from "../catalog.ts";
import { type HostLink, markOf } from "../host-links.ts";

/** The subnets in which the host has an address. */
export function hostSubnets({ mode, subnets }: Pick<NamedNetwork, "mode" | "subnets">): readonly string[] {
  return mode === "nat" || mode === "routed" ? subnets : [];
}

/** Those of them between which and the world the host forwards. */
export function forwardedSubnets(network: NamedNetwork, family: 4 | 6): readonly string[] {
  if (network.isInternal) return [];
  return hostSubnets(network).filter((subnet) => subnet.includes(":") === (family === 6));
}

/** By which the host is on the network: the switch, or the link into its VLAN, which may be made for another one of the switch. */
export function hostLinksOf(
  network: NamedNetwork,
  networks: readonly NamedNetwork[],
  links: readonly HostLink[],
): readonly string[] {
  const ids = networks.filter((other) => other.switch === network.switch).map(({ id }) => id as string);
  const isHostLink = (link: HostLink) => {
    const vlan = link.linkinfo?.info_data?.["id"]; // absent on Open vSwitch
    const isOfSwitch = link.ifname.startsWith("tsg") && ids.includes(markOf("network", link) ?? "");
    return isOfSwitch && (vlan === undefined || vlan === network.vlan);
  };
  const made = links.filter(isHostLink).map(({ ifname }) => ifname);
  return made.length > 0 ? made : [network.switch];
}
