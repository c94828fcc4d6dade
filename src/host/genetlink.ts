// Which families of generic netlink the kernel has: whether a driver with an interface of its own is there, in the kernel or
// as a module, which the question loads if it is not loaded yet. Follows include/uapi/linux/genetlink.h and
// net/netlink/genetlink.c (ctrl_getfamily).
import { isErrno, textAttribute } from "./netlink.ts";
import { NetlinkSocket } from "./netlink-socket.ts";

const NETLINK_GENERIC = 16; // include/uapi/linux/netlink.h
const GENL_ID_CTRL = 0x10;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_NAME = 2;
const VERSION = 1;

/** Whether the kernel has that family, such as `ovs_datapath`. @throws TsnetError `host`, `unavailable`. */
export async function hasGenericFamily(name: string): Promise<boolean> {
  using socket = NetlinkSocket.open(NETLINK_GENERIC);
  const header = Buffer.of(CTRL_CMD_GETFAMILY, VERSION, 0, 0); // struct genlmsghdr
  const parts = [header, textAttribute(CTRL_ATTR_FAMILY_NAME, name)];
  try {
    await socket.request(`look up generic netlink family ${name}`, { type: GENL_ID_CTRL, parts });
    return true;
  } catch (failure) {
    if (isErrno(failure, "ENOENT")) return false;
    throw failure;
  }
}
