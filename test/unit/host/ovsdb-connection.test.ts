// One connection against a server that says what the test wants.
import { createServer } from "node:net";
import { describe, expect, it, vi } from "vitest";
import { parseOvsdbAddress } from "../../../src/host/ovsdb-address.ts";
import { type ConnectionEvents, OvsdbConnection } from "../../../src/host/ovsdb-connection.ts";
import { FakeOvsdb, type FakePeer } from "../../support/fake-ovsdb.ts";
import { waitUntil } from "../../support/wait-until.ts";

const DEADLINE_MS = 5_000;

async function connected(fake: FakeOvsdb, events: Partial<ConnectionEvents> = {}) {
  const all = {
    onNotification: vi.fn<ConnectionEvents["onNotification"]>(),
    onEnd: vi.fn<ConnectionEvents["onEnd"]>(),
  };
  const address = parseOvsdbAddress(fake.address);
  const connection = await OvsdbConnection.open(address, { ...all, ...events }, DEADLINE_MS);
  const peer = await waitUntil("the server to see the client", () => fake.peers.at(-1));
  return { connection, peer, ...all, [Symbol.dispose]: () => connection.close() };
}

const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.unreachable("it succeeded"),
    (failure: unknown) => failure,
  );

describe("open", () => {
  it("fails with the way out when nobody listens", async () => {
    await using fake = new FakeOvsdb();

    const failure = await failureOf(connected(fake));

    expect(failure).toMatchObject({
      code: "unavailable",
      message:
        `Open vSwitch's database does not answer on ${fake.address} (ENOENT): ` +
        "start Open vSwitch (systemctl start openvswitch-switch) or set TSNET_OVSDB",
    });
  });

  it("fails with the way out for TCP", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    await new Promise((resolve) => server.close(resolve));

    const address = parseOvsdbAddress(`tcp:127.0.0.1:${port}`);
    const failure = await failureOf(OvsdbConnection.open(address, { onNotification() {}, onEnd() {} }, DEADLINE_MS));

    expect(String(failure)).toContain(`(ECONNREFUSED): start Open vSwitch`);
    expect(String(failure)).toContain(`ovs-vsctl set-manager ptcp:${port}:127.0.0.1`);
  });
});

