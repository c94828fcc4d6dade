// The socket options of a netlink socket for requests. Follows netlink(7) and socket(7).
import { SOL_SOCKET, SO_RCVTIMEO, SO_SNDBUFFORCE, SO_SNDTIMEO, setSocketOption } from "./libc.ts";
import { isErrno } from "./netlink.ts";

const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;

/** A batch is one datagram, and 100,000 set elements make 8 MB. It is a limit: no memory is reserved. */
const SEND_BUFFER_LENGTH = 16 * 1024 * 1024;

/**
 * Sets what every request relies on: acknowledgements with the kernel's words, strict reading of requests, large messages,
 * and no waiting for ever.
 *
 * @param limitMs - how long one send or receive may wait.
 * @throws TsnetError `host`.
 */
export function setRequestOptions(fd: number, limitMs: number): void {
  for (const option of [NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK]) {
    // Newer than netlink itself: a kernel without them still serves.
    unless("ENOPROTOOPT", () => setSocketOption(fd, SOL_NETLINK, option, u32(1)));
  }
  // Beyond net.core.wmem_max only with CAP_NET_ADMIN, and without it nothing can be changed anyway.
  unless("EPERM", () => setSocketOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, u32(SEND_BUFFER_LENGTH)));
  const limit = Buffer.alloc(16); // struct timeval: i64 seconds, i64 microseconds
  limit.writeBigInt64LE(BigInt(limitMs / 1000));
  setSocketOption(fd, SOL_SOCKET, SO_RCVTIMEO, limit);
  setSocketOption(fd, SOL_SOCKET, SO_SNDTIMEO, limit);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function unless(errno: string, set: () => void): void {
  try {
    set();
  } catch (failure) {
    if (!isErrno(failure, errno)) throw failure;
  }
}
