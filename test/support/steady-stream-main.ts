// A TCP connection as ssh has it: small messages all the time, each answered. `server PORT` answers; `client ADDRESS PORT`
// says a line every millisecond and, for each line on its standard input, tells how it went since the last one.
import { createInterface } from "node:readline";
import { connect, createServer } from "node:net";

const [role, ...args] = process.argv.slice(2);

function serve(port: number): void {
  createServer({ noDelay: true }, (socket) => socket.on("error", () => {}).pipe(socket)).listen(port, "::", () => {
    process.stdout.write("listening\n");
  });
}

function stream(address: string, port: number): void {
  const socket = connect({ host: address, port, noDelay: true });
  let [sent, answered, longestGapMs, last, rest, isOrdered] = [0, 0, 0, performance.now(), "", true];
  socket.on("data", (chunk) => {
    const now = performance.now();
    longestGapMs = Math.max(longestGapMs, now - last);
    last = now;
    const lines = (rest + chunk.toString()).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) isOrdered &&= line === String(answered++);
  });
  socket.once("connect", () => {
    last = performance.now();
    setInterval(() => socket.write(`${sent++}\n`), 1);
  });
  socket.once("close", () => (isOrdered = false));
  createInterface({ input: process.stdin }).on("line", () => {
    const gap = Math.max(longestGapMs, performance.now() - last);
    process.stdout.write(`${JSON.stringify({ sent, answered, isOrdered, longestGapMs: gap })}\n`);
    longestGapMs = 0;
  });
}

if (role === "server") serve(Number(args[0]));
else stream(args[0] ?? "", Number(args[1]));
