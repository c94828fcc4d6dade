import { setTimeout as passed } from "node:timers/promises";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { Calls } from "../../src/api/calls.ts";
import { Gate } from "../../src/api/gate.ts";
import { TsnetError } from "../../src/errors.ts";
import { fakeDrivers } from "../support/fake-drivers.ts";
import { SILENT_LOG } from "../../src/log.ts";
import { VERBS_AT_ANY_TIME, openGate, serverOn } from "./conversation.ts";
import { ENDPOINT_ID, NETWORK_ID, SAMPLES, sampleOf } from "./samples.ts";

const LEAVE = { method: "POST", url: "/NetworkDriver.Leave", payload: sampleOf("NetworkDriver.Leave").body } as const;
const CREATE = {
  method: "POST",
  url: "/NetworkDriver.CreateNetwork",
  payload: sampleOf("NetworkDriver.CreateNetwork").body,
} as const;
const STATEFUL = SAMPLES.map((sample) => sample.verb).filter((verb) => !VERBS_AT_ANY_TIME.includes(verb));
const never = new Promise<never>(() => {});

describe("the gate", () => {
  const neverAsked = fakeDrivers();
  const closed = serverOn(neverAsked, { gate: new Gate(), callTimeoutMs: 20 });

  beforeEach(() => {
    closed.lines.splice(0);
    neverAsked.seen.splice(0);
  });
  afterAll(() => closed.app.close());

  it.each(VERBS_AT_ANY_TIME)("does not hold back %s", async (verb) => {
    const payload = SAMPLES.find((sample) => sample.verb === verb)?.body ?? "";

    const answer = await closed.app.inject({ method: "POST", url: `/${verb}`, payload });

    expect(answer.json()).not.toHaveProperty("Err");
  });

  it.each(STATEFUL)("holds back %s until its time is up, and the driver is not asked", async (verb) => {
    const answer = await closed.app.inject({ method: "POST", url: `/${verb}`, payload: sampleOf(verb).body });

    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toMatchObject({ Err: expect.stringContaining("tsnet is still recovering") });
    expect(closed.lines).toMatchObject([{ level: "error", fields: { outcome: "unavailable" } }]);
    expect(neverAsked.seen).toEqual([]);
  });

  it("lets waiting and later calls pass once it is open", async () => {
    const gate = new Gate();
    const drivers = fakeDrivers();
    await using server = serverOn(drivers, { gate });
    const waiting = server.app.inject(LEAVE);
    await server.app.inject({ method: "POST", url: "/Plugin.Activate" });
    expect(drivers.seen).toEqual([]);

    gate.open();

    expect((await waiting).json()).toEqual({});
    expect((await server.app.inject(LEAVE)).json()).toEqual({});
    expect(drivers.seen).toHaveLength(2);
  });

  it("does not start a call whose time ran out while it waited", async () => {
    const gate = new Gate();
    const drivers = fakeDrivers();
    await using server = serverOn(drivers, { gate, callTimeoutMs: 10 });
    await server.app.inject(LEAVE);

    gate.open();
    await server.app.inject({ method: "POST", url: "/Plugin.Activate" });

    expect(drivers.seen).toEqual([]);
  });

  it("that failed answers waiting and later calls with its error, until it opens after all", async () => {
    const gate = new Gate();
    await using server = serverOn(fakeDrivers(), { gate });
    const waiting = server.app.inject(LEAVE);
    await server.app.inject({ method: "POST", url: "/Plugin.Activate" });

    gate.fail(new TsnetError("host", "cannot recover: records are unreadable"));

    expect((await waiting).json()).toMatchObject({ Err: "cannot recover: records are unreadable" });
    expect((await server.app.inject(LEAVE)).json()).toMatchObject({ Err: "cannot recover: records are unreadable" });
    gate.open();
    expect((await server.app.inject(LEAVE)).json()).toEqual({});
  });
});

