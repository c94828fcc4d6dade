// Forwarding tables as the switches have them: of Linux bridges by bridge(8), of Open vSwitch by ovs-ofctl(8) where tsnet's flows
// forward (datapath/ovs/flows-pipeline.ts, tables 245 and 246), by ovs-appctl(8) on a switch of the user's own.
import { type FdbEntry, readFdb } from "./host-links.ts";
import type { HostTools } from "./host-tools.ts";
import type { ShownSwitch } from "./switches.ts";

/** Where frames to one MAC address go in one VLAN. */
export interface Destination {
  readonly mac: string;
  /** Absent where there is none. */
  readonly vlan?: number;
  readonly port: string;
  /** Of a tunnel to many: the host beyond. */
  readonly peer?: string;
  /** Seconds since a frame came from there; absent for what was not learned. */
  readonly ageSeconds?: number;
}

/** The tables whose flows say where a MAC address is. */
const KNOWN = 245;
const LEARNED = 246;

/** What frames for many have set in their address. */
const GROUP_BIT = 1;

/** Reads the table of a switch that is there. */
export async function readForwarding(host: HostTools, shown: ShownSwitch): Promise<readonly Destination[]> {
  const { name, backend, isOurs } = shown;
  if (backend === "bridge") return destinationsOfFdb(shown, await readFdb(host, name));
  if (isOurs) return destinationsOfFlows(await host.text("ovs-ofctl", "dump-flows", name), shown);
  return destinationsOfTable(await host.text("ovs-appctl", "fdb/show", name), shown);
}

/**
 * The own addresses of a bridge's ports are left out: no container speaks to them. So is what the bridge has and does not go
 * by: one that tells VLANs apart takes entries of the frame's VLAN only, any other one those of none (net/bridge/br_vlan.c).
 */
export function destinationsOfFdb(
  { name: bridge, ports }: Pick<ShownSwitch, "name" | "ports">,
  entries: readonly FdbEntry[],
): readonly Destination[] {
  const present = ports.filter(({ kind, isMissing }) => kind !== "host" && !isMissing);
  const hasVlans = present.some(({ vlans }) => vlans.untagged !== 0);
  const beyond = entries.flatMap(({ mac, ifname, dst }) =>
    dst === undefined ? [] : [[`${mac} ${ifname}`, dst] as const],
  );
  const peers = new Map(beyond);
  return entries.flatMap((entry): readonly Destination[] => {
    const { mac, ifname: port, vlan, master, state = "", updated } = entry;
    if (master !== bridge || isGroup(mac) || (state === "permanent" && port !== bridge)) return [];
    if ((vlan !== undefined) !== hasVlans) return [];
    const peer = peers.get(`${mac} ${port}`);
    const isLearned = state === "" && updated !== undefined;
    return [
      {
        mac,
        ...(vlan !== undefined && { vlan }),
        port,
        ...(peer !== undefined && { peer }),
        ...(isLearned && { ageSeconds: updated }),
      },
    ];
  });
}

/** What was learned comes before what tsnet expects. */
export function destinationsOfFlows(text: string, { ports }: Pick<ShownSwitch, "ports">): readonly Destination[] {
  const found = new Map<string, Destination>();
  for (const line of text.split("\n")) {
    const number = (pattern: RegExp) => {
      const [, digits] = pattern.exec(line) ?? [];
      return digits === undefined ? undefined : Number(digits);
    };
    const [, mac] = /[, ]dl_dst=([0-9a-f:]{17})[, ]/.exec(line) ?? [];
    const [table, vlan] = [number(/[ ,]table=(\d+)/), number(/[, ]reg0=(0x[0-9a-f]+|\d+)/)];
    const ofport = number(table === KNOWN ? /actions=output:(\d+)$/ : /actions=load:(0x[0-9a-f]+)->NXM_NX_REG3\[/);
    if (mac === undefined || ofport === undefined || (table !== KNOWN && table !== LEARNED)) continue;
    const age = number(/[ ,]hard_timeout=(\d+)/) && (number(/[ ,]hard_age=(\d+)/) ?? number(/[ ,]duration=(\d+)/));
    const key = `${vlan} ${mac}`;
    if (age === undefined && found.has(key)) continue;
    found.set(key, {
      mac,
      ...(vlan !== undefined && vlan !== 0 && { vlan }),
      port: nameOf(ofport, ports),
      ...(age !== undefined && { ageSeconds: age }),
    });
  }
  return [...found.values()];
}

/** ` port  VLAN  MAC                Age`: the own port of a switch is `LOCAL`, an entry that does not age `static`. */
export function destinationsOfTable(text: string, { name, ports }: Pick<ShownSwitch, "name" | "ports">) {
  const lines = text.split("\n").slice(1).filter(Boolean);
  return lines.map((line): Destination => {
    const [port = "", vlan = "", mac = "", age = ""] = line.trim().split(/\s+/);
    return {
      mac,
      ...(vlan !== "0" && { vlan: Number(vlan) }),
      port: port === "LOCAL" ? name : nameOf(Number(port), ports),
      ...(/^\d+$/.test(age) && { ageSeconds: Number(age) }),
    };
  });
}

function nameOf(ofport: number, ports: ShownSwitch["ports"]): string {
  return ports.find((port) => port.ofport === ofport)?.name ?? `port ${ofport}`;
}

function isGroup(mac: string): boolean {
  return (Number.parseInt(mac.slice(0, 2), 16) & GROUP_BIT) === GROUP_BIT;
}
