// What the rules of others do to the traffic of tsnet's networks: those of firewalld and ufw, and all that are nobody's else.
import type { FactValues } from "./facts.ts";
import { type Spotted, check } from "./check.ts";
import {
  type FirewallOwner,
  isBuiltIn,
  linkPattern,
  openHost,
  openLinks,
  openSubnet,
  ownerOf,
} from "./firewall-owner.ts";
import { type Drop, dropsOf } from "./foreign-drops.ts";
import { ADMITTED_MARK } from "./marks.ts";
import { forwardedSubnets, hostLinksOf, hostSubnets } from "./network-links.ts";
import { parseSubnet } from "../../cidr.ts";
import type { Route } from "./host-facts.ts";
import type { Traffic } from "./rule-fit.ts";
import { command } from "./shell-command.ts";

type FirewallFacts = Pick<FactValues, "tsnet" | "links" | "routes" | "rules">;

/** A drop, and what it meets. */
interface Met extends Drop {
  readonly owner: FirewallOwner | undefined;
  readonly network: string;
  /** The host's links into the network. */
  readonly links: readonly string[];
  /** CIDR, for what the world begins with a network whose addresses it sees. */
  readonly routed?: string;
}

const FACTS = ["tsnet", "links", "routes", "rules"] as const;

/** See the top of this file. */
export const FIREWALL_CHECKS = [
  check({
    id: "foreign-drop",
    severity: "error",
    meaning: "a rule that is not tsnet's drops what comes from a network, or what goes to it",
    needs: FACTS,
    look: (facts) => sayDrops(forwardDrops(facts).filter(({ owner, fit }) => owner === undefined && fit === "all")),
  }),
  check({
    id: "foreign-drop-some",
    severity: "warning",
    meaning: "a rule that is not tsnet's drops some of what a network sends or gets; it may be meant so",
    needs: FACTS,
    look: (facts) => sayDrops(forwardDrops(facts).filter((drop) => drop.fit === "some" && !isBuiltIn(drop))),
  }),
  check({
    id: "firewalld-drop",
    severity: "error",
    meaning: "firewalld rejects what comes from a network, or what goes to it: it does not know the network's links",
    needs: FACTS,
    look: (facts) => ownedDrops(facts, "firewalld"),
  }),
  check({
    id: "ufw-drop",
    severity: "error",
    meaning: "ufw drops what comes from a network, or what goes to it",
    needs: FACTS,
    look: (facts) => ownedDrops(facts, "ufw"),
  }),
  check({
    id: "host-closed",
    severity: "note",
    meaning: "a firewall lets containers reach no service of this host itself; it may be meant so",
    needs: ["tsnet", "links", "rules"],
    look: hostDrops,
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
];

/** What containers begin, the answers to it, and what the world begins with published ports. */
function forwardDrops({ tsnet, links, routes, rules }: FirewallFacts): readonly Met[] {
  const world = worldOf(routes);
  return tsnet.networks.flatMap((network) =>
    ([4, 6] as const).flatMap((family) =>
      forwardedSubnets(network, family).flatMap((text) => {
        const [subnet, own] = [parseSubnet(text), hostLinksOf(network, tsnet.networks, links)];
        const back = { from: world, to: own, destination: subnet, family } as const;
        const out: Traffic = { from: own, to: world, source: subnet, family };
        const met = (way: Traffic, more: Partial<Met> = {}) =>
          dropsOf(rules, way).map((drop) => {
            return { ...drop, ...more, owner: ownerOf(drop), network: network.name, links: own };
          });
        const hasPorts = network.endpoints.some(({ ports }) => ports.length > 0);
        const isRouted = network.mode === "routed";
        const begun = { ...back, isTranslated: !isRouted };
        return [
          ...met(out),
          ...met({ ...back, isAnswer: true }),
          ...(hasPorts ? met(begun, isRouted ? { routed: text } : {}) : []),
        ];
      }),
    ),
  );
}

/** One for each rule, with all the networks that it meets. */
function sayDrops(found: readonly Met[]): readonly Spotted[] {
  return Array.from(
    Map.groupBy(found, ({ where }) => where),
    ([object, drops]) => ({ object, detail: networksOf(drops), mend: mendOf(drops) }),
  );
}

function mendOf(drops: readonly Met[]): string {
  const [first] = drops;
  if (first?.owner === undefined) return first?.mend ?? "";
  return first.owner === "ufw"
    ? "`ufw status numbered` shows it, and `ufw delete NUMBER` takes it away"
    : "`firewall-cmd --list-all-policies` and `--list-all-zones` show it";
}

/** One for each kind of link, and for each subnet that the world shall reach. */
function ownedDrops(facts: FirewallFacts, owner: FirewallOwner): readonly Spotted[] {
  const found = forwardDrops(facts).filter((drop) => drop.owner === owner && drop.fit === "all");
  const closed = found.filter(({ routed }) => routed === undefined);
  const ofLinks = Map.groupBy(
    closed.flatMap((drop) => drop.links.map((link) => ({ ...drop, object: linkPattern(link) }))),
    ({ object }) => object,
  );
  // What is closed altogether is opened first.
  const routed = found.filter(({ network }) => closed.every((drop) => drop.network !== network));
  const ofSubnets = Map.groupBy(routed, ({ routed: subnet = "" }) => subnet);
  return [
    ...Array.from(ofLinks, ([object, drops]) => {
      return { object, detail: rulesOf(drops), mend: openLinks(owner, [object], drops) };
    }),
    ...Array.from(ofSubnets, ([object, drops]) => {
      return { object, detail: rulesOf(drops), mend: openSubnet(owner, object) };
    }),
  ];
}

/** Only of firewalld and ufw: others may close their host in ways that cannot be told from here. */
function hostDrops({ tsnet, links, rules }: Pick<FactValues, "tsnet" | "links" | "rules">): readonly Spotted[] {
  const hasUfw = rules.chains.some(({ name }) => name === "ufw-user-input");
  const found = tsnet.networks.flatMap((network) =>
    hostSubnets(network).flatMap((text) => {
      const own = hostLinksOf(network, tsnet.networks, links);
      const family = text.includes(":") ? 6 : 4;
      const toHost: Traffic = { from: own, to: [], source: parseSubnet(text), family };
      return dropsOf(rules, toHost, "input").flatMap((drop) => {
        const owner = ownerOf(drop) ?? (hasUfw && drop.table === "filter" ? "ufw" : undefined); // the policy is ufw's, too
        return owner === undefined || drop.fit === "some"
          ? []
          : [{ ...drop, owner, network: network.name, links: own }];
      });
    }),
  );
  return Array.from(
    Map.groupBy(found, ({ owner }) => owner),
    ([object, drops]) => ({ object, detail: networksOf(drops), mend: openHost(object, patternsOf(drops)) }),
  );
}

function bridgedDrops({ tsnet, files, rules }: Pick<FactValues, "tsnet" | "files" | "rules">): readonly Spotted[] {
  const found = tsnet.networks.flatMap(({ backend, subnets, name, switch: own }) =>
    subnets.flatMap((text): readonly Met[] => {
      const family = text.includes(":") ? 6 : 4;
      const setting = `bridge.bridge-nf-call-ip${family === 6 ? "6" : ""}tables`;
      if (backend !== "bridge" || files.settings.get(setting) !== 1) return [];
      const subnet = parseSubnet(text);
      const inside: Traffic = { from: [own], to: [own], source: subnet, destination: subnet, family };
      const mend = command`sysctl -w net.${setting}=0`;
      return dropsOf(rules, inside).map((drop) => {
        return { ...drop, mend, owner: ownerOf(drop), network: name, links: [own] };
      });
    }),
  );
  const groups = Map.groupBy(
    found.filter(({ fit }) => fit === "all"),
    ({ where }) => where,
  );
  return Array.from(groups, ([object, drops]) => {
    const [first] = drops;
    const owner = first?.owner;
    const mend = owner === undefined ? (first?.mend ?? "") : openLinks(owner, patternsOf(drops), drops);
    return { object, detail: networksOf(drops), mend };
  });
}

/** The links by which this host reaches the world. */
function worldOf(routes: readonly Route[]): readonly string[] {
  return [...new Set(routes.flatMap(({ dst, dev }) => (dst === "default" && dev !== undefined ? [dev] : [])))];
}

function networksOf(drops: readonly Met[]): string {
  return `network ${[...new Set(drops.map(({ network }) => network))].join(", ")}`;
}

function rulesOf(drops: readonly Met[]): string {
  return `${networksOf(drops)}; rule ${[...new Set(drops.map(({ where }) => where))].join(", ")}`;
}

function patternsOf(drops: readonly Met[]): readonly string[] {
  return [...new Set(drops.flatMap(({ links }) => links.map(linkPattern)))];
}
