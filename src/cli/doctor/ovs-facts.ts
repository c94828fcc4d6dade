// Open vSwitch's database as ovs-vsctl shows it, and whether its switches answer.
import { globSync } from "node:fs";
import type { NetworkStatus } from "../../cnm/requests.ts";
import { messageOf } from "../../errors.ts";
import type { HostTools } from "../host-tools.ts";

/** A value as RFC 7047 5.1 writes it. */
type Value = string | number | boolean | readonly [kind: string, content: unknown];

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

interface Listing {
  readonly headings: readonly string[];
  readonly data: readonly (readonly Value[])[];
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
  const words = ["--timeout=5", "--no-wait", "--format=json", `--columns=${columns}`, "list", table];
  const { headings, data } = await host.json<Listing>("ovs-vsctl", ...words);
  return data.map((row) => {
    const find = (column: string) => row[headings.indexOf(column)];
    return {
      name: textOf(find("name")),
      type: textOf(find("type")),
      error: textOf(find("error")),
      external_ids: mapOf(find("external_ids")),
      options: mapOf(find("options")),
    };
  });
}

async function doesAnswer(host: HostTools, bridge: string): Promise<boolean> {
  return host.text("ovs-ofctl", "--timeout=5", "-O", "OpenFlow14", "show", bridge).then(
    () => true,
    () => false,
  );
}

/** Of a column that may be empty, which is written as an empty set. */
function textOf(value: Value | undefined): string {
  return typeof value === "string" ? value : "";
}

function mapOf(value: Value | undefined): Readonly<Record<string, string>> {
  if (!Array.isArray(value) || value[0] !== "map") return {};
  return Object.fromEntries(value[1] as readonly (readonly [string, string])[]); // RFC 7047 5.1, <map>
}
