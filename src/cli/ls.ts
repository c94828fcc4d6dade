// `tsnet ls`: the networks, where they are, and who is on them.
import { type NamedNetwork, callEndpoint } from "./catalog.ts";
import type { Cell } from "./table.ts";
import { type CommonOptions, type Tools, readEverything } from "./tools.ts";
import { sayVlans } from "./words.ts";

const HEAD = ["NETWORK", "MODE", "SWITCH", "VLAN", "SUBNETS", "CONTAINERS"];
const NONE = "tsnet has no network; `docker network create -d tsnet NAME` makes one";

/** Prints a line for each network; as JSON all that is known of them. */
export async function ls(tools: Tools, { json = false }: CommonOptions): Promise<void> {
  const { networks } = await readEverything(tools);
  if (json) return tools.console.json(networks);
  tools.console.table(HEAD, networks.map(rowOf), NONE);
}

function rowOf(network: NamedNetwork): readonly Cell[] {
  const { name, state, mode, isInternal, switch: switchName, subnets, endpoints } = network;
  return [
    state === "ready" ? name : `${name} (${state})`,
    isInternal ? `${mode}, internal` : mode,
    switchName,
    sayVlans(network),
    subnets,
    endpoints.map(callEndpoint).join(", "),
  ];
}
