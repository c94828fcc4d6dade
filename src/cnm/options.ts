// The options of a network (`-o KEY=VALUE`) and of an endpoint (`--driver-opt`): one table for parsing, for messages
// and for the README. Everything wrong is reported at once, before anything changes. What needs the addresses of the
// network or the host is checked in `plan.ts` and by the datapath.
import { parseAddress, parseSubnet, formatSubnet, formatAddress } from "../cidr.ts";
import { TsnetError, messageOf } from "../errors.ts";
import { nearest } from "../suggest.ts";
import { parseHostAddress } from "./bindings.ts";
import { parseIfName } from "./names.ts";
import type { IfName, NetworkMode, StaticRoute } from "./network.ts";

/** What a user may set on a network, parsed. Absent keys take the defaults of the table in the README. */
export interface NetworkSettings {
  readonly backend: "bridge";
  readonly bridge?: IfName;
  readonly mode: NetworkMode;
  readonly gateway: "auto" | "none";
  readonly mtu: number;
  readonly masquerade: boolean;
  readonly icc: boolean;
  readonly "host-binding"?: string;
  readonly ifprefix: string;
  readonly antispoof: boolean;
  readonly routes: readonly StaticRoute[];
}

/** What a user may set on an endpoint, parsed. */
export interface EndpointSettings {
  readonly mtu?: number;
}

interface OptionRule<T> {
  /** The permitted values, as messages and the README name them. */
  readonly permitted: string;
  readonly default: T;
  /** Docker's own spelling of the same option. */
  readonly alias?: string;
  /** @throws anything; the message becomes part of the answer. */
  readonly parse: (text: string) => T;
}

/** Every network option. The README's table is compared with this one by a test. */
export const NETWORK_OPTIONS = {
  backend: oneOf(["bridge"], "bridge"),
  bridge: {
    permitted: "name of a Linux bridge: a letter, then up to 14 letters, digits, _ . -",
    default: undefined,
    alias: "com.docker.network.bridge.name",
    parse: parseIfName,
  },
  mode: oneOf(["nat", "routed", "l2", "isolated"], "nat"),
  gateway: oneOf(["auto", "none"], "auto"),
  mtu: {
    permitted: "68-65535, with IPv6 at least 1280",
    default: 1500,
    alias: "com.docker.network.driver.mtu",
    parse: (text) => parseInteger(text, 68, 65_535),
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
  antispoof: bool(true),
  routes: { permitted: "list such as 10.0.0.0/8 via 10.1.2.9,fd00::/8 via fd01::9", default: [], parse: parseRoutes },
} as const satisfies { readonly [K in keyof NetworkSettings]-?: OptionRule<NetworkSettings[K]> };

/** Every endpoint option. */
export const ENDPOINT_OPTIONS = {
  mtu: { permitted: "68 to the network's mtu", default: undefined, parse: (text) => parseInteger(text, 68, 65_535) },
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
  const { values, faults } = readOptions(options, ENDPOINT_OPTIONS, new Set());
  if (faults.length > 0) throw new TsnetError("invalid", faults.join("; "));
  return values;
}

function readOptions(
  options: ReadonlyMap<string, string>,
  table: Readonly<Record<string, OptionRule<unknown>>>,
  passed: ReadonlySet<string>,
): { values: Record<string, unknown>; faults: string[] } {
  const canonical = new Map(Object.entries(table).flatMap(([key, { alias }]) => (alias ? [[alias, key]] : [])));
  const values: Record<string, unknown> = {};
  for (const [key, rule] of Object.entries(table)) if (rule.default !== undefined) values[key] = rule.default;
  const given = new Map<string, { text: string; as: string }>();
  const faults: string[] = [];
  for (const [name, text] of options) {
    if (passed.has(name)) continue;
    const key = canonical.get(name) ?? name;
    const rule = Object.hasOwn(table, key) ? table[key] : undefined;
    const earlier = given.get(key);
    if (rule === undefined) faults.push(unknownOption(name, Object.keys(table), [...canonical.keys()]));
    else if (earlier !== undefined) {
      if (earlier.text !== text) faults.push(`options ${earlier.as} and ${name} mean the same and differ`);
    } else {
      given.set(key, { text, as: name });
      try {
        values[key] = rule.parse(text);
      } catch (fault) {
        const reason = fault instanceof TsnetError ? ` (${messageOf(fault)})` : "";
        faults.push(`option ${name}: ${shown(text)} is not permitted${reason}; permitted: ${rule.permitted}`);
      }
    }
  }
  return { values, faults };
}

function unknownOption(name: string, keys: readonly string[], aliases: readonly string[]): string {
  const meant = nearest(name.toLowerCase(), [...keys, ...aliases]);
  const hint = meant === undefined ? "" : `, did you mean ${meant}`;
  return `unknown option ${shown(name)}${hint}; known: ${keys.join(", ")}`;
}

function oneOf<const T extends string>(permitted: readonly T[], fallback: T): OptionRule<T> {
  const parse = (text: string): T => {
    const found = permitted.find((value) => value === text);
    if (found === undefined) throw new Error(text);
    return found;
  };
  return { permitted: permitted.join(", "), default: fallback, parse };
}

function bool(fallback: boolean): OptionRule<boolean> {
  const { parse } = oneOf(["true", "false"], "true");
  return { permitted: "true, false", default: fallback, parse: (text) => parse(text) === "true" };
}

function parseInteger(text: string, least: number, most: number): number {
  const value = /^[0-9]{1,9}$/.test(text) ? Number(text) : NaN;
  if (!(value >= least && value <= most)) throw new Error(text);
  return value;
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

function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
}
