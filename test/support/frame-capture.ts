// What arrives somewhere, seen from there. A raw socket on one link of any network namespace (packet(7)) hears every frame
// before the receiving stack looks at it, as it was on the wire, and sends frames as they stand; a listener hears what the
// stack hands to a service. Both belong to the namespace in which they were opened: the test itself holds them, no process is needed.
import { setImmediate } from "node:timers/promises";
import koffi from "koffi";
import {
  AF_INET6,
  SOCK_DGRAM,
  SOCK_RAW,
  SOL_SOCKET,
  bindSocket,
  closeSocket,
  openSocket,
  receiveNow,
  setSocketOption,
} from "../../src/host/libc.ts";
import { inNetwork } from "./namespace.ts";
import { openEnvelope } from "./packet-auxdata.ts";
import { waitUntil } from "./wait-until.ts";

const AF_PACKET = 17;
const ETH_P_ALL = 3;
const SOL_PACKET = 263;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_MR_PROMISC = 1;
const PACKET_IGNORE_OUTGOING = 23;
const SO_RCVBUFFORCE = 33;
const SIOCGIFINDEX = 0x8933;
const RECEIVE_QUEUE = 32 * 1024 * 1024;

const library = koffi.load(null);
const sendNow = library.func("long send(int fd, const void *data, size_t length, int flags)") as (
  fd: number,
  data: Buffer,
  length: number,
  flags: number,
) => number;
const sendTo = library.func(
  "long sendto(int fd, const void *data, size_t length, int flags, const void *address, uint32_t address_length)",
) as (...args: readonly unknown[]) => number;
const ioctl = library.func("int ioctl(int fd, unsigned long request, _Inout_ void *argument)") as (
  ...args: readonly unknown[]
) => number;
const indexOf = library.func("unsigned int if_nametoindex(const char *name)") as (name: string) => number;

/** Where a frame socket is opened: `NetNamespace` has such a path. */
export interface Network {
  /** A file that stands for a network namespace: `/run/netns/NAME`, `/proc/PID/ns/net`. */
  readonly path: string;
}

/** Takes the next message from a socket, if there is one. */
type Receive = () => Buffer | undefined;

/** Keeps what a socket receives. */
class Ear implements Disposable {
  protected readonly fd: number;
  readonly #receive: Receive;
  #heard: Buffer[] = [];

  protected constructor(fd: number, receive: Receive) {
    this.fd = fd;
    this.#receive = receive;
  }

  /** Everything that arrived since the last `forget`. */
  heard(): readonly Buffer[] {
    for (;;) {
      const message = this.#receive();
      if (message === undefined) return this.#heard;
      this.#heard.push(message);
    }
  }

  /** How much of what arrived contains these bytes. */
  count(bytes: Buffer): number {
    return this.heard().filter((message) => message.includes(bytes)).length;
  }

  /** Waits for something that contains these bytes. */
  async waitFor(what: string, bytes: Buffer): Promise<void> {
    await waitUntil(what, () => this.count(bytes) > 0, { intervalMs: 1 });
  }

  /** Begins anew. */
  forget(): void {
    this.heard();
    this.#heard = [];
  }

  [Symbol.dispose](): void {
    closeSocket(this.fd);
  }
}

/** A raw socket on one link. What it hears has its VLAN tags. For `using`. */
export class FrameSocket extends Ear {
  /** @param isPromiscuous - hears also what is for other stations. @throws Error when there is no such link. */
  static open(network: Network, ifName: string, { isPromiscuous = true } = {}): FrameSocket {
    return inNetwork(network.path, () => {
      const index = indexOf(ifName);
      if (index === 0) throw new Error(`no link ${ifName} in ${network.path}`);
      const fd = openSocket(AF_PACKET, SOCK_RAW, 0);
      setSocketOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, int(RECEIVE_QUEUE));
      setSocketOption(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, int(1));
      if (isPromiscuous) setSocketOption(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership(index, PACKET_MR_PROMISC));
      bindSocket(fd, linkAddress(index));
      return new FrameSocket(fd, openEnvelope(fd));
    });
  }

  /** Sends frames, one after the other, on this thread: they arrive in this order. @throws Error when the link is down. */
  send(...frames: readonly Buffer[]): void {
    for (const frame of frames) {
      if (sendNow(this.fd, frame, frame.length, 0) !== frame.length) throw new Error(`send: errno ${koffi.errno()}`);
    }
  }
}

/**
 * Sends on a link that may not be there yet, or be down: what an attacker does who cannot wait until his container has a
 * network. For `using`.
 */
export class EagerSender implements Disposable {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** The namespace exists, its links need not. */
  static open(network: Network): EagerSender {
    return inNetwork(network.path, () => new EagerSender(openSocket(AF_PACKET, SOCK_RAW, 0)));
  }

  /** @returns whether the kernel took the frame. */
  trySend(ifName: string, frame: Buffer): boolean {
    const request = Buffer.alloc(40); // struct ifreq, netdevice(7)
    request.write(ifName);
    if (ioctl(this.#fd, SIOCGIFINDEX, request) !== 0) return false;
    const address = linkAddress(request.readInt32LE(16));
    return sendTo(this.#fd, frame, frame.length, 0, address, address.length) === frame.length;
  }

  /**
   * Sends frames again and again while something else happens.
   *
   * @param pause - between two rounds; default: whatever else this process has to do.
   * @returns how often the kernel took all of them.
   */
  async sendWhile(
    ifName: string,
    frames: readonly Buffer[],
    act: () => Promise<unknown>,
    pause: () => Promise<unknown> = setImmediate,
  ): Promise<number> {
    const end = new AbortController();
    let taken = 0;
    const sending = (async () => {
      while (!end.signal.aborted) {
        if (frames.every((frame) => this.trySend(ifName, frame))) taken += 1;
        await pause();
      }
    })();
    await act().finally(() => end.abort());
    await sending;
    return taken;
  }

  [Symbol.dispose](): void {
    closeSocket(this.#fd);
  }
}

/** A service that takes datagrams of both families on one port of all addresses. For `using`. */
export class DatagramListener extends Ear {
  /** @throws TsnetError when the port is taken. */
  static open(network: Network, port: number): DatagramListener {
    return inNetwork(network.path, () => {
      const fd = openSocket(AF_INET6, SOCK_DGRAM, 0);
      const address = Buffer.alloc(28); // struct sockaddr_in6, ipv6(7): the address is ::
      address.writeUInt16LE(AF_INET6, 0);
      address.writeUInt16BE(port, 2);
      bindSocket(fd, address);
      const buffer = Buffer.alloc(65_536);
      return new DatagramListener(fd, () => {
        const length = receiveNow(fd, buffer);
        return length === undefined ? undefined : Buffer.from(buffer.subarray(0, length));
      });
    });
  }
}

/** `struct sockaddr_ll`, packet(7): every protocol of one link. */
function linkAddress(index: number): Buffer {
  const address = Buffer.alloc(20);
  address.writeUInt16LE(AF_PACKET, 0);
  address.writeUInt16BE(ETH_P_ALL, 2);
  address.writeInt32LE(index, 4);
  return address;
}

/** `struct packet_mreq`, packet(7). */
function membership(index: number, type: number): Buffer {
  const request = Buffer.alloc(16);
  request.writeInt32LE(index, 0);
  request.writeUInt16LE(type, 4);
  return request;
}

function int(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}
