// What the networks of one switch, or with one uplink, set of it together, and the same in a switch's own words.
import type { Network, SwitchSettings } from "../cnm/network.ts";

/** Words of a switch for options. */
export type SettingNames = Partial<Record<keyof SwitchSettings, string>>;

/** @param networks - none contradicts another (cnm/switch-sharing.ts). */
export function settingsOf(networks: readonly Pick<Network, "switchSettings">[]): SwitchSettings {
  return Object.assign({}, ...networks.map(({ switchSettings }) => switchSettings)) as SwitchSettings; // of nothing else
}

/** Those settings that have a name there, under that name. Absent ones stay as the switch has them. */
export function renamed(settings: SwitchSettings, names: SettingNames): Record<string, boolean | number> {
  const given = Object.entries(settings) as [keyof SwitchSettings, boolean | number][]; // what these are
  return Object.fromEntries(
    given.flatMap(([option, value]) => {
      const name = names[option];
      return name === undefined ? [] : [[name, value] as const];
    }),
  );
}
