// Who is on one switch, and so which flows it needs, by their owners. Ports are known by their names here; their OpenFlow
// numbers are Open vSwitch's, and are looked up whenever flows are made.
import type { Endpoint } from "../../cnm/endpoint.ts";
import type { Network } from "../../cnm/network.ts";
import type { Flow } from "../../host/openflow-flow.ts";
import { settingsOf } from "../switch-settings.ts";
import { uplinkVlans, uplinksOf } from "../uplink/uplink-vlans.ts";
import {
  SWITCH_COOKIE,
  endpointCookie,
  gatewayCookie,
  tunnelCookie,
  uplinkCookie,
  vlanCookie,
} from "./flows-cookie.ts";
import {
  type EndpointPort,
  type GatewayPort,
  type Uplink,
  type VlanPort,
  adoptedEndpointFlows,
  adoptedSwitchFlows,
  endpointFlows,
  gatewayFlows,
  openVlansOf,
  switchFlows,
  uplinkFlows,
  vlanFlows,
} from "./flows.ts";
import { type TunnelPort, adoptedTunnelFlows, tunnelFlows } from "./flows-tunnel.ts";
import { tunnelEnds } from "./tunnel.ts";

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
type GatewayMember = Member<Omit<GatewayPort, "mac">>;

/** With the name of the host's link into its network, if the host is there. */
type TunnelMember = Member<Omit<TunnelPort, "host">> & { readonly hostLink?: string };

/** The members of one switch; of an adopted one only endpoints and tunnels matter, and the host where a tunnel leads. */
export class SwitchMembers {
  readonly #isOurs: boolean;
  #gateways: readonly GatewayMember[] = [];
  #tunnels: readonly TunnelMember[] = [];
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
    const gateways = gatewaysOf(networks);
    this.#tunnels = tunnelsOf(networks);
    this.#gateways = gateways.filter(({ apartAddresses }) => this.#isOurs || apartAddresses !== undefined);
    if (!this.#isOurs) return;
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
    const before = this.openVlansOf(endpointId);
    this.#endpoints.set(endpointId, { endpointId, name, mac, ...identity, vlans, isGuarded, isIccAllowed });
    return [...new Set([...before, ...this.openVlansOf(endpointId)])];
  }

  hasEndpoint(endpointId: string): boolean {
    return this.#endpoints.has(endpointId);
  }

  /** @returns as `putEndpoint`. */
  removeEndpoint(endpointId: string): readonly number[] {
    const vlans = this.openVlansOf(endpointId);
    this.#endpoints.delete(endpointId);
    return vlans;
  }

  /** All ports whose state is needed for `allFlows`. */
  portNames(): readonly string[] {
    const ofHost = [...this.#gateways, ...this.#uplinks, ...this.#tunnels];
    return [...ofHost, ...this.#endpoints.values()].map(({ name }) => name);
  }

  /** Those that are needed for `flowsOf` of one endpoint. */
  portNamesFor(endpointId: string, vlans: readonly number[]): readonly string[] {
    const own = this.#endpoints.get(endpointId);
    const open = vlans.length === 0 ? [] : [...this.#uplinks, ...this.#tunnels, ...this.#openMembers()];
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
    for (const { name: _name, ...gateway } of numbered(this.#isOurs ? this.#gateways : [], states)) {
      const mac = states.get(_name)?.mac;
      if (mac !== undefined) flows.set(gatewayCookie(gateway.ofport), gatewayFlows({ ...gateway, mac }));
    }
    const tunnelFlowsOf = this.#isOurs ? tunnelFlows : adoptedTunnelFlows;
    for (const tunnel of numbered(this.#tunnels, states)) {
      flows.set(tunnelCookie(tunnel.ofport), tunnelFlowsOf({ ...tunnel, ...this.#hostOf(tunnel, states) }));
    }
    for (const uplink of numbered(this.#uplinks, states)) flows.set(uplinkCookie(uplink.ofport), uplinkFlows(uplink));
    for (const endpointId of this.#endpoints.keys()) {
      for (const [cookie, own] of this.flowsOf(endpointId, [], states)) flows.set(cookie, own);
    }
    if (!this.#isOurs) return flows;
    const open = [...this.#tunnels.map(asVlanPort), ...this.#openMembers()];
    const used = [...this.#uplinks.flatMap(({ vlans }) => vlans), ...open.flatMap(openVlans)];
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
    const open = [...numbered(this.#tunnels.map(asVlanPort), states), ...numbered(this.#openMembers(), states)];
    return vlanFlows(vlan, numbered(this.#uplinks, states), open, this.#ageing);
  }

  /** What the host is where a tunnel leads. */
  #hostOf({ hostLink }: TunnelMember, states: ReadonlyMap<string, PortState>): Pick<TunnelPort, "host"> {
    const gateway = this.#gateways.find(({ name }) => name === hostLink);
    if (gateway === undefined) return {};
    const mac = states.get(gateway.name)?.mac;
    return { host: { addresses: gateway.apartAddresses ?? [], vlan: gateway.vlan, ...(mac !== undefined && { mac }) } };
  }

  #openMembers(): readonly EndpointMember[] {
    return [...this.#endpoints.values()].filter(({ isGuarded }) => !isGuarded);
  }

  /** The VLANs of this switch of ours in which it is learned where the endpoint is; none for a guarded one. */
  openVlansOf(endpointId: string): readonly number[] {
    const member = this.#endpoints.get(endpointId);
    return member === undefined || !this.#isOurs ? [] : openVlans(member);
  }
}

function gatewaysOf(networks: readonly Network[]): readonly GatewayMember[] {
  const hosts = networks.filter(({ isHostOnSwitch }) => isHostOnSwitch);
  const byLink = new Map<string, GatewayMember>();
  for (const { hostLink: name, vlans } of hosts) {
    const beside = hosts.filter(({ hostLink }) => hostLink === name);
    const isApart = beside.some(({ tunnel }) => tunnel !== undefined);
    const apartAddresses = beside.flatMap(({ pools }) => pools.flatMap(({ gateway = [] }) => gateway));
    byLink.set(name, { name, vlan: vlans.vlan ?? 0, ...(isApart && { apartAddresses }) });
  }
  for (const { untaggedLink: name } of networks.filter(({ uplink }) => uplink?.isAddressMoved)) {
    byLink.set(name, { name, vlan: 0 });
  }
  return [...byLink.values()];
}

function tunnelsOf(networks: readonly Network[]): readonly TunnelMember[] {
  const members = networks.flatMap((network) => {
    const { vlans, isHostOnSwitch, hostLink } = network;
    return tunnelEnds(network).map(({ name }) => ({ name, vlans, ...(isHostOnSwitch && { hostLink }) }));
  });
  return [...new Map(members.map((member) => [member.name, member])).values()]; // two networks may have one tunnel
}

function asVlanPort({ name, vlans }: TunnelMember) {
  return { name, vlans, isGuarded: false, isIccAllowed: false };
}

function openVlans(member: Omit<VlanPort, "ofport">): readonly number[] {
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
