// A TCP connection as ssh has it: small messages all the time, each answered. `server PORT` answers; `client ADDRESS PORT`
// says a line every millisecond and, for each line on its standard input, tells how it went since the last one. Time in which
// the machine let one of the two processes not run is no gap of the connection: the server says so in the line `~MS`.
import { createInterface } from "node:readline";
import { connect, createServer } from "node:net";

const [role, ...args] = process.argv.slice(2);

/** So often a process that runs comes by, and what is longer is a time in which it did not. */
const TICK_MS = 10;
const STALL_MS = 50;

let [lastTick, stalledMs] = [performance.now(), 0];

/** For how long this process has not run so far. */
function stalled(): number {
  const now = performance.now();
  if (now - lastTick > STALL_MS) stalledMs += now - lastTick;
  lastTick = now;
  return stalledMs;
}

function serve(port: number): void {
  const server = createServer({ noDelay: true }, (socket) => {
    let [rest, told] = ["", stalled()];
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      const lines = (rest + chunk.toString()).split("\n");
      rest = lines.pop() ?? "";
      const news = stalled() - told;
      told += news;
      if (news > 0) lines.unshift(`~${news}`);
      socket.write(lines.map((line) => `${line}\n`).join(""));
    });
  });
  server.listen(port, "::", () => process.stdout.write("listening\n"));
}

function stream(address: string, port: number): void {
  const socket = connect({ host: address, port, noDelay: true });
  let [sent, answered, longestGapMs, last, rest, isOrdered] = [0, 0, 0, 0, "", true];
  const ownTime = () => -stalled() + performance.now();
  socket.on("data", (chunk) => {
    const lines = (rest + chunk.toString()).split("\n");
    rest = lines.pop() ?? "";
    const now = ownTime();
    for (const line of lines) {
      if (line.startsWith("~")) last += Number(line.slice(1));
      else isOrdered &&= line === String(answered++);
    }
    longestGapMs = Math.max(longestGapMs, now - last);
    last = now;
  });
  socket.once("connect", () => {
    last = ownTime();
    setInterval(() => socket.write(`${sent++}\n`), 1);
  });
  socket.once("close", () => (isOrdered = false));
  createInterface({ input: process.stdin }).on("line", () => {
    process.stdout.write(`${JSON.stringify({ sent, answered, isOrdered, longestGapMs })}\n`);
    longestGapMs = 0;
  });
}

setInterval(stalled, TICK_MS).unref();
if (role === "server") serve(Number(args[0]));
else stream(args[0] ?? "", Number(args[1]));
