// GET /metrics: what Prometheus is told, read as Prometheus reads it.
import { describe, expect, it } from "vitest";
import { Gate } from "../../src/api/gate.ts";
import { Metrics } from "../../src/api/metrics.ts";
import { TsnetError } from "../../src/errors.ts";
import type { PoolUsage } from "../../src/ipam/requests.ts";
import { VERSION } from "../../src/version.ts";
import { endpointRequest, networkId, networkRequest } from "../support/cnm-builder.ts";
import { CnmRig } from "../support/cnm-rig.ts";
import { fakeDrivers } from "../support/fake-drivers.ts";
import { parseMetrics } from "../support/prometheus-text.ts";
import { Connection, listeningServer, serverOn } from "./conversation.ts";

const GET = { method: "GET", url: "/metrics" } as const;
const CAPABILITIES = "NetworkDriver.GetCapabilities";

const NOTHING = {
  status: () => ({ networks: [], isComplete: true }),
  pools: () => [],
  linkCounters: async () => new Map(),
};

function counters(first: number) {
  const [receiveBytes, receivePackets, receiveDropped] = [first, first + 1, first + 2];
  const [transmitBytes, transmitPackets, transmitDropped] = [first + 3, first + 4, first + 5];
  return { receiveBytes, receivePackets, receiveDropped, transmitBytes, transmitPackets, transmitDropped };
}

