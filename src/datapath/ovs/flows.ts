// Which flows a switch of Open vSwitch needs. On one of tsnet's own (`fail_mode=secure`, fragments=matched) nothing passes but
// by these; its ports are set in OVSDB as their VLANs say, because groups go by them. On a switch of the user's own flows only
// check what guarded endpoints send; what they let pass meets the user's flows as if ours were not there.
// Flows of one owner have one cookie (flows-cookie.ts): adding them again changes nothing, and deleting by it removes the owner.
// Pure; what the tables do stands in flows-pipeline.ts.
import type { Action } from "../../host/openflow-actions.ts";
import type { Flow } from "../../host/openflow-flow.ts";
import { SWITCH_COOKIE, endpointCookie, gatewayCookie, uplinkCookie } from "./flows-cookie.ts";
import {
  type Membership,
  deliveryFlow,
  expectedFlow,
  forwardFlows,
  hairpinFlow,
  knownFlows,
  requestFlows,
  unknownFlows,
} from "./flows-forward.ts";
import { type Identity, guardFlows, identityFlows, identityFlags } from "./flows-guard.ts";
import { type Flag, REGISTER, TABLE, UNTAGGED, classify, taggedWith } from "./flows-pipeline.ts";

/** On a user's switch ours come before his own, unless he goes to the end of the range. */
export const ADOPTED_PRIORITY = 65_000;

/** The VLANs of an endpoint's port: `{}` untagged and in no VLAN. */
export interface VlanSet {
  /** Access, or native with `trunk`: 1 to 4094. */
  readonly vlan?: number;
  /** Tagged; ascending, never empty, without `vlan`. */
  readonly trunk?: readonly number[];
}

/** An endpoint's port. A guarded one has no trunk. */
export interface EndpointPort extends Identity {
  readonly vlans: VlanSet;
  readonly isGuarded: boolean;
  readonly isIccAllowed: boolean;
  /** Whether its frames for itself come back to it. Default false. */
  readonly isHairpin?: boolean;
}

/** What `vlanFlows` must know of a port. */
export type VlanPort = Pick<EndpointPort, "ofport" | "vlans" | "isGuarded" | "isIccAllowed">;

/** The internal port with the host's address. */
export interface GatewayPort {
  readonly ofport: number;
  readonly mac: string;
  /** 0: untagged. */
  readonly vlan: number;
  /** Bare addresses, where a tunnel leads into the VLAN (flows-tunnel.ts); absent without a tunnel. */
  readonly apartAddresses?: readonly string[];
}

/** A port to other machines. */
export interface Uplink {
  readonly ofport: number;
  /** 0: untagged. */
  readonly vlans: readonly number[];
}

/** What a switch of tsnet's own needs whoever is on it: closed for all. */
export function switchFlows(): readonly Flow[] {
  const closed = { table: TABLE.ingress, priority: 0, cookie: SWITCH_COOKIE, match: {}, actions: [] };
  return [closed, ...guardFlows(true), ...forwardFlows()];
}

/** What the gateway's port adds. It may send from any address; nothing is learned from it, nor sought at it. */
export function gatewayFlows({ ofport, mac, vlan, apartAddresses }: GatewayPort): readonly Flow[] {
  const cookie = gatewayCookie(ofport);
  const membership = { ofport, vlan, isTagged: false, isIsolated: apartAddresses !== undefined };
  return [
    untaggedFlow(cookie, membership, membership.isIsolated ? ["isolated"] : []),
    ...knownFlows(cookie, membership, mac),
    ...requestFlows(cookie, membership, apartAddresses ?? []),
  ];
}

/** What an uplink adds, besides its place in `vlanFlows`. */
export function uplinkFlows(uplink: Uplink): readonly Flow[] {
  const cookie = uplinkCookie(uplink.ofport);
  return membershipsOfUplink(uplink).flatMap((membership) => [
    ...openIngress(cookie, membership, membership.vlan === 0),
    deliveryFlow(cookie, membership),
  ]);
}

/** What an endpoint adds; one that is not guarded has besides this a place in `vlanFlows` of each of its VLANs. */
export function endpointFlows(port: EndpointPort): readonly Flow[] {
  const cookie = endpointCookie(port.endpointId);
  return port.isGuarded ? guardedFlows(cookie, port) : openFlows(cookie, port);
}

/**
 * Where frames go in one VLAN whose MAC address is nobody's that is known.
 *
 * @param vlan - 0: untagged.
 * @param uplinks, endpoints - all of the switch, tunnels among the latter; those of other VLANs and guarded ones are skipped. Without any no flow is
 *   needed, and those that there are, are to be deleted by `vlanCookie`.
 * @param ageing - as for `unknownFlows`.
 */
export function vlanFlows(
  vlan: number,
  uplinks: readonly Uplink[],
  endpoints: readonly VlanPort[],
  ageing?: number,
): readonly Flow[] {
  const open = endpoints.filter(({ isGuarded }) => !isGuarded);
  const all = [...uplinks.flatMap(membershipsOfUplink), ...open.flatMap(membershipsOf)];
  const members = all.filter((membership) => membership.vlan === vlan);
  return unknownFlows(
    vlan,
    members.sort((a, b) => a.ofport - b.ofport),
    ageing,
  );
}

