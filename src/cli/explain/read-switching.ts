// Looks the switches up by bridge(8) and ovs-vsctl(8).
import { messageOf } from "../../errors.ts";
import type { HostTools } from "../host-tools.ts";
import { byId, listRows, mapOf, setOf, textOf } from "../ovsdb-rows.ts";
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
      listRows(tools, "Bridge", "name,ports,datapath_type"),
      listRows(tools, "Port", "_uuid,name,tag,interfaces"),
      listRows(tools, "Interface", "_uuid,type,options"),
    ]);
    const interfaceOf = byId(interfaces);
    const bridgeOf = new Map(bridges.flatMap((row) => setOf(row.get("ports")).map((id) => [id, row] as const)));
    return ports.map((row) => {
      const tag = row.get("tag");
      const bridge = bridgeOf.get(setOf(row.get("_uuid"))[0]);
      const own = setOf(row.get("interfaces")).flatMap((id) => interfaceOf.get(String(id)) ?? []);
      return {
        name: textOf(row.get("name")),
        bridge: textOf(bridge?.get("name")),
        isUserspace: textOf(bridge?.get("datapath_type")) === "netdev",
        ...(typeof tag === "number" && { tag }),
        kind: own.map((each) => textOf(each.get("type"))).join(" "),
        remotes: own.flatMap((each) => remoteOf(mapOf(each.get("options")))),
      };
    });
  } catch (failure) {
    return messageOf(failure);
  }
}

/** Of a tunnel whose peers are named in flows there is none. */
function remoteOf(options: ReadonlyMap<string, string>): readonly string[] {
  const remote = options.get("remote_ip");
  return remote === undefined || remote === "flow" ? [] : [remote];
}
