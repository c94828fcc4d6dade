// Open vSwitch's database as ovs-vsctl shows it, and whether its switches answer.
import { globSync } from "node:fs";
import type { NetworkStatus } from "../../cnm/requests.ts";
import { messageOf } from "../../errors.ts";
import type { HostTools } from "../host-tools.ts";
import { listRows, mapOf, textOf } from "../ovsdb-rows.ts";

/** A row of any of the tables. */
export interface OvsRow {
  readonly name: string;
  readonly type: string;
  /** Why Open vSwitch could not make it; "" for nothing. */
  readonly error: string;
  readonly external_ids: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
}

/** What there is of it. */
export interface OvsView {
  /** Why the database does not answer, though networks are on Open vSwitch. */
  readonly fault?: string;
  readonly bridges: readonly OvsRow[];
  readonly ports: readonly OvsRow[];
  readonly interfaces: readonly OvsRow[];
  /** The switches of tsnet's networks that do not answer though they are in the database. */
  readonly silent: readonly string[];
}

/** Where the database listens (ovsdb-server(1)). */
const DATABASE = "/run/openvswitch/db.sock";

const NOTHING: OvsView = { bridges: [], ports: [], interfaces: [], silent: [] };

/** Where no network is on Open vSwitch, one that is not there is no fault. @throws TsnetError `host`. */
export async function readOvs(host: HostTools, networks: readonly NetworkStatus[]): Promise<OvsView> {
  const switches = new Set(networks.filter(({ backend }) => backend === "ovs").map((network) => network.switch));
  if (switches.size === 0 && globSync(DATABASE).length === 0) return NOTHING;
  try {
    const [bridges, ports, interfaces] = [
      await list(host, "Bridge", "name,external_ids"),
      await list(host, "Port", "name,external_ids"),
      await list(host, "Interface", "name,type,error,external_ids,options"),
    ];
    const known = bridges.map(({ name }) => name).filter((name) => switches.has(name));
    const silent = await Promise.all(known.map(async (name) => ((await doesAnswer(host, name)) ? [] : [name])));
    return { bridges, ports, interfaces, silent: silent.flat() };
  } catch (failure) {
    if (switches.size === 0) throw failure;
    return { ...NOTHING, fault: messageOf(failure) };
  }
}

async function list(host: HostTools, table: string, columns: string): Promise<readonly OvsRow[]> {
  const rows = await listRows(host, table, columns);
  return rows.map((row) => ({
    name: textOf(row.get("name")),
    type: textOf(row.get("type")),
    error: textOf(row.get("error")),
    external_ids: Object.fromEntries(mapOf(row.get("external_ids"))),
    options: Object.fromEntries(mapOf(row.get("options"))),
  }));
}

async function doesAnswer(host: HostTools, bridge: string): Promise<boolean> {
  return host.text("ovs-ofctl", "--timeout=5", "-O", "OpenFlow14", "show", bridge).then(
    () => true,
    () => false,
  );
}
