import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { fakeDrivers } from "../support/fake-drivers.ts";
import { Connection, listeningServer, serverOn } from "./conversation.ts";
import { NETWORK_ID } from "./samples.ts";

const drivers = fakeDrivers();
const server = serverOn(drivers);
const listening = await listeningServer(drivers);
const DELETE = "/NetworkDriver.DeleteNetwork";
const GOOD = `{"NetworkID":"${NETWORK_ID}"}`;

beforeEach(() => void drivers.seen.splice(0));
afterAll(async () => {
  for (const resource of [server, listening]) await resource[Symbol.asyncDispose]();
});

/** @returns the error of the answer, or undefined. */
async function post(payload: string): Promise<string | undefined> {
  const answer = await server.app.inject({ method: "POST", url: DELETE, payload });
  expect(answer.statusCode).toBe(200);
  return answer.json<{ Err?: string }>().Err;
}

/** `{"x": ...}` around brackets that nest `depth` levels in all. */
function nested(depth: number, open: string, close: string): string {
  return `{"NetworkID":"${NETWORK_ID}","x":${open.repeat(depth - 1)}0${close.repeat(depth - 1)}}`;
}

describe("nesting [F94]", () => {
  it.each([
    ["[", "]"],
    ['{"a":', "}"],
  ])("of %s may be 32 levels, not 33 [F94]", async (open, close) => {
    expect(await post(nested(32, open, close))).toBeUndefined();
    expect(await post(nested(33, open, close))).toBe("DeleteNetwork: the body is nested deeper than 32 levels");
  });

  it("of 200,000 levels is refused within 50 ms and harms nobody [F94]", async () => {
    using connection = new Connection(listening.path);
    const request = (body: string) => `POST ${DELETE} HTTP/1.1\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    await connection.ask(request(GOOD));
    const times: number[] = [];

    for (let tries = 0; tries < 5; tries++) {
      const start = performance.now();
      const answer = await connection.ask(request(nested(200_000, "[", "]")));
      times.push(performance.now() - start);
      expect(answer.body).toMatchObject({ Err: "DeleteNetwork: the body is nested deeper than 32 levels" });
    }

    expect(Math.min(...times)).toBeLessThan(50);
    expect((await connection.ask(request(GOOD))).body).toEqual({});
  });

  it("does not count brackets inside strings", async () => {
    const brackets = JSON.stringify(`\\"${"[{".repeat(100)}`);

    expect(await post(`{"NetworkID":"${NETWORK_ID}","x":${brackets}}`)).toBeUndefined();
  });
});

describe("size", () => {
  it("may be 1 MiB, not one byte more [F93]", async () => {
    const padded = (size: number) => GOOD + " ".repeat(size - GOOD.length);

    expect(await post(padded(1 << 20))).toBeUndefined();
    expect(await post(padded((1 << 20) + 1))).toBe("DeleteNetwork: the body is larger than 1048576 bytes");
  });

  it("is refused when it has more values than any request of the engine", async () => {
    expect(await post(`[${"0,".repeat(131_072)}0]`)).toContain("more than 131072 values");
  });

  it.each(["Transfer-Encoding: chunked", `Content-Length: ${1 << 30}`])(
    "is watched while the body streams, and the connection is cut: %s [F93]",
    async (header) => {
      using connection = new Connection(listening.path);
      const before = process.memoryUsage().rss;

      const sent = await stream(connection, `POST ${DELETE} HTTP/1.1\r\n${header}\r\n\r\n`, 64 << 20);

      expect(await connection.answer()).toMatchObject({
        status: 200,
        body: { Err: "DeleteNetwork: the body is larger than 1048576 bytes" },
      });
      expect(sent).toBeLessThan(8 << 20);
      expect(process.memoryUsage().rss - before).toBeLessThan(32 << 20);
    },
  );
});

/** Sends spaces until `total` bytes are sent or the server has closed. @returns how many were sent. */
async function stream(connection: Connection, head: string, total: number): Promise<number> {
  const block = " ".repeat(65_536);
  const chunk = head.includes("chunked") ? `10000\r\n${block}\r\n` : block;
  connection.socket.write(head);
  let sent = 0;
  while (sent < total && connection.isOpen) {
    const isFlushed = connection.socket.write(chunk);
    sent += block.length;
    if (!isFlushed) await Promise.race([drained(connection), connection.closed()]);
  }
  await connection.closed();
  return sent;
}

async function drained(connection: Connection): Promise<void> {
  return new Promise((resolve) => void connection.socket.once("drain", resolve));
}
