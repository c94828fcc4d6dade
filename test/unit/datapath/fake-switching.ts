// Where untagged frames go on the switches of a FakeDatapath, by the guards and the VLANs of its ports.
import { type FakeDatapath, type FakeLink } from "../../support/fake-datapath.ts";

/** Sends one frame out of a free end. @returns the free ends and switches at which it comes out, sorted. */
export type Send = (from: string, source: string, destination: string) => readonly string[];

/** Switching that learns as a Linux bridge does. */
export function switchingOf({ links }: FakeDatapath): Send {
  const learned = new Map<string, FakeLink>();
  const portOf = (freeEnd: string) => links.get(freeEnd.replace("tsc", "tsv"));
  const freeEndOf = (port: FakeLink) => {
    const name = [...links].find(([, link]) => link === port)?.[0] ?? "";
    return name.replace("tsv", "tsc");
  };
  return (from, source, destination) => {
    const port = portOf(from);
    const { switchName, guard } = port ?? {};
    if (port?.isUp !== true || switchName === undefined) return [];
    if (guard?.mac !== undefined && guard.mac !== source) return [];
    const { vlan, trunk } = port.vlans ?? {};
    if (vlan === undefined && trunk !== undefined) return []; // a trunk without native VLAN
    const isIn = ({ vlans: theirs = {} }: FakeLink) =>
      vlan === undefined
        ? theirs.vlan === undefined && theirs.trunk === undefined
        : theirs.vlan === vlan || theirs.trunk?.includes(vlan) === true;
    const ofSwitch = [...links].filter(([, link]) => link.switchName === switchName && isIn(link));
    const ports = ofSwitch.flatMap(([, link]) => (link.kind === "port" ? [link] : []));
    const hosts = ofSwitch.flatMap(([name, { kind }]) => (kind === "host" ? [name] : []));
    if (vlan === undefined && hosts.length === 0) hosts.push(switchName);
    const guardedBy = (mac: string) => ports.find((other) => other.guard?.mac === mac);
    if (guardedBy(source) === undefined) learned.set(source, port);
    const isGroup = (Number.parseInt(destination.slice(0, 2), 16) & 1) === 1;
    if (!isGroup && links.get(switchName)?.mac === destination) return hosts;
    const owner = guardedBy(destination) ?? learned.get(destination);
    const flooded = ports.filter((other) => isGroup || other.guard?.mac === undefined);
    const reached = (isGroup || owner === undefined ? flooded : [owner]).filter(
      (other) =>
        (other !== port || other.isHairpin === true) &&
        !(guard?.isIsolated === true && other.guard?.isIsolated === true),
    );
    return [...reached.map(freeEndOf), ...(isGroup ? hosts : [])].sort();
  };
}
