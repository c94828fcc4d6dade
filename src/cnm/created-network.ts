// A network as the engine asked for it, by which a repeated `CreateNetwork` is told from another one: without what was found
// on the host, and without what the operator changed since.
import type { CreatedNetwork, Network } from "./network.ts";

/** What its `CreateNetwork` asked for. */
export function createdNetwork(network: Network): CreatedNetwork {
  const { created, switchName: _switch, hostLink: _link, isSwitchOurs: _ours, keptAddresses: _kept, ...rest } = network;
  const {
    untaggedLink: _untagged,
    mtu: _mtu,
    datapathType: _type,
    tunnel: _tunnel,
    auxAddresses: _aux,
    poolIds: _ids,
    ...planned
  } = rest;
  return created ?? planned;
}
