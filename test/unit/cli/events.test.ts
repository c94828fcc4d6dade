import { describe, expect, it } from "vitest";
import type { EventLine } from "../../../src/api/events.ts";
import type { DockerView } from "../../../src/cli/docker.ts";
import { type NamedEvent, events, sayEvent } from "../../../src/cli/events.ts";
import { TsnetError } from "../../../src/errors.ts";
import { deskIn, dockerWith } from "../../support/cli-desk.ts";
import { endpointId, networkId } from "../../support/cnm-builder.ts";

const time = "2026-05-04T14:03:09.123Z";
const ids = { networkId: networkId(1), endpointId: endpointId(1) };
const START: EventLine = { time, kind: "start", version: "1" };
const END: EventLine = { time, kind: "end", reason: "tsnet is shutting down" };
const JOIN: EventLine = { time, kind: "call", verb: "NetworkDriver.Join", outcome: "ok", durationMs: 9.8, ...ids };
const PATIENCE = { reconnectMs: 1, looks: 3, lookMs: 1 };
const NAMES = dockerWith({ front: 1 }, { web: [1] });
const NOBODY = dockerWith({}, {});

/** Runs the command over lives of a daemon: lists of lines, or why there is none. It is interrupted when they are over. */
async function printed(
  lives: readonly (readonly EventLine[] | Error)[],
  { views = [NAMES], ...options }: { views?: readonly DockerView[]; json?: boolean; all?: boolean } = {},
) {
  const controller = new AbortController();
  const left = [...lives];
  const seen = [...views];
  let looks = 0;
  const desk = deskIn({});
  const daemon = {
    ...desk.daemon,
    async *follow() {
      const life = left.shift() ?? [];
      if (life instanceof Error) throw life;
      yield* life;
      if (left.length === 0) controller.abort();
    },
  };
  const readDocker = async () => {
    looks += 1;
    return (seen.length > 1 ? seen.shift() : seen[0]) ?? NOBODY;
  };
  await events({ ...desk, daemon, readDocker }, options, controller.signal, PATIENCE);
  return { stdout: desk.out.text, stderr: desk.notes.text, looks };
}

describe("tsnet events", () => {
  it("prints a line for each event, with Docker's names", async () => {
    const { stdout, stderr } = await printed([[START, JOIN]]);

    expect(stdout).toBe("14:03:09  Join of web on front: ok, 9.8 ms\n");
    expect(stderr).toBe("tsnet: listening to tsnet 1\n");
  });

  it("prints a JSON object a line, with ids and names", async () => {
    const { stdout } = await printed([[START, JOIN, JOIN]], { json: true });

    const [first, second, rest] = stdout.split("\n");
    expect(JSON.parse(first ?? "")).toEqual({ ...JOIN, network: "front", container: "web" });
    expect([second, rest]).toEqual([first, ""]);
  });

  it("asks Docker once for what it knows then, and remembers names of what is gone", async () => {
    const { stdout, looks } = await printed([[START, JOIN, JOIN, JOIN]], { views: [NAMES, NOBODY] });

    expect(stdout.split("\n").filter((line) => line.includes("web on front"))).toHaveLength(3);
    expect(looks).toBe(1);
  });

  it("asks again for what Docker did not know yet", async () => {
    const { stdout, looks } = await printed([[START, JOIN]], { views: [NOBODY, NAMES] });

    expect(stdout).toContain("Join of web on front");
    expect(looks).toBe(2);
  });

  it("prints ids where Docker knows no name, and does not wait for one a second time", async () => {
    const { stdout, looks } = await printed([[START, JOIN, JOIN]], { views: [NOBODY] });

    const [first, second] = stdout.split("\n");
    expect(first).toMatch(/^14:03:09 {2}Join of endpoint [0-9a-f]{12} on [0-9a-f]{12}: ok/);
    expect(second).toBe(first);
    expect(looks).toBe(4);
  });

  it("leaves out calls that only ask, unless they failed or all are wanted", async () => {
    const ask: EventLine = { ...JOIN, verb: "NetworkDriver.EndpointOperInfo" };
    const failed: EventLine = { ...JOIN, verb: "Plugin.Activate", outcome: "unavailable" };

    const verbsOf = ({ stdout }: { stdout: string }) => Array.from(stdout.matchAll(/  (\w+) of/g), ([, verb]) => verb);

    expect(verbsOf(await printed([[START, ask, JOIN, failed]]))).toEqual(["Join", "Activate"]);
    expect(verbsOf(await printed([[START, ask, JOIN]], { all: true }))).toEqual(["EndpointOperInfo", "Join"]);
  });

  it("waits for the next life of the daemon, says so once, and goes on", async () => {
    const away = new TsnetError("unavailable", "no tsnet answers");

    const { stdout, stderr } = await printed([[START, JOIN, END], away, away, [START, JOIN]]);

    expect(stdout.split("\n")).toHaveLength(3);
    expect(stderr).toBe(
      "tsnet: listening to tsnet 1\ntsnet: the stream has ended: tsnet is shutting down; waiting for tsnet\ntsnet: tsnet is there again\n",
    );
  });

  it("fails when there is no daemon to begin with", async () => {
    await expect(printed([new TsnetError("unavailable", "no tsnet answers")])).rejects.toThrow("no tsnet answers");
  });

  it.each<[NamedEvent, string]>([
    [{ ...JOIN, network: "front", container: "web" }, "Join of web on front: ok, 9.8 ms"],
    [
      {
        time,
        kind: "call",
        verb: "NetworkDriver.CreateNetwork",
        outcome: "conflict",
        durationMs: 1,
        networkId: networkId(1),
        network: "front",
        message: "in use",
      },
      "CreateNetwork on front: conflict, 1 ms: in use",
    ],
    [
      {
        time,
        kind: "call",
        verb: "IpamDriver.RequestAddress",
        outcome: "ok",
        durationMs: 1,
        poolId: "10.1.1.0/24+1a2b",
      },
      "RequestAddress of pool 10.1.1.0/24: ok, 1 ms",
    ],
    [
      { time, kind: "repair", what: "endpoint", ...ids, network: "front", container: "web" },
      "put back: endpoint of web on front",
    ],
    [{ time, kind: "repair", what: "rules" }, "put back: rules"],
    [
      { time, kind: "repair", what: "forgotten-network", networkId: networkId(1), network: "front" },
      "removed what Docker has forgotten: network on front",
    ],
    [
      { time, kind: "fault", outcome: "host", message: "network x: no device" },
      "failed, will be tried again: host: network x: no device",
    ],
  ])("says %o as words", (event, expected) => {
    expect(sayEvent(event)).toBe(`14:03:09  ${expected}`);
  });
});
