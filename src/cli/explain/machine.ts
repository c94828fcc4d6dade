// A machine as explain sees it: the host, or a container's network namespace. Plain data, but for routes: those are asked
// for as the packet goes on.
import { type Family, contains, parseAddress, subnetOf } from "../../cidr.ts";
import type { ListeningSocket } from "../../host/listening-sockets.ts";
import type { Ruleset } from "./ruleset.ts";

/** An address on a link. */
export interface LinkAddress {
  /** Bare. */
  readonly address: string;
  readonly prefixLength: number;
}

/** One link. */
export interface Link {
  readonly name: string;
  readonly index: number;
  /** Index of the other end of a veth pair. */
  readonly peerIndex?: number;
  readonly mac: string;
  readonly mtu: number;
  readonly isUp: boolean;
  /** Whether somebody is at the other end of the cable; of no meaning while it is down. */
  readonly hasCarrier: boolean;
  readonly group: number;
  /** The bridge whose port it is. */
  readonly master?: string;
  readonly addresses: readonly LinkAddress[];
  /** `bridge`, `veth`, `vxlan`, …; "" for a card. */
  readonly kind: string;
  /** Of a port of a bridge: `forwarding`, `blocking`, … */
  readonly portState?: string;
  /** Of a bridge: whether it tells VLANs apart. */
  readonly hasVlans?: boolean;
  /** Of a bridge: whether it shows its frames to the rules for IP. */
  readonly callsRules?: boolean;
  /** Of a tunnel: its far end, where it has one alone. */
  readonly remote?: string;
}

/** An entry of the neighbour table. */
export interface Neighbour {
  readonly address: string;
  readonly link: string;
  readonly mac?: string;
  /** `REACHABLE`, `STALE`, `FAILED`, `PERMANENT`, … */
  readonly states: readonly string[];
}

/** Where the kernel would send a packet. */
export interface Route {
  /** Link by which it leaves; `lo` for the machine itself. */
  readonly link: string;
  /** The next router; absent when the destination is on the link. */
  readonly via?: string;
  /** Source address that the kernel would choose. */
  readonly source?: string;
  readonly isLocal: boolean;
}

/** A packet for which a route is asked. */
export interface RouteQuery {
  readonly to: string;
  readonly from?: string;
  /** The link by which it came. */
  readonly inLink?: string;
}

/** One machine. */
export interface Machine {
  readonly links: readonly Link[];
  readonly neighbours: readonly Neighbour[];
  readonly rules: Ruleset;
  readonly sockets: readonly ListeningSocket[];
  /** @returns the kernel's words if there is none. */
  readonly findRoute: (query: RouteQuery) => Promise<Route | string>;
}

/** What the host has besides. */
export interface Host extends Machine {
  /** Whether it forwards what comes by that link, or with `all` anything at all. */
  readonly isForwarding: (family: Family, link: string) => boolean;
  /** Value of rp_filter that holds for the link: 1 is strict. */
  readonly reversePathFilter: (link: string) => number;
  /** Whether frames that pass a bridge are shown to the rules for IP (br_netfilter). */
  readonly bridgesCallRules: (family: Family) => boolean;
}

/** The link that has this bare address. */
export function linkWith({ links }: Pick<Machine, "links">, address: string): Link | undefined {
  return links.find(({ addresses }) => addresses.some((each) => each.address === address));
}

/** The link of that name. */
export function linkNamed({ links }: Pick<Machine, "links">, name: string): Link | undefined {
  return links.find((link) => link.name === name);
}

/** Where the machine takes a neighbour to be. */
export function macAt({ neighbours }: Pick<Machine, "neighbours">, neighbour: string, by: string): string | undefined {
  return neighbours.find(({ address, link }) => address === neighbour && link === by)?.mac;
}

/** 4 or 6. */
export function familyOf(address: string): Family {
  return address.includes(":") ? 6 : 4;
}

/** Whether the link has an address of whose subnet this one is. */
export function isOnLink({ addresses }: Link, address: string): boolean {
  const wanted = parseAddress(address);
  return addresses.some((each) => contains(subnetOf(parseAddress(each.address), each.prefixLength), wanted));
}

/** Whether somebody listens there who would be reached under that address. */
export function listens(machine: Machine, protocol: string, port: number, address: string): boolean {
  const any = familyOf(address) === 4 ? ["0.0.0.0", "::"] : ["::"];
  return machine.sockets.some((socket) => {
    return socket.protocol === protocol && socket.port === port && [address, ...any].includes(socket.address);
  });
}
