// Which properties of a network and of an endpoint can be changed while they are in use, and what they would be then. What
// cannot be changed says why. The values are read and judged by the rules of the creation. Changes nothing.
import { TsnetError } from "../errors.ts";
import { formatVlanList } from "../vlan.ts";
import type { Change } from "./change-requests.ts";
import { createdNetwork } from "./created-network.ts";
import type { Network, PlannedNetwork } from "./network.ts";
import { NETWORK_OPTIONS, type NetworkSettings } from "./options.ts";
import { type OptionRule, readOptions } from "./option-rule.ts";
import { planSettings } from "./plan.ts";

type OptionKey = keyof typeof NETWORK_OPTIONS;

type ChangeableKey = Exclude<OptionKey, keyof typeof FIXED>;

const CONTAINERS_HAVE_IT = "containers got it when they joined; create the network anew";
const OTHER_SWITCH = "it would be another switch, with other ports for all containers; create the network anew";
const OTHER_TUNNEL = "the other hosts know the tunnel by it; create the network anew, there too";

/** Why the other options stay as they were when the network was created. */
const FIXED = {
  backend: OTHER_SWITCH,
  datapath: OTHER_SWITCH,
  bridge: OTHER_SWITCH,
  mode: "containers would have another gateway, or none; create the network anew",
  gateway: CONTAINERS_HAVE_IT,
  parent: "the switch would get another way out, and its containers other neighbours; create the network anew",
  "parent-address": "the host's own addresses would move; create the network anew",
  "host-binding": "ports that are published stay where they are; create the network anew, or name the address with -p",
  ifprefix: CONTAINERS_HAVE_IT,
  tunnel: OTHER_TUNNEL,
  local: OTHER_TUNNEL,
  vni: OTHER_TUNNEL,
  port: OTHER_TUNNEL,
  routes: CONTAINERS_HAVE_IT,
  "dry-run": "it is for the creation of a network; `tsnet plan` says what that would do",
} as const satisfies Partial<Record<OptionKey, string>>;

/** In the order of the table of options. */
const CHANGEABLE = Object.keys(NETWORK_OPTIONS).filter((key) => !(key in FIXED)) as ChangeableKey[];

/** What takes a value away. */
const NONE = "none";

/** Options that may have no value. */
const REMOVABLE: ReadonlySet<string> = new Set(["vlan", "trunk"]);

/**
 * The network as it would be.
 *
 * @returns without its place.
 * @throws TsnetError `invalid` or `unsupported` with all faults.
 */
export function planChange(network: Network, options: ReadonlyMap<string, string>): PlannedNetwork {
  const { given, faults } = readWishes(options);
  const settings = { ...settingsOf(network), ...given };
  if (faults.length > 0) throw new TsnetError("invalid", faults.join("; "));
  const pools = network.pools.map(({ subnet, gateway }) => {
    const withLength = gateway === undefined ? {} : { gateway: `${gateway}/${subnet.split("/")[1]}` };
    return { addressSpace: network.addressSpace, subnet, ...withLength };
  });
  const { isInternal, hasIpv6, switchMac, addressSpace, auxAddresses } = network;
  const planned = planSettings({ networkId: network.id, isInternal, hasIpv4: true, hasIpv6, pools }, settings);
  const { auxAddresses: _none, ...rest } = planned;
  return { ...rest, switchMac, addressSpace, ...(auxAddresses !== undefined && { auxAddresses }) };
}

/** A changed network keeps what nothing was said of, and remembers how it was created. */
export function asChanged(network: Network, next: Network): Network {
  return { ...network, ...next, created: createdNetwork(network) };
}

/** What differs between two states of a network, in the order of the table of options. */
export function changesBetween(from: Network, to: Network): readonly Change[] {
  const [before, after] = [settingsOf(from), settingsOf(to)].map((settings, n) => {
    return { ...settings, mtu: n === 0 ? from.mtu : to.mtu };
  });
  return CHANGEABLE.flatMap((key) => {
    const [was, is] = [formatValue(before?.[key]), formatValue(after?.[key])];
    return was === is ? [] : [{ key, from: was, to: is }];
  });
}

function formatValue(value: NetworkSettings[ChangeableKey]): string {
  if (value === undefined) return NONE;
  if (typeof value !== "object") return String(value);
  return value.every((item) => typeof item === "number") ? formatVlanList(value) : value.join(",");
}

/**
 * Reads wishes by a table of options, where some may be `none`.
 *
 * @returns those that were named, and no defaults.
 */
export function readGiven(
  options: ReadonlyMap<string, string>,
  table: Readonly<Record<string, OptionRule<unknown>>>,
): { readonly given: Record<string, unknown>; readonly faults: string[] } {
  const isNone = ([key, text]: readonly [string, string]) => text === NONE && REMOVABLE.has(key);
  const plain = Object.entries(table).map(([key, rule]) => [key, { ...rule, default: undefined }]);
  const rest = new Map([...options].filter((entry) => !isNone(entry)));
  const { values, faults } = readOptions(rest, Object.fromEntries(plain) as typeof table);
  const removed = [...options].filter(isNone).map(([key]) => [key, undefined]);
  return { given: { ...values, ...Object.fromEntries(removed) }, faults };
}

function readWishes(options: ReadonlyMap<string, string>): ReturnType<typeof readGiven> {
  const table = Object.fromEntries(CHANGEABLE.map((key) => [key, NETWORK_OPTIONS[key]]));
  const fixed = [...options.keys()].flatMap((name) => {
    const key = Object.entries(NETWORK_OPTIONS).find(([known, rule]) => known === name || aliasOf(rule) === name)?.[0];
    const why = key === undefined ? undefined : Reflect.get(FIXED, key);
    return typeof why === "string" ? [{ name, why }] : [];
  });
  const names = new Set(fixed.map(({ name }) => name));
  const { given, faults } = readGiven(new Map([...options].filter(([name]) => !names.has(name))), table);
  // Without the tree its settings mean nothing.
  const dropped = given["stp"] === false ? STP_KEYS.filter((key) => !(key in given)) : [];
  return {
    given: { ...given, ...Object.fromEntries(dropped.map((key) => [key, undefined])) },
    faults: [...fixed.map(({ name, why }) => `option ${name} cannot be changed: ${why}`), ...faults],
  };
}

const STP_KEYS = CHANGEABLE.filter((key) => key.startsWith("stp-"));

function aliasOf(rule: OptionRule<unknown>): string | undefined {
  return rule.alias;
}

/** What `docker network create` would have been told for the network as it is. */
function settingsOf(network: Network): NetworkSettings {
  const { backend, requested, mode, vlans, uplink, switchSettings, hostBinding } = network;
  const { tunnel, bridge, datapath, mtu } = requested;
  return {
    backend,
    mode,
    ...(bridge !== undefined && { bridge }),
    ...(datapath !== undefined && { datapath }),
    ...(mtu !== undefined && { mtu }),
    gateway: network.hasDefaultRoute ? "auto" : "none",
    ...vlans,
    "shared-vlan": network.isVlanShared,
    ...(uplink !== undefined && { parent: uplink.parent }),
    "parent-address": uplink?.isAddressMoved === true ? "move" : "keep",
    masquerade: mode !== "nat" || network.isMasqueraded,
    icc: network.isIccAllowed,
    ...(hostBinding !== undefined && { "host-binding": hostBinding }),
    ifprefix: network.ifPrefix,
    antispoof: network.isGuarded,
    ...(tunnel !== undefined && { ...tunnel, tunnel: tunnel.kind }),
    routes: network.routes,
    ...switchSettings,
    "dry-run": false,
  };
}
