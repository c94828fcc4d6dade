// Settings of the switch in Open vSwitch's words. Absent ones stay as the switch has them.
// Source: ovs-vswitchd.conf.db(5), table Bridge: stp_enable, mcast_snooping_enable, other_config; table Port: other_config.
import type { Network, SwitchSettings } from "../../cnm/network.ts";
import type { Values } from "../../host/ovsdb-schema.ts";
import { type SettingNames, renamed, settingsOf } from "../switch-settings.ts";

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
