// Whose a flow is, in its cookie: 16 bits that say that it is tsnet's, 4 bits for the kind of owner, 44 for which one.
import { createHash } from "node:crypto";
import type { CookieFilter } from "../../host/openflow-flow.ts";

/** "ts". */
const OURS = 0x7473n << 48n;

const KIND = { switch: 0n, vlan: 1n, learned: 2n, gateway: 3n, uplink: 4n, tunnel: 5n, endpoint: 8n } as const;

const WHICH_BITS = 44n;

/** All flows of tsnet on a switch. */
export const ALL_OURS: CookieFilter = { cookie: OURS, mask: 0xffffn << 48n };

/** Those of them that the switch itself learned. */
export const ALL_LEARNED: CookieFilter = { cookie: OURS | (KIND.learned << WHICH_BITS), mask: 0xf_ffffn << WHICH_BITS };

/** Of `switchFlows` and `adoptedSwitchFlows`. */
export const SWITCH_COOKIE = OURS | (KIND.switch << WHICH_BITS);

/** Of `vlanFlows`. */
export function vlanCookie(vlan: number): bigint {
  return OURS | (KIND.vlan << WHICH_BITS) | BigInt(vlan);
}

/** Of what the switch itself learned in a VLAN: to be deleted when a port that is not guarded leaves it. */
export function learnedCookie(vlan: number): bigint {
  return OURS | (KIND.learned << WHICH_BITS) | BigInt(vlan);
}

/** Of `gatewayFlows`. */
export function gatewayCookie(ofport: number): bigint {
  return OURS | (KIND.gateway << WHICH_BITS) | BigInt(ofport);
}

/** Of `uplinkFlows`. */
export function uplinkCookie(ofport: number): bigint {
  return OURS | (KIND.uplink << WHICH_BITS) | BigInt(ofport);
}

/** Of `tunnelFlows` and `adoptedTunnelFlows`. */
export function tunnelCookie(ofport: number): bigint {
  return OURS | (KIND.tunnel << WHICH_BITS) | BigInt(ofport);
}

/** Of `endpointFlows` and `adoptedEndpointFlows`: 44 bits of a hash of the id. */
export function endpointCookie(endpointId: string): bigint {
  const hash = createHash("sha256").update(endpointId).digest().readBigUInt64BE(0);
  return OURS | (KIND.endpoint << WHICH_BITS) | (hash >> (64n - WHICH_BITS));
}

/** Flows with exactly this cookie. */
export function exactly(cookie: bigint): CookieFilter {
  return { cookie, mask: 0xffff_ffff_ffff_ffffn };
}
