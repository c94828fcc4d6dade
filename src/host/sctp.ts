// One-to-one SCTP sockets, which behave like those of tcp once they are open. Only what Node.js cannot do is here: opening
// and binding. Follows RFC 6458 section 4 and sctp(7).
import { type Address, type Family, parseAddress } from "../cidr.ts";
import {
  AF_INET,
  AF_INET6,
  SOCK_STREAM,
  SOL_SOCKET,
  bindSocket,
  closeSocket,
  openSocket,
  setSocketOption,
} from "./libc.ts";

/** Protocol numbers (IANA), also levels of socket options. */
const IPPROTO_SCTP = 132;
const IPPROTO_IPV6 = 41;

const SO_REUSEADDR = 2;
const IPV6_V6ONLY = 26;
const SCTP_NODELAY = 3;

const ON = Buffer.of(1, 0, 0, 0);

/**
 * Opens a socket for one association; one of IPv6 takes no IPv4. Messages are sent without delay.
 *
 * @returns its descriptor, which the caller closes.
 * @throws TsnetError `host`, with errno EPROTONOSUPPORT when this kernel has no sctp.
 */
export function openSctp(family: Family): number {
  return setUp(openSocket(family === 4 ? AF_INET : AF_INET6, SOCK_STREAM, IPPROTO_SCTP), (fd) => {
    if (family === 6) setSocketOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, ON);
    setSocketOption(fd, IPPROTO_SCTP, SCTP_NODELAY, ON);
  });
}

/**
 * Opens a socket with an address of its own, to listen with. An association that is still ending on that port is no
 * obstacle; a listener is, if not here then when it is to listen.
 *
 * @param address - bare.
 * @param port - 0: the kernel chooses.
 * @returns its descriptor, which the caller closes.
 * @throws TsnetError `host`, with errno EADDRINUSE or EADDRNOTAVAIL for instance.
 */
export function openBoundSctp(address: string, port: number): number {
  const own = parseAddress(address);
  return setUp(openSctp(own.family), (fd) => {
    setSocketOption(fd, SOL_SOCKET, SO_REUSEADDR, ON);
    bindSocket(fd, socketAddress(own, port));
  });
}

/** Runs `steps` on a new socket; it is closed when one fails. */
function setUp(fd: number, steps: (fd: number) => void): number {
  try {
    steps(fd);
    return fd;
  } catch (failure) {
    closeSocket(fd);
    throw failure;
  }
}

/** `struct sockaddr_in` (ip(7)) or `struct sockaddr_in6` (ipv6(7)): family in host order, port and address in network order. */
function socketAddress({ family, value }: Address, port: number): Buffer {
  const address = Buffer.alloc(family === 4 ? 16 : 28);
  address.writeUInt16LE(family === 4 ? AF_INET : AF_INET6, 0);
  address.writeUInt16BE(port, 2);
  const bytes = family === 4 ? 4 : 16;
  Buffer.from(value.toString(16).padStart(bytes * 2, "0"), "hex").copy(address, family === 4 ? 4 : 8);
  return address;
}
