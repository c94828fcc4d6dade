import { describe, expect, it, vi } from "vitest";
import type { EventLine } from "../../../src/api/events.ts";
import type { DockerView } from "../../../src/cli/docker.ts";
import type { NamedEvent, Patience } from "../../../src/cli/event-names.ts";
import { events, sayEvent } from "../../../src/cli/events.ts";
import type { Tools } from "../../../src/cli/tools.ts";
import type { NetworkStatus } from "../../../src/cnm/requests.ts";
import { TsnetError } from "../../../src/errors.ts";
import { deskIn, dockerWith, endpointStatus, networkStatus } from "../../support/cli-desk.ts";
import { endpointId, networkId } from "../../support/cnm-builder.ts";

const time = "2026-05-04T14:03:09.123Z";
const ids = { networkId: networkId(1), endpointId: endpointId(1) };
const START: EventLine = { time, kind: "start", version: "1" };
const END: EventLine = { time, kind: "end", reason: "tsnet is shutting down" };
const JOIN: EventLine = { time, kind: "call", verb: "NetworkDriver.Join", outcome: "ok", durationMs: 9.8, ...ids };
const ATTACH: EventLine = { ...JOIN, verb: "Operator.Attach" };
const DETACH: EventLine = { ...JOIN, verb: "Operator.Detach" };
const PATIENCE = { reconnectMs: 1, looks: 3, lookMs: 1 };
/** Who waits for a second look waits longer than a test may take. */
const NEVER = { reconnectMs: 1, looks: 2, lookMs: 60_000 };
const NAMES = dockerWith({ front: 1 }, { web: [1] });
const NOBODY = dockerWith({}, {});

/** What is to be printed by then is printed before the daemon says the next. */
const PRINTED = "printed";

interface Given {
  /** What Docker says, one time after the other; the last one for ever. */
  readonly views?: readonly DockerView[];
  /** What tsnet says so. */
  readonly networks?: readonly (readonly NetworkStatus[] | Error)[];
  /** How many lines are printed; default: all. */
  readonly count?: number;
  readonly patience?: Patience;
  readonly json?: boolean;
  readonly all?: boolean;
}

/** Runs the command over lives of a daemon: lists of lines, or why there is none. It is interrupted when all is printed. */
async function printed(
  lives: readonly (readonly (EventLine | typeof PRINTED)[] | Error)[],
  { views = [NAMES], networks = [[]], count, patience = PATIENCE, ...options }: Given = {},
) {
  const controller = new AbortController();
  const left = [...lives];
  const [nextView, nextNetworks] = [oneAfterTheOther(views), oneAfterTheOther(networks)];
  let [looks, told] = [0, 0];
  const desk = deskIn({});
  const untilPrinted = async (lines: number) =>
    await vi.waitUntil(() => desk.out.text.split("\n").length - 1 === lines, { interval: 1, timeout: 5000 });
  const daemon: Tools["daemon"] = {
    ...desk.daemon,
    read: async (path) => {
      const now = nextNetworks();
      if (now instanceof Error) throw now;
      return Object.assign(await desk.daemon.read(path), { networks: now });
    },
    async *follow() {
      const life = left.shift() ?? [];
      if (life instanceof Error) throw life;
      for (const line of life) {
        if (line === PRINTED) await untilPrinted(told);
        else {
          if (line.kind !== "start" && line.kind !== "end") told += 1;
          yield line;
        }
      }
      if (left.length > 0) return;
      await untilPrinted(count ?? told);
      controller.abort();
    },
  };
  const readDocker = async () => {
    looks += 1;
    return nextView();
  };
  await events({ ...desk, daemon, readDocker }, options, controller.signal, patience);
  return { stdout: desk.out.text, stderr: desk.notes.text, looks };
}

/** @returns the first one, the second one, and then the last one for ever. */
function oneAfterTheOther<Thing>(things: readonly Thing[]): () => Thing {
  let at = 0;
  return () => things[Math.min(at++, things.length - 1)] as Thing; // there is one
}

/** A network of tsnet to which these are attached: endpoint 1, 2… */
function attached(...names: readonly string[]): NetworkStatus {
  const endpoints = names.map((name, at) => {
    const owner = { kind: "container", id: `id of ${name}`, name } as const;
    return endpointStatus(at + 1, 1, {
      attachment: { owner, ifName: "eth0", hasDefaultRoute: false, routes: [], isOnce: false },
    });
  });
  return networkStatus(1, { endpoints });
}

