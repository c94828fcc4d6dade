// What it means when the kernel does not let tsnet have a port, in the words of somebody who typed `docker run -p`.
import { isIPv6 } from "node:net";
import type { EndpointId } from "../cnm/endpoint.ts";
import type { PortBinding, PortProtocol } from "../cnm/ports.ts";
import { TsnetError, messageOf } from "../errors.ts";

/** One port on one address, as it was to be held. */
export interface WantedPort {
  readonly protocol: PortProtocol;
  /** Bare; `0.0.0.0` or `::` for all. */
  readonly address: string;
  readonly port: number;
}

/** How much of an endpoint's id stands in a message, as the engine shortens ids. */
const SHORT_ID_LENGTH = 12;

/** So many ports that cannot be held are named in one message. */
const NAMED_FAILURES = 5;

/** net.ipv4.ip_unprivileged_port_start, as hosts have it that did not change it (ip-sysctl.rst). */
const FIRST_UNPRIVILEGED_PORT = 1024;

/** Whether a failure, or one of its causes, is the kernel's refusal with this errno name, told by Node.js or by `host/`. */
export function isRefusal(failure: unknown, ...names: readonly string[]): boolean {
  for (let error = failure; typeof error === "object" && error !== null;) {
    const { code, errno, cause } = error as { code?: unknown; errno?: unknown; cause?: unknown }; // absent is undefined
    if (names.some((name) => name === code || name === errno)) return true;
    error = cause;
  }
  return false;
}

/**
 * The error for a port that could not be held.
 *
 * @param failure - what was thrown.
 * @param owner - the endpoint that holds it, if it is one of ours; `asker` if it asked for the same twice.
 */
export function portError(failure: unknown, wanted: WantedPort, asker: EndpointId, owner?: EndpointId): TsnetError {
  const { protocol, address, port } = wanted;
  const shown = isIPv6(address) ? `[${address}]` : address;
  const what = port === 0 ? `a free port/${protocol} on ${shown}` : `port ${port}/${protocol} on ${shown}`;
  const error = (code: TsnetError["code"], why: string) => new TsnetError(code, `${what} ${why}`, { cause: failure });
  if (isRefusal(failure, "EADDRINUSE")) return error("conflict", usedBy(asker, owner));
  if (isRefusal(failure, "EPROTONOSUPPORT", "ESOCKTNOSUPPORT")) {
    return error("unsupported", `cannot be held: this host's kernel has no ${protocol} (module ${protocol})`);
  }
  if (isRefusal(failure, "EAFNOSUPPORT")) return error("unsupported", "cannot be held: this host has no IPv6");
  if (isRefusal(failure, "EADDRNOTAVAIL")) {
    return error("unsupported", `cannot be held: address ${address} is not on this host`);
  }
  if (isRefusal(failure, "EACCES") && port < FIRST_UNPRIVILEGED_PORT) {
    const right = `tsnet may not use ports below ${FIRST_UNPRIVILEGED_PORT} (capability NET_BIND_SERVICE)`;
    return error("unsupported", `cannot be held: ${right}`);
  }
  return error("host", `cannot be held: ${messageOf(failure)}`);
}

/** The error for a binding none of whose numbers is free. @param failure - why the last one was not. */
export function noneFree({ protocol, hostAddress, hostPort, hostPortEnd }: PortBinding, failure: unknown): TsnetError {
  const where = hostAddress === "" ? "all addresses" : hostAddress;
  const what =
    hostPort === 0
      ? `no port/${protocol} is free on ${where} (net.ipv4.ip_local_port_range)`
      : `ports ${hostPort}-${hostPortEnd}/${protocol} on ${where} are all in use`;
  return new TsnetError("conflict", what, { cause: failure });
}

/** One error for all bindings that could not be held; a single one is told as it is. */
export function allFailures(failures: readonly unknown[]): unknown {
  const [first] = failures;
  if (failures.length < 2) return first;
  const more = failures.length - NAMED_FAILURES;
  const named = failures.slice(0, NAMED_FAILURES).map(messageOf);
  const text = [...named, ...(more > 0 ? [`and ${more} more`] : [])].join("; ");
  const code = first instanceof TsnetError ? first.code : "internal";
  return new TsnetError(code, text, { cause: new AggregateError(failures) });
}

function usedBy(asker: EndpointId, owner: EndpointId | undefined): string {
  if (owner === undefined) return "is in use by another program on this host";
  if (owner === asker) return "is asked for twice";
  return `is published by endpoint ${owner.slice(0, SHORT_ID_LENGTH)} already`;
}
