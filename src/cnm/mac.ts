// MAC addresses: derived, so that a container that comes back with the same address comes back with the same MAC and
// its neighbours' entries stay right (the engine does not announce a new one before version 28).
import { createHash } from "node:crypto";
import { parseAddress } from "../cidr.ts";

/**
 * The MAC of an endpoint that was given none: `02:42` and the IPv4 address, as Docker's own bridge has it; without
 * IPv4 from a hash of the IPv6 address, without any address from a hash of the endpoint's id. Always locally
 * administered and unicast (IEEE 802-2014, 8.2).
 *
 * @param identity.address - bare IPv4 address; `addressIpv6` bare IPv6 address.
 */
export function deriveMac(identity: { address?: string; addressIpv6?: string; endpointId: string }): string {
  if (identity.address !== undefined) {
    const value = parseAddress(identity.address).value;
    return formatMac([0x02, 0x42, ...[24n, 16n, 8n, 0n].map((shift) => Number((value >> shift) & 0xffn))]);
  }
  return hashedMac(identity.addressIpv6 ?? identity.endpointId);
}

/** A stable MAC out of any text: `02` and five bytes of its SHA-256. */
export function hashedMac(text: string): string {
  return formatMac([0x02, ...createHash("sha256").update(text).digest().subarray(0, 5)]);
}

function formatMac(bytes: readonly number[]): string {
  return bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}
