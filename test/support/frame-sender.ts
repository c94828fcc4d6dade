// Sends Ethernet frames as they are given, whatever addresses they bear: what a container with CAP_NET_RAW can do.
//
//   node --no-warnings frame-sender.ts IFNAME COUNT < frames     one frame a line, in hex, from the destination MAC on
//   node --no-warnings frame-sender.ts IFNAME COUNT FRAME...     the same as arguments
//
// Sends all of them in their order, COUNT times, and prints how many it sent. Runs in the namespace in which it is started.
// Follows packet(7). Spaces, colons and empty lines are ignored; the kernel takes no frame below 14 bytes.
import { text } from "node:stream/consumers";
import koffi from "koffi";

const AF_PACKET = 17;
const SOCK_RAW = 3;

type Call = (...args: readonly unknown[]) => number;
const library = koffi.load(null);
const libc = {
  socket: library.func("int socket(int domain, int type, int protocol)") as Call,
  bind: library.func("int bind(int fd, const void *address, uint32_t length)") as Call,
  send: library.func("long send(int fd, const void *data, size_t length, int flags)") as Call,
  if_nametoindex: library.func("uint32_t if_nametoindex(const char *name)") as Call,
};

const [ifName = "", count = "", ...given] = process.argv.slice(2);
const frames = given.length > 0 ? given : (await text(process.stdin)).split("\n");
const bytes = frames.map((frame) => frame.replace(/[\s:]/g, "")).filter((frame) => frame !== "");
const unreadable = bytes.find((frame) => !/^(?:[0-9a-f]{2})+$/i.test(frame));
if (!/^\d+$/.test(count) || bytes.length === 0) fail("usage: frame-sender.ts IFNAME COUNT [FRAME...]");
if (unreadable !== undefined) fail(`no frame in hex: ${unreadable}`);

const fd = checked("socket", libc.socket(AF_PACKET, SOCK_RAW, 0)); // protocol 0: it receives nothing
const address = Buffer.alloc(20); // struct sockaddr_ll: u16 family, u16 protocol, i32 index, the rest is for receiving
address.writeUInt16LE(AF_PACKET, 0);
address.writeInt32LE(libc.if_nametoindex(ifName) || fail(`no link ${ifName}`), 4);
checked("bind", libc.bind(fd, address, address.length));
const buffers = bytes.map((frame) => Buffer.from(frame, "hex"));
for (let round = 0; round < Number(count); round++) {
  for (const buffer of buffers) checked("send", libc.send(fd, buffer, buffer.length, 0));
}
process.stdout.write(`${buffers.length * Number(count)}\n`);

function checked(doing: string, result: number): number {
  return result >= 0 ? result : fail(`${doing}: errno ${koffi.errno()}`);
}

function fail(why: string): never {
  process.stderr.write(`${why}\n`);
  process.exit(1);
}