/** Of each line what happened and to whom. */
function whoIn(stdout: string): readonly string[] {
  return Array.from(stdout.matchAll(/^\S+ {2}(\w+ of .+ on \w+): /gm), ([, who = ""]) => who);
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

  it.each([
    ["deleted", "NetworkDriver.DeleteEndpoint"],
    ["detached", "Operator.Detach"],
  ])("forgets the name of an endpoint once it is %s", async (_what, verb) => {
    const lines = [START, JOIN, { ...JOIN, verb }, PRINTED, JOIN] as const;

    const { stdout } = await printed([lines], { views: [NAMES, NOBODY] });

    expect(whoIn(stdout).map((who) => who.split(" ")[2])).toEqual(["web", "web", "endpoint"]);
  });

  it("asks again for what Docker did not know yet", async () => {
    const { stdout, looks } = await printed([[START, JOIN]], { views: [NOBODY, NAMES] });

    expect(stdout).toContain("Join of web on front");
    expect(looks).toBe(2);
  });

  it("prints ids where Docker knows no name, and does not wait for one a second time", async () => {
    const { stdout, looks } = await printed([[START, JOIN, PRINTED, JOIN]], { views: [NOBODY] });

    const [first, second] = stdout.split("\n");
    expect(first).toMatch(/^14:03:09 {2}Join of endpoint [0-9a-f]{12} on [0-9a-f]{12}: ok/);
    expect(second).toBe(first);
    expect(looks).toBe(1 + PATIENCE.looks + 1);
  });

  it("names at once who is attached, whom Docker does not know", async () => {
    const { stdout } = await printed([[START, PRINTED, ATTACH]], {
      views: [dockerWith({ blue: 1 })],
      networks: [[], [attached("quiet")]],
      patience: NEVER,
    });

    expect(whoIn(stdout)).toEqual(["Attach of quiet on blue"]);
  });

  it("names who is detached, though he was attached before it began", async () => {
    const { stdout } = await printed([[START, PRINTED, DETACH]], {
      views: [dockerWith({ blue: 1 })],
      networks: [[attached("quiet")], []],
      patience: NEVER,
    });

    expect(whoIn(stdout)).toEqual(["Detach of quiet on blue"]);
  });

  it("calls an attached container by the name that it has now", async () => {
    const container = { id: "id of quiet", name: "loud" };
    const { networks } = dockerWith({ blue: 1 });
    const places = [{ networkId: "none", endpointId: "", container, addresses: [] }];

    const { stdout } = await printed([[START, ATTACH]], {
      views: [{ networks, places }],
      networks: [[attached("quiet")]],
    });

    expect(whoIn(stdout)).toEqual(["Attach of loud on blue"]);
  });

  it.each<[string, EventLine]>([
    ["of the operator's calls", ATTACH],
    ["of a call that was refused", { ...JOIN, outcome: "conflict" }],
    ["of what goes", { ...JOIN, verb: "NetworkDriver.Leave" }],
  ])("does not wait for names %s", async (_what, line) => {
    const { stdout } = await printed([[START, line]], { views: [NOBODY], patience: NEVER });

    expect(stdout).toContain("of endpoint");
  });

  it("waits no longer for the name of an endpoint that is deleted", async () => {
    const deleted: EventLine = { ...JOIN, verb: "NetworkDriver.DeleteEndpoint" };
    const patience = { reconnectMs: 1, looks: 1_000_000, lookMs: 1 };

    const { stdout } = await printed([[START, JOIN, deleted]], { views: [dockerWith({ front: 1 })], patience });

    expect(stdout.match(/Join|DeleteEndpoint/g)).toEqual(["Join", "DeleteEndpoint"]);
  });

  it("waits for the names of several at the same time, and prints all in their order", async () => {
    const lines = [2, 1, 3, 4].map((n): EventLine => ({ ...JOIN, endpointId: endpointId(n) }));

    const { stdout, looks } = await printed([[START, ...lines]]);

    const [two, three, four] = [2, 3, 4].map((n) => `endpoint ${endpointId(n).slice(0, 12)}`);
    expect(whoIn(stdout)).toEqual([two, "web", three, four].map((who) => `Join of ${who} on front`));
    const togetherAtLast = PATIENCE.looks - 1;
    expect(looks).toBeLessThanOrEqual(1 + lines.length + togetherAtLast);
  });

  it("goes on with Docker's names where tsnet does not say who is attached", async () => {
    const away = { ...JOIN, verb: "Operator.SetEndpoint" } as const;

    const { stdout } = await printed([[START, away]], {
      networks: [new TsnetError("unavailable", "tsnet is still recovering")],
    });

    expect(whoIn(stdout)).toEqual(["SetEndpoint of web on front"]);
  });

  it("leaves out calls that only ask, unless they failed or all are wanted", async () => {
    const ask: EventLine = { ...JOIN, verb: "NetworkDriver.EndpointOperInfo" };
    const failed: EventLine = { ...JOIN, verb: "Plugin.Activate", outcome: "unavailable" };

    const verbsOf = ({ stdout }: { stdout: string }) => Array.from(stdout.matchAll(/  (\w+) of/g), ([, verb]) => verb);

    expect(verbsOf(await printed([[START, ask, JOIN, failed]], { count: 2 }))).toEqual(["Join", "Activate"]);
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
