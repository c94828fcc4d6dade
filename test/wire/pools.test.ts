import { describe, expect, it } from "vitest";
import { Gate } from "../../src/api/gate.ts";
import { VERSION } from "../../src/version.ts";
import { fakeDrivers } from "../support/fake-drivers.ts";
import { ipamWith, makePool, requestAddress } from "../support/ipam-builder.ts";
import { serverOn } from "./conversation.ts";

const GET = { method: "GET", url: "/pools" } as const;

describe("GET /pools", () => {
  it("has the version, the pools and their addresses", async () => {
    const ipam = ipamWith();
    const id = await makePool(ipam, "10.1.2.0/24");
    await requestAddress(ipam, id, "10.1.2.7");
    await using server = serverOn(fakeDrivers({}, { describe: () => ipam.describe() }));

    const answer = await server.app.inject(GET);

    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toEqual({
      version: VERSION,
      isComplete: true,
      pools: [expect.objectContaining({ id, used: 1, addresses: [{ address: "10.1.2.7", use: "endpoint" }] })],
    });
  });

  it("is 503 with the reason when recovery takes too long", async () => {
    await using server = serverOn(fakeDrivers(), { gate: new Gate(), callTimeoutMs: 20 });

    const answer = await server.app.inject(GET);

    expect(answer.statusCode).toBe(503);
    expect(answer.json()).toMatchObject({ Err: expect.stringContaining("tsnet is still recovering") });
  });

  it("with another method is 405, and says which one there is", async () => {
    await using server = serverOn(fakeDrivers());

    const answer = await server.app.inject({ method: "POST", url: "/pools" });

    expect([answer.statusCode, answer.headers["allow"]]).toEqual([405, "GET"]);
  });
});
