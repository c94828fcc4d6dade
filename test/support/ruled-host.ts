// A namespace as a host with rules of others, and tsnet's firewall in it.
import type { FirewallState } from "../../src/cnm/firewall.ts";
import type { Network } from "../../src/cnm/network.ts";
import { type AgentOptions, type HostAgent, startHostAgent } from "./host-agent.ts";
import { NetNamespace } from "./namespace.ts";
import { shell } from "./packet-lab.ts";

/** What the engine leaves on a host that uses iptables-nft, in short. */
export const DOCKER = ["iptables", "ip6tables"].flatMap((tool) => [
  `${tool}-nft -P FORWARD DROP`,
  `${tool}-nft -N DOCKER-USER`,
  `${tool}-nft -A DOCKER-USER -j RETURN`,
  `${tool}-nft -A FORWARD -j DOCKER-USER`,
]);
/** Our rule in FORWARD, as iptables shows it. */
export const OUR_RULE =
  /-A FORWARD -m mark --mark 0x20000000\/0x20000000 -m comment --comment "tsnet: [^"]+" -j ACCEPT/;

/** A host with a tsnet. */
export interface Host extends AsyncDisposable {
  readonly at: NetNamespace;
  readonly agent: HostAgent;
}

/** @param rules - shell lines that are run before tsnet comes. */
export async function hostWith(rules: readonly string[], options: AgentOptions = {}): Promise<Host> {
  const at = await NetNamespace.create("rules");
  if (rules.length > 0) await shell(at, rules);
  return { at, agent: await startHostAgent(at, options), [Symbol.asyncDispose]: () => at[Symbol.asyncDispose]() };
}

/** These networks without endpoints. */
export const stateOf = (...networks: readonly Network[]): FirewallState => ({ networks, endpoints: [] });

/** All rules of the host. */
export const listed = (at: NetNamespace) => at.exec(["nft", "-s", "list", "ruleset"]);
/** Our tables, always in the same order and whoever owns them. */
export const ourTables = async (at: NetNamespace) => {
  const tables = ["inet", "bridge"].map((family) => at.exec(["nft", "-s", "list", "table", family, "tsnet"]));
  const text = (await Promise.all(tables)).join("").replaceAll(/ # progname .*|\n\tflags .*\n/g, ""); // both say who owns it
  const sorted = (elements: string) => elements.split(/,\s+/).toSorted().join(",\n\t\t\t     "); // they have no order
  return text.replaceAll(/(?<=elements = \{ )[^}]+(?= \})/g, sorted);
};
/** FORWARD as iptables shows it. */
export const forwardRules = async (at: NetNamespace, tool = "iptables-nft") =>
  (await at.exec([tool, "-S", "FORWARD"])).trim().split("\n");
