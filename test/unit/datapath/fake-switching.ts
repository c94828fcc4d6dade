// Where the frames go on the switches of a FakeDatapath, by the guards of its ports.
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
    const ports = [...links.values()].filter((link) => link.switchName === switchName);
    const guardedBy = (mac: string) => ports.find((other) => other.guard?.mac === mac);
    if (guardedBy(source) === undefined) learned.set(source, port);
    const isGroup = (Number.parseInt(destination.slice(0, 2), 16) & 1) === 1;
    if (!isGroup && links.get(switchName)?.mac === destination) return [switchName];
    const owner = guardedBy(destination) ?? learned.get(destination);
    const flooded = ports.filter((other) => isGroup || other.guard?.mac === undefined);
    const reached = (isGroup || owner === undefined ? flooded : [owner]).filter(
      (other) =>
        (other !== port || other.isHairpin === true) &&
        !(guard?.isIsolated === true && other.guard?.isIsolated === true),
    );
    return [...reached.map(freeEndOf), ...(isGroup ? [switchName] : [])].sort();
  };
}
