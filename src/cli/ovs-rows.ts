// The bridges of Open vSwitch with their ports, as its database has them.
import { messageOf } from "../errors.ts";
import type { CarriedVlans } from "./host-links.ts";
import type { HostTools } from "./host-tools.ts";
import { type OvsdbRow, byId, listRows, mapOf, setOf, textOf } from "./ovsdb-rows.ts";

/** A port with the interface of the same name; of a bond with its first one. */
export interface OvsPort {
  readonly name: string;
  readonly vlans: CarriedVlans;
  /** `internal`, `vxlan`, `` for a link of the host. */
  readonly type: string;
  readonly options: ReadonlyMap<string, string>;
  /** Number of it in flows; absent while ovs-vswitchd has not opened it. */
  readonly ofport?: number;
  readonly isUp: boolean;
  /** The host's link that it is; of a bond the first one. Absent for what Open vSwitch makes itself. */
  readonly link?: string;
  readonly marks: ReadonlyMap<string, string>;
}

/** A bridge. */
export interface OvsBridge {
  readonly name: string;
  readonly marks: ReadonlyMap<string, string>;
  readonly ports: readonly OvsPort[];
}

/** What there is of Open vSwitch on this host. */
export interface OvsView {
  readonly bridges: readonly OvsBridge[];
  /** Why there is nothing: it is not installed, or does not run. */
  readonly fault?: string;
}

/** Where it is not installed or does not run there are no bridges. */
export async function readOvs(host: HostTools): Promise<OvsView> {
  try {
    const bridges = await listRows(host, "Bridge", "name,ports,external_ids");
    const ports = await listRows(host, "Port", "_uuid,name,interfaces,tag,trunks,vlan_mode,external_ids");
    const interfaces = await listRows(host, "Interface", "_uuid,name,type,options,ofport,admin_state");
    return { bridges: bridges.map((row) => bridgeOf(row, byId(ports), byId(interfaces))) };
  } catch (failure) {
    return { bridges: [], fault: messageOf(failure) };
  }
}

function bridgeOf(
  row: OvsdbRow,
  ports: ReadonlyMap<string, OvsdbRow>,
  interfaces: ReadonlyMap<string, OvsdbRow>,
): OvsBridge {
  const own = setOf(row.get("ports")).flatMap((id) => ports.get(String(id)) ?? []);
  const named = own.map((port) => {
    const [first] = setOf(port.get("interfaces")).map((id) => interfaces.get(String(id)));
    return portOf(port, first ?? new Map());
  });
  return { name: textOf(row.get("name")), marks: mapOf(row.get("external_ids")), ports: named };
}

function portOf(port: OvsdbRow, first: OvsdbRow): OvsPort {
  const [ofport] = setOf(first.get("ofport")).map(Number);
  const type = textOf(first.get("type"));
  return {
    name: textOf(port.get("name")),
    vlans: vlansOf(port),
    type,
    options: mapOf(first.get("options")),
    ...(ofport !== undefined && ofport > 0 && { ofport }),
    isUp: textOf(first.get("admin_state")) !== "down",
    ...(["", "system"].includes(type) && { link: textOf(first.get("name")) }),
    marks: mapOf(port.get("external_ids")),
  };
}

/** Without a tag and a list it is a trunk of all VLANs (ovs-vswitchd.conf.db(5), table Port, vlan_mode). */
function vlansOf(port: OvsdbRow): CarriedVlans {
  const [tag] = setOf(port.get("tag")).map(Number);
  const trunks = setOf(port.get("trunks")).map(Number);
  const [mode = tag === undefined ? "trunk" : "access"] = setOf(port.get("vlan_mode")).map(String);
  if (mode === "access") return { untagged: tag ?? 0, tagged: [] };
  const isAll = trunks.length === 0;
  const tagged = trunks.filter((vid) => vid !== 0 && vid !== tag).toSorted((a, b) => a - b);
  const untagged = mode.startsWith("native") ? tag : trunks.includes(0) ? 0 : undefined;
  return { ...(untagged !== undefined && { untagged }), tagged, ...(isAll && { isAll }) };
}
