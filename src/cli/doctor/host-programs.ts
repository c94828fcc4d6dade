// The programs of the host that tsnet's commands call, and which packages bring them.
import { accessSync, constants } from "node:fs";
import type { NamedNetwork } from "../catalog.ts";

/** Where they are looked for, as `host/run.ts` does. */
const FOLDERS = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** What installs packages, and how. */
export const INSTALLERS = { "apt-get": "apt-get install", dnf: "dnf install" } as const;

type Installer = keyof typeof INSTALLERS;

/** By program; named as Debian and Ubuntu do, and as Fedora does. */
const PACKAGES: Readonly<Record<string, Readonly<Record<Installer, string>>>> = {
  ip: { "apt-get": "iproute2", dnf: "iproute" },
  bridge: { "apt-get": "iproute2", dnf: "iproute" },
  nft: { "apt-get": "nftables", dnf: "nftables" },
  nsenter: { "apt-get": "util-linux", dnf: "util-linux" },
  unshare: { "apt-get": "util-linux", dnf: "util-linux" },
  sysctl: { "apt-get": "procps", dnf: "procps-ng" },
  "ovs-vsctl": { "apt-get": "openvswitch-switch", dnf: "openvswitch" },
  "ovs-ofctl": { "apt-get": "openvswitch-switch", dnf: "openvswitch" },
  "ovs-appctl": { "apt-get": "openvswitch-switch", dnf: "openvswitch" },
};

/** Those of PACKAGES and INSTALLERS that are on this host. */
export function findPrograms(): ReadonlySet<string> {
  return new Set([...Object.keys(PACKAGES), ...Object.keys(INSTALLERS)].filter(isHere));
}

function isHere(program: string): boolean {
  return FOLDERS.some((folder) => {
    try {
      accessSync(`${folder}/${program}`, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** What commands need and is not there; what belongs to Open vSwitch only where a network is on it. */
export function lackingPrograms(programs: ReadonlySet<string>, networks: readonly NamedNetwork[]): readonly string[] {
  const hasOvs = networks.some(({ backend }) => backend === "ovs");
  return Object.keys(PACKAGES).filter((name) => !programs.has(name) && (hasOvs || !name.startsWith("ovs-")));
}

/** How to get a program of PACKAGES: with the host's own installer, if it is one of those that are known. */
export function installing(program: string, programs: ReadonlySet<string>): string {
  const [debian = program, fedora = program] = Object.values(PACKAGES[program] ?? {});
  if (programs.has("apt-get")) return `${INSTALLERS["apt-get"]} ${debian}`;
  if (programs.has("dnf")) return `${INSTALLERS.dnf} ${fedora}`;
  return `install package ${debian === fedora ? debian : `${debian} or ${fedora}`}`;
}
