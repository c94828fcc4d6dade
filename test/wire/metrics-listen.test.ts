// The port of TSNET_METRICS: two answers, and nothing else of tsnet.
import { once } from "node:events";
import { type Socket, connect } from "node:net";
import { describe, expect, it } from "vitest";
import { Metrics } from "../../src/api/metrics.ts";
import { type MetricsAddress, type MetricsParts, listenForMetrics } from "../../src/api/metrics-listen.ts";
import { verbNames } from "../../src/api/server.ts";
import { fakeDrivers } from "../support/fake-drivers.ts";
import { parseMetrics } from "../support/prometheus-text.ts";
import { SOUND_RECORDS, memoryLog, openGate } from "./conversation.ts";

/** A port on loopback, one that the kernel chooses, that goes with its block. */
async function listening(address: Partial<MetricsAddress> = {}, parts: Partial<MetricsParts> = {}) {
  const { log, lines } = memoryLog();
  const sources = {
    status: () => ({ networks: [], isComplete: true }),
    pools: () => [],
    linkCounters: async () => new Map(),
  };
  const metrics = new Metrics(sources);
  const health = { gate: openGate(), records: SOUND_RECORDS, damage: () => [] };
  const where = { host: "127.0.0.1", port: 0, ...address };
  const port = await listenForMetrics(where, { metrics, health, log, ...parts });
  const url = `http://${port.address.family === "IPv6" ? "[::1]" : "127.0.0.1"}:${port.address.port}`;
  return { ...port, url, lines, [Symbol.asyncDispose]: () => port.close() };
}

async function received(socket: Socket): Promise<string> {
  let text = "";
  socket.setEncoding("utf8").on("data", (part: string) => (text += part));
  await once(socket, "close");
  return text;
}

describe("the port of TSNET_METRICS", () => {
  it("has the metrics and the health", async () => {
    await using port = await listening();

    const metrics = await fetch(`${port.url}/metrics`);
    const health = await fetch(`${port.url}/healthz`);

    expect(parseMetrics(await metrics.text()).samples("tsnet_info")).toHaveLength(1);
    expect([health.status, await health.json()]).toMatchObject([200, { status: "ok" }]);
  });

  it.each([
    "/status",
    "/pools",
    "/events",
    "/",
    "/metrics/",
    "/healthz/x",
    ...verbNames(fakeDrivers()).map((name) => `/${name}`),
  ])("answers %s with 404 and says nothing", async (path) => {
    await using port = await listening();

    for (const method of ["GET", "POST"]) {
      const answer = await fetch(`${port.url}${path}`, { method, ...(method === "POST" && { body: "{}" }) });
      expect([answer.status, await answer.text()]).toEqual([404, ""]);
    }
  });

  it.each(["POST", "HEAD", "PUT", "DELETE", "OPTIONS"])("answers %s of what it has with 404", async (method) => {
    await using port = await listening();

    for (const path of ["/metrics", "/healthz"]) {
      expect((await fetch(`${port.url}${path}`, { method })).status).toBe(404);
    }
  });

  it("closes a connection whose request is too long or never ends", async () => {
    await using port = await listening({}, { receiveTimeoutMs: 1000 }); // for what comes in time as well
    const { port: number } = port.address;
    const [long, slow] = [connect(number, "127.0.0.1"), connect(number, "127.0.0.1")];
    long.write(`GET /metrics HTTP/1.1\r\nX: ${"x".repeat(9000)}\r\n\r\n`);
    slow.write("GET /metrics HTTP/1.1\r\n");

    const answers = await Promise.all([received(long), received(slow)]);

    expect(answers.map((text) => text.split(" ")[1])).toEqual(["431", "408"]);
    expect((await fetch(`${port.url}/healthz`)).status).toBe(200);
  });

  it("refuses more than 32 connections at once", async () => {
    await using port = await listening();
    const sockets = Array.from({ length: 40 }, () => connect(port.address.port, "127.0.0.1"));
    const closed = sockets.map((socket) =>
      once(
        socket.on("error", () => {}),
        "close",
      ),
    );
    let refused = 0;
    for (const each of closed) void each.then(() => (refused += 1));

    await expect.poll(() => refused).toBe(8);

    sockets.forEach((socket) => socket.destroy());
    await Promise.all(closed);
  });

  it("closes with the connections that are open", async () => {
    const port = await listening();
    const idle = connect(port.address.port, "127.0.0.1");
    await once(idle, "connect");
    const ended = once(idle.resume(), "close");

    await port.close();

    await ended;
    await expect(fetch(`${port.url}/healthz`)).rejects.toThrow("fetch failed");
  });

  it("warns of an address that other hosts can reach, and of no loopback", async () => {
    await using open = await listening({ host: "0.0.0.0" });
    await using loopback = await listening();

    expect(open.lines).toMatchObject([{ level: "warn", fields: { setting: "TSNET_METRICS", address: "0.0.0.0" } }]);
    expect(loopback.lines).toEqual([]);
  });

  it("refuses a port that another program has, with the setting, the address, the reason and what is permitted", async () => {
    await using taken = await listening();
    const { port } = taken.address;

    await expect(listening({ port })).rejects.toMatchObject({
      code: "conflict",
      message: `TSNET_METRICS="127.0.0.1:${port}" is not possible here: the port is in use by another program (ss -lntp); permitted: HOST:PORT, an address of this host and a free port, such as 127.0.0.1:9560; or empty`,
    });
  });

  it("refuses an address that this host has not", async () => {
    await expect(listening({ host: "192.0.2.77", port: 9560 })).rejects.toMatchObject({
      code: "host",
      message: expect.stringMatching(/^TSNET_METRICS="192\.0\.2\.77:9560" .*this host has no such address; permitted/),
    });
  });
});
