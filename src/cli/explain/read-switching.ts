// Looks the switches up by bridge(8) and ovs-vsctl(8).
import { messageOf } from "../../errors.ts";
import type { HostTools } from "../host-tools.ts";
import type { FdbEntry, OvsPort, PortVlan, Switching } from "./switching.ts";

/** One entry of `bridge -json fdb`. */
interface BridgeFdb {
  readonly mac: string;
  readonly ifname: string;
  readonly master?: string;
  readonly dst?: string;
  readonly vlan?: number;
  readonly state?: string;
}

/** One entry of `bridge -json vlan`. */
interface BridgeVlan {
  readonly ifname: string;
  readonly vlans: readonly { readonly vlan: number; readonly vlanEnd?: number; readonly flags?: readonly string[] }[];
}

/** `ovs-vsctl --format=json list`: RFC 7047 5.1 in the cells. */
interface OvsTable {
  readonly headings: readonly string[];
  readonly data: readonly (readonly unknown[])[];
}

type OvsRow = Readonly<Record<string, unknown>>;

const OVS = ["--timeout=5", "--format=json"] as const;

/** @param hasOvs - whether a network is on Open vSwitch. */
export async function readSwitching(tools: HostTools, hasOvs: boolean): Promise<Switching> {
  const [fdb, vlans, ovs] = await Promise.all([
    tools.json<readonly BridgeFdb[]>("bridge", "-json", "fdb", "show"),
    tools.json<readonly BridgeVlan[]>("bridge", "-json", "vlan", "show"),
    hasOvs ? readOvs(tools) : undefined,
  ]);
  return {
    fdb: fdb.map(entryOf),
    vlans: new Map(vlans.map((port) => [port.ifname, port.vlans.map(vlanOf)])),
    ...(ovs !== undefined && { ovs }),
  };
}

function entryOf({ mac, ifname, master, dst, vlan, state = "" }: BridgeFdb): FdbEntry {
  return {
    mac,
    link: ifname,
    ...(master !== undefined && { master }),
    ...(dst !== undefined && { remote: dst }),
    ...(vlan !== undefined && { vlan }),
    state,
  };
}

function vlanOf({ vlan, vlanEnd = vlan, flags = [] }: BridgeVlan["vlans"][number]): PortVlan {
  return { first: vlan, last: vlanEnd, isPvid: flags.includes("PVID") };
}

async function readOvs(tools: HostTools): Promise<readonly OvsPort[] | string> {
  try {
    const [bridges, ports, interfaces] = await Promise.all([
      listOvs(tools, "Bridge", "name,ports"),
      listOvs(tools, "Port", "_uuid,name,tag,interfaces"),
      listOvs(tools, "Interface", "_uuid,type,options"),
    ]);
    const interfaceOf = new Map(interfaces.map((row) => [idsOf(row["_uuid"])[0] ?? "", row] as const));
    const bridgeOf = new Map(
      bridges.flatMap((row) => idsOf(row["ports"]).map((id) => [id, String(row["name"])] as const)),
    );
    return ports.map((row) => {
      const tag = row["tag"];
      const own = idsOf(row["interfaces"]).map((id): OvsRow => interfaceOf.get(id) ?? {});
      return {
        name: String(row["name"]),
        bridge: bridgeOf.get(idsOf(row["_uuid"])[0] ?? "") ?? "",
        ...(typeof tag === "number" && { tag }),
        kind: own.map(({ ["type"]: type }) => (typeof type === "string" ? type : "")).join(" "),
        remotes: own.flatMap(({ ["options"]: options }) => remoteOf(options)),
      };
    });
  } catch (failure) {
    return messageOf(failure);
  }
}

async function listOvs(tools: HostTools, table: string, columns: string): Promise<readonly OvsRow[]> {
  const { headings, data } = await tools.json<OvsTable>("ovs-vsctl", ...OVS, `--columns=${columns}`, "list", table);
  return data.map((cells) => Object.fromEntries(headings.map((heading, at) => [heading, cells[at]])));
}

/** `["uuid", ID]`, or `["set", [["uuid", ID], …]]`. */
function idsOf(cell: unknown): readonly string[] {
  const [kind, content] = cell as readonly [string, unknown]; // RFC 7047 5.1
  return kind === "uuid" ? [String(content)] : (content as readonly unknown[]).flatMap(idsOf);
}

/** `["map", [["remote_ip", "192.0.2.1"], …]]`. */
function remoteOf(cell: unknown): readonly string[] {
  if (cell === undefined) return [];
  const [, pairs] = cell as readonly [string, readonly (readonly [string, string])[]]; // RFC 7047 5.1
  return pairs.flatMap(([key, value]) => (key === "remote_ip" && value !== "flow" ? [value] : []));
}