describe("GET /metrics", () => {
  it("is Prometheus' text format, with the version", async () => {
    await using server = serverOn(fakeDrivers());

    const answer = await server.app.inject(GET);

    expect(answer.statusCode).toBe(200);
    expect(answer.headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(parseMetrics(answer.body).value("tsnet_info", { version: VERSION })).toBe(1);
  });

  it("counts calls by verb and outcome, and how long they took, those before the first look as well", async () => {
    const refusal = new TsnetError("conflict", "in use");
    await using server = serverOn(fakeDrivers({ deleteNetwork: async () => Promise.reject(refusal) }));
    const call = async (verb: string, body: object = {}) =>
      server.app.inject({ method: "POST", url: `/${verb}`, body: JSON.stringify(body) });
    await call(CAPABILITIES);
    await call(CAPABILITIES);
    await call("NetworkDriver.DeleteNetwork", { NetworkID: networkId() });
    await server.app.inject(GET);
    await call(CAPABILITIES);

    const found = parseMetrics((await server.app.inject(GET)).body);

    const name = "tsnet_verb_duration_seconds";
    expect(found.value(`${name}_count`, { verb: CAPABILITIES, outcome: "ok" })).toBe(3);
    expect(found.value(`${name}_bucket`, { verb: CAPABILITIES, outcome: "ok", le: "20" })).toBe(3);
    expect(found.value(`${name}_sum`, { verb: CAPABILITIES, outcome: "ok" })).toBeLessThan(20);
    expect(found.value(`${name}_count`, { verb: "NetworkDriver.DeleteNetwork", outcome: "conflict" })).toBe(1);
    expect(found.value("tsnet_faults_total", { class: "conflict" })).toBe(1);
    expect(found.value("tsnet_faults_total", { class: "internal" })).toBe(0);
  });

  it("loses no call, however many come before the first look", async () => {
    const metrics = new Metrics(NOTHING);
    for (let n = 0; n < 2500; n++) metrics.noteCall("NetworkDriver.Join", "ok", 3);

    const found = parseMetrics(await metrics.format());

    expect(found.value("tsnet_verb_duration_seconds_count", { verb: "NetworkDriver.Join", outcome: "ok" })).toBe(2500);
  });

  it("has networks, endpoints and published ports by what they are", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest());
    await rig.createNetwork(networkRequest(2));
    await rig.createEndpoint(endpointRequest());
    const withDamage = () => ({ ...rig.cnm.describe(), damage: ["the record of pool x is damaged"] });
    await using server = serverOn(fakeDrivers({ describe: withDamage }));

    const found = parseMetrics((await server.app.inject(GET)).body);

    expect(found.value("tsnet_networks", { backend: "bridge", mode: "nat", state: "ready" })).toBe(2);
    expect(found.value("tsnet_endpoints", { state: "created" })).toBe(1);
    expect(found.value("tsnet_endpoints", { state: "joined" })).toBe(0);
    expect(found.value("tsnet_published_ports", { protocol: "tcp" })).toBe(0);
    expect(found.value("tsnet_damaged_records", {})).toBe(1);
  });

  it("has what each endpoint received and sent, which is what the host's link transmitted and received", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest());
    await rig.createEndpoint(endpointRequest());
    const [endpoint] = rig.cnm.describe().networks[0]?.endpoints ?? [];
    const link = endpoint?.hostLink ?? "";
    const metrics = new Metrics({
      ...NOTHING,
      status: () => rig.cnm.describe(),
      linkCounters: async () =>
        new Map([
          [link, counters(100)],
          ["eth0", counters(7)],
        ]),
    });

    const found = parseMetrics(await metrics.format());

    const labels = { network: networkId().slice(0, 12), endpoint: endpoint?.id.slice(0, 12) ?? "", link };
    const values = ["bytes", "packets", "dropped"].flatMap((what) =>
      ["receive", "transmit"].map((way) => found.value(`tsnet_endpoint_${way}_${what}_total`, labels)),
    );
    expect(values).toEqual([103, 100, 104, 101, 105, 102]);
    expect(found.text).not.toContain("eth0");
  });

  it("says nothing of what passed a link that is not there", async () => {
    const rig = new CnmRig();
    await rig.createNetwork(networkRequest());
    await rig.createEndpoint(endpointRequest());
    const metrics = new Metrics({ ...NOTHING, status: () => rig.cnm.describe() });

    expect(parseMetrics(await metrics.format()).samples("tsnet_endpoint_receive_bytes_total")).toEqual([]);
  });

  it("counts what was repaired, from 0 on, and what could not be", async () => {
    const metrics = new Metrics(NOTHING);
    metrics.noteRepair("endpoint");
    metrics.noteRepair("endpoint");
    metrics.noteFault("host");

    const found = parseMetrics(await metrics.format());

    expect(found.value("tsnet_repairs_total", { what: "endpoint" })).toBe(2);
    expect(found.value("tsnet_repairs_total", { what: "rules" })).toBe(0);
    expect(found.value("tsnet_faults_total", { class: "host" })).toBe(1);
  });

  it("has pools of any size, and labels that no text can break out of", async () => {
    const pool = { subnet: "fd00::/48", addressSpace: "tsnet", used: 3, size: 2n ** 80n };
    const segment = 'a"} 1\ntsnet_info{version="\\';
    const pools: PoolUsage[] = [
      { ...pool, segment },
      { ...pool, segment: "" },
    ];
    await using server = serverOn(fakeDrivers({}, { usage: () => pools }));

    const found = parseMetrics((await server.app.inject(GET)).body);

    const labels = { subnet: "fd00::/48", segment, address_space: "tsnet" };
    expect(found.value("tsnet_pool_addresses", labels)).toBe(2 ** 80);
    expect(found.value("tsnet_pool_addresses_used", labels)).toBe(3);
    expect(found.samples("tsnet_info")).toHaveLength(1);
  });

  it("is the same to all who ask at once, made once", async () => {
    let reads = 0;
    const linkCounters = async () => {
      reads += 1;
      return new Map();
    };
    const metrics = new Metrics({ ...NOTHING, linkCounters });

    const texts = await Promise.all([metrics.format(), metrics.format(), metrics.format()]);

    expect(new Set(texts).size).toBe(1);
    expect(reads).toBe(1);
    await metrics.format();
    expect(reads).toBe(2);
  });

  it("does not wait for recovery", async () => {
    await using server = serverOn(fakeDrivers(), { gate: new Gate() });

    expect((await server.app.inject(GET)).statusCode).toBe(200);
  });

  it("is 503 with the reason when the counters cannot be read, and the next one is whole again", async () => {
    let isBroken = true;
    const linkCounters = async () => {
      if (isBroken) throw new TsnetError("host", "cannot read the counters of links: EIO");
      return new Map();
    };
    await using server = serverOn(fakeDrivers(), { metrics: new Metrics({ ...NOTHING, linkCounters }) });

    const refused = await server.app.inject(GET);
    isBroken = false;

    expect([refused.statusCode, refused.body]).toEqual([503, "cannot read the counters of links: EIO\n"]);
    expect((await server.app.inject(GET)).statusCode).toBe(200);
    expect(server.lines.filter(({ level }) => level === "warn")).toHaveLength(1);
  });

  it("is answered on a socket of the engine, takes GET only, and leaves no line of what happened in the log", async () => {
    await using server = await listeningServer(fakeDrivers());
    using connection = new Connection(server.path);
    connection.socket.write("GET /metrics HTTP/1.1\r\nHost: tsnet\r\nConnection: close\r\n\r\n");
    await connection.closed();

    const post = await server.app.inject({ method: "POST", url: "/metrics" });

    expect([post.statusCode, post.headers["allow"]]).toEqual([405, "GET"]);
    expect(server.lines.filter(({ message }) => message === "call").map(({ level }) => level)).toEqual(["debug"]);
  });
});
