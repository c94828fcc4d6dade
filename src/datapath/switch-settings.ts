// What the networks of one switch, or with one uplink, set of it together, and the same in a switch's own words.
import type { PresentSettings } from "../cnm/datapath.ts";
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

/**
 * What is there of the settings that are given.
 *
 * @param find - of a name there; undefined for what the switch does not say.
 */
export function presentOf(
  given: SwitchSettings,
  names: SettingNames,
  find: (name: string) => boolean | number | null | undefined,
): PresentSettings {
  const asked = Object.entries(names).filter(([option]) => option in given);
  const found = asked.map(([option, name]) => [option, find(name)] as const);
  return Object.fromEntries(found.filter(([, value]) => value !== undefined));
}
