// The few calls of the C library that Node.js does not offer: raw sockets and what is asked by them. The only file that imports koffi. What a
// message on such a socket means is left to `netlink.ts` and `iptables-legacy.ts`; failures carry their errno name.
import { constants } from "node:os";
import koffi from "koffi";
import { TsnetError } from "../errors.ts";

/** socket(2) and setsockopt(2) constants, the same on every architecture that tsnet is built for (asm-generic). */
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_BRIDGE = 7;
export const AF_NETLINK = 16;
export const AF_PACKET = 17;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOL_SOCKET = 1;
export const SO_RCVTIMEO = 20;
export const SO_SNDTIMEO = 21;
export const SO_SNDBUFFORCE = 32;

const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;

/** A `struct ifreq` on machines of 64 bits: the link's name, then a union with a pointer. */
const IFREQ_LENGTH = 40;
const IFREQ_DATA = 16;

type Call = (...args: readonly unknown[]) => number;
type Foreign = Call & { readonly async: (...args: readonly unknown[]) => void };

// The process itself has the C library's symbols, be it glibc or musl. koffi types its functions with `any`: the
// prototypes in the strings are the truth, and the casts to `Foreign` say that all of them return a number.
const library = koffi.load(null);
const libc = {
  socket: library.func("int socket(int domain, int type, int protocol)") as Foreign,
  bind: library.func("int bind(int fd, const void *address, uint32_t length)") as Foreign,
  getsockname: library.func("int getsockname(int fd, void *address, void *length)") as Foreign,
  send: library.func("long send(int fd, const void *data, size_t length, int flags)") as Foreign,
  recv: library.func("long recv(int fd, void *buffer, size_t length, int flags)") as Foreign,
  setsockopt: library.func(
    "int setsockopt(int fd, int level, int name, const void *value, uint32_t length)",
  ) as Foreign,
  getsockopt: library.func("int getsockopt(int fd, int level, int name, void *value, void *length)") as Foreign,
  ioctl: library.func("int ioctl(int fd, unsigned long request, void *argument)") as Foreign,
  close: library.func("int close(int fd)") as Foreign,
  strerror: library.func("const char *strerror(int errno)") as (errno: number) => string,
};

const ERRNO_NAMES = new Map(Object.entries(constants.errno).map(([name, errno]) => [errno, name]));
ERRNO_NAMES.set(constants.errno.EOPNOTSUPP, "EOPNOTSUPP").set(constants.errno.EAGAIN, "EAGAIN");

/**
 * The error for a call or request that the kernel refused; `isErrno` in `netlink.ts` recognizes it.
 *
 * @param errno - positive number as in errno(3).
 * @param words - what the kernel said; the C library's text for `errno` without it.
 */
export function errnoError(doing: string, errno: number, words = libc.strerror(errno)): TsnetError {
  const name = ERRNO_NAMES.get(errno) ?? `E${errno}`;
  return new TsnetError("host", `${doing}: ${words} (${name})`, { cause: { errno: name } });
}

/** Opens a socket that child processes do not inherit. @throws TsnetError `host`. Source: socket(2). */
export function openSocket(domain: number, type: number, protocol: number): number {
  return checked("open a socket", () => libc.socket(domain, type | SOCK_CLOEXEC, protocol));
}

/** Gives a socket its own address. @param address - a `struct sockaddr_*`. @throws TsnetError `host`. Source: bind(2). */
export function bindSocket(fd: number, address: Buffer): void {
  checked("bind a socket", () => libc.bind(fd, address, address.length));
}

/** The address that a socket has. @param length - of its `struct sockaddr_*`. @throws TsnetError `host`. Source: getsockname(2). */
export function addressOfSocket(fd: number, length: number): Buffer {
  const [address, size] = [Buffer.alloc(length), Buffer.alloc(4)];
  size.writeUInt32LE(length);
  checked("read a socket's address", () => libc.getsockname(fd, address, size));
  return address;
}

/** Sets a socket option. @param value - the bytes of the option's C type. @throws TsnetError `host`. Source: setsockopt(2). */
export function setSocketOption(fd: number, level: number, name: number, value: Buffer): void {
  checked(`set socket option ${name}`, () => libc.setsockopt(fd, level, name, value, value.length));
}

/**
 * Reads a socket option into `value`, whose content is also what the kernel is asked with.
 *
 * @returns the number of bytes that the kernel filled in.
 * @throws TsnetError `host`. Source: getsockopt(2).
 */
