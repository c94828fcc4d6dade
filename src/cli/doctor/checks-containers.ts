// What containers have inside, compared with what tsnet gave them; and who has what somebody else has.
import { command } from "./shell-command.ts";
import { callEndpoint, type NamedEndpoint, type NamedNetwork } from "../catalog.ts";
import { bare } from "../words.ts";
import { type Spotted, check } from "./check.ts";
import type { ContainerView } from "./container-facts.ts";
import type { HostLink } from "../host-links.ts";

/** See the top of this file. */
export const CONTAINER_CHECKS = [
  check({
    id: "container-address-missing",
    severity: "error",
    meaning: "a container has no more the address that tsnet gave it",
    needs: ["containers", "links"],
    look: ({ containers, links: ofHost }) =>
      containers.flatMap(({ name, network, endpoint, links }) => {
        const link = linkOf(endpoint, links);
        const isGone = !ofHost.some(({ ifname }) => ifname === endpoint.hostLink);
        if (isGone || link?.flags.includes("UP") === false) return []; // and the addresses with it, which is said of the link
        const there = link === undefined ? [] : addressesOn(link);
        const missing = endpoint.addresses.filter((address) => !there.includes(bare(address)));
        const mend = command`docker restart ${name}`;
        const detail = `${missing.join(", ")} of network ${network.name}`;
        return missing.length === 0 ? [] : [{ object: name, detail, mend }];
      }),
  }),
  check({
    id: "container-mac-differs",
    severity: "error",
    meaning: "a container changed the MAC address of its link: with anti-spoofing nothing that it sends goes through",
    needs: ["containers"],
    look: ({ containers }) =>
      containers.flatMap(({ name, endpoint, links }) => {
        const link = linkOf(endpoint, links);
        if (link === undefined || link.address === endpoint.mac) return [];
        const detail = `${link.ifname} has ${link.address}, not ${endpoint.mac}`;
        return [{ object: name, detail, mend: within(name, link, `address ${endpoint.mac}`) }];
      }),
  }),
  check({
    id: "container-mtu-differs",
    severity: "warning",
    meaning: "the MTU of a container's link is not the one that tsnet gave it",
    needs: ["containers"],
    look: ({ containers }) =>
      containers.flatMap(({ name, network, endpoint, links }) => {
        const link = linkOf(endpoint, links);
        if (link === undefined || link.mtu === endpoint.mtu) return [];
        const detail = `${link.ifname} has ${link.mtu}, not ${endpoint.mtu} as on network ${network.name}`;
        return [{ object: name, detail, mend: within(name, link, `mtu ${endpoint.mtu}`) }];
      }),
  }),
  check({
    id: "container-link-down",
    severity: "error",
    meaning: "a container's link is switched off inside it",
    needs: ["containers"],
    look: ({ containers }) =>
      containers.flatMap(({ name, endpoint, links }) => {
        const link = linkOf(endpoint, links);
        if (link === undefined || link.flags.includes("UP")) return [];
        return [{ object: name, detail: link.ifname, mend: within(name, link, "up") }];
      }),
  }),
  check({
    id: "duplicate-address",
    severity: "error",
    meaning: "two containers on one switch have the same address: who gets the packets is chance",
    needs: ["containers"],
    look: ({ containers }) =>
      doubled(containers, ({ endpoint, links }) => {
        const own = linkOf(endpoint, links);
        return own === undefined ? [] : addressesOn(own);
      }),
  }),
  check({
    id: "duplicate-mac",
    severity: "error",
    meaning: "two endpoints on one switch have the same MAC address: who gets the frames is chance",
    needs: ["tsnet", "containers"],
    look: ({ tsnet, containers }) => {
      const inside = new Map(containers.map(({ endpoint, links }) => [endpoint.id, linkOf(endpoint, links)?.address]));
      const all = tsnet.networks.flatMap((network) =>
        network.endpoints.map((endpoint) => ({ network, endpoint, name: callEndpoint(endpoint) })),
      );
      return doubled(all, ({ endpoint }) => [inside.get(endpoint.id) ?? endpoint.mac]);
    },
  }),
];

/** By its address, or by its MAC where it has lost that. */
function linkOf({ addresses, mac }: NamedEndpoint, links: readonly HostLink[]): HostLink | undefined {
  const wanted = addresses.map(bare);
  const byAddress = links.find((link) => addressesOn(link).some((address) => wanted.includes(address)));
  return byAddress ?? links.find(({ address }) => address === mac);
}

/** Bare, without those that every link has. */
function addressesOn({ addr_info }: HostLink): readonly string[] {
  return addr_info.flatMap(({ local, scope }) => (local === undefined || scope !== "global" ? [] : [local]));
}

function within(name: string, { ifname }: HostLink, change: string): string {
  const line = command`nsenter --net=/proc/$(docker inspect -f {{.State.Pid}} ${name})/ns/net ip link set ${ifname}`;
  return `${line} ${change}`;
}

type Place = Pick<ContainerView, "name"> & { readonly network: NamedNetwork; readonly endpoint: NamedEndpoint };

/** What several on one switch have, in one VLAN. */
function doubled<One extends Place>(
  places: readonly One[],
  textsOf: (one: One) => readonly string[],
): readonly Spotted[] {
  const having = places.flatMap((place) => {
    const where = `${place.network.switch} ${place.endpoint.vlan ?? ""}`;
    return textsOf(place).map((text) => ({ text, name: place.name, id: place.endpoint.id, where }));
  });
  const groups = Map.groupBy(having, ({ text, where }) => `${text} ${where}`);
  return [...groups.values()].flatMap((all) => {
    const names = [...new Map(all.map(({ id, name }) => [id, name])).values()];
    const detail = names.join(", ");
    return names.length < 2 ? [] : [{ object: all[0]?.text ?? "", detail, mend: "give one of them another" }];
  });
}
