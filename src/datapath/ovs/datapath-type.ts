// Where a switch forwards: in the kernel or in userspace. Open vSwitch lists `system` among its datapath types whether the
// kernel has its module or not, and says nothing in the database when such a bridge cannot be made: so the kernel is asked.
import type { DatapathType } from "../../cnm/network.ts";
import { TsnetError } from "../../errors.ts";
import { hasGenericFamily } from "../../host/genetlink.ts";
import { select } from "../../host/ovsdb-operations.ts";
import type { Ovsdb } from "../../host/ovsdb.ts";

/** The column datapath_type of a bridge, where empty means `system` (ovs-vswitchd.conf.db(5)). */
export type OvsDatapathType = "system" | "netdev";

/** Of the kernel's module (include/uapi/linux/openvswitch.h, OVS_DATAPATH_FAMILY). */
const FAMILY = "ovs_datapath";

/** What a bridge has by its row. */
export function datapathTypeOf(row: { readonly datapath_type: string }): OvsDatapathType {
  return row.datapath_type === "netdev" ? "netdev" : "system";
}

/**
 * What a new bridge gets. `auto` is the kernel where that can.
 *
 * @throws TsnetError `unsupported` for `kernel` where that is missing.
 */
export async function chooseDatapathType(ovsdb: Ovsdb, wanted: DatapathType): Promise<OvsDatapathType> {
  if (wanted === "userspace") return "netdev";
  const obstacle = await kernelObstacle(ovsdb);
  if (obstacle === undefined) return "system";
  if (wanted === "auto") return "netdev";
  throw new TsnetError(
    "unsupported",
    `option datapath: kernel is not possible here: ${obstacle}; permitted: userspace`,
  );
}

async function kernelObstacle(ovsdb: Ovsdb): Promise<string | undefined> {
  const [rows] = await ovsdb.transact("look up Open vSwitch's datapaths", [
    select("Open_vSwitch", [], ["datapath_types"]),
  ]);
  const isOffered = rows.some(({ datapath_types }) => datapath_types.includes("system"));
  if (!isOffered) return "ovs-vswitchd runs without the kernel's datapath";
  if (await hasGenericFamily(FAMILY)) return undefined;
  return "the kernel has no Open vSwitch (modprobe openvswitch does not find it)";
}
