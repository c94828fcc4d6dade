// How commands say what tsnet knows.
import type { EndpointStatus, NetworkStatus } from "../cnm/requests.ts";
import type { PublishedPort } from "../cnm/ports.ts";
import { formatVlanList } from "../vlan.ts";

type Vlans = Pick<NetworkStatus, "vlan" | "trunk">;

/** `100`, `trunk 20,30-39`, `100, trunk 20`; "" without VLANs. */
export function sayVlans({ vlan, trunk }: Vlans): string {
  const parts = [...(vlan === undefined ? [] : [`${vlan}`]), ...(trunk ? [`trunk ${formatVlanList(trunk)}`] : [])];
  return parts.join(", ");
}

/** Where a port is reached: `*:8080/tcp` for all addresses of this host; the container's own where nothing is translated. */
export function sayPort(port: PublishedPort, { addresses }: Pick<EndpointStatus, "addresses">): string {
  const { protocol, hostAddress, hostPort, containerPort } = port;
  if (hostPort === 0) return addresses.map((each) => sayAddressPort(bare(each), containerPort, protocol)).join(", ");
  return sayAddressPort(hostAddress === "" ? "*" : hostAddress, hostPort, protocol);
}

/** `10.1.2.3:80/tcp`, `[fd00::3]:80/tcp`; without a protocol `10.1.2.3:80`. */
export function sayAddressPort(address: string, port: number, protocol?: string): string {
  const host = address.includes(":") ? `[${address}]` : address;
  return `${host}:${port}${protocol === undefined ? "" : `/${protocol}`}`;
}

/** `10.1.2.3/24` without its prefix length. */
export function bare(address: string): string {
  return address.split("/", 1)[0] ?? address;
}

/** `yes`, `no`. */
export function sayYes(is: boolean): string {
  return is ? "yes" : "no";
}