describe("the time of a call", () => {
  it("ends with an answer that names verb and object, and the signal aborts [F28]", async () => {
    const signals: AbortSignal[] = [];
    const createNetwork = async (_request: unknown, signal: AbortSignal) => {
      signals.push(signal);
      await never;
    };
    await using server = serverOn(fakeDrivers({ createNetwork }), { callTimeoutMs: 30 });

    const answer = await server.app.inject(CREATE);

    const text = `NetworkDriver.CreateNetwork of network ${NETWORK_ID} was not done within 0.03 s`;
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toEqual({ Err: text, Error: text });
    expect(signals.map((signal) => signal.aborted)).toEqual([true]);
    expect(server.lines).toMatchObject([{ level: "error", fields: { outcome: "unavailable", error: text } }]);
  });

  it.each(["CreateEndpoint", "Join", "ProgramExternalConnectivity"])(
    "reaches %s, which can be undone",
    async (name) => {
      const signals: AbortSignal[] = [];
      const work = async (_request: unknown, signal: AbortSignal) => {
        signals.push(signal);
        return never;
      };
      const slow = { createEndpoint: work, join: work, programExternalConnectivity: work };
      await using server = serverOn(fakeDrivers(slow), { callTimeoutMs: 20 });
      const verb = `NetworkDriver.${name}`;

      await server.app.inject({ method: "POST", url: `/${verb}`, payload: sampleOf(verb).body });

      expect(signals.map((signal) => signal.aborted)).toEqual([true]);
    },
  );

  it("names the endpoint of a verb that has one", async () => {
    await using server = serverOn(fakeDrivers({ leave: async () => never }), { callTimeoutMs: 20 });

    expect((await server.app.inject(LEAVE)).json()).toMatchObject({ Err: expect.stringContaining(ENDPOINT_ID) });
  });

  it("does not abort the signal of a call that ends in time", async () => {
    const signals: AbortSignal[] = [];
    const createNetwork = async (_request: unknown, signal: AbortSignal) => void signals.push(signal);
    await using server = serverOn(fakeDrivers({ createNetwork }), { callTimeoutMs: 20 });

    await server.app.inject(CREATE);
    await passed(50);

    expect(signals.map((signal) => signal.aborted)).toEqual([false]);
  });

  it.each([
    ["fails", "host"],
    ["succeeds", "ok"],
  ])("may be over when the driver %s: that is logged and harms nobody", async (how, outcome) => {
    const goOn = Promise.withResolvers<void>();
    const leave = async () => {
      await goOn.promise;
      if (how === "fails") throw new TsnetError("host", "link is busy");
    };
    await using server = serverOn(fakeDrivers({ leave }), { callTimeoutMs: 20 });
    await server.app.inject(LEAVE);

    goOn.resolve();
    await server.app.inject({ method: "POST", url: "/Plugin.Activate" });

    expect(server.lines.filter((line) => line.message === "call ended after its answer")).toMatchObject([
      { fields: { verb: "NetworkDriver.Leave", object: `endpoint ${ENDPOINT_ID}`, outcome } },
    ]);
  });
});

describe("stopping", () => {
  const join = { verb: "NetworkDriver.Join", object: "endpoint x", isGated: true };
  const activate = { verb: "Plugin.Activate", object: "", isGated: false };

  it("refuses new calls that need the records, and still answers the handshake", async () => {
    const calls = new Calls({ gate: openGate(), log: SILENT_LOG, timeoutMs: 1000 });
    const finish = calls.stop(1000);

    await expect(calls.run(join, async () => "done")).rejects.toMatchObject({
      code: "unavailable",
      message: "NetworkDriver.Join of endpoint x cannot be answered: tsnet is shutting down",
    });
    expect(await calls.run(activate, async () => "done")).toBe("done");
    finish();
  });

  it("lets a call in flight end that does so in time", async () => {
    const calls = new Calls({ gate: openGate(), log: SILENT_LOG, timeoutMs: 1000 });
    const goOn = Promise.withResolvers<string>();
    const running = calls.run(join, async () => goOn.promise);

    const finish = calls.stop(1000);
    goOn.resolve("done");

    expect(await running).toBe("done");
    finish();
  });
});
