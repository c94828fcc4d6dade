// A daemon that is stopped for a while in the middle of calls, as by SIGSTOP or a machine that suspends it. The engine
// gives the call up and repeats it with an empty body; thawed, the daemon finds the call of a caller who has gone.
import { request } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { endpointBody, networkBody } from "../../support/daemon-calls.ts";
import type { EngineNetwork } from "../../support/engine-double.ts";
import { SOCKET } from "../../support/lab-serve.ts";
import { ServeHost } from "../../support/serve-host.ts";

/** Time for the bytes to lie in the socket. */
const SENT_MS = 200;

describe("a daemon that was frozen", () => {
  let host: ServeHost;
  let network: EngineNetwork;

  beforeAll(async () => {
    host = await ServeHost.up("frozen");
    network = await host.engine.createNetwork({ subnet: "10.87.0.0/24", gateway: "10.87.0.1" });
  });
  afterAll(async () => await host?.[Symbol.asyncDispose]());

  it.each<readonly [string, () => object]>([
    ["IpamDriver.RequestAddress", () => ({ PoolID: network.poolId, Address: "", Options: {} })],
    ["NetworkDriver.CreateNetwork", () => networkBody(7)],
    [
      "NetworkDriver.CreateEndpoint",
      () => ({ ...endpointBody(7, { address: "10.87.0.7/24" }), NetworkID: network.id }),
    ],
  ])("makes nothing of %s, whose caller has gone, and refuses its repeat [F14]", async (verb, body) => {
    const before = await host.restingCensus();
    await signal("STOP");
    await callAndGo(verb, body());
    const repeat = host.engine.call(verb);
    await pause(SENT_MS);

    await signal("CONT");

    const { Err, Error: ofIpam } = await repeat;
    expect(Err ?? ofIpam).toContain("the body is empty");
    await expect.poll(() => host.changesSince(before), { timeout: 10_000 }).toEqual([]);
  });

  it("serves the next container", async () => {
    const running = await host.engine.start(network);

    expect(await host.reachesGateway(running)).toBe(true);

    await host.engine.stop(running);
  });

  async function signal(name: string): Promise<void> {
    await host.exec("kill", `-${name}`, String(host.serve.pid));
  }

  /** Sends a call and breaks the connection before any answer. */
  async function callAndGo(verb: string, body: object): Promise<void> {
    const socketPath = host.namespace.outside(SOCKET);
    const call = request({ socketPath, path: `/${verb}`, method: "POST", agent: false });
    call.on("error", () => {}); // that is what is wanted
    call.end(JSON.stringify(body));
    await pause(SENT_MS);
    call.destroy();
  }
});
