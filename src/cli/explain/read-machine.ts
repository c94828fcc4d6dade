// Looks a machine up: the host, or a container's network namespace, by the tools ip(8) and nft(8) and by proc(5). Nothing is
// changed.
import { readFileSync } from "node:fs";
import type { Family } from "../../cidr.ts";
import { TsnetError, messageOf } from "../../errors.ts";
import { readListeningSockets } from "../../host/listening-sockets.ts";
import type { HostTools } from "../host-tools.ts";
import { filterOf } from "../reverse-path.ts";
import { legacyObjects } from "./legacy-rules.ts";
import {
  type Host,
  type Link,
  type Machine,
  type Neighbour,
  type Route,
  type RouteQuery,
  familyOf,
} from "./machine.ts";
import type { Json } from "../rule-expression.ts";
import { Ruleset } from "./ruleset.ts";

/** One entry of `ip -json -details address`. */
interface IpLink {
  readonly ifname: string;
  readonly ifindex: number;
  readonly link_index?: number;
  readonly address?: string;
  readonly mtu: number;
  readonly flags: readonly string[];
  readonly group?: string;
  readonly master?: string;
  readonly addr_info?: readonly { readonly local?: string; readonly prefixlen: number }[];
  readonly linkinfo?: {
    readonly info_kind?: string;
    readonly info_data?: {
      readonly vlan_filtering?: number;
      readonly nf_call_iptables?: number;
      readonly remote?: string;
      readonly remote6?: string;
    };
    readonly info_slave_kind?: string;
    readonly info_slave_data?: { readonly state?: string };
  };
}

/** One entry of `ip -json neighbour`. */
interface IpNeighbour {
  readonly dst: string;
  readonly dev: string;
  readonly lladdr?: string;
  readonly state?: readonly string[];
}

/** One entry of `ip -json route get`. */
interface IpRoute {
  readonly type?: string;
  readonly dev?: string;
  readonly gateway?: string;
  readonly via?: { readonly host: string };
  readonly prefsrc?: string;
}

/** @param procNet - its folder of proc for sockets. */
export async function readMachine(tools: HostTools, procNet: string): Promise<Machine> {
  const [links, neighbours, rules, legacy4, legacy6] = await Promise.all([
    tools.json<readonly IpLink[]>("ip", "-json", "-details", "address"),
    tools.json<readonly IpNeighbour[]>("ip", "-json", "neighbour"),
    tools.json<{ readonly nftables?: readonly Json[] }>("nft", "-j", "list", "ruleset"),
    readLegacy(tools, procNet, 4),
    readLegacy(tools, procNet, 6),
  ]);
  return {
    links: links.map(linkOf),
    neighbours: neighbours.map(neighbourOf),
    rules: new Ruleset([...(rules.nftables ?? []), ...legacy4.objects, ...legacy6.objects], {
      ...(legacy4.fault !== undefined && { 4: legacy4.fault }),
      ...(legacy6.fault !== undefined && { 6: legacy6.fault }),
    }),
    sockets: readListeningSockets(procNet),
    findRoute: async (query) => await askRoute(tools, query),
  };
}

interface LegacyRules {
  readonly objects: readonly Json[];
  /** Why they could not be read. */
  readonly fault?: string;
}

/** Only where the kernel lists tables of iptables-legacy, so that none is loaded by looking. */
async function readLegacy(tools: HostTools, procNet: string, family: Family): Promise<LegacyRules> {
  const [names, save] =
    family === 4 ? ["ip_tables_names", "iptables-legacy-save"] : ["ip6_tables_names", "ip6tables-legacy-save"];
  let text = "";
  try {
    if ((readIfThere(`${procNet}/${names}`) ?? "").trim() !== "") text = await tools.text(save);
  } catch (failure) {
    return { objects: [], fault: messageOf(failure) };
  }
  return { objects: legacyObjects(text, family) };
}

/** The host itself, in whose network namespace the command runs. */
export async function readHost(tools: HostTools, procSys = "/proc/sys/net"): Promise<Host> {
  const machine = await readMachine(tools, "/proc/net");
  const setting = (path: string) => readSetting(`${procSys}/${path}`);
  return {
    ...machine,
    isForwarding: (family, link) => setting(`ipv${family}/conf/${link}/forwarding`) !== 0,
    reversePathFilter: (link) => filterOf(link, setting),
    bridgesCallRules: (family: Family) => {
      return (setting(`bridge/bridge-nf-call-${family === 4 ? "iptables" : "ip6tables"}`) ?? 0) !== 0;
    },
  };
}

/** @returns undefined if this kernel has no such setting. */
function readSetting(path: string): number | undefined {
  const text = readIfThere(path);
  return text === undefined ? undefined : Number(text);
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch (failure) {
    if (failure instanceof Error && "code" in failure && failure.code === "ENOENT") return undefined;
    throw failure;
  }
}

function linkOf(link: IpLink): Link {
  const {
    info_kind: kind = "",
    info_data: data,
    info_slave_kind: slaveKind,
    info_slave_data: slave,
  } = link.linkinfo ?? {};
  const remote = data?.remote ?? data?.remote6;
  return {
    name: link.ifname,
    index: link.ifindex,
    ...(link.link_index !== undefined && { peerIndex: link.link_index }),
    mac: link.address ?? "",
    mtu: link.mtu,
    isUp: link.flags.includes("UP"),
    hasCarrier: link.flags.includes("LOWER_UP"),
    group: Number(link.group) || 0, // a name stands for one that is not tsnet's
    ...(link.master !== undefined && { master: link.master }),
    addresses: (link.addr_info ?? []).flatMap(({ local, prefixlen }) =>
      local === undefined ? [] : [{ address: local, prefixLength: prefixlen }],
    ),
    kind,
    ...(slaveKind === "bridge" && slave?.state !== undefined && { portState: slave.state }),
    ...(kind === "bridge" && { hasVlans: data?.vlan_filtering === 1, callsRules: data?.nf_call_iptables === 1 }),
    ...(remote !== undefined && { remote }),
  };
}

function neighbourOf({ dst, dev, lladdr, state = [] }: IpNeighbour): Neighbour {
  return { address: dst, link: dev, ...(lladdr !== undefined && { mac: lladdr }), states: state };
}

async function askRoute(tools: HostTools, { to, from, inLink }: RouteQuery): Promise<Route | string> {
  const family = familyOf(to) === 6 ? ["-6"] : [];
  const source = from === undefined ? [] : ["from", from];
  const input = inLink === undefined ? [] : ["iif", inLink];
  try {
    const query = ["-json", ...family, "route", "get", to, ...source, ...input];
    const [route] = await tools.json<readonly IpRoute[]>("ip", ...query);
    if (route?.dev === undefined) return `the route is ${route?.type ?? "none"}`;
    const via = route.gateway ?? route.via?.host;
    return {
      link: route.dev,
      ...(via !== undefined && { via }),
      ...(route.prefsrc !== undefined && { source: route.prefsrc }),
      isLocal: route.type === "local",
    };
  } catch (failure) {
    return wordsOf(failure);
  }
}

/** What the kernel answered, for people to read. */
function wordsOf(failure: unknown): string {
  if (!(failure instanceof TsnetError)) throw failure;
  const { cause } = failure;
  const said =
    typeof cause === "object" && cause !== null && "stderr" in cause ? String(cause.stderr) : failure.message;
  return (
    said
      .trim()
      .split("\n", 1)[0]
      ?.replace(/^RTNETLINK answers: /, "")
      .toLowerCase() ?? ""
  );
}
