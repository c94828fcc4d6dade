// firewalld and ufw: which rules are theirs, and what to type so that they let a network's traffic through. README, Beside other
// firewalls, has the same commands.
//
// Follows firewall-cmd(1) and ufw(8); the names of chains are those of firewalld's `nftables.py` and of ufw's `backend_iptables.py`.
import { command } from "./shell-command.ts";

/** A firewall that has a language of its own, in which it is told what to do: what nft changes in its rules is lost. */
export type FirewallOwner = "firewalld" | "ufw";

/** Where a rule stands. */
export interface RulePlace {
  readonly table: string;
  readonly chain: string;
}

/** @returns undefined for a rule of nobody else. */
export function ownerOf({ table, chain }: RulePlace): FirewallOwner | undefined {
  if (table === "firewalld") return "firewalld";
  return /^ufw6?-/.test(chain) ? "ufw" : undefined;
}

/** Whether it is one that firewalld always has: IPv6 to what can only be a forged 6to4 address (its option RFC3964_IPv4). */
export function isBuiltIn({ table, chain }: RulePlace): boolean {
  return table === "firewalld" && chain === "filter_FORWARD";
}

/** How these firewalls name a link: all bridges of tsnet's at once. */
export function linkPattern(link: string): string {
  if (link.startsWith("tsn-")) return "tsn-+";
  return link.startsWith("tsg") ? "tsg+" : link;
}

/** Lets through all that comes from these links, and all that goes there. @param places - of the rules that are against it. */
export function openLinks(owner: FirewallOwner, patterns: readonly string[], places: readonly RulePlace[]): string {
  if (owner === "firewalld") {
    const add = patterns.map((link) => command`firewall-cmd --permanent --zone=trusted --add-interface=${link}`);
    return [...add, "firewall-cmd --reload"].join(" && ");
  }
  // A rule that the operator added stands in front of one that is added now, unless that is put first.
  const first = places.some(({ chain }) => chain.endsWith("user-forward")) ? "insert 1 " : "";
  const open = (link: string) => ["in", "out"].map((way) => `ufw route ${first}allow ${way} on ${command`${link}`}`);
  return patterns.flatMap(open).join(" && ");
}

/** Lets containers reach the services of the host. */
export function openHost(owner: FirewallOwner, patterns: readonly string[]): string {
  if (owner === "firewalld") return openLinks(owner, patterns, []);
  return patterns.map((link) => command`ufw allow in on ${link}`).join(" && ");
}

/** Lets the world reach the published ports of a network of mode `routed`. @param subnet - CIDR. */
export function openSubnet(owner: FirewallOwner, subnet: string): string {
  if (owner === "ufw") return command`ufw route allow to ${subnet}`;
  const family = subnet.includes(":") ? "ipv6" : "ipv4";
  const rule = `rule family=${family} destination address=${subnet} accept`;
  const policy = "firewall-cmd --permanent --policy=tsnet-routed";
  return [
    "firewall-cmd --permanent --new-policy=tsnet-routed",
    `${policy} --add-ingress-zone=ANY`,
    `${policy} --add-egress-zone=trusted`,
    `${policy} ${command`--add-rich-rule=${rule}`}`,
    "firewall-cmd --reload",
  ].join("; ");
}