export function getSocketOption(fd: number, level: number, name: number, value: Buffer): number {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(value.length);
  checked(`read socket option ${name}`, () => libc.getsockopt(fd, level, name, value, length));
  return length.readUInt32LE();
}

/**
 * Sends one message, on a thread of koffi: a netlink request does its work, and its waiting, inside send(2).
 *
 * @throws TsnetError `host`. Source: send(2).
 */
export async function sendMessage(fd: number, message: Buffer): Promise<void> {
  const sent = await onThread("send", libc.send, [fd, message, message.length, 0]);
  if (sent !== message.length) throw new TsnetError("host", `send: ${sent} of ${message.length} bytes were taken`);
}

/**
 * Sends one message without waiting.
 *
 * @throws TsnetError `host`, with errno EAGAIN or ENOBUFS when it would have to wait. Source: send(2).
 */
export function sendNow(fd: number, message: Buffer): void {
  checked("send", () => libc.send(fd, message, message.length, MSG_DONTWAIT));
}

/**
 * Receives one message without waiting.
 *
 * @returns its length, or undefined when none is there.
 * @throws TsnetError `host`, also for a message larger than `buffer`. Source: recv(2).
 */
export function receiveNow(fd: number, buffer: Buffer): number | undefined {
  for (;;) {
    const length = libc.recv(fd, buffer, buffer.length, MSG_DONTWAIT | MSG_TRUNC);
    if (length >= 0) return fitting(length, buffer);
    const errno = koffi.errno();
    if (errno === constants.errno.EAGAIN) return undefined;
    if (errno !== constants.errno.EINTR) throw errnoError("receive", errno);
  }
}

/**
 * Receives one message, waiting on a thread of koffi for as long as SO_RCVTIMEO says.
 *
 * @returns its length.
 * @throws TsnetError `host`, with errno EAGAIN when the time is over. Source: recv(2).
 */
export async function receiveMessage(fd: number, buffer: Buffer): Promise<number> {
  return fitting(await onThread("receive", libc.recv, [fd, buffer, buffer.length, MSG_TRUNC]), buffer);
}

/**
 * Has a link's driver do something, on a thread of koffi: the kernel may wait for other changes of links.
 *
 * @param name - of a link in the socket's network namespace.
 * @param data - what `ifr_data` of the `struct ifreq` shall point to.
 * @throws TsnetError `host`, ENODEV for a name that no link has or can have. Source: ioctl(2), netdevice(7).
 */
export async function commandLink(fd: number, command: number, name: string, data: Buffer): Promise<void> {
  const doing = `command ${command} to link ${name}`;
  if (Buffer.byteLength(name) >= IFREQ_DATA) throw errnoError(doing, constants.errno.ENODEV); // cut off it may be another's
  const request = Buffer.concat([Buffer.alloc(IFREQ_LENGTH), data]); // one piece of memory, which stays until the end
  request.write(name);
  request.writeBigUInt64LE(koffi.address(request) + BigInt(IFREQ_LENGTH), IFREQ_DATA);
  await onThread(doing, libc.ioctl, [fd, command, request]);
}

/** Closes a socket. Errors are ignored: the descriptor is gone in any case. Source: close(2), notes. */
export function closeSocket(fd: number): void {
  libc.close(fd);
}

function fitting(length: number, buffer: Buffer): number {
  if (length <= buffer.length) return length;
  throw new TsnetError("host", `receive: a message of ${length} bytes does not fit into ${buffer.length}`);
}

function checked(doing: string, call: () => number): number {
  for (;;) {
    const result = call();
    if (result >= 0) return result;
    const errno = koffi.errno();
    if (errno !== constants.errno.EINTR) throw errnoError(doing, errno);
  }
}

/** Runs a call off the main thread. `args` stay referenced until it returned, so its buffers are not collected. */
function onThread(doing: string, call: Foreign, args: readonly unknown[]): Promise<number> {
  return new Promise((resolve, reject) => {
    call.async(...args, (failure: unknown, result: number) => {
      const errno = koffi.errno(); // koffi sets the main thread's errno to the call's for the time of this callback
      if (failure instanceof Error) reject(failure);
      else if (result >= 0) resolve(result);
      else if (errno === constants.errno.EINTR) resolve(onThread(doing, call, args));
      else reject(errnoError(doing, errno));
    });
  });
}
