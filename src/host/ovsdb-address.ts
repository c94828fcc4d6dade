// Where Open vSwitch's database listens, and what an operator can do when it does not answer there.
// Source: ovsdb(7), "Connection Methods"; the setting TSNET_OVSDB takes its active forms without TLS.
import { isIPv6 } from "node:net";
import { TsnetError } from "../errors.ts";

/** As node:net connects to it, with the text it was read from. */
export type OvsdbAddress =
  | { readonly text: string; readonly path: string }
  | { readonly text: string; readonly host: string; readonly port: number };

/**
 * Reads `unix:PATH` or `tcp:HOST:PORT`. An IPv6 address stands in brackets: `tcp:[::1]:6640`.
 *
 * @throws TsnetError `invalid`.
 */
export function parseOvsdbAddress(text: string): OvsdbAddress {
  const path = /^unix:(\/[^\0\n]{1,100})$/.exec(text)?.[1];
  if (path !== undefined) return { text, path };
  const [, bracketed, plain = "", digits = ""] = /^tcp:(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  const isHost = bracketed === undefined ? plain !== "" : isIPv6(bracketed);
  if (!isHost || port < 1 || port > 65_535) {
    throw new TsnetError("invalid", `${JSON.stringify(text)} is no address of a database: unix:PATH, tcp:HOST:PORT`);
  }
  return { text, host, port };
}

/**
 * The error for a database that cannot be reached: `unavailable`, with the way out.
 *
 * @param reason - why: an errno's name, or words.
 */
export function unreachable(address: OvsdbAddress, reason: string, cause?: unknown): TsnetError {
  const message = `Open vSwitch's database does not answer on ${address.text} (${reason}): ${remedyFor(address, reason)}`;
  return new TsnetError("unavailable", message, { cause });
}

function remedyFor(address: OvsdbAddress, reason: string): string {
  if (reason === "EACCES") return "run tsnet as root, or as a user that may open the socket";
  const start = "start Open vSwitch (systemctl start openvswitch-switch)";
  if ("path" in address) return `${start} or set TSNET_OVSDB`;
  const { host, port } = address;
  const listen = `ovs-vsctl set-manager ptcp:${port}:${isIPv6(host) ? `[${host}]` : host}`;
  return `${start} and let its database listen there (${listen}), or set TSNET_OVSDB`;
}
