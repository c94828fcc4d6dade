// Who is on one switch, and so which flows it needs, by their owners. Ports are known by their names here; their OpenFlow
// numbers are Open vSwitch's, and are looked up whenever flows are made.
import type { Endpoint } from "../../cnm/endpoint.ts";
import type { Network } from "../../cnm/network.ts";
import type { Flow } from "../../host/openflow-flow.ts";
import { settingsOf } from "../switch-settings.ts";
import { uplinkVlans, uplinksOf } from "../uplink/uplink-vlans.ts";
import { SWITCH_COOKIE, endpointCookie, gatewayCookie, uplinkCookie, vlanCookie } from "./flows-cookie.ts";
import {
  type EndpointPort,
  type GatewayPort,
  type Uplink,
  adoptedEndpointFlows,
  adoptedSwitchFlows,
  endpointFlows,
  gatewayFlows,
  openVlansOf,
  switchFlows,
  uplinkFlows,
  vlanFlows,
} from "./flows.ts";

/** What Open vSwitch and the kernel say of a port. */
export interface PortState {
  readonly ofport: number;
  /** Of the host's links. */
  readonly mac?: string;
}

/** Flows by the cookie of their owner. An owner without flows shall have none. */
export type FlowsByOwner = ReadonlyMap<bigint, readonly Flow[]>;

type Member<P> = Omit<P, "ofport"> & { readonly name: string };
type EndpointMember = Member<EndpointPort>;

/** The members of one switch; of an adopted one only endpoints matter. */
export class SwitchMembers {
  readonly #isOurs: boolean;
  #gateways: readonly Member<Omit<GatewayPort, "mac">>[] = [];
  #uplinks: readonly Member<Uplink>[] = [];
  #ageing: number | undefined;
  readonly #endpoints = new Map<string, EndpointMember>();

  constructor(isOurs: boolean) {
    this.#isOurs = isOurs;
  }

  get isOurs(): boolean {
    return this.#isOurs;
  }

