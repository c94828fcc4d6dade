import { once } from "node:events";
import { setTimeout as passed } from "node:timers/promises";
import { afterAll, describe, expect, it } from "vitest";
import { fakeDrivers } from "../support/fake-drivers.ts";
import { waitUntil } from "../support/wait-until.ts";
import { Connection, engineRequest, listeningServer, namesInCode, serverOn } from "./conversation.ts";
import { ENDPOINT_ID, NETWORK_ID } from "./samples.ts";

const ids = { NetworkID: NETWORK_ID, EndpointID: ENDPOINT_ID };
const ACTIVATE = engineRequest("Plugin.Activate");
const ACTIVATED = { status: 200, body: { Implements: ["NetworkDriver", "IpamDriver"] } };

const shared = serverOn(fakeDrivers());

afterAll(() => shared.app.close());

describe("URLs and methods", () => {
  it.each(["/NetworkDriver.Nonesuch", "/", "/NetworkDriver.Join/", "/networkdriver.join", "/%", "/metrics/../x"])(
    "%s is unknown: 404 with JSON, no error in the log [F50]",
    async (url) => {
      const answer = await shared.app.inject({ method: "POST", url, payload: "{}" });

      expect(answer.statusCode).toBe(404);
      expect(answer.headers["content-type"]).toContain("application/vnd.docker.plugins.v1.2+json");
      expect(answer.json()).toMatchObject({ Err: expect.stringContaining("does not implement") });
      expect(shared.lines.filter((line) => line.level !== "info")).toEqual([]);
    },
  );

  it.each(namesInCode())("%s with another method is 405 with JSON, never 404 or 415", async (verb) => {
    const methods = ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUERY", "PROPFIND"] as const;

    for (const method of methods) {
      const answer = await shared.app.inject({ method: method as "GET", url: `/${verb}?x=1` });
      expect([method, answer.statusCode, answer.headers["allow"]]).toEqual([method, 405, "POST"]);
    }
  });

  it("/status with another method is 405 with JSON, never 404", async () => {
    const methods = ["POST", "HEAD", "PUT", "DELETE", "OPTIONS"] as const;

    for (const method of methods) {
      const answer = await shared.app.inject({ method, url: "/status" });
      expect([method, answer.statusCode, answer.headers["allow"]]).toEqual([method, 405, "GET"]);
    }
  });

  it("a body that is too large for an unknown URL is 404 too", async () => {
    const answer = await shared.app.inject({ method: "POST", url: "/x", payload: "x".repeat((1 << 20) + 1) });

    expect(answer.statusCode).toBe(404);
  });
});

