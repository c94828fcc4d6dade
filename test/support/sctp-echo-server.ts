// Runs inside a namespace of a kernel that has SCTP: answers every association with the address it came from, one line
// `ADDRESS`, once per family, so that a test sees whether source NAT took place. Port: first argument.
import { createServer } from "node:net";
import { openBoundSctp } from "../../src/host/sctp.ts";

const port = Number(process.argv[2]);

for (const address of ["0.0.0.0", "::"]) {
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.end(`${socket.remoteAddress}\n`);
  });
  server.listen({ fd: openBoundSctp(address, port) }, () => process.stdout.write(`${address}\n`));
}
