// Settings of a link that its driver knows: what `ethtool` does, without a process. Follows include/uapi/linux/ethtool.h and
// net/ethtool/ioctl.c (ethtool_set_one_feature).
import { inContext } from "../errors.ts";
import { AF_INET, SOCK_DGRAM, closeSocket, commandLink, openSocket } from "./libc.ts";

const SIOCETHTOOL = 0x8946; // include/uapi/linux/sockios.h
const ETHTOOL_STXCSUM = 0x17;

/**
 * Says whether a link leaves the checksums of what it sends to its driver (`ethtool -K NAME tx on|off`). A veth never
 * computes them: whoever reads the frames at the other end without the kernel's help, as a switch in userspace does, needs
 * this off. Segmentation in the driver goes off with it. The setting stays with the link wherever it is moved.
 *
 * @param name - of a link in the network namespace of the thread at the time of the call.
 * @throws TsnetError `host`, ENODEV if there is none, EOPNOTSUPP if its driver has no such setting.
 */
export async function setTxChecksum(name: string, isOn: boolean): Promise<void> {
  const fd = openSocket(AF_INET, SOCK_DGRAM, 0); // any socket does
  try {
    const value = Buffer.alloc(8); // struct ethtool_value
    value.writeUInt32LE(ETHTOOL_STXCSUM, 0);
    value.writeUInt32LE(isOn ? 1 : 0, 4);
    await commandLink(fd, SIOCETHTOOL, name, value);
  } catch (failure) {
    throw inContext(`switch checksum offload of link ${name} ${isOn ? "on" : "off"}`, failure);
  } finally {
    closeSocket(fd);
  }
}
