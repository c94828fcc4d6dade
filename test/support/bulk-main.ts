// Many bytes over one TCP connection, and whether they arrive whole. Runs inside a namespace.
//
//   node bulk-main.ts receive PORT                     prints `listening`; then BYTES SHA256 of what one connection brought
//   node bulk-main.ts send ADDRESS PORT MEGABYTES      sends as many random ones, prints the same
import { createHash, randomBytes } from "node:crypto";
import { type Socket, connect, createServer } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

const MEGABYTE = 1_000_000;

const [verb, ...args] = process.argv.slice(2);
const hash = createHash("sha256");
let count = 0;

if (verb === "receive") receive(Number(args[0]));
else await send(args[0] ?? "", Number(args[1]), Number(args[2]));

function receive(port: number): void {
  const server = createServer((socket: Socket) => {
    server.close();
    socket.on("data", take).on("end", say);
  });
  server.listen(port, "::", () => process.stdout.write("listening\n"));
}

async function send(address: string, port: number, megabytes: number): Promise<void> {
  const bytes = function* () {
    for (let n = 0; n < megabytes; n++) {
      const chunk = randomBytes(MEGABYTE);
      take(chunk);
      yield chunk;
    }
  };
  await pipeline(Readable.from(bytes()), connect(port, address));
  say();
}

function take(chunk: Buffer): void {
  hash.update(chunk);
  count += chunk.length;
}

function say(): void {
  process.stdout.write(`${count} ${hash.digest("hex")}\n`);
}
