// The IpamDriver verbs, all that moby's daemon/libnetwork/ipams/remote/remote.go calls: which message each one reads,
// which method of the driver it is, what it answers. What the answers look like is in `ipam-messages.ts`.
import type { Static } from "typebox";
import type { IpamDriver } from "../ipam/requests.ts";
import {
  CAPABILITIES,
  ReleaseAddressMessage,
  ReleasePoolMessage,
  RequestAddressMessage,
  RequestPoolMessage,
  formatAddressSpaces,
  formatRequestedAddress,
  formatRequestedPool,
  parseRequestAddress,
  parseRequestPool,
} from "./ipam-messages.ts";
import { type Verb, constantVerb, statefulVerb } from "./verb.ts";

const DONE = {};

/** All IpamDriver verbs. */
export function ipamVerbs(ipam: IpamDriver): readonly Verb[] {
  return [
    {
      ...constantVerb("IpamDriver.GetCapabilities", CAPABILITIES),
      run: async () => {
        ipam.noteHandshake();
        return CAPABILITIES;
      },
    },
    constantVerb("IpamDriver.GetDefaultAddressSpaces", formatAddressSpaces(ipam.addressSpaces)),
    statefulVerb(
      "IpamDriver.RequestPool",
      RequestPoolMessage,
      async (message: Static<typeof RequestPoolMessage>, signal) =>
        formatRequestedPool(await ipam.requestPool(parseRequestPool(message), signal)),
    ),
    statefulVerb("IpamDriver.ReleasePool", ReleasePoolMessage, async (message: Static<typeof ReleasePoolMessage>) => {
      await ipam.releasePool(message.PoolID);
      return DONE;
    }),
    statefulVerb(
      "IpamDriver.RequestAddress",
      RequestAddressMessage,
      async (message: Static<typeof RequestAddressMessage>, signal) =>
        formatRequestedAddress(await ipam.requestAddress(parseRequestAddress(message), signal)),
    ),
    statefulVerb(
      "IpamDriver.ReleaseAddress",
      ReleaseAddressMessage,
      async (message: Static<typeof ReleaseAddressMessage>) => {
        // "" is how the engine writes no address: there is nothing to release.
        if (message.Address !== "") await ipam.releaseAddress(message.PoolID, message.Address);
        return DONE;
      },
    ),
  ];
}
