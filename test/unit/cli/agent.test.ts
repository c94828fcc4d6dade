import { setImmediate } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { type Follow, agent } from "../../../src/cli/agent.ts";
import type { ContainerEvent, DockerContainer } from "../../../src/cli/docker.ts";
import { statusOf } from "../../../src/cnm/status.ts";
import { TsnetError } from "../../../src/errors.ts";
import { endpoint, endpointId, network } from "../../support/cnm-builder.ts";
import { CnmRig } from "../../support/cnm-rig.ts";
import { type FakeTools, fakeContainer, fakeTools } from "../../support/fake-tools.ts";

const WEB = fakeContainer("web");
const CONNECTED: ContainerEvent = { kind: "connected" };
const DETACHED = { verb: "Operator.Detach", message: { NetworkID: network().id, EndpointID: endpointId() } };

/** With an attachment of `web`. */
async function toolsWith(containers: readonly DockerContainer[], more: { readonly isOnce?: boolean } = {}) {
  const { registry } = new CnmRig();
  const owner = { kind: "container", id: WEB.id, name: WEB.name } as const;
  const attachment = { owner, ifName: "eth1", hasDefaultRoute: false, routes: [], isOnce: false, ...more };
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
      yield event;
    }
    if (left.length > 0) return;
    await turns(100); // and with it several pauses
    controller.abort();
  };
  await agent(tools, events, controller.signal, () => turns(5));
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

    expect(tries).toBeGreaterThan(2); // each try asks twice
    expect(fake.notes).toHaveLength(1);
    expect(fake.notes[0]).toMatch(/^tsnet: web on .*host's own network namespace.*; it is tried again$/);
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
