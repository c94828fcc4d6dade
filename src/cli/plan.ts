// `tsnet plan`: what `docker network create -d tsnet` with these options would do, or why it could not.
import type { PlanMessage } from "../api/change-messages.ts";
import { contains, parseAddress, parseSubnet } from "../cidr.ts";
import { TsnetError } from "../errors.ts";
import { parsePairs } from "./pairs.ts";
import type { CommonOptions, Tools } from "./tools.ts";

/** Named as `docker network create` names them. */
export interface PlanOptions extends CommonOptions {
  /** KEY=VALUE. */
  readonly opt?: readonly string[];
  readonly subnet?: readonly string[];
  readonly gateway?: readonly string[];
  readonly internal?: boolean;
  readonly ipv6?: boolean;
}

/** @throws TsnetError `invalid` for what cannot be read. */
export function readPlan(options: PlanOptions): PlanMessage {
  const { opt = [], subnet: subnets = [], gateway: gateways = [], internal = false, ipv6 = false } = options;
  return { Options: parsePairs(opt), Internal: internal, IPv6: ipv6, Subnets: withGateways(subnets, gateways) };
}

/** Prints a line for each step. @throws TsnetError as the creation would. */
export async function plan(
  { console, daemon }: Tools,
  message: PlanMessage,
  { json = false }: CommonOptions,
): Promise<void> {
  const { steps } = await console.waitFor("tsnet", daemon.call("Operator.Plan", message));
  if (json) return console.json({ steps });
  steps.forEach((step, n) => console.line(`${`${n + 1}.`.padStart(3)} ${step}`));
}

function withGateways(subnets: readonly string[], gateways: readonly string[]) {
  const parsed = subnets.map(parseSubnet);
  const places = gateways.map((gateway) => {
    const place = parsed.findIndex((subnet) => contains(subnet, parseAddress(gateway)));
    if (place === -1) throw new TsnetError("invalid", `gateway ${gateway} is in no --subnet`);
    return { gateway, place };
  });
  return subnets.map((Pool, n) => {
    const { gateway } = places.find(({ place }) => place === n) ?? {};
    return { Pool, ...(gateway !== undefined && { Gateway: `${gateway}/${Pool.split("/")[1]}` }) };
  });
}
