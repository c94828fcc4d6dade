import { describe, expect, it } from "vitest";
import { Gate } from "../../src/api/gate.ts";
import type { CnmStatus } from "../../src/cnm/requests.ts";
import { TsnetError } from "../../src/errors.ts";
import { VERSION } from "../../src/version.ts";
import { networkId, networkRequest } from "../support/cnm-builder.ts";
import { CnmRig } from "../support/cnm-rig.ts";
import { fakeDrivers } from "../support/fake-drivers.ts";
import { Connection, engineRequest, listeningServer, serverOn } from "./conversation.ts";

const GET = { method: "GET", url: "/status" } as const;

describe("GET /status", () => {
  it("has the version and what the driver says of its networks", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest());
    await using server = serverOn(fakeDrivers({ describe: () => rig.cnm.describe() }));

    const answer = await server.app.inject(GET);

    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toEqual({
      version: VERSION,
      isComplete: true,
      networks: [expect.objectContaining({ id: networkId(), state: "ready", subnets: ["10.1.1.0/24"], endpoints: [] })],
    });
  });

  it("is answered beside the verbs on the same connection, whatever query or body it has", async () => {
    await using server = await listeningServer(fakeDrivers());
    using connection = new Connection(server.path);

    const asked = "GET /status?x=1 HTTP/1.1\r\nHost: tsnet\r\nContent-Length: 3\r\n\r\n{x}";

    expect(await connection.ask(asked)).toMatchObject({ status: 200, body: { version: VERSION, networks: [] } });
    expect(await connection.ask(engineRequest("Plugin.Activate"))).toMatchObject({ status: 200 });
  });

  it("waits for recovery", async () => {
    const gate = new Gate();
    const drivers = fakeDrivers();
    await using server = serverOn(drivers, { gate });
    const waiting = server.app.inject(GET);
    await server.app.inject({ method: "POST", url: "/Plugin.Activate" });
    expect(drivers.seen).toEqual([]);

    gate.open();

    expect((await waiting).statusCode).toBe(200);
  });

  it("is 503 with the reason when recovery takes too long", async () => {
    await using server = serverOn(fakeDrivers(), { gate: new Gate(), callTimeoutMs: 20 });

    const answer = await server.app.inject(GET);

    expect(answer.statusCode).toBe(503);
    expect(answer.json()).toMatchObject({ Err: expect.stringContaining("tsnet is still recovering") });
    expect(server.lines).toMatchObject([{ level: "warn", fields: { verb: "status", outcome: "unavailable" } }]);
  });

  it("is 503 with the reason when the driver fails, and the server lives", async () => {
    const describeStatus = (): CnmStatus => {
      throw new TsnetError("internal", "no records");
    };
    await using server = serverOn(fakeDrivers({ describe: describeStatus }));

    expect((await server.app.inject(GET)).json()).toMatchObject({ Err: "no records" });
    expect((await server.app.inject({ method: "POST", url: "/Plugin.Activate" })).statusCode).toBe(200);
  });

  it("leaves no line in the log of what happened: only operators ask", async () => {
    await using server = serverOn(fakeDrivers());

    await server.app.inject(GET);

    expect(server.lines.filter(({ level }) => level !== "debug")).toEqual([]);
  });
});
