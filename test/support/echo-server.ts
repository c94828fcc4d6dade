// Runs inside a neighbour's namespace: answers every TCP connection and every UDP datagram with the address it came from,
// one line `ADDRESS`, so that a test sees whether source NAT took place. Port: first argument.
import { createSocket } from "node:dgram";
import { createServer } from "node:net";

const port = Number(process.argv[2]);

/** IPv4 comes to a dual-stack socket as `::ffff:192.0.2.1`. */
function bare(address = ""): string {
  return `${address.replace(/^::ffff:/, "")}\n`;
}

createServer((socket) => {
  socket.on("error", () => socket.destroy());
  socket.end(bare(socket.remoteAddress));
}).listen(port, "::", () => process.stdout.write("tcp\n"));

const udp = createSocket("udp6");
udp.on("message", (_message, peer) => udp.send(bare(peer.address), peer.port, peer.address));
udp.bind(port, "::", () => process.stdout.write("udp\n"));
