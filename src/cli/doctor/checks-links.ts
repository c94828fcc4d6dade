// What tsnet's networks stand on: switches, the links of containers, uplinks, tunnels, MTUs.
import { command } from "./shell-command.ts";
import { callEndpoint } from "../catalog.ts";
import { check } from "./check.ts";
import type { FactValues } from "./facts.ts";
import type { HostLink } from "../host-links.ts";
import type { TunnelPath } from "./tunnel-facts.ts";

/** What a tunnel puts around a frame at least: IP, UDP or GRE, its own header, Ethernet. IPv6 needs 20 more. */
const OVERHEAD = { vxlan: 50, geneve: 50, gre: 38 } as const satisfies Record<TunnelPath["kind"], number>;
const IPV6_MORE = 20;

/** See the top of this file. */
export const LINK_CHECKS = [
  check({
    id: "switch-missing",
    severity: "error",
    meaning: "a network's switch is not there, and tsnet does not make it, since somebody else did or it cannot",
    needs: ["tsnet", "links"],
    look: ({ tsnet, links }) => {
      const there = namesOf(links);
      const missing = tsnet.networks.filter((network) => network.backend === "bridge" && !there.has(network.switch));
      return missing.map(({ name, switch: object }) => {
        const mend = command`ip link add ${object} type bridge && ip link set ${object} up`;
        return { object, detail: `network ${name}`, mend };
      });
    },
  }),
  check({
    id: "link-missing",
    severity: "error",
    meaning: "the link to a container is gone: it has no network until it joins again",
    needs: ["tsnet", "links"],
    look: ({ tsnet, links }) => {
      const there = namesOf(links);
      return tsnet.networks.flatMap((network) =>
        network.endpoints.flatMap((endpoint) => {
          if (endpoint.state !== "joined" || there.has(endpoint.hostLink)) return [];
          if (endpoint.attachment !== undefined) return []; // it goes with its namespace, and comes back with that
          const who = callEndpoint(endpoint);
          const words = command`${network.name} ${endpoint.container?.name ?? "CONTAINER"}`;
          const mend = `docker network disconnect ${words} && docker network connect ${words}`;
          return [{ object: who, detail: `${endpoint.hostLink} of network ${network.name}`, mend }];
        }),
      );
    },
  }),
  check({
    id: "uplink-missing",
    severity: "error",
    meaning: "the link by which a network reaches the world is not there",
    needs: ["tsnet", "links"],
    look: (facts) =>
      uplinks(facts)
        .filter(({ link }) => link === undefined)
        .map(({ object, detail }) => ({ object, detail, mend: "put the card back, or make the link again" })),
  }),
  check({
    id: "uplink-down",
    severity: "error",
    meaning: "the link by which a network reaches the world is switched off",
    needs: ["tsnet", "links"],
    look: (facts) =>
      uplinks(facts)
        .filter(({ link }) => link !== undefined && !link.flags.includes("UP"))
        .map(({ object, detail }) => ({ object, detail, mend: command`ip link set ${object} up` })),
  }),
  check({
    id: "uplink-no-carrier",
    severity: "error",
    meaning: "nothing is at the other end of the link by which a network reaches the world",
    needs: ["tsnet", "links"],
    look: (facts) =>
      uplinks(facts)
        .filter(({ link }) => link?.flags.includes("UP") === true && link.flags.includes("NO-CARRIER"))
        .map(({ object, detail }) => ({ object, detail, mend: "look at the cable, and at the switch's port" })),
  }),
  check({
    id: "uplink-address",
    severity: "note",
    meaning: "the host has addresses on a port of a switch, where nobody reaches them",
    needs: ["tsnet", "links"],
    look: (facts) =>
      uplinks(facts).flatMap(({ object, link }) => {
        const found = (link?.addr_info ?? []).filter(({ scope }) => scope === "global");
        const detail = found.map(({ local = "", prefixlen }) => `${local}/${prefixlen}`).join(", ");
        const mend = "give them to the switch: -o parent-address=move; README, Uplinks";
        return found.length === 0 ? [] : [{ object, detail, mend }];
      }),
  }),
  check({
    id: "mtu-beyond-uplink",
    severity: "error",
    meaning: "containers send frames that are too long for the link by which they reach the world: they are lost",
    needs: ["tsnet", "links"],
    look: (facts) =>
      uplinks(facts).flatMap(({ object, detail, link, mtu }) => {
        const sizes = `${detail} has MTU ${mtu}, the link ${link?.mtu}`;
        const mend = command`ip link set ${object} mtu ${mtu}`;
        return link !== undefined && link.mtu < mtu ? [{ object, detail: sizes, mend }] : [];
      }),
  }),
  check({
    id: "mtu-beyond-route",
    severity: "warning",
    meaning: "packets of containers are too long for the host's way out: where ICMP is lost, connections hang",
    needs: ["tsnet", "links", "routes"],
    look: ({ tsnet, links, routes }) => {
      const world = new Set(routes.flatMap(({ dst, dev }) => (dst === "default" && dev !== undefined ? [dev] : [])));
      const wide = tsnet.networks.filter(
        ({ mode, isInternal }) => (mode === "nat" || mode === "routed") && !isInternal,
      );
      return links.flatMap(({ ifname, mtu }) => {
        const longer = world.has(ifname) ? wide.filter((network) => network.mtu > mtu) : [];
        const names = longer.map((network) => `${network.name} has MTU ${network.mtu}`).join(", ");
        const mend = `make the network again with -o mtu=${mtu}`;
        return longer.length === 0 ? [] : [{ object: ifname, detail: `its MTU is ${mtu}, network ${names}`, mend }];
      });
    },
  }),
  check({
    id: "tunnel-no-route",
    severity: "error",
    meaning: "there is no way to another host of a tunnel: its containers are out of reach",
    needs: ["tsnet", "tunnels"],
    look: ({ tsnet, tunnels }) =>
      tunnels
        .filter(({ route }) => route === undefined)
        .map(({ peer, networkId }) => {
          const network = tsnet.networks.find(({ id }) => id === networkId)?.name ?? networkId;
          return { object: peer, detail: `network ${network}`, mend: command`ip route add ${peer} via GATEWAY` };
        }),
  }),
  check({
    id: "tunnel-mtu",
    severity: "error",
    meaning: "the way to another host of a tunnel takes smaller packets than its frames need: long ones are lost",
    needs: ["tsnet", "tunnels"],
    look: ({ tsnet, tunnels }) =>
      tunnels.flatMap(({ peer, kind, networkId, route }) => {
        const network = tsnet.networks.find(({ id }) => id === networkId);
        const most = (route?.mtu ?? Infinity) - OVERHEAD[kind] - (peer.includes(":") ? IPV6_MORE : 0);
        if (network === undefined || network.mtu <= most) return [];
        const detail = `network ${network.name} has MTU ${network.mtu}, by ${route?.dev} go ${most}`;
        return [{ object: peer, detail, mend: `make the network again with -o mtu=${most}` }];
      }),
  }),
];

function namesOf(links: readonly HostLink[]): ReadonlySet<string> {
  return new Set(links.map(({ ifname }) => ifname));
}

/** Each uplink once, with the network of the largest MTU that has it. */
function uplinks({ tsnet, links }: Pick<FactValues, "tsnet" | "links">) {
  const having = tsnet.networks.flatMap(({ parent, name, mtu }) =>
    parent === undefined ? [] : [{ parent, name, mtu }],
  );
  return Array.from(
    Map.groupBy(having, ({ parent }) => parent),
    ([object, networks]) => ({
      object,
      detail: `network ${networks.map(({ name }) => name).join(", ")}`,
      link: links.find(({ ifname }) => ifname === object),
      mtu: Math.max(...networks.map(({ mtu }) => mtu)),
    }),
  );
}
