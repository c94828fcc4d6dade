// GET /events: what happens, told to who listens, and nobody waits for him.
import { connect } from "node:net";
import { describe, expect, it } from "vitest";
import { type EventLine, Events } from "../../src/api/events.ts";
import { Gate } from "../../src/api/gate.ts";
import { DaemonClient } from "../../src/cli/daemon-client.ts";
import { TsnetError } from "../../src/errors.ts";
import { VERSION } from "../../src/version.ts";
import { networkId } from "../support/cnm-builder.ts";
import { fakeDrivers } from "../support/fake-drivers.ts";
import { waitUntil } from "../support/wait-until.ts";
import { Connection, engineRequest, listeningServer } from "./conversation.ts";

const DELETE = "NetworkDriver.DeleteNetwork";
const CAPABILITIES = "NetworkDriver.GetCapabilities";

/** Somebody who listens and reads. */
function listenerOn(path: string) {
  const controller = new AbortController();
  const lines = new DaemonClient(path).follow("/events", controller.signal);
  const next = async (): Promise<EventLine | undefined> => (await lines.next()).value ?? undefined;
  return { next, [Symbol.dispose]: () => controller.abort() };
}

describe("GET /events", () => {
  it("says at once that it has begun, and of which version", async () => {
    await using server = await listeningServer(fakeDrivers());
    using listener = listenerOn(server.path);

    expect(await listener.next()).toEqual({
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      kind: "start",
      version: VERSION,
    });
  });

  it("has a line for each call: its verb, its object, its outcome, how long it took", async () => {
    await using server = await listeningServer(fakeDrivers());
    using listener = listenerOn(server.path);
    using engine = new Connection(server.path);
    await listener.next();

    await engine.ask(engineRequest(DELETE, { NetworkID: networkId() }));

    expect(await listener.next()).toEqual({
      time: expect.any(String),
      kind: "call",
      verb: DELETE,
      networkId: networkId(),
      outcome: "ok",
      durationMs: expect.any(Number),
    });
  });

  it("says why a call was refused", async () => {
    const refusal = new TsnetError("conflict", "there are endpoints");
    await using server = await listeningServer(fakeDrivers({ deleteNetwork: async () => Promise.reject(refusal) }));
    using listener = listenerOn(server.path);
    using engine = new Connection(server.path);
    await listener.next();

    await engine.ask(engineRequest(DELETE, { NetworkID: networkId() }));

    expect(await listener.next()).toMatchObject({
      kind: "call",
      verb: DELETE,
      outcome: "conflict",
      message: expect.stringContaining("there are endpoints"),
    });
  });

  it("tells several listeners the same, in order, also of what is repaired and what fails", async () => {
    const events = new Events();
    await using server = await listeningServer(fakeDrivers(), { events });
    using first = listenerOn(server.path);
    using second = listenerOn(server.path);
    await Promise.all([first.next(), second.next()]);

    events.noteRepair("endpoint", { networkId: "n", endpointId: "e" });
    events.noteRepair("rules");
    events.noteFault("host", "network n: no such device");

    for (const listener of [first, second]) {
      const time = expect.any(String);
      expect(await listener.next()).toEqual({
        time,
        kind: "repair",
        what: "endpoint",
        networkId: "n",
        endpointId: "e",
      });
      expect(await listener.next()).toEqual({ time, kind: "repair", what: "rules" });
      expect(await listener.next()).toEqual({
        time,
        kind: "fault",
        outcome: "host",
        message: "network n: no such device",
      });
    }
  });

  it("tells while tsnet recovers: calls that wait are told when they are answered", async () => {
    const gate = new Gate();
    await using server = await listeningServer(fakeDrivers(), { gate });
    using listener = listenerOn(server.path);
    using engine = new Connection(server.path);
    expect(await listener.next()).toMatchObject({ kind: "start" });

    const answer = engine.ask(engineRequest(DELETE, { NetworkID: networkId() }));
    gate.open();
    await answer;

    expect(await listener.next()).toMatchObject({ kind: "call", verb: DELETE, outcome: "ok" });
  });

  it("lets a listener go who does not read, after a line that says so, and delays no call for him", async () => {
    const events = new Events({ listeners: 2, waitingBytes: 20_000 });
    await using server = await listeningServer(fakeDrivers(), { events });
    const slow = connect(server.path);
    slow.setEncoding("utf8").write("GET /events HTTP/1.1\r\nHost: tsnet\r\n\r\n");
    let received = "";
    const heard = Promise.withResolvers<void>();
    slow.on("data", (text: string) => {
      received += text;
      heard.resolve();
    });
    await heard.promise;
    slow.pause();
    using engine = new Connection(server.path);

    // More than the socket's own buffer holds, so that the rest waits in tsnet.
    for (let n = 0; n < 20_000 && events.count > 0; n++) events.noteFault("host", `${n} ${"x".repeat(200)}`);
    const answer = await engine.ask(engineRequest(CAPABILITIES, {}));

    expect(answer.status).toBe(200);
    expect(events.count).toBe(0);
    const ended = new Promise((resolve) => void slow.once("close", resolve));
    slow.resume();
    await ended;
    expect(received).toMatch(/"kind":"end","reason":"too much waits to be read"\}\n/);
  });

  it("refuses one listener more than there may be, and has room again when one has gone", async () => {
    const events = new Events({ listeners: 1, waitingBytes: 20_000 });
    await using server = await listeningServer(fakeDrivers(), { events });
    {
      using first = listenerOn(server.path);
      await first.next();
      using second = listenerOn(server.path);
      await expect(second.next()).rejects.toThrow("1 listen already, which is as many as may");
    }
    await waitUntil("the first listener to be gone", async () => events.count === 0);

    using third = listenerOn(server.path);

    expect(await third.next()).toMatchObject({ kind: "start" });
  });

  it("ends with a line that says so when tsnet shuts down, and holds nothing up", async () => {
    const server = await listeningServer(fakeDrivers());
    using listener = listenerOn(server.path);
    await listener.next();

    await server[Symbol.asyncDispose]();

    expect(await listener.next()).toMatchObject({ kind: "end", reason: "tsnet is shutting down" });
    expect(await listener.next()).toBeUndefined();
  });

  it("takes GET only", async () => {
    await using server = await listeningServer(fakeDrivers());

    const answer = await server.app.inject({ method: "POST", url: "/events", body: "{}" });

    expect([answer.statusCode, answer.headers["allow"]]).toEqual([405, "GET"]);
  });
});
