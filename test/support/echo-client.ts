// Runs inside a namespace: asks a neighbour's echo (`echo-server.ts`) for the address it sees. Arguments: tcp or udp,
// address, port, limit in milliseconds. Prints the answer; exits 1 when none comes within it, by default 3 seconds.
import { createSocket } from "node:dgram";
import { connect, isIPv6 } from "node:net";

/** A lost datagram is sent again, as a connection request is by the kernel. */
const REPEAT_MS = 1000;

const [protocol, address = "", portText, limitText = "3000"] = process.argv.slice(2);
const port = Number(portText);

const giveUp = () => fail(new Error(`no answer from ${protocol} ${address} port ${port}`));
setTimeout(() => setImmediate(giveUp), Number(limitText)); // who slept so long takes what has come meanwhile
if (protocol === "udp") askUdp();
else askTcp();

function askTcp(): void {
  const socket = connect(port, address);
  socket.on("error", fail).on("data", answer);
}

function askUdp(): void {
  const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
  socket.on("error", fail).on("message", answer);
  const send = () => socket.send("?", port, address);
  send();
  setInterval(send, REPEAT_MS);
}

function answer(line: Buffer): void {
  process.stdout.write(line, () => process.exit(0));
}

function fail(error: Error): void {
  process.stderr.write(`${error.message}\n`, () => process.exit(1));
}
