// The host's routes, the files that say how its kernel is set, and what that kernel cannot do.
import { globSync, readFileSync, readdirSync } from "node:fs";
import type { NetworkStatus } from "../../cnm/requests.ts";
import type { HostTools } from "../host-tools.ts";
import { filterOf, isStrict } from "../reverse-path.ts";
import { findPrograms } from "./host-programs.ts";

/** As `ip -json route` shows it. */
export interface Route {
  /** CIDR, bare address, or `default`. */
  readonly dst: string;
  readonly dev?: string;
  /** Absent for a plain way out. */
  readonly type?: string;
  readonly table?: string;
}

/** What stands in files. */
export interface Files {
  /** Settings of the kernel by their names without `net.`: `ipv4.ip_forward`. Those that are not there are left out. */
  readonly settings: ReadonlyMap<string, number>;
  /** Where the engine looks for a driver called `tsnet`. */
  readonly driverFiles: readonly string[];
  /** Links whose rp_filter is strict. */
  readonly strictLinks: ReadonlySet<string>;
  /** See `host-programs.ts`. */
  readonly programs: ReadonlySet<string>;
}

const SETTINGS = [
  "ipv4.ip_forward",
  "ipv6.conf.all.forwarding",
  "bridge.bridge-nf-call-iptables",
  "bridge.bridge-nf-call-ip6tables",
  "netfilter.nf_conntrack_count",
  "netfilter.nf_conntrack_max",
];

/** moby pkg/plugins/discovery_unix.go. */
const DRIVER_FILES = [
  "/run/docker/plugins/{tsnet.sock,tsnet/tsnet.sock}",
  "/{etc,usr/lib}/docker/plugins/{tsnet,tsnet/tsnet}.{spec,json}",
];

/** Ways out of this host, of all tables; without what the kernel keeps for its own addresses. @throws TsnetError `host`. */
export async function readRoutes(host: HostTools): Promise<readonly Route[]> {
  const read = (family: string) => host.json<readonly Route[]>("ip", family, "-json", "route", "show", "table", "all");
  const routes = (await Promise.all([read("-4"), read("-6")])).flat();
  return routes.filter(({ table, type = "unicast" }) => table !== "local" && type === "unicast");
}

/** Reads all of them. */
export async function readFiles(): Promise<Files> {
  const settings = SETTINGS.flatMap((name) => {
    const value = readSetting(name.replaceAll(".", "/"));
    return value === undefined ? [] : [[name, value] as const];
  });
  const links = readdirSync("/proc/sys/net/ipv4/conf");
  return {
    settings: new Map(settings),
    driverFiles: globSync(DRIVER_FILES),
    strictLinks: new Set(links.filter((link) => isStrict(filterOf(link, readSetting)))),
    programs: findPrograms(),
  };
}

/** @param path - below `net/`. */
function readSetting(path: string): number | undefined {
  try {
    return Number(readFileSync(`/proc/sys/net/${path}`, "utf8"));
  } catch {
    return undefined; // the module is not loaded, and so nothing is set
  }
}

/** Tried out in a namespace that ends with the trial; what nobody asks for is not tried. */
export async function readKernel(host: HostTools, networks: readonly NetworkStatus[]): Promise<readonly string[]> {
  const hasVlans = ({ backend, vlan, trunk }: NetworkStatus) => backend === "bridge" && (vlan ?? trunk) !== undefined;
  if (!networks.some(hasVlans)) return [];
  const bridge = ["name", "trial0", "type", "bridge"];
  const make = (...args: string[]) => host.text("unshare", "--net", "--", "ip", "link", "add", ...args);
  await make(...bridge);
  return make(...bridge, "vlan_filtering", "1").then(
    () => [],
    () => ["bridge VLAN filtering"],
  );
}
