// Names of links: the check for names that come from outside, and the only place where tsnet makes its own.
import { createHash } from "node:crypto";
import { TsnetError } from "../errors.ts";
import type { PortVlans } from "../vlan.ts";
import type { EndpointId } from "./endpoint.ts";
import type { Backend, IfName, NetworkId, Tunnel } from "./network.ts";

/** What the kernel permits is wider: it takes `--help` and `a;b`, and expands `tx%d`. */
const IF_NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,14}$/;

/** Bridges that the engine makes and removes as it likes. */
const OF_THE_ENGINE = /^(docker0|docker_gwbridge|br-[0-9a-f]{12})$/;

/** How many names are tried when another link has the first one. */
const NAME_CANDIDATES = 8;

/**
 * Checks the name of a switch or an uplink that came from outside.
 *
 * @throws TsnetError `invalid`.
 */
export function parseIfName(text: string): IfName {
  if (!IF_NAME.test(text)) throw new TsnetError("invalid", "no name of a link");
  if (OF_THE_ENGINE.test(text)) throw new TsnetError("invalid", "a bridge of the engine itself");
  return text as IfName; // checked just now
}

/**
 * The names that the network's own switch may get, best first: `tsn-` and 11 digits of the network's id. The later
 * ones are other parts of the id, for the case that the first name is taken.
 */
export function switchNames(id: NetworkId): readonly IfName[] {
  return parts(id, 11).map((part) => `tsn-${part}` as IfName); // 15 permitted characters
}

/**
 * The host's link into a network: the bridge itself where there is no VLAN, else `tsg` and 12 digits that say which VLAN of
 * which switch. On Open vSwitch the switch's own link is in every VLAN, so there it is always another one.
 */
export function hostLinkName(backend: Backend, switchName: IfName, { vlan, trunk }: PortVlans): IfName {
  if (backend === "bridge" && vlan === undefined && trunk === undefined) return switchName;
  const where = vlan ?? (trunk === undefined ? "untagged" : "none"); // a trunk alone leads to no host
  const digest = createHash("sha256").update(`${switchName} ${where}`).digest("hex");
  return `tsg${digest.slice(0, 12)}` as IfName; // 15 permitted characters
}

/**
 * A link of a tunnel: `tsx` and 12 digits that say which tunnel of which switch.
 *
 * @param peer - of a link that leads to one peer alone.
 */
export function tunnelLinkName(switchName: IfName, tunnel: Tunnel, peer = ""): IfName {
  const { kind, vni = "", port = "", local } = tunnel;
  const digest = createHash("sha256").update([switchName, kind, vni, port, local, peer].join(" ")).digest("hex");
  return `tsx${digest.slice(0, 12)}` as IfName; // 15 permitted characters
}

/** Both ends of the endpoint's veth pair, best first: the host's end `tsv`, the sandbox's `tsc`, and 12 digits of the id. */
export function endpointNames(id: EndpointId): readonly { readonly host: IfName; readonly sandbox: IfName }[] {
  return parts(id, 12).map((part) => ({ host: `tsv${part}` as IfName, sandbox: `tsc${part}` as IfName })); // 15 characters
}

/** Whether a link's name is one that an endpoint's link may have. */
export function isEndpointName(name: string): boolean {
  return /^ts[vc].{12}$/.test(name);
}

function parts(id: string, length: number): string[] {
  const step = Math.max(1, Math.floor((id.length - length) / (NAME_CANDIDATES - 1)));
  const starts = Array.from({ length: NAME_CANDIDATES }, (_, i) => Math.min(i * step, id.length - length));
  return [...new Set(starts.map((start) => id.slice(start, start + length)))];
}
