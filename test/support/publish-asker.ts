// Runs inside a namespace: asks all the questions of its first argument (JSON, system-probe.ts) at the same time, and prints the
// answers. It gives up on those that are still open when for a while nobody has answered any more: on a busy machine
// answers come late, but they come. That while is counted in turns of the event loop, because a process that gets no
// processor time hears nothing, and would take that for silence.
import { execFile } from "node:child_process";
import { createSocket } from "node:dgram";
import { connect, isIPv6 } from "node:net";
import type { Answer, Question } from "./system-probe.ts";

/** So many turns without an answer, and the questions that are open are given up. */
const patience = Number(process.argv[3]);
const TURN_MS = 100;
/** A lost datagram is sent again, as a connection request is by the kernel after a second. */
const REPEAT_MS = 300;
/** Answers may be lost, or come from a neighbour that had to be found first. */
const PINGS = 2;

type Report = (answer: Answer) => void;

function askTcp({ address, port }: Question, report: Report): void {
  const socket = connect(port, address);
  socket.once("data", (line) => {
    report(read(line));
    socket.destroy();
  });
  socket.on("error", (error: NodeJS.ErrnoException) => report({ failure: error.code ?? error.message }));
  socket.on("close", () => report({ failure: "closed" }));
}

function askUdp({ address, port }: Question, report: Report): void {
  const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
  const send = () => socket.send("?", port, address, (error) => error && report({ failure: error.name }));
  socket.on("message", (datagram) => report(read(datagram)));
  socket.on("error", (error) => report({ failure: error.message }));
  send();
  setInterval(send, REPEAT_MS).unref();
}

function ping({ address }: Question, report: Report): void {
  const command = [isIPv6(address) ? "ping6" : "ping", "-c", String(PINGS), "-i", "0.3", "-W", "1", address];
  execFile("busybox", command, (error) => report(error === null ? { server: "ping" } : { failure: "silence" }));
}

const ASK = { tcp: askTcp, udp: askUdp, ping } as const satisfies Record<Question["protocol"], unknown>;

/** `NAME ADDRESS ...` */
function read(line: Buffer): Answer {
  const [server = "", seen = ""] = line.toString().trim().split(" ");
  return { server, seen };
}

function finish(answers: readonly (Answer | undefined)[]): void {
  const all = answers.map((answer) => answer ?? { failure: "silence" });
  process.stdout.write(JSON.stringify(all), () => process.exit(0));
}

const questions = JSON.parse(process.argv[2] ?? "[]") as readonly Question[]; // from our own probe
const answers: (Answer | undefined)[] = questions.map(() => undefined);
let silentTurns = 0;
setInterval(() => {
  silentTurns += 1;
  if (silentTurns > patience) finish(answers);
}, TURN_MS);
for (const [at, question] of questions.entries()) {
  ASK[question.protocol](question, (answer) => {
    if (answers[at] !== undefined) return;
    answers[at] = answer;
    if (answer.server !== undefined) silentTurns = 0;
    if (!answers.includes(undefined)) finish(answers);
  });
}
