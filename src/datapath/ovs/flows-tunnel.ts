// Tunnels on a switch. On one of tsnet's own their ports are as those of endpoints that are not guarded, and apart from one
// another (flows-forward.ts). Where the host has an address on the network, nothing passes between it and a tunnel: other hosts
// have the same address. Who asks for it is answered by his own host alone, and what claims it from afar is dropped.
//
// On a switch of the user's own the columns in the database do what flows do elsewhere (`protected`, VLANs), as far as his flows
// end in NORMAL: a flow of his that names ports passes it by. What endpoints ask for the host's address goes into the tunnel
// there; the other end drops it if it is tsnet's. What comes out of the tunnel is checked as on a switch of ours.
import type { Flow } from "../../host/openflow-flow.ts";
import type { Match } from "../../host/openflow-match.ts";
import { tunnelCookie } from "./flows-cookie.ts";
import { deliveryFlow } from "./flows-forward.ts";
import {
  ADVERTISEMENT,
  ARP,
  IPV4,
  IPV6,
  SOLICITATION,
  UNREADABLE,
  UNREADABLE_IPV6,
  UNSPECIFIED,
} from "./flows-guard.ts";
import { REGISTER, TABLE } from "./flows-pipeline.ts";
import { ADOPTED_PRIORITY, type VlanSet, membershipsOf, openIngress } from "./flows.ts";

/** Untagged, or with a tag of VLAN 0. */
const NATIVE = { value: 0, mask: 0xfff } as const;

/** What the host is in a VLAN into which a tunnel leads. */
export interface HostPresence {
  /** Absent as long as the host's link is not there. */
  readonly mac?: string;
  /** Bare. */
  readonly addresses: readonly string[];
  /** 0: untagged. */
  readonly vlan: number;
}

/** A port of a tunnel. */
export interface TunnelPort {
  readonly ofport: number;
  /** As those of an endpoint. */
  readonly vlans: VlanSet;
  /** Absent where the host is not on the network. */
  readonly host?: HostPresence;
}

/** What a tunnel's port adds, besides its place in `vlanFlows`. */
export function tunnelFlows({ ofport, vlans, host }: TunnelPort): readonly Flow[] {
  const cookie = tunnelCookie(ofport);
  const isFree = vlans.vlan === undefined && vlans.trunk === undefined;
  const own = membershipsOf({ ofport, vlans, isIccAllowed: false }).flatMap((membership) => [
    ...openIngress(cookie, membership, isFree),
    deliveryFlow(cookie, membership),
  ]);
  const claims = host === undefined ? [] : claimsOf(host);
  const dropped = claims.map((match): Flow => ({
    table: TABLE.learn,
    priority: 200,
    cookie,
    match: { inPort: ofport, [REGISTER.vlan]: host?.vlan ?? 0, ...match },
    actions: [],
  }));
  return [...own, ...dropped];
}

/** The same on a switch of the user's own. */
export function adoptedTunnelFlows({ ofport, host }: TunnelPort): readonly Flow[] {
  const claims = host === undefined ? [] : claimsOf(host);
  return claims.map((match) => ({
    table: TABLE.ingress,
    priority: ADOPTED_PRIORITY,
    cookie: tunnelCookie(ofport),
    match: { inPort: ofport, vlanVid: NATIVE, ...match },
    actions: [],
  }));
}

/** What only another host's gateway or an impostor sends, and what asks for ours. What cannot be read may be either. */
function claimsOf({ mac, addresses }: HostPresence): readonly Match[] {
  const ofMac = mac === undefined ? [] : [{ ethSrc: mac }];
  const unreadable: readonly Match[] = [
    { ...ARP, arpOp: UNREADABLE },
    ...UNREADABLE_IPV6,
    { ...SOLICITATION, ndTarget: UNSPECIFIED },
    { ...ADVERTISEMENT, ndTarget: UNSPECIFIED },
  ];
  const ofAddresses = addresses.flatMap((address): readonly Match[] =>
    address.includes(":")
      ? [
          { ...IPV6, ipv6Src: address },
          { ...SOLICITATION, ndTarget: address },
          { ...ADVERTISEMENT, ndTarget: address },
        ]
      : [
          { ...IPV4, ipv4Src: address },
          { ...ARP, arpSpa: address },
          { ...ARP, arpTpa: address },
        ],
  );
  return [...ofMac, ...unreadable, ...ofAddresses];
}