/** The VLANs in whose `vlanFlows` an endpoint has a place; 0: untagged. */
export function openVlansOf(port: VlanPort): readonly number[] {
  return port.isGuarded ? [] : membershipsOf(port).map(({ vlan }) => vlan);
}

/** What a switch of the user's own needs before a guarded endpoint. What was checked begins anew, marked as seen. */
export function adoptedSwitchFlows(): readonly Flow[] {
  const anew: readonly Action[] = [
    { kind: "set", field: REGISTER.seen, value: 1 },
    ...classify(0, []),
    { kind: "resubmit", table: TABLE.ingress },
  ];
  const passing = { priority: 0, cookie: SWITCH_COOKIE, match: {} };
  return [
    ...guardFlows(false),
    { table: TABLE.learn, ...passing, actions: [], goTo: TABLE.forward },
    { table: TABLE.forward, ...passing, actions: anew },
  ];
}

/** What an endpoint adds on a switch of the user's own; nothing for one that is not guarded. */
export function adoptedEndpointFlows(port: EndpointPort): readonly Flow[] {
  if (!port.isGuarded) return [];
  const cookie = endpointCookie(port.endpointId);
  const unseen = { [REGISTER.seen]: 0, inPort: port.ofport };
  const own = { ...unseen, ethSrc: port.mac, vlanVid: UNTAGGED };
  const actions = classify(0, identityFlags(port));
  return [
    { table: TABLE.ingress, priority: ADOPTED_PRIORITY, cookie, match: own, actions, goTo: TABLE.clean },
    { table: TABLE.ingress, priority: ADOPTED_PRIORITY - 1, cookie, match: unseen, actions: [] },
    ...identityFlows(port),
  ];
}

function guardedFlows(cookie: bigint, port: EndpointPort): readonly Flow[] {
  const { ofport, mac, vlans, isIccAllowed } = port;
  const vlan = vlans.vlan ?? 0;
  const match = { inPort: ofport, ethSrc: mac, vlanVid: UNTAGGED };
  const actions = classify(vlan, [...identityFlags(port), ...(isIccAllowed ? [] : (["isolated"] as const))]);
  return [
    { table: TABLE.ingress, priority: 100, cookie, match, actions, goTo: TABLE.clean },
    ...identityFlows(port),
    ...knownFlows(cookie, { ofport, vlan, isTagged: false, isIsolated: !isIccAllowed }, mac),
    ...(port.isHairpin === true ? [hairpinFlow(cookie, ofport, vlan, mac)] : []),
  ];
}

function openFlows(cookie: bigint, port: EndpointPort): readonly Flow[] {
  const isFree = port.vlans.vlan === undefined && port.vlans.trunk === undefined;
  return membershipsOf(port).flatMap((membership) => [
    ...openIngress(cookie, membership, isFree),
    deliveryFlow(cookie, membership),
    expectedFlow(cookie, membership, port.mac),
    ...(port.isHairpin === true ? [hairpinFlow(cookie, port.ofport, membership.vlan, port.mac)] : []),
  ]);
}

/** How frames get in that are not checked. @param takesPriorities - also those with a tag of VLAN 0. */
export function openIngress(cookie: bigint, membership: Membership, takesPriorities: boolean): readonly Flow[] {
  const { ofport, vlan, isTagged, isIsolated } = membership;
  const flags: readonly Flag[] = ["open", ...(isIsolated ? (["isolated"] as const) : [])];
  const untag: readonly Action[] = [
    { kind: "move", from: { field: "vlanTci" }, to: { field: REGISTER.tag }, bits: 16 },
    { kind: "popVlan" },
    ...classify(vlan, [...flags, "tagged"]),
  ];
  const tagged = (match: Flow["match"]): Flow => ({
    table: TABLE.ingress,
    priority: 100,
    cookie,
    match: { inPort: ofport, ...match },
    actions: untag,
    goTo: TABLE.learn,
  });
  if (isTagged) return [tagged({ vlanVid: taggedWith(vlan) })];
  return [untaggedFlow(cookie, membership, flags), ...(takesPriorities ? [tagged({ vlanVid: taggedWith(0) })] : [])];
}

function untaggedFlow(cookie: bigint, { ofport, vlan }: Membership, flags: readonly Flag[]): Flow {
  const match = { inPort: ofport, vlanVid: UNTAGGED };
  return { table: TABLE.ingress, priority: 100, cookie, match, actions: classify(vlan, flags), goTo: TABLE.learn };
}

/** A port in each of its VLANs. */
export function membershipsOf({
  ofport,
  vlans,
  isIccAllowed,
}: Pick<EndpointPort, "ofport" | "vlans" | "isIccAllowed">): readonly Membership[] {
  const { vlan, trunk } = vlans;
  const common = { ofport, isIsolated: !isIccAllowed };
  const untagged = trunk === undefined || vlan !== undefined ? [{ ...common, vlan: vlan ?? 0, isTagged: false }] : [];
  return [...untagged, ...(trunk ?? []).map((each) => ({ ...common, vlan: each, isTagged: true }))];
}

function membershipsOfUplink({ ofport, vlans }: Uplink): readonly Membership[] {
  return vlans.map((vlan) => ({ ofport, vlan, isTagged: vlan !== 0, isIsolated: false }));
}
