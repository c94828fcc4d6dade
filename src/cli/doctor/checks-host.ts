// The host's settings, rules and routes, as far as they meet what tsnet's networks carry.
import { command } from "./shell-command.ts";
import { overlaps, parseSubnet } from "../../cidr.ts";
import type { NamedNetwork } from "../catalog.ts";
import { type Spotted, check } from "./check.ts";
import type { FactValues } from "./facts.ts";
import { type Drop, dropsOf } from "./foreign-drops.ts";
import type { Route } from "./host-facts.ts";
import type { HostLink } from "../host-links.ts";
import { ADMITTED_MARK, isOurs, markOf } from "./marks.ts";
import type { Traffic } from "./rule-fit.ts";

/** Connections of the host, of those that it can follow, from which on it is soon too late. */
const NEARLY = 0.9;

/** See the top of this file. */
export const HOST_CHECKS = [
  check({
    id: "forwarding-off",
    severity: "error",
    meaning: "the kernel forwards no IPv4 packets: containers reach nothing but their own network and this host",
    needs: ["tsnet", "files"],
    look: (facts) => forwardingOff(facts, "ipv4.ip_forward", false),
  }),
  check({
    id: "forwarding6-off",
    severity: "error",
    meaning: "the kernel forwards no IPv6 packets: containers reach nothing but their own network and this host",
    needs: ["tsnet", "files"],
    look: (facts) => forwardingOff(facts, "ipv6.conf.all.forwarding", true),
  }),
  check({
    id: "foreign-drop",
    severity: "error",
    meaning: "a rule that is not tsnet's drops what comes from a network, or what goes to it",
    needs: ["tsnet", "links", "routes", "rules"],
    look: (facts) => foreignDrops(facts, "all"),
  }),
  check({
    id: "foreign-drop-some",
    severity: "warning",
    meaning: "a rule that is not tsnet's drops some of what a network sends or gets; it may be meant so",
    needs: ["tsnet", "links", "routes", "rules"],
    look: (facts) => foreignDrops(facts, "some"),
  }),
  check({
    id: "bridged-drop",
    severity: "error",
    meaning: "br_netfilter shows frames between containers to a rule that is not tsnet's, and that drops them",
    needs: ["tsnet", "files", "rules"],
    look: bridgedDrops,
  }),
  check({
    id: "legacy-drop",
    severity: "error",
    meaning: "iptables-legacy drops what is forwarded, and tsnet cannot change its rules safely",
    needs: ["tsnet", "legacy"],
    look: ({ tsnet, legacy }) =>
      legacy
        .filter(({ family }) => tsnet.networks.some((network) => forwardedSubnets(network, family).length > 0))
        .filter(({ forwardPolicy, acceptsMark }) => forwardPolicy === "DROP" && !acceptsMark(ADMITTED_MARK))
        .map(({ family }) => {
          const tool = family === 4 ? "iptables-legacy" : "ip6tables-legacy";
          const mend = `${tool} -A FORWARD -m mark --mark 0x20000000/0x20000000 -j ACCEPT`;
          return { object: `${tool} FORWARD`, mend };
        }),
  }),
  check({
    id: "conntrack-full",
    severity: "warning",
    meaning: "the kernel follows nearly as many connections as it can: soon new ones are dropped",
    needs: ["files"],
    look: ({ files: { settings } }) => {
      const [count = 0, most = Infinity] = ["count", "max"].map((name) =>
        settings.get(`netfilter.nf_conntrack_${name}`),
      );
      const detail = `${count} of ${most}`;
      const mend = command`sysctl -w net.netfilter.nf_conntrack_max=${most * 2}`;
      return count < most * NEARLY ? [] : [{ object: "net.netfilter.nf_conntrack_max", detail, mend }];
    },
  }),
  check({
    id: "kernel-lacks",
    severity: "error",
    meaning: "this kernel cannot do what a network needs, so the network is not brought back after a reboot",
    needs: ["missing"],
    look: ({ missing }) =>
      missing.map((object) => ({ object, mend: "start a kernel that has it, or use backend=ovs" })),
  }),
  check({
    id: "subnet-overlaps-route",
    severity: "warning",
    meaning: "a network has addresses to which this host has another route, as of a VPN: one hides the other",
    needs: ["tsnet", "links", "routes"],
    look: ({ tsnet, links, routes }) => {
      const own = new Set([...links.filter(isOurs).map(({ ifname }) => ifname), ...switchesOf(tsnet.networks)]);
      const others = routes.filter(({ dst, dev }) => dst !== "default" && dev !== undefined && !own.has(dev));
      return tsnet.networks.flatMap((network) =>
        hostSubnets(network).flatMap((subnet) =>
          others.flatMap(({ dst, dev = "" }) => {
            const mend = "remove the route, or make the network again with another --subnet";
            const detail = `${subnet} and the route to ${dst} by ${dev}`;
            return overlaps(parseSubnet(subnet), subnetOf(dst)) ? [{ object: network.name, detail, mend }] : [];
          }),
        ),
      );
    },
  }),
];

