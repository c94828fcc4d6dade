// Port bindings: from the container's port map to what shall be published, and when two of them mean the same. The form
// of the port map is that of moby's daemon/libnetwork/types, PortBinding (cnm-protocol.md 4.5).
import { type Address, formatAddress, parseAddress } from "../cidr.ts";
import { TsnetError, messageOf } from "../errors.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Network } from "./network.ts";
import type { PortBinding, PortProtocol, PublishedPort } from "./ports.ts";
import type { RequestedBinding } from "./requests.ts";

/** By the number of the IP protocol. */
const PROTOCOLS: ReadonlyMap<number, PortProtocol> = new Map([
  [6, "tcp"],
  [17, "udp"],
  [132, "sctp"],
]);

/** ::ffff:0:0/96 is IPv4 in the notation of IPv6 (RFC 4291, 2.5.5.2); the upper 96 bits of such an address. */
const IPV4_MAPPED = 0xffffn;

/**
 * Reads the address of a host on which ports are published.
 *
 * @returns canonical text; for an IPv4 address in IPv6 notation that of the IPv4 address.
 * @throws TsnetError `invalid`.
 */
export function parseHostAddress(text: string): string {
  const address = parseAddress(text);
  const isMapped = address.family === 6 && address.value >> 32n === IPV4_MAPPED;
  const plain: Address = isMapped ? { family: 4, value: address.value & 0xffff_ffffn } : address;
  return formatAddress(plain);
}

/** What decides which bindings an endpoint gets, besides the port map itself. */
export interface BindingContext {
  readonly network: Pick<Network, "mode" | "hostBinding">;
  readonly endpoint: Pick<Endpoint, "address" | "addressIpv6">;
  /** See `ProgramExternalConnectivity`. */
  readonly isHostIpv6Elsewhere?: boolean;
}

/**
 * Checks a port map for a network of mode nat or routed.
 *
 * An entry without a host address gets the network's `host-binding`. Without that it is for all addresses: of both
 * families, but only of those that the endpoint itself has if it lacks IPv4, and without IPv6 when another endpoint of
 * the container has that. In mode routed there is nothing to translate: ports of the host have no meaning.
 *
 * @throws TsnetError `invalid` with all faults.
 */
export function planBindings(requested: readonly RequestedBinding[], context: BindingContext): readonly PortBinding[] {
  const faults = new Set<string>();
  const bindings = requested.flatMap((entry) => {
    const { binding, faults: found } = readBinding(entry, context);
    for (const fault of found) faults.add(fault);
    return binding === undefined ? [] : withAddress(binding, context);
  });
  if (faults.size > 0) throw new TsnetError("invalid", [...faults].join("; "));
  return context.network.mode === "routed" ? opened(bindings) : bindings;
}

function readBinding(
  entry: RequestedBinding,
  { network }: BindingContext,
): { binding?: PortBinding; faults: string[] } {
  const { containerPort, hostPort } = entry;
  const hostPortEnd = entry.hostPortEnd === 0 ? hostPort : entry.hostPortEnd;
  const protocol = PROTOCOLS.get(entry.protocol);
  const what = `container port ${containerPort}${protocol === undefined ? "" : `/${protocol}`}`;
  const faults: string[] = [];
  if (protocol === undefined)
    faults.push(`${what}: protocol ${entry.protocol} is not permitted; permitted: tcp, udp, sctp`);
  if (containerPort === 0) faults.push(`${what} is outside 1..65535`);
  if (hostPortEnd < hostPort || (hostPort === 0 && hostPortEnd > 0)) {
    faults.push(`${what}: host ports ${hostPort} to ${hostPortEnd} are no range`);
  }
  let hostAddress = "";
  try {
    hostAddress = entry.hostAddress === "" ? "" : parseHostAddress(entry.hostAddress);
  } catch (fault) {
    faults.push(`${what}: ${messageOf(fault)}`);
  }
  if (network.mode === "routed" && !["", "0.0.0.0", "::"].includes(hostAddress)) {
    const why = "mode routed opens the container's own addresses, for everybody";
    faults.push(`${what}: host address ${hostAddress} has no meaning, ${why}; permitted: none, 0.0.0.0, ::`);
  }
  if (faults.length > 0 || protocol === undefined) return { faults };
  return { binding: { protocol, containerPort, hostAddress, hostPort, hostPortEnd }, faults };
}

/** @returns the binding with its final address, or nothing if another endpoint is there for it. */
function withAddress(binding: PortBinding, { network, endpoint, isHostIpv6Elsewhere }: BindingContext): PortBinding[] {
  const hasOnlyIpv4 = isHostIpv6Elsewhere === true && endpoint.addressIpv6 === undefined;
  const wanted = binding.hostAddress === "" ? (network.hostBinding ?? "") : binding.hostAddress;
  if (hasOnlyIpv4 && wanted.includes(":")) return [];
  if (wanted !== "") return [{ ...binding, hostAddress: wanted }];
  if (hasOnlyIpv4) return [{ ...binding, hostAddress: "0.0.0.0" }];
  return [{ ...binding, hostAddress: endpoint.address === undefined ? "::" : "" }];
}

/** Ports that are opened rather than translated: each once. */
function opened(bindings: readonly PortBinding[]): readonly PortBinding[] {
  const ports = bindings.map((binding) => ({ ...binding, hostPort: 0, hostPortEnd: 0 }));
  return [...new Map(ports.map((port) => [keyOf(port), port])).values()];
}

/** Whether two lists ask for the same, in whatever order: that of the engine is random. */
export function isSameBindings(some: readonly PortBinding[], others: readonly PortBinding[]): boolean {
  const sorted = (bindings: readonly PortBinding[]) => bindings.map(keyOf).sort().join();
  return sorted(some) === sorted(others);
}

function keyOf({ protocol, containerPort, hostAddress, hostPort, hostPortEnd }: PortBinding): string {
  return [protocol, containerPort, hostAddress, hostPort, hostPortEnd].join(" ");
}

/** The binding that asks for exactly this port again. */
export function bindingOf(port: PublishedPort): PortBinding {
  return { ...port, hostPortEnd: port.hostPort };
}

/** Whether two published ports are the same port of the host, at least on one of its addresses. */
export function collides(one: PublishedPort, other: PublishedPort): boolean {
  if (one.protocol !== other.protocol || one.hostPort !== other.hostPort) return false;
  if (one.hostAddress === "" || other.hostAddress === "") return true;
  if (one.hostAddress.includes(":") !== other.hostAddress.includes(":")) return false;
  return one.hostAddress === other.hostAddress || isWildcard(one) || isWildcard(other);
}

function isWildcard({ hostAddress }: PublishedPort): boolean {
  return hostAddress === "0.0.0.0" || hostAddress === "::";
}
