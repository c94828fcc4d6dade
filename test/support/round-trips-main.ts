// Runs inside a namespace: sends one byte and waits for one back, so many times, over one connection with a server that says a
// line first and then echoes (publish-server.ts). Arguments: address, port, count. Prints milliseconds for all of them.
import { once } from "node:events";
import { connect } from "node:net";
import { performance } from "node:perf_hooks";

const [address = "", port, count] = process.argv.slice(2);
const socket = connect({ host: address, port: Number(port), noDelay: true });
await once(socket, "data"); // its line
let left = Number(count);
const start = performance.now();
socket.on("data", () => {
  left -= 1;
  if (left > 0) socket.write(".");
  else process.stdout.write(`${performance.now() - start}\n`, () => process.exit(0));
});
socket.write(".");