/** The subnets in which the host has an address. */
function hostSubnets({ mode, subnets }: NamedNetwork): readonly string[] {
  return mode === "nat" || mode === "routed" ? subnets : [];
}

function forwardedSubnets(network: NamedNetwork, family: 4 | 6): readonly string[] {
  if (network.isInternal) return [];
  return hostSubnets(network).filter((subnet) => subnet.includes(":") === (family === 6));
}

function switchesOf(networks: readonly NamedNetwork[]): readonly string[] {
  return networks.map((network) => network.switch);
}

function subnetOf(dst: string) {
  return parseSubnet(dst.includes("/") ? dst : `${dst}/${dst.includes(":") ? 128 : 32}`);
}

function forwardingOff(
  { tsnet, files: { settings } }: Pick<FactValues, "tsnet" | "files">,
  setting: string,
  isIpv6: boolean,
): readonly Spotted[] {
  const concerned = tsnet.networks.filter((network) => forwardedSubnets(network, isIpv6 ? 6 : 4).length > 0);
  if (concerned.length === 0 || settings.get(setting) !== 0) return [];
  const detail = `network ${concerned.map(({ name }) => name).join(", ")}`;
  return [{ object: `net.${setting}`, detail, mend: command`sysctl -w net.${setting}=1` }];
}

function foreignDrops(
  { tsnet, links, routes, rules }: Pick<FactValues, "tsnet" | "links" | "routes" | "rules">,
  fit: Drop["fit"],
): readonly Spotted[] {
  const world = worldOf(routes);
  const found = tsnet.networks.flatMap((network) =>
    ([4, 6] as const).flatMap((family) =>
      forwardedSubnets(network, family).flatMap((text) => {
        const [subnet, own] = [parseSubnet(text), hostLinksOf(network, tsnet.networks, links)];
        const out: Traffic = { from: own, to: world, source: subnet, family };
        const back: Traffic = { from: world, to: own, destination: subnet, family };
        return [out, back].flatMap((way) => dropsOf(rules, way)).map((drop) => ({ ...drop, network: network.name }));
      }),
    ),
  );
  return sayDrops(found.filter((drop) => drop.fit === fit));
}

function bridgedDrops({ tsnet, files, rules }: Pick<FactValues, "tsnet" | "files" | "rules">): readonly Spotted[] {
  const found = tsnet.networks.flatMap(({ backend, subnets, name, switch: own }) =>
    subnets.flatMap((text) => {
      const family = text.includes(":") ? 6 : 4;
      const setting = `bridge.bridge-nf-call-ip${family === 6 ? "6" : ""}tables`;
      if (backend !== "bridge" || files.settings.get(setting) !== 1) return [];
      const subnet = parseSubnet(text);
      const inside: Traffic = { from: [own], to: [own], source: subnet, destination: subnet, family };
      const mend = command`sysctl -w net.${setting}=0`;
      return dropsOf(rules, inside).map((drop) => ({ ...drop, mend, network: name }));
    }),
  );
  return sayDrops(found.filter(({ fit }) => fit === "all"));
}

/** One for each rule, with all the networks that it meets. */
function sayDrops(found: readonly (Drop & { readonly network: string })[]): readonly Spotted[] {
  return Array.from(
    Map.groupBy(found, ({ where }) => where),
    ([object, drops]) => ({
      object,
      detail: `network ${[...new Set(drops.map(({ network }) => network))].join(", ")}`,
      mend: drops[0]?.mend ?? "",
    }),
  );
}

/** The links by which this host reaches the world. */
function worldOf(routes: readonly Route[]): readonly string[] {
  return [...new Set(routes.flatMap(({ dst, dev }) => (dst === "default" && dev !== undefined ? [dev] : [])))];
}

/** By which the host is on the network: the switch, or the link into its VLAN, which may be made for another one of the switch. */
function hostLinksOf(
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