describe("request", () => {
  it("sends what RFC 7047 has and gives back the result", async () => {
    await using fake = await FakeOvsdb.started((request, peer) => peer.answer(request, { some: "thing" }));
    using given = await connected(fake);

    const result = await given.connection.request("transact", ["Open_vSwitch", { op: "select" }], DEADLINE_MS);

    expect(result).toEqual({ some: "thing" });
    expect(given.peer.received).toEqual([
      { method: "transact", params: ["Open_vSwitch", { op: "select" }], id: expect.any(Number) },
    ]);
  });

  it("gives each caller the answer to its own question, in whatever order they come", async () => {
    await using fake = await FakeOvsdb.started((_, peer) => {
      if (peer.received.length < 20) return;
      for (const request of peer.received.toReversed()) peer.answer(request, request.params);
    });
    using given = await connected(fake);

    const questions = Array.from({ length: 20 }, (_, i) => [i]);
    const answers = await Promise.all(questions.map((each) => given.connection.request("x", each, DEADLINE_MS)));

    expect(answers).toEqual(questions);
  });

  it("passes over answers to what nobody asked", async () => {
    await using fake = await FakeOvsdb.started((request, peer) => {
      peer.send({ id: 4711, result: "wrong", error: null });
      peer.send({ id: "1", result: "wrong", error: null });
      peer.send({ id: null, result: "wrong", error: null });
      peer.answer(request, "right");
      peer.answer(request, "again");
    });
    using given = await connected(fake);

    expect(await given.connection.request("x", [], DEADLINE_MS)).toBe("right");
    expect(await given.connection.request("x", [], DEADLINE_MS)).toBe("right");
  });

  it("reads an answer that comes in pieces in the middle of characters", async () => {
    await using fake = await FakeOvsdb.started((request, peer) => {
      const bytes = Buffer.from(JSON.stringify({ id: request.id, result: "€".repeat(50), error: null }));
      for (let at = 0; at < bytes.length; at += 7) setTimeout(() => peer.send(bytes.subarray(at, at + 7)), at);
    });
    using given = await connected(fake);

    expect(await given.connection.request("x", [], DEADLINE_MS)).toBe("€".repeat(50));
  });

  it("reads an answer of 10 MB", async () => {
    const huge = Array.from({ length: 100_000 }, (_, i) => `${i}`.padEnd(97, "x"));
    await using fake = await FakeOvsdb.started((request, peer) => peer.answer(request, huge));
    using given = await connected(fake);

    expect(await given.connection.request("x", [], DEADLINE_MS)).toEqual(huge);
  });

  it.each([
    ["a word", "unknown database", "unknown database"],
    ["an object", { error: "syntax error", details: "x" }, '{"error":"syntax error","details":"x"}'],
  ])("fails with an error answer that is %s, and the connection lives on", async (_, error, words) => {
    await using fake = await FakeOvsdb.started((request, peer) => {
      if (request.method === "bad") peer.send({ id: request.id, result: null, error });
      else peer.answer(request, "fine");
    });
    using given = await connected(fake);

    expect(await failureOf(given.connection.request("bad", [], DEADLINE_MS))).toMatchObject({
      code: "host",
      message: `Open vSwitch's database refuses the request: ${words}`,
    });
    expect(await given.connection.request("good", [], DEADLINE_MS)).toBe("fine");
  });

  it("fails when the deadline passes, and ends the connection for all who wait", async () => {
    await using fake = await FakeOvsdb.started();
    using given = await connected(fake);

    const patient = failureOf(given.connection.request("patient", [], 60_000));
    const failure = await failureOf(given.connection.request("hasty", [], 50));

    expect(failure).toMatchObject({
      code: "unavailable",
      message: expect.stringContaining("(no answer within 50 ms): start Open vSwitch"),
    });
    expect(await patient).toBe(failure);
    expect(await failureOf(given.connection.request("late", [], 60_000))).toBe(failure);
    expect(given.onEnd.mock.calls).toEqual([[failure]]);
    await waitUntil("the server to see the end", () => given.peer.socket.destroyed);
  });

  it.each<[string, (peer: FakePeer) => void, string]>([
    ["closes the connection", ({ socket }) => socket.end(), "(it closed the connection)"],
    ["closes it in the middle of an answer", ({ socket }) => socket.end('{"id":1,"res'), "(it closed the connection)"],
    ["sends garbage", (peer) => peer.send("220 mail.example ESMTP\r\n"), 'no JSON in UTF-8: "220 mail'],
    ["sends bytes that are no UTF-8", (peer) => peer.send(Buffer.from('{"a":"\xff"}', "latin1")), "no JSON in UTF-8"],
  ])("fails when the server %s", async (_, act, words) => {
    await using fake = await FakeOvsdb.started((_request, peer) => act(peer));
    using given = await connected(fake);

    const failures = await Promise.all([
      failureOf(given.connection.request("a", [], DEADLINE_MS)),
      failureOf(given.connection.request("b", [], DEADLINE_MS)),
    ]);

    expect(String(failures[0])).toContain(words);
    expect(failures[1]).toBe(failures[0]);
    expect(given.connection.end).toBe(failures[0]);
    expect(given.onEnd.mock.calls).toEqual([[failures[0]]]);
  });

  it("fails when the connection is closed on our side", async () => {
    await using fake = await FakeOvsdb.started();
    using given = await connected(fake);

    const failure = failureOf(given.connection.request("x", [], DEADLINE_MS));
    given.connection.close();

    expect(await failure).toMatchObject({
      code: "unavailable",
      message: `the connection to ${fake.address} was closed`,
    });
  });
});

describe("what the server asks and tells", () => {
  it("is answered for echo, whatever the id and the parameters", async () => {
    await using fake = await FakeOvsdb.started();
    using given = await connected(fake);

    given.peer.send({ method: "echo", params: [], id: "echo" });
    given.peer.send({ method: "echo", params: ["a", { b: 1 }], id: 0 });

    await waitUntil("two answers", () => given.peer.received.length === 2);
    expect(given.peer.received).toEqual([
      { id: "echo", result: [], error: null },
      { id: 0, result: ["a", { b: 1 }], error: null },
    ]);
  });

  it("is refused for any other request", async () => {
    await using fake = await FakeOvsdb.started();
    using given = await connected(fake);

    given.peer.send({ method: "steal", params: [], id: 7 });

    await waitUntil("an answer", () => given.peer.received.length === 1);
    expect(given.peer.received).toEqual([{ id: 7, result: null, error: "unknown method" }]);
  });

  it("is handed on for a notification", async () => {
    await using fake = await FakeOvsdb.started();
    using given = await connected(fake);

    given.peer.send('{"method":"update","params":["tsnet",{}],"id":null}{"method":"locked","params":["l"]}');

    await waitUntil("two notifications", () => given.onNotification.mock.calls.length === 2);
    expect(given.onNotification.mock.calls).toEqual([
      ["update", ["tsnet", {}]],
      ["locked", ["l"]],
    ]);
  });

  it("ends the connection when a notification makes no sense", async () => {
    await using fake = await FakeOvsdb.started();
    const onNotification = () => {
      throw new Error("half a row");
    };
    using given = await connected(fake, { onNotification });

    given.peer.send({ method: "update", params: [], id: null });

    await waitUntil("the end", () => given.connection.end);
    expect(given.connection.end?.message).toMatch(/sent what OVSDB does not know: half a row$/);
  });
});
