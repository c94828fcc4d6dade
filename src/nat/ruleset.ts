// Our table, `inet tsnet`. Its skeleton is constant text without any name from outside; what varies are elements of
// sets, and they go in as JSON, all of them in one transaction. However many networks there are, the rules stay the same.
//
// An element `switch . subnet` says on which switch which addresses are at home:
//   bridged   switch . switch   frames that br_netfilter shows while they pass from port to port
//   hostless  switch            mode isolated, and mode l2 on a switch made by tsnet: the host is not there
//   sealed    switch            the same, and --internal on a switch made by tsnet: nothing is forwarded, and whatever its
//                               source address, no packet gets to an address that the host has elsewhere
//   pools4/6  switch . subnet   modes nat and routed: nothing new gets in from other links
//   open4/6   switch . subnet   the same without --internal: endpoints get out
//   masq4/6   switch . subnet   mode nat with masquerade=true: endpoints leave with the host's address
//
// What `admit` lets pass carries ADMITTED_MARK through the rest of the forward hook, so that one rule in somebody
// else's chain (foreign-chains.ts) can let all of it pass too. The mark is taken off again behind it.
import { parseSubnet } from "../cidr.ts";
import type { Network } from "../cnm/network.ts";
import type { NftObject } from "../host/nft-tool.ts";
import { createHash } from "node:crypto";

/** One bit of the packet mark, between our forward chain and the end of forwarding. */
export const ADMITTED_MARK = 0x2000_0000;

/** The table, as commands in JSON name it. */
export const TABLE = { family: "inet", table: "tsnet" } as const;

const RULES = `
	set bridged { type ifname . ifname; }
	set hostless { type ifname; }
	set sealed { type ifname; }
	set pools4 { type ifname . ipv4_addr; flags interval; }
	set pools6 { type ifname . ipv6_addr; flags interval; }
	set open4 { type ifname . ipv4_addr; flags interval; }
	set open6 { type ifname . ipv6_addr; flags interval; }
	set masq4 { type ifname . ipv4_addr; flags interval; }
	set masq6 { type ifname . ipv6_addr; flags interval; }
	chain input {
		type filter hook input priority filter - 10; policy accept;
		iifname @hostless drop
		iifname @sealed fib daddr . iif type != { local, broadcast, multicast } drop
		iifname . ip saddr @open4 accept
		iifname . ip6 saddr @open6 accept
		iifname . ip saddr @pools4 fib daddr . iif type != { local, broadcast, multicast } drop
		iifname . ip6 saddr @pools6 fib daddr . iif type != { local, multicast } drop
	}
	chain forward {
		type filter hook forward priority filter - 10; policy accept;
		iifname . oifname @bridged goto admit
		iifname @sealed drop
		oifname @sealed drop
		iifname . ip saddr @open4 ct state established,related goto admit
		iifname . ip6 saddr @open6 ct state established,related goto admit
		oifname . ip daddr @open4 ct state established,related goto admit
		oifname . ip6 daddr @open6 ct state established,related goto admit
		oifname . ip daddr @pools4 drop
		oifname . ip6 daddr @pools6 drop
		iifname . ip saddr @open4 goto admit
		iifname . ip6 saddr @open6 goto admit
		iifname . ip saddr @pools4 drop
		iifname . ip6 saddr @pools6 drop
	}
	chain admit {
		meta mark set meta mark | 0x20000000 accept
	}
	chain unmark {
		type filter hook postrouting priority mangle; policy accept;
		meta mark & 0x20000000 == 0x20000000 meta mark set meta mark & 0xdfffffff
	}
	chain leave {
		type nat hook postrouting priority srcnat; policy accept;
		iifname . ip saddr @masq4 masquerade
		iifname . ip6 saddr @masq6 masquerade
	}
`;

/** An empty set whose name says which skeleton the table was made from. */
export const SKELETON_SET = `skeleton_${createHash("sha256").update(RULES).digest("hex").slice(0, 12)}`;

/** How many rules the skeleton has: one is missing if the table has fewer. */
export const SKELETON_RULES = RULES.split("\n").filter((line) => /^\t\t(?!type )/.test(line)).length;

/** Replaces the table by an empty one, whether it exists or not, in one transaction. */
export const SKELETON = `add table inet tsnet
delete table inet tsnet
table inet tsnet {
	set ${SKELETON_SET} { type mark; }${RULES}}
`;

/** Removes the table, which must exist. */
export const REMOVE_TABLE: readonly NftObject[] = [{ delete: { table: { family: "inet", name: "tsnet" } } }];

/** A set of the table. */
export type SetName = "bridged" | "hostless" | "sealed" | `${"pools" | "open" | "masq"}${4 | 6}`;

/** An element of a set, as libnftables-json(5) has it. */
export type Element = string | { readonly concat: readonly (string | object)[] };

/** What must be in each set for these networks. Sets that have nothing are there with an empty list. */
export function elementsFor(networks: readonly Network[]): ReadonlyMap<SetName, readonly Element[]> {
  const sets = new Map<SetName, Element[]>(SET_NAMES.map((name) => [name, []]));
  const add = (name: SetName, element: Element) => {
    const list = sets.get(name);
    const isThere = list?.some((present) => JSON.stringify(present) === JSON.stringify(element));
    if (isThere === false) list?.push(element);
  };
  for (const network of networks) {
    const { switchName, isSwitchOurs, isInternal } = network;
    const isOnHost = network.isHostOnSwitch;
    add("bridged", { concat: [switchName, switchName] });
    const isHostless = network.mode === "isolated" || (isSwitchOurs && !isOnHost);
    if (isHostless) add("hostless", switchName);
    if (isHostless || (isSwitchOurs && isInternal)) add("sealed", switchName);
    for (const { subnet } of isOnHost ? network.pools : []) {
      const { family, prefixLength } = parseSubnet(subnet);
      const [addr = ""] = subnet.split("/");
      const isSingle = prefixLength === (family === 4 ? 32 : 128);
      const home = { concat: [switchName, isSingle ? addr : { prefix: { addr, len: prefixLength } }] };
      add(`pools${family}`, home);
      if (!isInternal) add(`open${family}`, home);
      if (!isInternal && network.isMasqueraded) add(`masq${family}`, home);
    }
  }
  return sets;
}

const SET_NAMES = [
  "bridged",
  "hostless",
  "sealed",
  "pools4",
  "pools6",
  "open4",
  "open6",
  "masq4",
  "masq6",
] as const satisfies readonly SetName[];

/** The commands that make every set hold exactly these elements. */
export function replaceElements(sets: ReadonlyMap<SetName, readonly Element[]>): readonly NftObject[] {
  return [...sets].flatMap(([name, elem]) => [
    { flush: { set: { ...TABLE, name } } },
    ...(elem.length > 0 ? [{ add: { element: { ...TABLE, name, elem } } }] : []),
  ]);
}
