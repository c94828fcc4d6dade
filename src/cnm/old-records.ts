// Records that an older tsnet wrote: what they do not say yet is what was the only way then.
import type { Endpoint } from "./endpoint.ts";
import { hostLinkName, switchNames } from "./names.ts";
import type { Network, RequestedPlace } from "./network.ts";
import type { EndpointRecord, NetworkRecord } from "./registry.ts";

/** Records of before there were VLANs, uplinks and other backends have less. */
export function completeNetwork({ network, ...rest }: NetworkRecord): NetworkRecord {
  const plain: Partial<Network> = {
    requested: guessRequested(network),
    datapathType: "auto",
    hostLink: network.switchName,
    untaggedLink: hostLinkName(network.backend, network.switchName, {}),
    vlans: {},
    isVlanShared: false,
    switchSettings: {},
  };
  return { network: { ...plain, ...network }, ...rest };
}

/** What cannot have been tsnet's own choice was asked for. */
function guessRequested({ id, switchName, mtu }: Network): RequestedPlace {
  const isNamed = !switchNames(id).includes(switchName);
  return { ...(isNamed && { bridge: switchName }), ...(mtu !== 1500 && { mtu }) };
}

/** The same of an endpoint. */
export function completeEndpoint({ endpoint, ...rest }: EndpointRecord): EndpointRecord {
  const plain: Partial<Endpoint> = { vlans: {} };
  return { ...rest, endpoint: { ...plain, ...endpoint } };
}
