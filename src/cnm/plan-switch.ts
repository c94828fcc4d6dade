// What a network asks of its switch (backend, VLANs, uplink, switch settings): the rules between these options that can be
// judged by the options alone. Each fault says what is permitted.
import { type PortVlans, formatVlanList } from "../vlan.ts";
import type { Backend, NetworkMode, SwitchSettings } from "./network.ts";
import type { NETWORK_OPTIONS, NetworkSettings } from "./options.ts";
import { tunnelFaults } from "./tunnel.ts";

/** The options of SwitchSettings, in the order of the table of options. */
const SWITCH_OPTIONS = [
  "stp",
  "stp-priority",
  "stp-forward-delay",
  "stp-hello",
  "stp-max-age",
  "stp-cost",
  "stp-port-priority",
  "ageing",
  "mcast-snooping",
  "hairpin",
] as const satisfies readonly (keyof SwitchSettings & keyof typeof NETWORK_OPTIONS)[];

/** Of the options of the spanning tree those that mean nothing without it. */
const STP_OPTIONS = SWITCH_OPTIONS.filter((key) => key.startsWith("stp-"));

/** What the spanning tree takes when an option is absent (IEEE 802.1D-2004, table 17-1). */
const STP_DEFAULTS = { forwardDelay: 15, hello: 2, maxAge: 20 } as const;

/** What a switch takes of an option less than the table says. */
const NARROWER: {
  readonly [B in Backend]: Partial<Record<keyof SwitchSettings, readonly [least: number, most: number]>>;
} = {
  bridge: { "stp-port-priority": [0, 63] }, // net/bridge/br_private.h, BR_PORT_BITS
  ovs: { ageing: [15, 3600] }, // lib/mac-learning.c, normalize_idle_time
};

/** It takes part in the spanning tree before it looks at a flow (ofproto/ofproto-dpif-xlate.c, process_special). */
export const OVS_HEARS_CONTAINERS = "in the spanning tree of Open vSwitch a container could make itself the root";

/** Mode `nat` unless there is an uplink: then somebody out there is the router. */
export function modeOf({ mode, parent }: Pick<NetworkSettings, "mode" | "parent">): NetworkMode {
  return mode ?? (parent === undefined ? "nat" : "l2");
}

/** What the user set of the switch. */
export function switchSettingsOf(settings: NetworkSettings): SwitchSettings {
  const given = SWITCH_OPTIONS.filter((key) => settings[key] !== undefined);
  return Object.fromEntries(given.map((key) => [key, settings[key]]));
}

/** `vlan` may not be in the list of `trunk`: no frame can be tagged and untagged. */
export function trunkFault({ vlan, trunk = [] }: PortVlans): string | undefined {
  if (vlan === undefined || !trunk.includes(vlan)) return undefined;
  const why = `VLAN ${vlan} is untagged by option vlan, and by option trunk it would be tagged as well`;
  const rest = trunk.filter((id) => id !== vlan);
  const remedy = rest.length === 0 ? "leave trunk out" : `leave it out of the list: trunk=${formatVlanList(rest)}`;
  return `options vlan and trunk: ${why}; ${remedy}`;
}

/** What contradicts itself among the options of the switch; empty for nothing. */
export function switchFaults(settings: NetworkSettings): string[] {
  const ofWayOut = [...uplinkFaults(settings), ...tunnelFaults(settings)];
  return [...vlanFaults(settings), ...ofWayOut, ...stpFaults(settings), ...backendFaults(settings)];
}

function vlanFaults(settings: NetworkSettings): string[] {
  const { vlan, trunk, antispoof } = settings;
  const mode = modeOf(settings);
  const faults: string[] = [];
  const overlap = trunkFault(settings);
  if (overlap !== undefined) faults.push(overlap);
  if ((mode === "nat" || mode === "routed") && trunk !== undefined && vlan === undefined) {
    const what = "the VLAN of the gateway, untagged at the containers";
    faults.push(`mode ${mode} with option trunk needs option vlan: ${what}; the modes l2 and isolated need none`);
  }
  if (antispoof === true && trunk !== undefined) {
    faults.push(
      "option antispoof: true is not permitted with option trunk, whose containers send for others; permitted: false",
    );
  }
  if (settings["shared-vlan"] && vlan === undefined && trunk === undefined) {
    faults.push("option shared-vlan is permitted with option vlan or trunk");
  }
  return faults;
}

function uplinkFaults(settings: NetworkSettings): string[] {
  const { parent, bridge } = settings;
  const faults: string[] = [];
  const needy = (["stp-cost", "stp-port-priority"] as const).filter((key) => settings[key] !== undefined);
  if (parent === undefined) {
    if (settings["parent-address"] === "move")
      faults.push("option parent-address: move is permitted with option parent");
    for (const key of needy) faults.push(`option ${key} is that of the uplink: it is permitted with option parent`);
    return faults;
  }
  if (parent === bridge) faults.push(`options parent and bridge: ${parent} cannot be a port of itself`);
  if (modeOf(settings) === "isolated") {
    faults.push(
      "option parent is not permitted in mode isolated, where nothing gets in or out; permitted: nat, routed, l2",
    );
  }
  return faults;
}

function stpFaults(settings: NetworkSettings): string[] {
  const given = STP_OPTIONS.filter((key) => settings[key] !== undefined);
  if (settings.stp !== true) return given.map((key) => `option ${key} is permitted with stp=true`);
  const fault = stpTimerFault(settings);
  return fault === undefined ? [] : [fault];
}

/** What is wrong between the timers of the spanning tree, those that are absent at their defaults. */
export function stpTimerFault(settings: SwitchSettings): string | undefined {
  const forwardDelay = settings["stp-forward-delay"] ?? STP_DEFAULTS.forwardDelay;
  const hello = settings["stp-hello"] ?? STP_DEFAULTS.hello;
  const maxAge = settings["stp-max-age"] ?? STP_DEFAULTS.maxAge;
  const [most, least] = [2 * (forwardDelay - 1), 2 * (hello + 1)];
  if (maxAge >= least && maxAge <= most) return undefined; // IEEE 802.1D-2004, 17.14
  const range = least > most ? "no value fits" : `permitted: ${least === most ? least : `${least}-${most}`} seconds`;
  return `option stp-max-age: ${maxAge} does not fit: with stp-hello ${hello} and stp-forward-delay ${forwardDelay}; ${range}`;
}

function backendFaults(settings: NetworkSettings): string[] {
  const { backend } = settings;
  const faults: string[] = [];
  if (backend !== "ovs" && settings.datapath !== undefined) {
    faults.push("option datapath is permitted with backend=ovs");
  }
  if (backend === "ovs" && settings.hairpin === true) {
    faults.push(
      "option hairpin: Open vSwitch sends no frame back by the port by which it came; permitted with backend=bridge",
    );
  }
  const isGuarded = settings.antispoof ?? settings.trunk === undefined;
  if (backend === "ovs" && settings.stp === true && isGuarded) {
    faults.push(`option stp: ${OVS_HEARS_CONTAINERS}; permitted with antispoof=false, or with backend=bridge`);
  }
  for (const key of SWITCH_OPTIONS) {
    const [value, range] = [settings[key], NARROWER[backend][key]];
    if (range === undefined || typeof value !== "number" || (value >= range[0] && value <= range[1])) continue;
    faults.push(
      `option ${key}: ${value} is nothing that a switch of backend ${backend} can have; permitted: ${range[0]}-${range[1]}`,
    );
  }
  return faults;
}