describe("bytes that are no request of the engine [F102]", () => {
  it.each([
    ["a method that does not exist", "FOO /x HTTP/1.1\r\n\r\n", 400],
    ["CONNECT", "CONNECT host:1 HTTP/1.1\r\nHost: host:1\r\n\r\n", 400],
    ["an HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400],
    ["a TLS hello", "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003", 400],
    ["a URL of 64 KiB", `POST /${"x".repeat(65_536)} HTTP/1.1\r\n\r\n`, 431],
    ["10,000 headers", `POST /Plugin.Activate HTTP/1.1\r\n${"a: b\r\n".repeat(10_000)}\r\n`, 431],
    [
      "two lengths",
      "POST /Plugin.Activate HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      400,
    ],
    ["a bad chunk", "POST /Plugin.Activate HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400],
  ])("%s gets a JSON answer and a closed connection; the server lives [F102]", async (_name, bytes, status) => {
    await using server = await listeningServer(fakeDrivers());
    using connection = new Connection(server.path);
    using next = new Connection(server.path);

    const answer = await connection.ask(bytes);
    await connection.closed();

    expect(answer).toMatchObject({ status, body: { Err: expect.stringContaining("not HTTP") } });
    expect(new Set(server.lines.map((line) => line.level))).toEqual(new Set(["warn"]));
    expect(await next.ask(ACTIVATE)).toMatchObject(ACTIVATED);
  });

  it("an upgrade is answered as the call it is", async () => {
    await using server = await listeningServer(fakeDrivers());
    using connection = new Connection(server.path);
    const head = "POST /Plugin.Activate HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

    expect(await connection.ask(head)).toMatchObject(ACTIVATED);
  });

  it("an upgrade whose body ends before its time is refused at once", async () => {
    await using server = await listeningServer(fakeDrivers());
    using connection = new Connection(server.path);
    const head =
      "POST /NetworkDriver.Leave HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: 100\r\n\r\n";

    connection.socket.end(`${head}{"Net`);

    expect(await connection.answer()).toMatchObject({ status: 400 });
    await connection.closed();
  });

  it("a request without a Host header, as HTTP/1.0 and 1.1, is answered", async () => {
    await using server = await listeningServer(fakeDrivers());
    using older = new Connection(server.path);
    using newer = new Connection(server.path);

    expect(await older.ask("POST /Plugin.Activate HTTP/1.0\r\n\r\n")).toMatchObject(ACTIVATED);
    expect(await newer.ask("POST /Plugin.Activate HTTP/1.1\r\n\r\n")).toMatchObject(ACTIVATED);
  });
});

describe("a call before bytes that are no request", () => {
  it.each(["garbage\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\n\r\n"])(
    "%j gets its own answer first, then they theirs [F102]",
    async (bytes) => {
      const goOn = Promise.withResolvers<void>();
      await using server = await listeningServer(fakeDrivers({ leave: async () => goOn.promise }));
      using connection = new Connection(server.path);
      using other = new Connection(server.path);

      connection.socket.write(`${engineRequest("NetworkDriver.Leave", ids)}${bytes}`);
      await waitUntil("the refusal in the log", () => server.lines.some(({ message }) => message === "broken request"));
      await other.ask(ACTIVATE);
      goOn.resolve();

      expect(await connection.answer()).toMatchObject({ status: 200, body: {} });
      expect(await connection.answer()).toMatchObject({ status: 400 });
      await connection.closed();
    },
  );

  it("does not wait when that call itself is what is broken", async () => {
    await using server = await listeningServer(fakeDrivers());
    using connection = new Connection(server.path);
    const head = "POST /NetworkDriver.Leave HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";

    connection.socket.write(`${ACTIVATE}${head}5\r\n{"Net\r\nxyz\r\n`);

    expect(await connection.answer()).toMatchObject(ACTIVATED);
    expect(await connection.answer()).toMatchObject({ status: 400 });
    await connection.closed();
  });
});

describe("a header Expect", () => {
  it.each(["anything", "200-ok", ""])("%j is passed over", async (expectation) => {
    await using server = await listeningServer(fakeDrivers());
    using connection = new Connection(server.path);

    const answer = await connection.ask(`POST /Plugin.Activate HTTP/1.1\r\nExpect: ${expectation}\r\n\r\n`);

    expect(answer).toMatchObject(ACTIVATED);
  });
});

describe("connections", () => {
  it("answer two calls sent at once in their order [F102]", async () => {
    const slow = Promise.withResolvers<void>();
    await using server = await listeningServer(fakeDrivers({ leave: async () => slow.promise }));
    using connection = new Connection(server.path);

    connection.socket.write(engineRequest("NetworkDriver.Leave", ids) + ACTIVATE);
    setImmediate(slow.resolve);

    expect((await connection.answer()).body).toEqual({});
    expect(await connection.answer()).toMatchObject(ACTIVATED);
  });

  it("answer a client that has closed its sending half while its call was in flight", async () => {
    const goOn = Promise.withResolvers<void>();
    await using server = await listeningServer(fakeDrivers({ leave: async () => goOn.promise }));
    using connection = new Connection(server.path);
    using other = new Connection(server.path);

    connection.socket.end(engineRequest("NetworkDriver.Leave", ids));
    await once(connection.socket, "finish");
    await other.ask(ACTIVATE);
    goOn.resolve();

    expect((await connection.answer()).body).toEqual({});
    await connection.closed();
  });

  it("that open and close without a byte do no harm and leave no line in the log", async () => {
    await using server = await listeningServer(fakeDrivers());
    const silent = new Connection(server.path);
    await once(silent.socket, "connect");

    silent.socket.destroy();

    using next = new Connection(server.path);
    expect(await next.ask(ACTIVATE)).toMatchObject(ACTIVATED);
    expect(server.lines.filter((line) => line.level !== "info")).toEqual([]);
  });

  it("have no keep-alive timeout: the engine pools them for ever [F64]", async () => {
    expect(shared.app.server.keepAliveTimeout).toBe(0);
    expect(shared.app.server.timeout).toBe(0);
  });

  it("stay open when idle for longer than a request may take, used before or not [F64]", async () => {
    await using server = await listeningServer(fakeDrivers(), { receiveTimeoutMs: 150 });
    using used = new Connection(server.path);
    using unused = new Connection(server.secondPath);
    await used.ask(ACTIVATE);

    await passed(600);

    expect(await used.ask(ACTIVATE)).toMatchObject(ACTIVATED);
    expect(await unused.ask(ACTIVATE)).toMatchObject(ACTIVATED);
  });

  it.each([
    ["head", "POST /Plugin.Activate HTTP/1.1\r\n", "a: b\r\n"],
    ["body", "POST /NetworkDriver.Join HTTP/1.1\r\nContent-Length: 1000\r\n\r\n", " "],
  ])("are closed when the %s of a request drips in too slowly [F64]", async (_part, start, drip) => {
    await using server = await listeningServer(fakeDrivers(), { receiveTimeoutMs: 150 });
    using connection = new Connection(server.path);
    connection.socket.write(start);
    const dripping = setInterval(() => connection.socket.write(drip), 20);

    const answer = await connection.answer();
    await connection.closed();
    clearInterval(dripping);

    expect(answer).toMatchObject({ status: 408 });
  });

  it("that were unused for long are closed all the same when their first request drips in [F64]", async () => {
    await using server = await listeningServer(fakeDrivers(), { receiveTimeoutMs: 100 });
    using connection = new Connection(server.path);
    await passed(300);

    const answer = await connection.ask("POST /Plugin");
    await connection.closed();

    expect(answer).toMatchObject({ status: 408 });
  });

  it("are 256 at most on one socket [F64]", async () => {
    await using server = await listeningServer(fakeDrivers());
    const connections = Array.from({ length: 256 }, () => new Connection(server.path));
    await Promise.all(connections.map(async (connection) => connection.ask(ACTIVATE)));
    using oneMore = new Connection(server.path);

    await oneMore.closed();

    expect(await connections[0]?.ask(ACTIVATE)).toMatchObject(ACTIVATED);
    for (const connection of connections) connection.socket.destroy();
  });

  it("may go away in the middle of a call: the signal of the driver's work aborts", async () => {
    const started = Promise.withResolvers<AbortSignal>();
    const goOn = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<boolean>();
    const createNetwork = async (_request: unknown, signal: AbortSignal) => {
      started.resolve(signal);
      await goOn.promise;
      ended.resolve(signal.aborted);
    };
    await using server = await listeningServer(fakeDrivers({ createNetwork }));
    const connection = new Connection(server.path);
    connection.socket.write(engineRequest("NetworkDriver.CreateNetwork", { NetworkID: NETWORK_ID }));
    await started.promise;

    connection.socket.destroy();
    using next = new Connection(server.path);
    await next.ask(ACTIVATE);
    goOn.resolve();

    expect(await ended.promise).toBe(true);
  });
});
