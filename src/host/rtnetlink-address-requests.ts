// Listing, giving and taking the IP addresses of links. What the messages say: `rtnetlink-address.ts`.
import { formatAddress } from "../cidr.ts";
import { NLM_F, isErrno } from "./netlink.ts";
import {
  type InterfaceAddress,
  type LinkAddress,
  addressHeader,
  addressParts,
  newAddressParts,
  parseLinkAddress,
} from "./rtnetlink-address.ts";
import { type LinkRequests, RTM } from "./rtnetlink-requests.ts";

/** The IP addresses of one link, none if it is absent, or of all with 0. */
export async function listAddresses(requests: LinkRequests, linkIndex: number): Promise<LinkAddress[]> {
  const request = { type: RTM.GETADDR, parts: [addressHeader(linkIndex)] };
  const payloads = await requests.dump("list addresses", request, ["ENODEV"]);
  return payloads
    .flatMap((payload) => parseLinkAddress(payload) ?? [])
    .filter((address) => linkIndex === 0 || address.linkIndex === linkIndex);
}

/** Gives a link an address. That it has the address already, with the same prefix length, is success. */
export async function addAddress(requests: LinkRequests, linkIndex: number, wanted: InterfaceAddress): Promise<void> {
  const doing = `add address ${textOf(wanted)} to`;
  const request = { type: RTM.NEWADDR, parts: newAddressParts(linkIndex, wanted), flags: NLM_F.CREATE | NLM_F.EXCL };
  try {
    await requests.change({ doing, index: linkIndex, ...request });
  } catch (failure) {
    if (!isErrno(failure, "EEXIST")) throw failure;
    const addresses = await listAddresses(requests, linkIndex);
    if (!addresses.some((present) => textOf(present) === textOf(wanted))) throw failure;
  }
}

/** Takes an address from a link. That the address or the link is absent is success. */
export async function deleteAddress(
  requests: LinkRequests,
  linkIndex: number,
  unwanted: InterfaceAddress,
): Promise<void> {
  const request = {
    type: RTM.DELADDR,
    parts: addressParts(linkIndex, unwanted),
    successes: ["EADDRNOTAVAIL", "ENODEV"],
  };
  await requests.change({ doing: `delete address ${textOf(unwanted)} of`, index: linkIndex, ...request });
}

function textOf({ address, prefixLength }: InterfaceAddress): string {
  return `${formatAddress(address)}/${prefixLength}`;
}
