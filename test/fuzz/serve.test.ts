// The daemon as it runs: its own process, its own limits.
import { connect } from "node:net";
import type { Socket } from "node:net";
import { afterAll, describe, expect, it } from "vitest";
import { waitUntil } from "../support/wait-until.ts";
import { TEXTS } from "./hostile.ts";
import { bytesOfCall, idOf } from "./requests.ts";
import { Served, pour } from "./served.ts";
import { Wire } from "./wire.ts";

const MIB = 1 << 20;
const GIB = 1 << 30;
const served = await Served.start();

afterAll(() => served[Symbol.asyncDispose]());

const ACTIVATE = bytesOfCall("Plugin.Activate");
const head = (header: string) => `POST /NetworkDriver.CreateNetwork HTTP/1.1\r\nHost: x\r\n${header}\r\n\r\n`;
const JSON_BLOCK = Buffer.from('{"a":"b","c":[1,2,3]},'.repeat(3000));
const SPACES = Buffer.alloc(65_536, " ");
const CHUNK = Buffer.concat([Buffer.from("10000\r\n"), SPACES, Buffer.from("\r\n")]);
const TINY_CHUNKS = Buffer.from("1\r\n \r\n".repeat(9000));
const BODIES = [
  { name: "1 GiB of JSON", header: `Content-Length: ${GIB}`, block: JSON_BLOCK },
  { name: "1 GiB of spaces", header: `Content-Length: ${GIB}`, block: SPACES },
  { name: "chunks for ever", header: "Transfer-Encoding: chunked", block: CHUNK },
  { name: "chunks of one byte for ever", header: "Transfer-Encoding: chunked", block: TINY_CHUNKS },
] as const;

describe("a body without measure", () => {
  it("is refused after 1 MiB, whatever it is, and takes less than 8 MiB of memory [F93]", async () => {
    const answered = new Set<string>();
    const unanswered = () => BODIES.filter(({ name }) => !answered.has(name));
    const round = async (bodies: readonly (typeof BODIES)[number][] = BODIES) => {
      const sent: number[] = [];
      for (const { name, header, block } of bodies) {
        const { answer, ...poured } = await pour(served.socket, head(header), block, GIB);
        // A client that is cut while it writes may lose the answer.
        if (answer.startsWith("HTTP/1.1 200 OK") && answer.includes("is larger than 1048576 bytes")) answered.add(name);
        else expect([name, answer]).toEqual([name, ""]);
        sent.push(poured.sent);
      }
      return sent;
    };
    for (let warm = 0; warm < 1; warm++) await round(); // until the code is compiled and the heap has its size
    const before = await served.memory();
    await served.forgetPeak();

    const sent = await round();

    const growth = (await served.peak()) - before;
    console.log(
      `1 GiB bodies: ${(growth / MIB).toFixed(1)} MiB more memory, ${sent.map((n) => (n / MIB).toFixed(1)).join(", ")} MiB taken`,
    );
    for (let tries = 0; tries < 10 && unanswered().length > 0; tries++) await round(unanswered()); // they lost theirs each time
    expect(unanswered()).toEqual([]);
    expect(growth).toBeLessThan(8 * MIB);
    expect(Math.max(...sent)).toBeLessThan(16 * MIB);
  }, 180_000);

  it("that is shorter than its Content-Length is refused when the client ends [F93]", async () => {
    const { answer } = await pour(served.socket, head("Content-Length: 1000"), Buffer.from("{}"), 2);

    expect(answer.slice(0, 12)).toBe("HTTP/1.1 400");
    expect(answer).toContain("HPE_INVALID_EOF_STATE");
  });

  it("that is longer than its Content-Length counts to its length, and the rest is a broken request [F93]", async () => {
    const body = JSON.stringify({ NetworkID: idOf("none") });
    const call = `POST /NetworkDriver.DeleteNetwork HTTP/1.1\r\nContent-Length: ${body.length}\r\n\r\n`;

    using wire = new Wire(served.socket);
    wire.write(Buffer.from(`${call}${body}{"more":1}`));
    const { answers } = await wire.all();

    expect(answers.map(({ status }) => status)).toEqual([200, 400]);
  });
});

describe("2,000 connections that send a byte now and then", () => {
  it("keep no kept connection from its answers, are closed in time, and leave nothing open [F64]", async () => {
    using kept = new Wire(served.socket);
    await kept.ask(ACTIVATE);
    const filesBefore = await served.openFiles();
    const attackers = Array.from({ length: 2000 }, () => new Dripping(served.socket));
    const answers: number[] = [];

    await waitUntil(
      "all of them to be closed",
      async () => {
        const start = performance.now();
        expect((await kept.ask(ACTIVATE))?.status).toBe(200);
        answers.push(performance.now() - start);
        for (const attacker of attackers) attacker.drip();
        return attackers.every(({ isOver }) => isOver);
      },
      { limitMs: 40_000, intervalMs: 500 },
    );

    const slowest = Math.max(...answers);
    console.log(
      `beside 2,000 slow connections: ${answers.length} answers, the slowest after ${Math.round(slowest)} ms`,
    );
    expect(slowest).toBeLessThan(5000);
    using next = new Wire(served.socket);
    expect((await next.ask(ACTIVATE))?.status).toBe(200);
    await waitUntil("their files to be closed", async () => (await served.openFiles()) <= filesBefore + 1);
  }, 120_000);
});

describe("the log", () => {
  it("has one JSON line for each call, whatever the call says [F103]", async () => {
    using wire = new Wire(served.socket);
    const linesBefore = served.log.length;
    for (const text of TEXTS) {
      const body = {
        NetworkID: text,
        Options: { [text]: text, "com.docker.network.generic": { [text]: text, bridge: text } },
      };
      await wire.ask(bytesOfCall("NetworkDriver.CreateNetwork", JSON.stringify(body)));
    }
    await waitUntil("the log", () => served.log.length >= linesBefore + TEXTS.length);

    const lines = served.log.map((line) => JSON.parse(line) as { msg: string; level: number });

    expect(lines.length).toBe(linesBefore + TEXTS.length);
    expect(new Set(lines.slice(linesBefore).map(({ msg }) => msg))).toEqual(new Set(["call"]));
    // eslint-disable-next-line no-control-regex -- they are what is looked for
    expect(served.log.filter((line) => /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/.test(line))).toEqual(
      [],
    );
    expect(served.isAlive).toBe(true);
  });
});

/** A client that is too slow. */
class Dripping {
  readonly #socket: Socket;
  #sent = 0;
  isOver = false;

  constructor(path: string) {
    this.#socket = connect({ path });
    this.#socket.on("error", () => {}).on("close", () => (this.isOver = true));
    this.#socket.resume();
    this.drip();
  }

  /** Sends the next byte of a request. */
  drip(): void {
    if (!this.isOver) this.#socket.write(ACTIVATE.subarray(this.#sent, ++this.#sent));
  }
}
