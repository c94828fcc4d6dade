import { setImmediate } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { type Follow, agent } from "../../../src/cli/agent.ts";
import type { ContainerEvent, DockerContainer } from "../../../src/cli/docker.ts";
import { statusOf } from "../../../src/cnm/status.ts";
import { TsnetError } from "../../../src/errors.ts";
import { endpoint, endpointId, network } from "../../support/cnm-builder.ts";
import { CnmRig } from "../../support/cnm-rig.ts";
import { ENGINE, type FakeTools, fakeContainer, fakeTools } from "../../support/fake-tools.ts";

const WEB = fakeContainer("web");
const CONNECTED: ContainerEvent = { kind: "connected" };
const OTHER = "QX2M:EOJM /srv/docker";
const DETACHED = { verb: "Operator.Detach", message: { NetworkID: network().id, EndpointID: endpointId() } };

interface Made {
  readonly isOnce?: boolean;
  /** Where it was attached. Default: at the one that answers; `null`: an older tsnet did not record it. */
  readonly engine?: string | null;
}

/** With an attachment of `web`. */
async function toolsWith(containers: readonly DockerContainer[], { isOnce = false, engine = ENGINE }: Made = {}) {
  const { registry } = new CnmRig();
  const owner = { kind: "container", id: WEB.id, name: WEB.name, ...(engine !== null && { engine }) } as const;
  const attachment = { owner, ifName: "eth1", hasDefaultRoute: false, routes: [], isOnce };
  await registry.putNetwork(network(), "ready");
  await registry.putEndpoint({ endpoint: endpoint(), state: "joined", attachment });
  const { networks } = statusOf(registry);
  return fakeTools({ networks, containers, answer: () => ({ WasAttached: true }) });
}

/** Runs it through these rounds of events; after the last one, and a while in which nothing happens, it is told to end. */
async function follow(
  { tools }: FakeTools,
  ...rounds: readonly (readonly (ContainerEvent | Error)[])[]
): Promise<void> {
  const controller = new AbortController();
  const left = [...rounds];
  const events: Follow = async function* () {
    for (const event of left.shift() ?? []) {
      if (event instanceof Error) throw event;
      await setImmediate();
      yield event;
    }
    if (left.length > 0) return;
    await turns(100); // and with it several pauses
    controller.abort();
  };
  await agent(tools, {}, events, controller.signal, () => turns(5));
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await setImmediate();
}

