// Ports of endpoints whose links have gone: their containers ended, or they were removed while Open vSwitch was away. No link
// comes back to such a port, as an endpoint that is attached gets its port anew.
import { mutate, select } from "../../host/ovsdb-operations.ts";
import type { OvsHost } from "./datapath.ts";
import { endpointOf, networkMark } from "./marks.ts";
import { removePorts } from "./rows.ts";

/** Whoever waits for `ovs-vswitchd` later waits for this as well. */
const count = mutate("Open_vSwitch", [], [["next_cfg", "+=", 1]]);

const COLUMNS = ["name", "external_ids"] as const;

/** Removes those of one network. */
export async function removeStalePorts(host: OvsHost, networkId: string): Promise<void> {
  const doing = "look for ports whose links have gone";
  const mark = ["external_ids", "includes", networkMark(networkId)] as const;
  const [vanished, unopened] = await host.ovsdb.transact(doing, [
    select("Interface", [mark, ["ifindex", "==", 0]], COLUMNS),
    select("Interface", [mark, ["ofport", "==", -1]], COLUMNS),
  ]);
  for (const row of [...vanished, ...unopened]) {
    const endpointId = endpointOf(row);
    if (endpointId === undefined || (await host.links.findLink(row.name)) !== undefined) continue;
    await removeEndpointPort(host, { endpointId, hostIfName: row.name });
  }
}

/** Removes an endpoint's flows, and its port from the database, without a wait for Open vSwitch. Absent is no failure. */
export async function removeEndpointPort(
  host: OvsHost,
  { endpointId, hostIfName }: { readonly endpointId: string; readonly hostIfName: string },
): Promise<void> {
  const doing = `remove port ${hostIfName}`;
  const [rows] = await host.ovsdb.transact(doing, [
    select("Port", [["name", "==", hostIfName]], ["_uuid", "external_ids"]),
  ]);
  const own = rows.find((row) => endpointOf(row) === endpointId)?._uuid;
  if (own === undefined) return host.flows.removeEndpoint(endpointId, undefined);
  const [bridges] = await host.ovsdb.transact(doing, [select("Bridge", [["ports", "includes", [own]]], ["name"])]);
  await host.flows.removeEndpoint(endpointId, bridges[0]?.name);
  await host.ovsdb.transact(doing, [...removePorts([own]), count]);
}
