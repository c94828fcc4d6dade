// Requests whose end two readers may see in different places (RFC 9112, 11.2): whatever hides in the body of one must not be
// taken for another call.
import { describe, expect, it } from "vitest";
import { fakeDrivers } from "../support/fake-drivers.ts";
import { Connection, engineRequest, listeningServer } from "./conversation.ts";
import { NETWORK_ID } from "./samples.ts";

const HIDDEN = engineRequest("NetworkDriver.DeleteNetwork", { NetworkID: NETWORK_ID });
const ACTIVATE = engineRequest("Plugin.Activate");
const LENGTH = `Content-Length: ${HIDDEN.length + 5}`;
const BODY = `0\r\n\r\n${HIDDEN}`;

const AMBIGUOUS: readonly (readonly [name: string, headers: readonly string[]])[] = [
  ["a length and chunks", [LENGTH, "Transfer-Encoding: chunked"]],
  ["chunks and a length", ["Transfer-Encoding: chunked", LENGTH]],
  ["two lengths", [LENGTH, "Content-Length: 5"]],
  ["a list of lengths", ["Content-Length: 5, 6"]],
  ["a length with a sign", ["Content-Length: +5"]],
  ["a length that is negative", ["Content-Length: -5"]],
  ["a length in hex", ["Content-Length: 0x5"]],
  ["a length beyond 64 bits", ["Content-Length: 99999999999999999999"]],
  ["a space before the colon", [LENGTH, "Transfer-Encoding : chunked"]],
  ["a line that is folded", [LENGTH, "Transfer-Encoding:\r\n chunked"]],
  ["another coding behind chunks", ["Transfer-Encoding: chunked, identity"]],
  ["another coding alone", ["Transfer-Encoding: identity"]],
  ["a coding that does not exist", [LENGTH, "Transfer-Encoding: xchunked"]],
  ["chunks twice", ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"]],
  ["a bare newline", [`X: y\nTransfer-Encoding: chunked`, LENGTH]],
  ["a bare carriage return", [`X: y\rTransfer-Encoding: chunked`, LENGTH]],
  ["a NUL", [`X: y\u0000`, LENGTH]],
];

describe("a head that can be read in two ways", () => {
  it.each(AMBIGUOUS)(
    "is refused, the connection is closed, and nothing in its body is a call: %s [F102]",
    async (_name, headers) => {
      const drivers = fakeDrivers();
      await using server = await listeningServer(drivers);
      using connection = new Connection(server.path);
      using next = new Connection(server.path);

      const answer = await connection.ask(`POST /Plugin.Activate HTTP/1.1\r\n${headers.join("\r\n")}\r\n\r\n${BODY}`);
      await connection.closed();

      expect(answer).toMatchObject({ status: 400, body: { Err: expect.stringContaining("not HTTP") } });
      expect(drivers.seen).toEqual([]);
      expect(await next.ask(ACTIVATE)).toMatchObject({ status: 200 });
    },
  );

  it("is none when the hidden call is in a body of plain length: it is a body [F102]", async () => {
    const drivers = fakeDrivers();
    await using server = await listeningServer(drivers);
    using connection = new Connection(server.path);

    const answer = await connection.ask(
      `POST /Plugin.Activate HTTP/1.1\r\nContent-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
    );

    expect(answer).toMatchObject({ status: 200 });
    expect(await connection.ask(ACTIVATE)).toMatchObject({ status: 200 });
    expect(drivers.seen).toEqual([]);
  });
});

describe("a hundred calls in one piece", () => {
  it("are answered each, in their order [F102]", async () => {
    const drivers = fakeDrivers();
    await using server = await listeningServer(drivers);
    using connection = new Connection(server.path);
    const ids = Array.from({ length: 100 }, (_, n) => n.toString(16).padStart(64, "0"));

    connection.socket.write(ids.map((id) => engineRequest("NetworkDriver.DeleteNetwork", { NetworkID: id })).join(""));
    for (const _ of ids) expect(await connection.answer()).toMatchObject({ status: 200, body: {} });

    expect(drivers.seen.map(({ request }) => request)).toEqual(ids);
  });
});
