// The settings of the daemon: read from the environment once, checked, completed and frozen. Every bad variable is named
// in one message, with what is permitted.
import { isIPv4, isIPv6 } from "node:net";
import { TsnetError, messageOf } from "./errors.ts";
import { type DefaultPool, parseDefaultPools } from "./ipam/default-pools.ts";
import { LOG_LEVELS } from "./log.ts";

export interface Config {
  /** Path of the socket that the engine speaks to. */
  readonly socket: string;
  readonly stateDirectory: string;
  readonly logLevel: (typeof LOG_LEVELS)[number];
  readonly defaultPools: readonly DefaultPool[];
  readonly firewall: "auto" | "nftables" | "none";
  /** Where Open vSwitch's database is, for `backend=ovs`. */
  readonly ovsdb: string;
  /** Where metrics and health are served besides the socket; undefined for nowhere. */
  readonly metrics: { readonly host: string; readonly port: number } | undefined;
}

interface Setting<T> {
  readonly default: string;
  /** The permitted values, as the message and the README name them. */
  readonly permitted: string;
  /** @throws anything; the message becomes part of the answer. */
  readonly parse: (text: string) => T;
}

/** Every setting, by the name of its environment variable. The README and `config.json` are compared with this table. */
export const SETTINGS = {
  TSNET_SOCKET: absolutePath("/run/docker/plugins/tsnet.sock"),
  TSNET_STATE_DIR: absolutePath("/var/lib/tsnet"),
  TSNET_LOG_LEVEL: oneOf(LOG_LEVELS, "info"),
  TSNET_POOLS: {
    default: "10.210.0.0/16:24,fd00:210::/48:64",
    permitted: "list of BASE:PREFIXLENGTH such as 10.210.0.0/16:24,fd00:210::/48:64",
    parse: parseDefaultPools,
  },
  TSNET_FIREWALL: oneOf(["auto", "nftables", "none"], "auto"),
  TSNET_OVSDB: {
    default: "unix:/run/openvswitch/db.sock",
    permitted: "unix:PATH, tcp:HOST:PORT",
    parse: (text) => matching(text, /^(unix:\/[^\0\n]{1,100}|tcp:[A-Za-z0-9.:[\]-]{1,64}:[0-9]{1,5})$/),
  },
  TSNET_METRICS: {
    default: "",
    permitted:
      "HOST:PORT with a port of 1-65535, an IPv6 address in brackets, such as 127.0.0.1:9560 or [::1]:9560; or empty",
    parse: parseHostPort,
  },
} as const satisfies Readonly<Record<string, Setting<unknown>>>;

/**
 * Reads the settings. An empty variable counts as absent.
 *
 * @throws TsnetError `invalid` that names every bad variable.
 */
export function readConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const faults: string[] = [];
  const read = <T>(name: string, { default: fallback, permitted, parse }: Setting<T>): T => {
    const text = environment[name] === undefined || environment[name] === "" ? fallback : environment[name];
    try {
      return parse(text);
    } catch (fault) {
      const reason = fault instanceof TsnetError ? ` (${messageOf(fault)})` : "";
      faults.push(`${name}=${JSON.stringify(text)} is not permitted${reason}; permitted: ${permitted}`);
      return parse(fallback);
    }
  };
  const config = {
    socket: read("TSNET_SOCKET", SETTINGS.TSNET_SOCKET),
    stateDirectory: read("TSNET_STATE_DIR", SETTINGS.TSNET_STATE_DIR),
    logLevel: read("TSNET_LOG_LEVEL", SETTINGS.TSNET_LOG_LEVEL),
    defaultPools: read("TSNET_POOLS", SETTINGS.TSNET_POOLS),
    firewall: read("TSNET_FIREWALL", SETTINGS.TSNET_FIREWALL),
    ovsdb: read("TSNET_OVSDB", SETTINGS.TSNET_OVSDB),
    metrics: read("TSNET_METRICS", SETTINGS.TSNET_METRICS),
  };
  if (faults.length > 0) throw new TsnetError("invalid", faults.join("; "));
  return Object.freeze(config);
}

function matching(text: string, pattern: RegExp): string {
  if (!pattern.test(text)) throw new Error(text);
  return text;
}

/** A name of a host is one that DNS could have; one that ends in a number would be an address (RFC 1123, 2.1). */
const HOST_NAME = /^(?=.{1,64}$)([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z]([a-z0-9-]*[a-z0-9])?$/i;

function parseHostPort(text: string): Config["metrics"] {
  if (text === "") return undefined;
  const [, ipv6, other = "", digits] = /^(?:\[(.+)\]|([^:]+)):([1-9][0-9]{0,4})$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === undefined || port > 65_535) throw new Error(text);
  if (ipv6 === undefined ? !isIPv4(other) && !HOST_NAME.test(other) : !isIPv6(ipv6)) throw new Error(text);
  return Object.freeze({ host: ipv6 ?? other, port });
}

function absolutePath(fallback: string): Setting<string> {
  const parse = (text: string) => {
    return matching(text, /^\/[^\0\n]{1,100}$/);
  };
  return { default: fallback, permitted: "absolute path of at most 100 characters", parse };
}

function oneOf<const T extends string>(permitted: readonly T[], fallback: T): Setting<T> {
  const parse = (text: string): T => {
    const found = permitted.find((value) => value === text);
    if (found === undefined) throw new Error(text);
    return found;
  };
  return { default: fallback, permitted: permitted.join(", "), parse };
}
