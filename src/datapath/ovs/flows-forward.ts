// Where frames go on a switch of tsnet's own, tables 244 to 247. Groups go as the ports in OVSDB say (VLANs, `protected`, STP,
// snooping). Of all other frames a guarded endpoint gets its own alone: no switch floods them to it, and what it gets does not
// depend on what the switch has learned. Between ports that are not guarded frames go as in any switch that learns.
import type { Action } from "../../host/openflow-actions.ts";
import type { Flow } from "../../host/openflow-flow.ts";
import type { Match } from "../../host/openflow-match.ts";
import { SWITCH_COOKIE, learnedCookie, vlanCookie } from "./flows-cookie.ts";
import { ARP_REQUEST, SOLICITATION } from "./flows-guard.ts";
import { ETHERTYPE, GROUP, REGISTER, TABLE, flagged, taggedWith } from "./flows-pipeline.ts";

/** As long and as many as in Open vSwitch's own table of MAC addresses (`mac-aging-time`, `mac-table-size`). */
const LEARNED_SECONDS = 300;
const LEARNED_LIMIT = 8_192;

const PRIORITY_BITS = { offset: 13, bits: 3 } as const;

/** A port in one VLAN. */
export interface Membership {
  readonly ofport: number;
  readonly vlan: number;
  readonly isTagged: boolean;
  /** Without icc. */
  readonly isIsolated: boolean;
}

/** The part that is the same for all VLANs and ports. */
export function forwardFlows(): readonly Flow[] {
  const tagged = { [REGISTER.flags]: flagged("tagged"), ethDst: GROUP };
  const restore: readonly Action[] = [
    { kind: "pushVlan" },
    { kind: "move", from: { field: REGISTER.tag }, to: { field: "vlanTci" }, bits: 16 },
  ];
  const secondTag: readonly Match[] = [
    { vlanVid: { value: taggedWith(0), mask: taggedWith(0) } },
    { ethType: ETHERTYPE.customerTag },
    { ethType: ETHERTYPE.serviceTag },
  ];
  return [
    flow(TABLE.learn, 0, {}, [], TABLE.forward),
    ...secondTag.map((match) => flow(TABLE.forward, 300, match, [])),
    flow(TABLE.forward, 210, tagged, [...restore, NORMAL]),
    flow(TABLE.forward, 200, { ethDst: GROUP }, [NORMAL]),
    flow(TABLE.forward, 0, {}, [{ kind: "resubmit", table: TABLE.learned }], TABLE.deliver),
    flow(TABLE.learned, 0, {}, []),
    flow(TABLE.deliver, 0, {}, []),
  ];
}

/** To a MAC address of which it is known where it is, untagged. */
export function knownFlows(cookie: bigint, { ofport, vlan, isIsolated }: Membership, mac: string): readonly Flow[] {
  const match = { [REGISTER.vlan]: vlan, ethDst: mac };
  const flows: Flow[] = [
    { table: TABLE.forward, priority: 100, cookie, match, actions: [{ kind: "output", port: ofport }] },
  ];
  if (isIsolated) {
    const apart = { ...match, [REGISTER.flags]: flagged("isolated") };
    flows.push({ table: TABLE.forward, priority: 110, cookie, match: apart, actions: [] });
  }
  return flows;
}

/** An endpoint's own frames for itself go back to it: to its own published port, by way of the host's translation. */
export function hairpinFlow(cookie: bigint, ofport: number, vlan: number, mac: string): Flow {
  const match = { inPort: ofport, [REGISTER.vlan]: vlan, ethDst: mac };
  return { table: TABLE.forward, priority: 150, cookie, match, actions: [{ kind: "output", port: "inPort" }] };
}

/** Requests for the host's own address go to it alone. Not its own ones, by which it tells others of itself. */
export function requestFlows(
  cookie: bigint,
  { ofport, vlan }: Membership,
  addresses: readonly string[],
): readonly Flow[] {
  return addresses.map((address) => ({
    table: TABLE.forward,
    priority: 250,
    cookie,
    match: { [REGISTER.vlan]: vlan, [REGISTER.flags]: flagged("isolated", false), ...requestFor(address) },
    actions: [{ kind: "output", port: ofport }],
  }));
}

function requestFor(address: string): Match {
  return address.includes(":") ? { ...SOLICITATION, ndTarget: address } : { ...ARP_REQUEST, arpTpa: address };
}