describe("the agent", () => {
  it("detaches what a removed container had, and says so", async () => {
    const fake = await toolsWith([]);

    await follow(fake, [{ kind: "removed", containerId: WEB.id }]);

    expect(fake.calls).toEqual([DETACHED]);
    expect(fake.lines).toEqual([`web is removed and off ${network().id.slice(0, 12)}`]);
  });

  it("finds at its start that a container was removed meanwhile", async () => {
    const fake = await toolsWith([]);

    await follow(fake, [CONNECTED]);

    expect(fake.calls).toEqual([DETACHED]);
  });

  it("leaves a container that does not run what it had", async () => {
    const fake = await toolsWith([{ ...WEB, isRunning: false }]);

    await follow(fake, [CONNECTED]);

    expect(fake.calls).toEqual([]);
  });

  it("does not attach again what was to be attached once only", async () => {
    const fake = await toolsWith([WEB], { isOnce: true });

    await follow(fake, [CONNECTED, { kind: "started", containerId: WEB.id }]);

    expect(fake.calls).toEqual([]);
    expect(fake.notes).toEqual([]);
  });

  it("does nothing about containers that have no attachment", async () => {
    const fake = await toolsWith([WEB]);

    await follow(fake, [{ kind: "removed", containerId: "other" }]);

    expect(fake.calls).toEqual([]);
  });

  it("says once what it cannot do, and tries it again when nothing else happens", async () => {
    const fake = await toolsWith([WEB]); // this test's own process: in the host's namespace
    let tries = 0;
    const { findContainer } = fake.tools;
    const tools = { ...fake.tools, findContainer: async (name: string) => (tries++, findContainer(name)) };

    await follow({ ...fake, tools }, [{ kind: "started", containerId: WEB.id }]);

    expect(tries).toBeGreaterThan(1);
    expect(fake.notes).toHaveLength(1);
    expect(fake.notes[0]).toMatch(/^tsnet: web on .*host's own network namespace.*; it is tried again$/);
  });

  it("says nothing of a container that ends in the middle of it", async () => {
    const fake = await toolsWith([{ ...WEB, pid: 4_194_999 }]);
    const { findContainer } = fake.tools;
    let isFirst = true;
    const stopped = { ...WEB, isRunning: false, pid: 0 };
    const tools = {
      ...fake.tools,
      findContainer: async (name: string) => {
        const found = isFirst ? findContainer(name) : stopped;
        isFirst = false;
        return found;
      },
    };

    await follow({ ...fake, tools }, [{ kind: "started", containerId: WEB.id }]);

    expect(fake.notes).toEqual([]);
  });

  it("says of a container that runs, and not on this host, that it is not there", async () => {
    const fake = await toolsWith([{ ...WEB, pid: 4_194_999 }]);

    await follow(fake, [{ kind: "started", containerId: WEB.id }]);

    expect(fake.notes).toHaveLength(1);
    expect(fake.notes[0]).toMatch(/4194999.*is not there: .*another host; it is tried again$/);
  });

  it("tries it again though events of others never cease", async () => {
    const fake = await toolsWith([WEB]); // this test's own process: in the host's namespace
    const { findContainer, daemon } = fake.tools;
    const { read } = daemon;
    let [tries, reads, triesBetween] = [0, 0, 0];
    const tools = { ...fake.tools, findContainer: async (name: string) => (tries++, findContainer(name)) };
    daemon.read = async (path) => {
      if (++reads === 100) triesBetween = tries;
      return read(path);
    };
    const others = Array.from({ length: 200 }, () => ({ kind: "started", containerId: "other" }) as const);

    await follow({ ...fake, tools }, [CONNECTED, ...others]);

    expect(triesBetween).toBeGreaterThan(1);
  });

  it("asks nobody while nothing happens and nothing is left to do", async () => {
    const fake = await toolsWith([{ ...WEB, isRunning: false }]);
    let reads = 0;
    const read = fake.tools.daemon.read;
    fake.tools.daemon.read = async (path) => (reads++, read(path));

    await follow(fake, [CONNECTED]);

    expect(reads).toBe(1);
  });

  it("waits when Docker is away, says so once, and looks at everything when it is back", async () => {
    const fake = await toolsWith([]);
    const away = new TsnetError("unavailable", "Docker does not answer: connect ECONNREFUSED");

    await follow(fake, [away], [away], [CONNECTED]);

    expect(fake.notes).toEqual([`tsnet: ${away.message}; it is tried again`]);
    expect(fake.calls).toEqual([DETACHED]);
  });

  it("follows anew when Docker ends its events", async () => {
    const fake = await toolsWith([]);

    await follow(fake, [], [CONNECTED]);

    expect(fake.notes).toEqual(["tsnet: Docker has ended its events; it is tried again"]);
    expect(fake.calls).toEqual([DETACHED]);
  });

  it.each([
    ["the status cannot be read", "read"],
    ["it refuses", "call"],
  ] as const)("tries again what tsnet did not do since %s, without another event", async (_why, method) => {
    const fake = await toolsWith([]);
    const { daemon } = fake.tools;
    const works = daemon[method] as (...words: unknown[]) => Promise<never>; // whichever of the two
    let isAway = true;
    daemon[method] = async (...words: unknown[]) => {
      if (!isAway) return works(...words);
      isAway = false;
      throw new TsnetError("unavailable", "no tsnet answers");
    };

    await follow(fake, [{ kind: "removed", containerId: WEB.id }]);

    expect(fake.notes).toHaveLength(1);
    expect(fake.notes[0]).toMatch(/no tsnet answers; it is tried again$/);
    expect(fake.calls).toEqual([DETACHED]);
  });
});

describe("what another engine has", () => {
  const detach = `\`tsnet detach ${WEB.id.slice(0, 12)} ${network().id.slice(0, 12)}\``;

  it("is left alone, as is said once with the names of both and the way to take it off", async () => {
    const fake = await toolsWith([], { engine: OTHER });

    await follow(fake, [CONNECTED], [CONNECTED]);

    expect(fake.calls).toEqual([]);
    const said = fake.notes.filter((note) => note.includes("web"));
    expect(said).toHaveLength(1);
    for (const part of [OTHER, ENGINE, "left alone", detach]) expect(said[0]).toContain(part);
  });

  it("is left alone where an older tsnet did not record which one that is", async () => {
    const fake = await toolsWith([], { engine: null });

    await follow(fake, [CONNECTED]);

    expect(fake.calls).toEqual([]);
    expect(fake.notes).toHaveLength(1);
    for (const part of ["is not recorded", ENGINE, detach]) expect(fake.notes[0]).toContain(part);
  });

  it.each([
    ["another one is recorded", OTHER],
    ["none is recorded", null],
  ])("is this one's if this one tells of its removal, though %s", async (_what, engine) => {
    const fake = await toolsWith([], { engine });

    await follow(fake, [{ kind: "removed", containerId: WEB.id }]);

    expect(fake.calls).toEqual([DETACHED]);
    expect(fake.notes).toEqual([]);
  });

  it("is this one's if this one told of its removal while tsnet was away", async () => {
    const fake = await toolsWith([], { engine: null });
    const { read } = fake.tools.daemon;
    let isAway = true;
    fake.tools.daemon.read = async (path) => {
      if (!isAway) return read(path);
      isAway = false;
      throw new TsnetError("unavailable", "no tsnet answers");
    };

    await follow(fake, [{ kind: "removed", containerId: WEB.id }]);

    expect(fake.calls).toEqual([DETACHED]);
  });

  it("is this one's if this one has the container: it is attached again", async () => {
    const fake = await toolsWith([WEB], { engine: OTHER }); // this test's own process: in the host's namespace

    await follow(fake, [CONNECTED]);

    expect(fake.notes).toHaveLength(1);
    expect(fake.notes[0]).toMatch(/^tsnet: web on .*host's own network namespace/);
  });
});
