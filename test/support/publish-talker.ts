// Runs inside a namespace: talks to a server (publish-server.ts) for ever, a number every 50 ms over one TCP connection or
// from one UDP port. Arguments: tcp or udp, address, port. Prints `NUMBER NAME ADDRESS` for each answer: which server gave
// it and the address it saw; `end CODE` when the connection ends.
import { createSocket } from "node:dgram";
import { connect, isIPv6 } from "node:net";
import { createInterface } from "node:readline";

const INTERVAL_MS = 50;
const [protocol, address = "", portText] = process.argv.slice(2);
const port = Number(portText);
let sent = 0;

if (protocol === "udp") talkUdp();
else talkTcp();

function talkUdp(): void {
  const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
  socket.on("message", (datagram) => {
    const [name = "", seen = "", number = ""] = datagram.toString().split(" ");
    print(`${number} ${name} ${seen}`);
  });
  setInterval(() => socket.send(String(sent++), port, address, () => {}), INTERVAL_MS); // while no route is, it is lost
}

function talkTcp(): void {
  const socket = connect(port, address);
  let greeting: string | undefined;
  const lines = createInterface({ input: socket });
  lines.on("line", (line) => {
    if (greeting === undefined) greeting = line;
    else print(`${line} ${greeting}`);
  });
  lines.on("error", () => {}); // the socket tells
  socket.on("connect", () => setInterval(() => socket.write(`${sent++}\n`), INTERVAL_MS));
  socket.on("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  socket.on("end", () => end("closed"));
}

function end(code: string): void {
  process.stdout.write(`end ${code}\n`, () => process.exit(1));
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