/** To a port that is not guarded, once it is known that a frame goes there. */
export function deliveryFlow(cookie: bigint, membership: Membership): Flow {
  const { ofport, vlan, isTagged, isIsolated } = membership;
  const match = {
    [REGISTER.vlan]: vlan,
    ...(isIsolated && { [REGISTER.flags]: flagged("isolated", false) }),
    [REGISTER.destination]: ofport,
  };
  const actions = [...(isTagged ? tag(vlan) : []), output(ofport)];
  return { table: TABLE.deliver, priority: 100, cookie, match, actions };
}

/** Where the MAC address of an endpoint that is not guarded is, as long as nobody has learned better. */
export function expectedFlow(cookie: bigint, { ofport, vlan }: Membership, mac: string): Flow {
  const match = { [REGISTER.vlan]: vlan, ethDst: mac };
  const actions: readonly Action[] = [{ kind: "set", field: REGISTER.destination, value: ofport }];
  return { table: TABLE.learned, priority: 50, cookie, match, actions };
}

/**
 * For all other MAC addresses of one VLAN: to each port that is not guarded, of which all are in `members`. With two of them
 * the switch learns where a MAC address is.
 *
 * @param ageing - seconds for which it knows that without hearing from there; default: as Open vSwitch itself.
 */
export function unknownFlows(
  vlan: number,
  members: readonly Membership[],
  ageing: number = LEARNED_SECONDS,
): readonly Flow[] {
  const cookie = vlanCookie(vlan);
  const match = { [REGISTER.vlan]: vlan };
  const flows: Flow[] = [];
  if (members.length > 1) {
    const learning = { ...match, [REGISTER.flags]: flagged("open") };
    flows.push({
      table: TABLE.learn,
      priority: 100,
      cookie,
      match: learning,
      actions: [learn(vlan, ageing)],
      goTo: TABLE.forward,
    });
  }
  if (members.length === 0) return flows;
  const unknown = { ...match, [REGISTER.destination]: 0 };
  flows.push({ table: TABLE.deliver, priority: 50, cookie, match: unknown, actions: toAll(members) });
  if (!members.some(({ isIsolated }) => isIsolated)) return flows;
  const apart = { ...match, [REGISTER.flags]: flagged("isolated"), [REGISTER.destination]: 0 };
  const others = members.filter(({ isIsolated }) => !isIsolated);
  return [...flows, { table: TABLE.deliver, priority: 60, cookie, match: apart, actions: toAll(others) }];
}

const NORMAL: Action = { kind: "output", port: "normal" };

function flow(table: number, priority: number, match: Match, actions: readonly Action[], goTo?: number): Flow {
  return { table, priority, cookie: SWITCH_COOKIE, match, actions, ...(goTo !== undefined && { goTo }) };
}

function output(port: number): Action {
  return { kind: "output", port };
}

function toAll(members: readonly Membership[]): readonly Action[] {
  const untagged = members.filter(({ isTagged }) => !isTagged).map(({ ofport }) => output(ofport));
  const tagged = members.filter(({ isTagged }) => isTagged);
  const [first] = tagged;
  return first === undefined
    ? untagged
    : [...untagged, ...tag(first.vlan), ...tagged.map(({ ofport }) => output(ofport))];
}

/** Puts a tag on, with the priority that the frame had when it came. */
function tag(vlan: number): readonly Action[] {
  const { offset, bits } = PRIORITY_BITS;
  return [
    { kind: "pushVlan" },
    { kind: "set", field: "vlanVid", value: taggedWith(vlan) },
    { kind: "move", from: { field: REGISTER.tag, offset }, to: { field: "vlanTci", offset }, bits },
  ];
}

/** In the table `learned`: the frame's VLAN, and its source as a destination, lead to its port. */
function learn(vlan: number, seconds: number): Action {
  return {
    kind: "learn",
    learn: {
      table: TABLE.learned,
      priority: 100,
      cookie: learnedCookie(vlan),
      seconds,
      limit: LEARNED_LIMIT,
      copies: [
        { from: REGISTER.vlan, to: REGISTER.vlan, bits: 32, becomes: "match" },
        { from: "ethSrc", to: "ethDst", bits: 48, becomes: "match" },
        { from: "shortInPort", to: REGISTER.destination, bits: 16, becomes: "load" },
      ],
    },
  };
}
