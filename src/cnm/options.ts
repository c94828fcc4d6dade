// The options of a network (`-o KEY=VALUE`) and of an endpoint (`--driver-opt`): one table for parsing, for messages
// and for the README. Everything wrong is reported at once, before anything changes. What needs the addresses of the
// network or the host is checked in `plan.ts` and by the datapath.
import { formatAddress, formatSubnet, parseAddress, parseSubnet } from "../cidr.ts";
import { TsnetError } from "../errors.ts";
import { VLAN_RANGE, parseVlan, parseVlanList } from "../vlan.ts";
import { parseHostAddress } from "./bindings.ts";
import { parseIfName } from "./names.ts";
import type { Backend, DatapathType, IfName, NetworkMode, StaticRoute, SwitchSettings, TunnelKind } from "./network.ts";
import { type OptionRule, bool, integer, oneOf, readOptions } from "./option-rule.ts";
import { parsePeers, parseTunnelEnd } from "./tunnel.ts";

/** What a user may set on a network, parsed. Absent keys take the defaults of the table in the README. */
export interface NetworkSettings extends SwitchSettings {
  readonly backend: Backend;
  readonly datapath?: DatapathType;
  readonly bridge?: IfName;
  readonly mode?: NetworkMode;
  readonly gateway: "auto" | "none";
  readonly vlan?: number;
  readonly trunk?: readonly number[];
  readonly "shared-vlan": boolean;
  readonly parent?: IfName;
  readonly "parent-address": "keep" | "move";
  readonly mtu?: number;
  readonly masquerade: boolean;
  readonly icc: boolean;
  readonly "host-binding"?: string;
  readonly ifprefix: string;
  readonly antispoof?: boolean;
  readonly tunnel?: TunnelKind;
  readonly peers?: readonly string[];
  readonly local?: string;
  readonly vni?: number;
  readonly port?: number;
  readonly routes: readonly StaticRoute[];
  readonly "dry-run": boolean;
}

/** What a user may set on an endpoint, parsed. */
export interface EndpointSettings {
  readonly vlan?: number;
  readonly trunk?: readonly number[];
  readonly mtu?: number;
}

/** Every network option. The README's table is compared with this one by a test. */
export const NETWORK_OPTIONS = {
  backend: oneOf(["bridge", "ovs"], "bridge"),
  datapath: oneOf(["auto", "kernel", "userspace"]),
  bridge: {
    permitted: "name of a switch: a letter, then up to 14 letters, digits, _ . -",
    default: undefined,
    alias: "com.docker.network.bridge.name",
    parse: parseIfName,
  },
  mode: oneOf(["nat", "routed", "l2", "isolated"]),
  gateway: oneOf(["auto", "none"], "auto"),
  vlan: { permitted: VLAN_RANGE, default: undefined, parse: parseVlan },
  trunk: { permitted: "list of VLANs such as 10,20,30-39", default: undefined, parse: parseVlanList },
  "shared-vlan": bool(false),
  parent: { permitted: "name of a link of the host", default: undefined, parse: parseIfName },
  "parent-address": oneOf(["keep", "move"], "keep"),
  mtu: {
    ...integer(68, 65_535),
    permitted: "68-65535, with IPv6 at least 1280",
    alias: "com.docker.network.driver.mtu",
  },
  masquerade: { ...bool(true), alias: "com.docker.network.bridge.enable_ip_masquerade" },
  icc: { ...bool(true), alias: "com.docker.network.bridge.enable_icc" },
  "host-binding": {
    permitted: "IP address such as 192.0.2.1 or fd00::1",
    default: undefined,
    alias: "com.docker.network.bridge.host_binding_ipv4",
    parse: parseHostAddress,
  },
  ifprefix: {
    permitted: "a letter, then up to 10 letters, digits or _",
    default: "eth",
    alias: "com.docker.network.container_iface_prefix",
    parse: parseIfPrefix,
  },
  antispoof: bool(),
  tunnel: oneOf(["vxlan", "gre", "geneve"]),
  peers: { permitted: "list of addresses such as 192.0.2.1,192.0.2.2", default: undefined, parse: parsePeers },
  local: { permitted: "address of this host such as 192.0.2.1 or fd00::1", default: undefined, parse: parseTunnelEnd },
  vni: { ...integer(0, 4_294_967_295), permitted: "1-16777215; with tunnel=gre 0-4294967295" },
  port: { ...integer(1, 65_535), permitted: "UDP port: 1-65535" },
  routes: { permitted: "list such as 10.0.0.0/8 via 10.1.2.9,fd00::/8 via fd01::9", default: [], parse: parseRoutes },
  stp: bool(),
  "stp-priority": integer(0, 65_535),
  "stp-forward-delay": integer(2, 30, " seconds"),
  "stp-hello": integer(1, 10, " seconds"),
  "stp-max-age": integer(6, 40, " seconds"),
  "stp-cost": integer(1, 65_535),
  "stp-port-priority": integer(0, 255),
  ageing: integer(0, 1_000_000, " seconds"),
  "mcast-snooping": bool(),
  hairpin: bool(),
  "dry-run": bool(false),
} as const satisfies { readonly [K in keyof NetworkSettings]-?: OptionRule<NetworkSettings[K]> };

