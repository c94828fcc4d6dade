// A TCP connection as ssh has it: small messages all the time, each answered. `server PORT` answers; `client ADDRESS PORT`
// says a line every millisecond and, for each line on its standard input, tells how it went since the last one. While one of the
// two does not get a processor the network is not silent: the server tells how long that was, and neither time counts.
import { createInterface } from "node:readline";
import { connect, createServer } from "node:net";

/** Before a number of milliseconds, among the answers. */
const STALLED = "stalled ";
/** Any process waits so long for its turn. */
const TURN_MS = 50;

const [role, ...args] = process.argv.slice(2);

/** How long this process did not run, though it wanted to every millisecond. */
class Stalls {
  #last = performance.now();
  #totalMs = 0;

  constructor() {
    setInterval(() => this.totalMs(), 1);
  }

  totalMs(): number {
    const now = performance.now();
    if (now - this.#last > TURN_MS) this.#totalMs += now - this.#last;
    this.#last = now;
    return this.#totalMs;
  }
}

function serve(port: number): void {
  const stalls = new Stalls();
  const server = createServer({ noDelay: true }, (socket) => {
    let [told, rest] = [stalls.totalMs(), ""];
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      const lines = (rest + chunk.toString()).split("\n");
      rest = lines.pop() ?? "";
      const totalMs = stalls.totalMs();
      if (totalMs > told) lines.unshift(`${STALLED}${totalMs - told}`);
      told = totalMs;
      if (lines.length > 0) socket.write(`${lines.join("\n")}\n`);
    });
  });
  server.listen(port, "::", () => process.stdout.write("listening\n"));
}

function stream(address: string, port: number): void {
  const stalls = new Stalls();
  const socket = connect({ host: address, port, noDelay: true });
  let [sent, answered, longestGapMs, last, stalledThen, rest, isOrdered] = [0, 0, 0, 0, 0, "", true];
  /** Since the last answer, without the time in which this process did not run. */
  const silentMs = () => performance.now() - last - (stalls.totalMs() - stalledThen);
  const restart = () => void ([last, stalledThen] = [performance.now(), stalls.totalMs()]);
  restart();
  socket.on("data", (chunk) => {
    const lines = (rest + chunk.toString()).split("\n");
    rest = lines.pop() ?? "";
    let gapMs = silentMs();
    for (const line of lines) {
      if (line.startsWith(STALLED)) gapMs -= Number(line.slice(STALLED.length));
      else isOrdered &&= line === String(answered++);
    }
    longestGapMs = Math.max(longestGapMs, gapMs);
    restart();
  });
  socket.once("connect", () => {
    restart();
    setInterval(() => socket.write(`${sent++}\n`), 1);
  });
  socket.once("close", () => (isOrdered = false));
  createInterface({ input: process.stdin }).on("line", () => {
    process.stdout.write(`${JSON.stringify({ sent, answered, isOrdered, longestGapMs })}\n`);
    longestGapMs = 0;
  });
}

if (role === "server") serve(Number(args[0]));
else stream(args[0] ?? "", Number(args[1]));
