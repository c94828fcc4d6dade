// A CNI network configuration: a list of plugins (`.conflist`), or one plugin alone (`.conf`), which stands for a list of one.
// What concerns only the plugins is passed on as it is.
//
// Source: CNI SPEC.md 1.1.0, section 1 (configuration format) and section 3 (runtimeConfig).
import { TsnetError } from "../../errors.ts";
import { nearest } from "../../suggest.ts";
import { type JsonObject, isObject, parseObject } from "./json.ts";

/** The versions of the specification that tsnet speaks, oldest first. */
export const CNI_VERSIONS = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;

export type CniVersion = (typeof CNI_VERSIONS)[number];

/** One plugin of a chain. */
export interface PluginConf {
  /** Name of its executable: no path. */
  readonly type: string;
  /** What of the runtime's own knowledge it wants to be told. */
  readonly capabilities: readonly string[];
  /** All the rest, its own. */
  readonly body: JsonObject;
}

/** One network. */
export interface NetworkConf {
  readonly name: string;
  /** Those that the configuration permits and tsnet speaks, oldest first; at least one. */
  readonly versions: readonly CniVersion[];
  readonly isCheckDisabled: boolean;
  /** In the order of ADD; at least one. */
  readonly plugins: readonly PluginConf[];
}

const NETWORK_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;
const PLUGIN_TYPE = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;

/** The runtime writes these itself for every call. */
const OF_THE_RUNTIME = ["cniVersion", "name", "capabilities", "runtimeConfig", "prevResult"];

/** Whether a network can have this name: it becomes part of a path. */
export function isNetworkName(text: string): boolean {
  return NETWORK_NAME.test(text);
}

/**
 * @param origin - where the text is from, for the message.
 * @throws TsnetError `invalid` that names all that is wrong.
 */
export function parseConf(text: string, origin: string): NetworkConf {
  const conf = parseObject(text);
  if (conf === undefined) throw new TsnetError("invalid", `${origin} is no JSON object`);
  const list = "plugins" in conf ? conf["plugins"] : [conf];
  const plugins: readonly unknown[] = Array.isArray(list) ? list : [];
  const faults = [
    ...faultsOfNetwork(conf),
    ...(plugins.length === 0 ? ['"plugins" is no list of at least one plugin'] : []),
    ...plugins.flatMap((plugin, at) => faultsOfPlugin(plugin, list === conf["plugins"] ? `plugins[${at}]: ` : "")),
  ];
  if (faults.length > 0) throw new TsnetError("invalid", `${origin} is no CNI configuration: ${faults.join("; ")}`);
  return {
    name: String(conf["name"]),
    versions: CNI_VERSIONS.filter((version) => versionsIn(conf).includes(version)),
    isCheckDisabled: conf["disableCheck"] === true,
    plugins: plugins.filter(isObject).map(pluginOf),
  };
}

/**
 * The object that tells a plugin what to do.
 *
 * @param capabilities - what the operator said, by capability; a plugin gets what it asks for.
 * @param previous - the result of the plugin before, or of the whole chain.
 */
export function executionConf(
  { name }: NetworkConf,
  { type, capabilities: wanted, body }: PluginConf,
  cniVersion: CniVersion,
  capabilities: JsonObject,
  previous: JsonObject | undefined,
): JsonObject {
  const told = Object.entries(capabilities).filter(([key]) => wanted.includes(key));
  return {
    ...body,
    cniVersion,
    name,
    type,
    ...(told.length > 0 && { runtimeConfig: Object.fromEntries(told) }),
    ...(previous !== undefined && { prevResult: previous }),
  };
}

/** @throws TsnetError `invalid` for a capability that no plugin of the network asks for. */
export function requireWanted({ name, plugins }: NetworkConf, capabilities: JsonObject): void {
  const wanted = [...new Set(plugins.flatMap((plugin) => plugin.capabilities))];
  const [unwanted] = Object.keys(capabilities).filter((key) => !wanted.includes(key));
  if (unwanted === undefined) return;
  const meant = nearest(unwanted, wanted);
  const advice = meant === undefined ? `they ask for ${wanted.join(", ") || "none"}` : `is ${meant} meant?`;
  throw new TsnetError("invalid", `no plugin of network ${name} asks for the capability ${unwanted}: ${advice}`);
}

function pluginOf(plugin: JsonObject): PluginConf {
  const { capabilities } = plugin;
  const asked = isObject(capabilities) ? Object.entries(capabilities) : [];
  return {
    type: String(plugin["type"]),
    capabilities: asked.filter(([, isAsked]) => isAsked === true).map(([key]) => key),
    body: Object.fromEntries(Object.entries(plugin).filter(([key]) => !OF_THE_RUNTIME.includes(key))),
  };
}

function versionsIn({ cniVersion, cniVersions }: JsonObject): readonly unknown[] {
  return [cniVersion, ...(Array.isArray(cniVersions) ? cniVersions : [])];
}

function faultsOfNetwork(conf: JsonObject): readonly string[] {
  const { name, disableCheck = false } = conf;
  const given = versionsIn(conf).filter((version) => version !== undefined);
  const isSpoken = given.some((version) => CNI_VERSIONS.some((each) => each === version));
  return [
    ...faultsOfText("name", name, NETWORK_NAME),
    ...(isSpoken ? [] : [`"cniVersion" is ${sayValue(given)}, permitted are ${CNI_VERSIONS.join(", ")}`]),
    ...(typeof disableCheck === "boolean" ? [] : ['"disableCheck" is neither true nor false']),
  ];
}

function faultsOfPlugin(plugin: unknown, where: string): readonly string[] {
  if (!isObject(plugin)) return [`${where}it is no object`];
  const { type, capabilities = {} } = plugin;
  const faults = [
    ...faultsOfText("type", type, PLUGIN_TYPE),
    ...(isObject(capabilities) ? [] : ['"capabilities" is no object']),
  ];
  return faults.map((fault) => `${where}${fault}`);
}

function faultsOfText(key: string, value: unknown, pattern: RegExp): readonly string[] {
  if (value === undefined) return [`"${key}" is missing`];
  if (typeof value === "string" && pattern.test(value)) return [];
  const rule = "1 to 128 letters, digits, _, . and -, the first one a letter or digit";
  return [`"${key}" is ${JSON.stringify(value).slice(0, 140)}, permitted are ${rule}`];
}

function sayValue(given: readonly unknown[]): string {
  return given.length === 0
    ? "missing"
    : given
        .map((each) => JSON.stringify(each))
        .join(", ")
        .slice(0, 140);
}
