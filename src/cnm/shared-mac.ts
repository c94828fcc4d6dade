// Two endpoints whose frames meet must not have the same MAC address: what is meant for the one would reach the other.
import { TsnetError } from "../errors.ts";
import { doMeet } from "../vlan.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Network } from "./network.ts";
import { type EndpointRecord, type Registry, short } from "./registry.ts";

/**
 * In VLANs of their own two endpoints may have one MAC: with the same subnet in both VLANs they even derive it.
 *
 * @throws TsnetError `conflict` that names the other one.
 */
export function refuseSharedMac(
  { endpointId, mac, vlans }: Pick<Endpoint, "endpointId" | "mac" | "vlans">,
  { switchName }: Pick<Network, "switchName">,
  registry: Registry,
): void {
  const isRival = ({ endpoint }: EndpointRecord) =>
    endpoint.endpointId !== endpointId && endpoint.mac === mac && doMeet(endpoint.vlans, vlans);
  for (const { id } of registry.networksOn(switchName)) {
    const other = registry.endpointsOf(id).find(isRival);
    if (other === undefined) continue;
    const owner = `endpoint ${short(other.endpoint.endpointId)} of network ${short(id)}`;
    throw new TsnetError("conflict", `MAC address ${mac} is in use on ${switchName} by ${owner}`);
  }
}