  /** @param networks - all networks of the switch. */
  setNetworks(networks: readonly Network[]): void {
    if (!this.#isOurs) return;
    const hosts = networks.filter(({ isHostOnSwitch }) => isHostOnSwitch);
    const byLink = new Map(hosts.map(({ hostLink, vlans }) => [hostLink, { name: hostLink, vlan: vlans.vlan ?? 0 }]));
    for (const { untaggedLink: name } of networks.filter(({ uplink }) => uplink?.isAddressMoved)) {
      byLink.set(name, { name, vlan: 0 });
    }
    this.#gateways = [...byLink.values()];
    this.#ageing = settingsOf(networks).ageing;
    this.#uplinks = uplinksOf(networks).map((name) => {
      const { tagged, isUntagged } = uplinkVlans(name, networks);
      return { name, vlans: isUntagged ? [0, ...tagged] : tagged };
    });
  }

  /** @returns VLANs in which the endpoint has, or had, a place of its own in the switch's flows. */
  putEndpoint(network: Network, endpoint: Endpoint): readonly number[] {
    const { endpointId, hostIfName: name, mac, address, addressIpv6, vlans } = endpoint;
    const { isGuarded, isIccAllowed } = network;
    const identity = { ...(address !== undefined && { address }), ...(addressIpv6 !== undefined && { addressIpv6 }) };
    const before = this.#openVlans(endpointId);
    this.#endpoints.set(endpointId, { endpointId, name, mac, ...identity, vlans, isGuarded, isIccAllowed });
    return [...new Set([...before, ...this.#openVlans(endpointId)])];
  }

  hasEndpoint(endpointId: string): boolean {
    return this.#endpoints.has(endpointId);
  }

  /** @returns as `putEndpoint`. */
  removeEndpoint(endpointId: string): readonly number[] {
    const vlans = this.#openVlans(endpointId);
    this.#endpoints.delete(endpointId);
    return vlans;
  }

  /** All ports whose state is needed for `allFlows`. */
  portNames(): readonly string[] {
    return [...this.#gateways, ...this.#uplinks, ...this.#endpoints.values()].map(({ name }) => name);
  }

  /** Those that are needed for `flowsOf` of one endpoint. */
  portNamesFor(endpointId: string, vlans: readonly number[]): readonly string[] {
    const own = this.#endpoints.get(endpointId);
    const open = vlans.length === 0 ? [] : [...this.#uplinks, ...this.#openMembers()];
    return [...new Set([...(own ? [own] : []), ...open].map(({ name }) => name))];
  }

  /** The hosts' links, whose MAC addresses are needed. */
  gatewayNames(): readonly string[] {
    return this.#gateways.map(({ name }) => name);
  }

  /** All that the switch shall have. Ports of unknown state have no flows. */
  allFlows(states: ReadonlyMap<string, PortState>): FlowsByOwner {
    const flows = new Map<bigint, readonly Flow[]>();
    flows.set(SWITCH_COOKIE, this.#ownFlows());
    for (const gateway of this.#gateways) {
      const { ofport, mac } = states.get(gateway.name) ?? {};
      if (ofport === undefined || mac === undefined) continue;
      flows.set(gatewayCookie(ofport), gatewayFlows({ ofport, mac, vlan: gateway.vlan }));
    }
    for (const uplink of numbered(this.#uplinks, states)) flows.set(uplinkCookie(uplink.ofport), uplinkFlows(uplink));
    for (const endpointId of this.#endpoints.keys()) {
      for (const [cookie, own] of this.flowsOf(endpointId, [], states)) flows.set(cookie, own);
    }
    const used = [...this.#uplinks.flatMap(({ vlans }) => vlans), ...this.#openMembers().flatMap(openVlans)];
    for (const vlan of new Set(used)) flows.set(vlanCookie(vlan), this.#vlanFlows(vlan, states));
    return flows;
  }

  /** What one endpoint has, and what the VLANs have. Of an endpoint that has gone: that it has none. */
  flowsOf(
    endpointId: string,
    vlans: readonly number[],
    states: ReadonlyMap<string, PortState>,
  ): Map<bigint, readonly Flow[]> {
    const member = this.#endpoints.get(endpointId);
    const [port] = numbered(member === undefined ? [] : [member], states);
    const flowsOf = this.#isOurs ? endpointFlows : adoptedEndpointFlows;
    const flows = new Map([[endpointCookie(endpointId), port === undefined ? [] : flowsOf(port)]]);
    if (!this.#isOurs) return flows.set(SWITCH_COOKIE, this.#ownFlows());
    for (const vlan of vlans) flows.set(vlanCookie(vlan), this.#vlanFlows(vlan, states));
    return flows;
  }

  #ownFlows(): readonly Flow[] {
    if (this.#isOurs) return switchFlows();
    const hasGuarded = [...this.#endpoints.values()].some(({ isGuarded }) => isGuarded);
    return hasGuarded ? adoptedSwitchFlows() : [];
  }

  #vlanFlows(vlan: number, states: ReadonlyMap<string, PortState>): readonly Flow[] {
    return vlanFlows(vlan, numbered(this.#uplinks, states), numbered(this.#openMembers(), states), this.#ageing);
  }

  #openMembers(): readonly EndpointMember[] {
    return [...this.#endpoints.values()].filter(({ isGuarded }) => !isGuarded);
  }

  #openVlans(endpointId: string): readonly number[] {
    const member = this.#endpoints.get(endpointId);
    return member === undefined || !this.#isOurs ? [] : openVlans(member);
  }
}

function openVlans(member: EndpointMember): readonly number[] {
  return openVlansOf({ ...member, ofport: 0 }); // the VLANs do not hang on it
}

function numbered<M extends { readonly name: string }>(
  members: readonly M[],
  states: ReadonlyMap<string, PortState>,
): (M & { readonly ofport: number })[] {
  return members.flatMap((member) => {
    const ofport = states.get(member.name)?.ofport;
    return ofport === undefined ? [] : [{ ...member, ofport }];
  });
}