/** Every endpoint option. */
export const ENDPOINT_OPTIONS = {
  vlan: { permitted: "a VLAN of the network", default: undefined, parse: parseVlan },
  trunk: { permitted: "list of VLANs of the network such as 10,20,30-39", default: undefined, parse: parseVlanList },
  mtu: { ...integer(68, 65_535), permitted: "68 to the network's mtu" },
} as const satisfies { readonly [K in keyof EndpointSettings]-?: OptionRule<EndpointSettings[K] | undefined> };

/** Keys below `com.docker.network` that the engine itself acts upon, whatever the driver. */
const ENGINE_KEYS: ReadonlySet<string> = new Set([
  "com.docker.network.enable_ipv4",
  "com.docker.network.enable_ipv6",
  "com.docker.network.advertise_addr_nmsgs",
  "com.docker.network.advertise_addr_ms",
]);

/**
 * Reads the options of a network and collects what is wrong with them.
 *
 * @returns the settings, and the faults; the settings are complete only if there is no fault.
 */
export function readNetworkOptions(options: ReadonlyMap<string, string>): {
  readonly settings: NetworkSettings;
  readonly faults: readonly string[];
} {
  const { values, faults } = readOptions(options, NETWORK_OPTIONS, ENGINE_KEYS);
  // The table has exactly the keys of NetworkSettings, each with a parser of that key's type.
  return { settings: values as unknown as NetworkSettings, faults };
}

/** Reads the driver options of an endpoint. @throws TsnetError `invalid` with all faults. */
export function parseEndpointOptions(options: ReadonlyMap<string, string>): EndpointSettings {
  const { values, faults } = readOptions(options, ENDPOINT_OPTIONS);
  if (faults.length > 0) throw new TsnetError("invalid", faults.join("; "));
  return values;
}

function parseIfPrefix(text: string): string {
  if (!/^[A-Za-z][A-Za-z0-9_]{0,10}$/.test(text)) throw new Error(text);
  return text;
}

function parseRoutes(text: string): readonly StaticRoute[] {
  return text.split(",").map((item) => {
    const [, destination = "", via = ""] = /^\s*(\S{1,64}) via (\S{1,64})\s*$/.exec(item) ?? [];
    const [subnet, hop] = [parseSubnet(destination), parseAddress(via)];
    if (subnet.prefixLength === 0) throw new TsnetError("invalid", "the default route is set by option gateway");
    if (subnet.family !== hop.family) throw new TsnetError("invalid", `${via} and ${destination} differ in family`);
    return { destination: formatSubnet(subnet), via: formatAddress(hop) };
  });
}
