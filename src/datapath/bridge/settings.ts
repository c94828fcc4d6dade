// What a user may set of a bridge and of its uplink's port, in the kernel's words (ip-link(8), bridge(8)). What is not set
// stays as the bridge has it; what the networks of one bridge set does not contradict itself (cnm/switch-sharing.ts).
import type { PresentSettings } from "../../cnm/datapath.ts";
import type { Network, SwitchSettings } from "../../cnm/network.ts";
import type { BridgePort } from "../../host/rtnetlink-bridge-port.ts";
import type { BridgeSettings } from "../../host/rtnetlink-bridge.ts";
import type { HostOfLinks } from "../host-link.ts";
import { presentOf, renamed, settingsOf } from "../switch-settings.ts";

/** The options that are settings of the bridge itself. */
const OF_THE_BRIDGE = {
  stp: "stp",
  "stp-priority": "priority",
  "stp-forward-delay": "forwardDelay",
  "stp-hello": "helloTime",
  "stp-max-age": "maxAge",
  ageing: "ageingTime",
  "mcast-snooping": "multicastSnooping",
} as const satisfies Partial<Record<keyof SwitchSettings, keyof BridgeSettings>>;

/** The options that are settings of the uplink's port. */
const OF_THE_UPLINK = {
  "stp-cost": "pathCost",
  "stp-port-priority": "priority",
} as const satisfies Partial<Record<keyof SwitchSettings, keyof BridgePort>>;

/** What the networks of a bridge want of it. */
export function bridgeSettingsOf(networks: readonly Pick<Network, "switchSettings">[]): BridgeSettings {
  return renamed(settingsOf(networks), OF_THE_BRIDGE);
}

/** What the networks with this uplink want of its port. */
export function uplinkSettingsOf(parent: string, networks: readonly Network[]): BridgePort {
  const users = networks.filter(({ uplink }) => uplink?.parent === parent);
  return renamed(settingsOf(users), OF_THE_UPLINK);
}

/** What of the wanted a bridge has not, as far as this kernel knows it. */
export function differingSettings(wanted: BridgeSettings, present: BridgeSettings = {}): BridgeSettings {
  const differing = Object.entries(wanted).filter(([name, value]) => {
    const there: unknown = Reflect.get(present, name);
    return there !== undefined && there !== value;
  });
  return Object.fromEntries(differing);
}

/** What the bridge and the uplink's port have now of what the network names. */
export async function readSettings({ links }: HostOfLinks, network: Network): Promise<PresentSettings> {
  const { switchName, uplink, switchSettings } = network;
  const bridge = await links.findLink(switchName);
  const port = uplink && (await links.findLink(uplink.parent));
  const valueIn = (found: object) => (name: string) => Reflect.get(found, name) as boolean | number | undefined; // of a setting
  return {
    ...presentOf(switchSettings, OF_THE_BRIDGE, valueIn(bridge?.bridge ?? {})),
    ...presentOf(switchSettings, OF_THE_UPLINK, valueIn(port?.bridgePort ?? {})),
  };
}

/** Gives them back. A tree that was not there ends first: with it the kernel refuses times that it takes without. */
export async function restoreSettings({ links }: HostOfLinks, network: Network, found: PresentSettings): Promise<void> {
  const settings = found as SwitchSettings; // a bridge has a value of each
  const bridge = await links.findLink(network.switchName);
  const port = network.uplink && (await links.findLink(network.uplink.parent));
  const ofBridge = renamed(settings, OF_THE_BRIDGE);
  const parts = [ofBridge["stp"] === false ? { stp: false } : {}, ofBridge];
  for (const part of parts) {
    if (bridge !== undefined && Object.keys(part).length > 0) await links.setLink(bridge.index, { bridge: part });
  }
  const bridgePort = renamed(settings, OF_THE_UPLINK);
  const isPort = port?.masterIndex !== undefined && port.masterIndex === bridge?.index;
  if (isPort && Object.keys(bridgePort).length > 0) await links.setLink(port.index, { bridgePort });
}
