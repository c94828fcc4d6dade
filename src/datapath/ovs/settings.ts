// Settings of the switch in Open vSwitch's words. Absent ones stay as the switch has them.
// Source: ovs-vswitchd.conf.db(5), table Bridge: stp_enable, mcast_snooping_enable, other_config; table Port: other_config.
import type { PresentSettings } from "../../cnm/datapath.ts";
import type { Network, SwitchSettings } from "../../cnm/network.ts";
import { type Operation, mutate, update } from "../../host/ovsdb-operations.ts";
import type { Values } from "../../host/ovsdb-schema.ts";
import type { StringMap } from "../../host/ovsdb-values.ts";
import type { Ovsdb } from "../../host/ovsdb.ts";
import { type SettingNames, presentOf, renamed, settingsOf } from "../switch-settings.ts";
import { findRows } from "./rows.ts";

const COLUMNS = { stp: "stp_enable", "mcast-snooping": "mcast_snooping_enable" } as const satisfies SettingNames;

const OF_BRIDGE = {
  "stp-priority": "stp-priority",
  "stp-forward-delay": "stp-forward-delay",
  "stp-hello": "stp-hello-time",
  "stp-max-age": "stp-max-age",
  ageing: "mac-aging-time", // of what Open vSwitch learns by itself; the rest is for the flows (switch-members.ts)
} as const satisfies SettingNames;

const OF_UPLINK = {
  "stp-cost": "stp-path-cost",
  "stp-port-priority": "stp-port-priority",
} as const satisfies SettingNames;

/** @param networks - all networks of the switch; what they say they say alike. */
export function bridgeSettings(networks: readonly Network[]): Values<"Bridge"> {
  const settings = settingsOf(networks);
  const { stp, "mcast-snooping": isSnooping } = settings;
  return {
    ...(stp !== undefined && { stp_enable: stp }),
    ...(isSnooping !== undefined && { mcast_snooping_enable: isSnooping }),
    other_config: configOf(settings, OF_BRIDGE),
  };
}

/** @param users - the networks with that uplink. */
export function uplinkSettings(users: readonly Network[]): Values<"Port"> {
  return { other_config: configOf(settingsOf(users), OF_UPLINK) };
}

/** The database knows texts alone. */
function configOf(settings: SwitchSettings, names: SettingNames): Record<string, string> {
  return Object.fromEntries(Object.entries(renamed(settings, names)).map(([name, value]) => [name, String(value)]));
}

/** What the bridge and the uplink's port have now of what the network names. */
export async function readSettings(ovsdb: Ovsdb, network: Network): Promise<PresentSettings> {
  const { switchName, uplink, switchSettings } = network;
  const doing = `look at the settings of bridge ${switchName}`;
  const { bridge, ports } = await findRows(ovsdb, doing, switchName, uplink === undefined ? [] : [uplink.parent]);
  const port = uplink && ports.get(uplink.parent)?.port;
  const entryOf = (row: { readonly other_config: StringMap } | undefined) => (name: string) => {
    const text = row?.other_config[name];
    return row && (text === undefined ? null : Number(text));
  };
  return {
    ...presentOf(switchSettings, COLUMNS, (name) => bridge && (Reflect.get(bridge, name) as boolean)), // as these columns are
    ...presentOf(switchSettings, OF_BRIDGE, entryOf(bridge)),
    ...presentOf(switchSettings, OF_UPLINK, entryOf(port)),
  };
}

/** Gives them back, in one transaction. */
export async function restoreSettings(ovsdb: Ovsdb, network: Network, found: PresentSettings): Promise<void> {
  const { switchName, uplink } = network;
  const columns = renamed(found as SwitchSettings, COLUMNS); // which always have a value
  const operations: Operation<unknown>[] = [
    ...(Object.keys(columns).length === 0 ? [] : [update("Bridge", [["name", "==", switchName]], columns)]),
    ...configBack("Bridge", switchName, found, OF_BRIDGE),
    ...(uplink === undefined ? [] : configBack("Port", uplink.parent, found, OF_UPLINK)),
  ];
  if (operations.length > 0) await ovsdb.apply(`give bridge ${switchName} its settings back`, operations);
}

function configBack(
  table: "Bridge" | "Port",
  name: string,
  found: PresentSettings,
  names: SettingNames,
): Operation<unknown>[] {
  const entries = Object.entries(renamed(found as SwitchSettings, names)); // `null` is told apart below
  if (entries.length === 0) return [];
  const there = entries.filter(([, value]) => value !== null).map(([key, value]) => [key, String(value)]);
  const inserted = Object.fromEntries(there) as StringMap; // of pairs of texts
  return [
    mutate<"Bridge">(
      table as "Bridge", // a port has that column as well
      [["name", "==", name]],
      [
        ["other_config", "delete", entries.map(([key]) => key)],
        ["other_config", "insert", inserted],
      ],
    ),
  ];
}
