// Frames as they stand on the wire, their tags included: the kernel takes the outermost VLAN tag off a frame before a raw socket
// hears it, and tells it beside the frame (packet(7), PACKET_AUXDATA).
import koffi from "koffi";
import { SOCK_RAW, SOL_SOCKET, bindSocket, closeSocket, openSocket, setSocketOption } from "../../src/host/libc.ts";
import type { Network } from "./frame-capture.ts";
import { inNetwork } from "./namespace.ts";

const AF_PACKET = 17;
const ETH_P_ALL = 3;
const SOL_PACKET = 263;
const [PACKET_ADD_MEMBERSHIP, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING] = [1, 8, 23];
const PACKET_MR_PROMISC = 1;
const SO_RCVBUFFORCE = 33;
const MSG_DONTWAIT = 0x40;
/** struct tpacket_auxdata: status, and behind 16 bytes the tag and its type (linux/if_packet.h). */
const [STATUS_VLAN_VALID, STATUS_TPID_VALID] = [0x10, 0x40];
const CONTROL_HEADER_LENGTH = 16;

const library = koffi.load(null);
koffi.struct("tsnet_iovec", { base: "void *", length: "size_t" });
koffi.struct("tsnet_msghdr", {
  name: "void *",
  nameLength: "uint32_t",
  parts: "tsnet_iovec *",
  partCount: "size_t",
  control: "void *",
  controlLength: "size_t",
  flags: "int",
});
const recvmsg = library.func("long recvmsg(int fd, _Inout_ tsnet_msghdr *message, int flags)") as (
  ...args: readonly unknown[]
) => number;
const sendNow = library.func("long send(int fd, const void *data, size_t length, int flags)") as (
  ...args: readonly unknown[]
) => number;
const indexOf = library.func("unsigned int if_nametoindex(const char *name)") as (name: string) => number;

/** A raw socket on one link that hears all frames whole. For `using`. */
export class TaggedSocket implements Disposable {
  readonly #fd: number;
  readonly #frame = Buffer.alloc(65_536);
  readonly #control = Buffer.alloc(256);
  #heard: Buffer[] = [];

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** @throws Error when there is no such link. */
  static open(network: Network, ifName: string): TaggedSocket {
    return inNetwork(network.path, () => {
      const index = indexOf(ifName);
      if (index === 0) throw new Error(`no link ${ifName} in ${network.path}`);
      const fd = openSocket(AF_PACKET, SOCK_RAW, 0);
      setSocketOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, int(32 * 1024 * 1024));
      for (const option of [PACKET_AUXDATA, PACKET_IGNORE_OUTGOING]) setSocketOption(fd, SOL_PACKET, option, int(1));
      const membership = Buffer.alloc(16);
      membership.writeInt32LE(index, 0);
      membership.writeUInt16LE(PACKET_MR_PROMISC, 4);
      setSocketOption(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership);
      const address = Buffer.alloc(20);
      address.writeUInt16LE(AF_PACKET, 0);
      address.writeUInt16BE(ETH_P_ALL, 2);
      address.writeInt32LE(index, 4);
      bindSocket(fd, address);
      return new TaggedSocket(fd);
    });
  }

  /** Everything that arrived since the last `forget`. */
  heard(): readonly Buffer[] {
    for (let frame = this.#receive(); frame !== undefined; frame = this.#receive()) this.#heard.push(frame);
    return this.#heard;
  }

  /** Whether something arrived that contains these bytes. */
  hasHeard(bytes: Buffer): boolean {
    return this.heard().some((frame) => frame.includes(bytes));
  }

  forget(): void {
    this.heard();
    this.#heard = [];
  }

  /** Sends frames, one after the other. */
  send(...frames: readonly Buffer[]): void {
    for (const frame of frames) {
      if (sendNow(this.#fd, frame, frame.length, 0) !== frame.length) throw new Error(`send: errno ${koffi.errno()}`);
    }
  }

  [Symbol.dispose](): void {
    closeSocket(this.#fd);
  }

  #receive(): Buffer | undefined {
    const message = {
      name: null,
      nameLength: 0,
      parts: [{ base: this.#frame, length: this.#frame.length }],
      partCount: 1,
      control: this.#control,
      controlLength: this.#control.length,
      flags: 0,
    };
    const length = recvmsg(this.#fd, message, MSG_DONTWAIT);
    if (length < 0) return undefined;
    const bare = this.#frame.subarray(0, length);
    const data = this.#control.subarray(CONTROL_HEADER_LENGTH);
    const status = data.readUInt32LE(0);
    if ((status & STATUS_VLAN_VALID) === 0) return Buffer.from(bare);
    const tag = Buffer.alloc(4);
    tag.writeUInt16BE((status & STATUS_TPID_VALID) === 0 ? 0x8100 : data.readUInt16LE(18), 0);
    tag.writeUInt16BE(data.readUInt16LE(16), 2);
    return Buffer.concat([bare.subarray(0, 12), tag, bare.subarray(12)]);
  }
}

function int(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}
