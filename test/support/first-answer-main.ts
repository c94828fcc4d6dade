// Runs inside a namespace: takes `ADDRESS PORT` by the line, and prints each line again as soon as a TCP connection to there
// was open. What is refused or stays without an answer is tried again at once, so that the kernel's own second is not waited for.
import { connect } from "node:net";
import { createInterface } from "node:readline";

/** An attempt that takes longer is given up. */
const ATTEMPT_LIMIT_MS = 200;
const PAUSE_MS = 5;

function attempt(line: string): void {
  const [host = "", port] = line.split(" ");
  const socket = connect({ host, port: Number(port) });
  const limit = setTimeout(() => socket.destroy(new Error("silence")), ATTEMPT_LIMIT_MS);
  socket.once("connect", () => {
    process.stdout.write(`${line}\n`);
    socket.destroy();
  });
  socket.once("error", () => setTimeout(attempt, PAUSE_MS, line));
  socket.once("close", () => clearTimeout(limit));
}

createInterface({ input: process.stdin }).on("line", attempt);
