// Endpoints that publish ports, on a remembered host (cnm-rig.ts).
import type { PublishedPort } from "../../src/cnm/ports.ts";
import type { CreateNetwork, ProgramExternalConnectivity, RequestedBinding } from "../../src/cnm/requests.ts";
import { endpointId, endpointRequest, joinRequest, networkId, networkRequest } from "./cnm-builder.ts";
import { CnmRig } from "./cnm-rig.ts";

/** The id of the first endpoint as messages and names of links have it. */
export const SHORT = endpointId().slice(0, 12);
/** Of `CnmRig.published`. */
export const NOTHING_PUBLISHED = { rules: [], held: [], record: [] };

/** One entry of a port map; without `hostPort` an ephemeral one. */
export function ask(containerPort: number, hostPort = 0, more: Partial<RequestedBinding> = {}): RequestedBinding {
  return { protocol: 6, containerPort, hostAddress: "", hostPort, hostPortEnd: hostPort, ...more };
}

/** The n-th endpoint, on a network. */
export function refTo(n = 1, on = 1) {
  return { networkId: networkId(on), endpointId: endpointId(n) };
}

/** A request to publish for the n-th endpoint. */
export function program(portMap: readonly RequestedBinding[], n = 1, on = 1): ProgramExternalConnectivity {
  return { ...refTo(n, on), portMap };
}

/** A rig with a network and its first endpoint, joined. */
export async function joined(request: CreateNetwork = networkRequest()): Promise<CnmRig> {
  const rig = new CnmRig();
  await rig.createNetwork(request);
  await rig.createEndpoint(endpointRequest());
  await rig.join(joinRequest());
  return rig;
}

/** The same with `tcp *:8080>80` and an ephemeral port, which is 49153, for 53/udp published. */
export async function publishing(): Promise<CnmRig> {
  const rig = await joined();
  await rig.publish(program([ask(80, 8080), ask(53, 0, { protocol: 17 })]));
  return rig;
}

/** What that publishes. */
export const WORDS = ["tcp *:8080>80", "udp *:49153>53"];
export const PUBLISHED = { rules: WORDS, held: WORDS, record: WORDS };

/** A TCP port that another program has, for `ports.ofTheHost`. */
export function ofTheHost(hostPort: number): PublishedPort {
  return { protocol: "tcp", hostAddress: "", hostPort, containerPort: 0 };
}

/** Of the n-th endpoint's port; absent: it has none. */
export function isHairpin(rig: CnmRig, n = 1): boolean | undefined {
  return rig.datapath.links.get(`tsv${endpointId(n).slice(0, 12)}`)?.isHairpin;
}
