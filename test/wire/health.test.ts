import { describe, expect, it } from "vitest";
import { Gate } from "../../src/api/gate.ts";
import { TsnetError } from "../../src/errors.ts";
import { VERSION } from "../../src/version.ts";
import { ROOMY } from "../support/doctor-facts.ts";
import { fakeDrivers } from "../support/fake-drivers.ts";
import { MemoryStore } from "../support/memory-store.ts";
import { SOUND_RECORDS, openGate, serverOn } from "./conversation.ts";

const GET = { method: "GET", url: "/healthz" } as const;
const RECORDS_FAULT = new TsnetError("host", "cannot write /x/tsnet.db: database or disk is full");

describe("GET /healthz", () => {
  it("is 200 and ok once tsnet has recovered", async () => {
    await using server = serverOn(fakeDrivers());

    const answer = await server.app.inject(GET);

    expect(answer.statusCode).toBe(200);
    expect(answer.headers["content-type"]).toBe("application/json");
    expect(answer.json()).toEqual({ status: "ok", version: VERSION });
  });

  it("is 503 and recovering at once while calls wait at the gate, then ok", async () => {
    const gate = new Gate();
    await using server = serverOn(fakeDrivers(), { gate });

    const before = await server.app.inject(GET);
    gate.open();

    expect(before.statusCode).toBe(503);
    expect(before.json()).toMatchObject({ status: "recovering", reason: expect.stringContaining("calls wait") });
    expect((await server.app.inject(GET)).statusCode).toBe(200);
  });

  it("is 503 and failed with the reason when recovery failed", async () => {
    const gate = new Gate();
    gate.fail(new TsnetError("host", "tsnet could not recover its records: no netlink"));
    await using server = serverOn(fakeDrivers(), { gate });

    const answer = await server.app.inject(GET);

    expect(answer.statusCode).toBe(503);
    const reason = "tsnet could not recover its records: no netlink";
    expect(answer.json()).toEqual({ status: "failed", version: VERSION, reason });
  });

  it.each(["fault", "writeFault"] as const)("is 503 and failed while the records have a %s", async (what) => {
    const gate = openGate();
    const records = { ...SOUND_RECORDS, [what]: RECORDS_FAULT };
    await using server = serverOn(fakeDrivers(), { gate, health: { gate, records, damage: () => [] } });

    const answer = await server.app.inject(GET);

    expect(answer.statusCode).toBe(503);
    expect(answer.json()).toMatchObject({ status: "failed", reason: RECORDS_FAULT.message });
  });

  it("has a failed write tried again when it is asked, and is 200 as soon as that succeeds", async () => {
    const gate = openGate();
    const records = new MemoryStore();
    records.isFailing = () => true;
    await records.commit([]).catch(() => {});
    await using server = serverOn(fakeDrivers(), { gate, health: { gate, records, damage: () => [] } });

    const failing = await server.app.inject(GET);
    records.isFailing = () => false;
    const mended = await server.app.inject(GET);

    expect([failing.statusCode, failing.json().reason]).toEqual([503, "disk full"]);
    expect([mended.statusCode, mended.json().status]).toEqual([200, "ok"]);
  });

  it("tells of the room on the disk of the records", async () => {
    const gate = openGate();
    const records = { ...SOUND_RECORDS, disk: async () => ROOMY };
    await using server = serverOn(fakeDrivers(), { gate, health: { gate, records, damage: () => [] } });

    expect((await server.app.inject(GET)).json()).toEqual({ status: "ok", version: VERSION, disk: ROOMY });
  });

  it("is 200 with what is damaged besides, 20 lines at most", async () => {
    const gate = openGate();
    const damage = () => Array.from({ length: 30 }, (_, n) => `the record of network ${n} is damaged`);
    await using server = serverOn(fakeDrivers(), { gate, health: { gate, records: SOUND_RECORDS, damage } });

    const answer = await server.app.inject(GET);

    expect([answer.statusCode, answer.json().status, answer.json().problems.length]).toEqual([200, "ok", 20]);
  });

  it("asks no driver, and leaves no line of what happened in the log", async () => {
    const drivers = fakeDrivers();
    await using server = serverOn(drivers);

    await server.app.inject(GET);

    expect(drivers.seen).toEqual([]);
    expect(server.lines.filter(({ level }) => level !== "debug")).toEqual([]);
  });
});
