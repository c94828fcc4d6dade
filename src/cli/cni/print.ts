// How an attachment by CNI is shown.
import type { Console } from "../console.ts";
import type { CniRecord } from "./records.ts";
import type { CniAddress, CniInterface, CniResult } from "./result.ts";

/** `web is on CNI network lab as eth0`. */
export function sayPlace({ container, conf, ifName }: Pick<CniRecord, "container" | "conf" | "ifName">): string {
  return `${container.name} is on CNI network ${conf.name} as ${ifName}`;
}

/** Its addresses, routes and links, and by which plugins. */
export function printAttachment(console: Console, record: CniRecord): void {
  const { container, conf, cniVersion, result = {} } = record;
  const ips = result.ips ?? [];
  console.title(sayPlace(record));
  console.fields({
    plugins: conf.plugins.map(({ type }) => type).join(", "),
    version: cniVersion,
    gateway: [...new Set(ips.flatMap(({ gateway = [] }) => gateway))].join(", "),
    routes: (result.routes ?? []).map(({ dst, gw }) => sayRoute(dst, gw)).join(", "),
    nameservers: (result.dns?.nameservers ?? []).join(", "),
  });
  console.line();
  const rows = (result.interfaces ?? []).map((link, at) => [
    link.name,
    placeOf(link, container.name),
    addressesOf(ips, at),
    link.mac ?? "",
  ]);
  console.table(["INTERFACE", "WHERE", "ADDRESSES", "MAC"], rows, "the plugins name no interface");
}

/** Of the container, with prefix length. */
export function addressesIn({ ips }: CniResult): readonly string[] {
  return (ips ?? []).map(({ address }) => address);
}

function addressesOf(ips: readonly CniAddress[], at: number): readonly string[] {
  return ips.filter((each) => each.interface === at).map(({ address }) => address);
}

function placeOf({ sandbox = "" }: CniInterface, container: string): string {
  return sandbox === "" ? "host" : container;
}

function sayRoute(destination: string, gateway: string | undefined): string {
  const name = ["0.0.0.0/0", "::/0"].includes(destination) ? "default" : destination;
  return gateway === undefined ? name : `${name} via ${gateway}`;
}
