// Making tunnel links, and the question whether this kernel has them. What the messages say: `rtnetlink-tunnel.ts`.
// Follows net/core/rtnetlink.c (rtnl_newlink), drivers/net/vxlan (vxlan_validate, vxlan_vni_in_use), drivers/net/geneve.c
// (geneve_validate, geneve_configure), net/ipv4/ip_gre.c (ipgre_tap_validate) and net/ipv6/ip6_gre.c (ip6gre_tap_validate).
import { formatAddress } from "../cidr.ts";
import { TsnetError } from "../errors.ts";
import { bytesAttribute, isErrno, nestedAttribute, textAttribute } from "./netlink.ts";
import { IFLA, IFLA_INFO, type Link, type TunnelSpec, linkHeader, tunnelParts } from "./rtnetlink-link.ts";
import type { LinkRequests } from "./rtnetlink-requests.ts";
import type { KernelSupport, SupportQuestion } from "./rtnetlink-support.ts";
import { type NewTunnel, type Tunnel, type TunnelKind, isSameTunnel } from "./rtnetlink-tunnel.ts";

/**
 * For each kind: is it there? A known kind looks at the MAC address first, and no link can have zeros for one. Loading the
 * module of GRE makes `gre0`, `gretap0` and `erspan0` in every namespace (`ip6gre0` for IPv6): ask only where GRE is wanted.
 */
export const TUNNEL_QUESTIONS: Readonly<Record<TunnelKind, SupportQuestion>> = {
  vxlan: tunnelQuestion("vxlan"),
  geneve: tunnelQuestion("geneve"),
  gretap: tunnelQuestion("gretap"),
  ip6gretap: tunnelQuestion("ip6gretap"),
};

/**
 * Makes a tunnel link.
 *
 * @returns its index.
 * @throws TsnetError `conflict` if this host has that tunnel already, naming its link if that is in this namespace;
 * `unsupported` if the kernel has no such kind; `host` otherwise, with EEXIST if the name is taken.
 */
export async function addTunnel(requests: LinkRequests, support: KernelSupport, spec: TunnelSpec): Promise<number> {
  const { name, tunnel } = spec;
  const doing = `add ${tunnel.kind} link ${name}`;
  try {
    return await requests.add(doing, name, tunnelParts(spec));
  } catch (failure) {
    if (isErrno(failure, "EOPNOTSUPP") && !(await support.has(TUNNEL_QUESTIONS[tunnel.kind]))) {
      const why = `${doing}: this kernel has no links of kind ${tunnel.kind}`;
      throw new TsnetError("unsupported", why, { cause: failure });
    }
    if (!isErrno(failure, "EEXIST", "EBUSY", "EPERM")) throw failure; // the latter two are what Geneve says
    const links = await requests.list();
    if (isErrno(failure, "EPERM")) throw takenAsAWhole(doing, tunnel, links, failure) ?? failure;
    if (links.some((link) => link.name === name || link.altNames.includes(name))) throw failure;
    // A link that was moved to another namespace keeps its place in this one: the overlay networks of Docker are such.
    const owner = links.find((link) => link.tunnel !== undefined && areInConflict(link.tunnel, tunnel));
    const who = owner ? `link ${owner.name}` : "a link that cannot be seen from this network namespace";
    throw new TsnetError("conflict", `${doing}: ${placeOf(tunnel)} is taken by ${who}`, { cause: failure });
  }
}

/** A link without a VNI of its own (`external`), as Open vSwitch has it, takes all that comes to its UDP port. */
function takenAsAWhole(
  doing: string,
  { kind, port }: NewTunnel & { readonly port?: number },
  links: readonly Link[],
  cause: unknown,
): TsnetError | undefined {
  const isWhole = ({ tunnel: of }: Link) => of?.kind === kind && of.port === port && !of.vni && of.remote === undefined;
  const owner = kind === "geneve" ? links.find(isWhole) : undefined;
  if (owner === undefined) return undefined;
  const what = `UDP port ${port} is taken by link ${owner.name}, which has all Geneve that comes there`;
  return new TsnetError("conflict", `${doing}: ${what}`, { cause });
}

/** Nothing else of a packet tells the kernel for which link it is. */
function areInConflict(a: Tunnel, b: NewTunnel): boolean {
  if (b.kind !== "vxlan") return isSameTunnel(a, b);
  const family = (a.local ?? a.remote)?.family ?? 4;
  return a.kind === b.kind && a.vni === b.vni && a.port === b.port && family === b.local.family;
}

function placeOf(tunnel: NewTunnel): string {
  if (tunnel.kind === "vxlan") {
    return `VNI ${tunnel.vni} on UDP port ${tunnel.port} over IPv${tunnel.local.family}, whatever the local address,`;
  }
  const remote = formatAddress(tunnel.remote);
  if (tunnel.kind === "geneve") return `VNI ${tunnel.vni} on UDP port ${tunnel.port} to ${remote}`;
  const key = tunnel.key === undefined ? "without key" : `with key ${tunnel.key}`;
  return `GRE ${key} from ${formatAddress(tunnel.local)} to ${remote}`;
}

function tunnelQuestion(kind: TunnelKind): SupportQuestion {
  const info = nestedAttribute(IFLA.LINKINFO, [textAttribute(IFLA_INFO.KIND, kind)]);
  return {
    doing: `ask for ${kind} links`,
    parts: [linkHeader(0), bytesAttribute(IFLA.ADDRESS, Buffer.alloc(6)), info],
    yes: "EADDRNOTAVAIL",
    no: ["EOPNOTSUPP"],
  };
}
