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

/** Runs it through these rounds of events; after the last one it is told to end. @returns how often it paused. */
async function follow({ tools }: FakeTools, ...rounds: readonly (readonly (ContainerEvent | Error)[])[]) {
  const controller = new AbortController();
  const left = [...rounds];
  let pauses = 0;
  const events: Follow = async function* () {
    for (const event of left.shift() ?? []) {
      if (event instanceof Error) throw event;
      yield event;
    }
    if (left.length === 0) controller.abort();
  };
  await agent(tools, events, controller.signal, async () => void (pauses += 1));
  return pauses;
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

  it("says what it cannot do, and goes on", async () => {
    const fake = await toolsWith([WEB]); // this test's own process: in the host's namespace

    await follow(fake, [{ kind: "started", containerId: WEB.id }, CONNECTED]);

    expect(fake.notes).toHaveLength(2);
    expect(fake.notes[0]).toMatch(/^tsnet: web on .*host's own network namespace/);
  });

  it("waits when Docker is away, says so once, and looks at everything when it is back", async () => {
    const fake = await toolsWith([]);
    const away = new TsnetError("unavailable", "Docker does not answer: connect ECONNREFUSED");

    const pauses = await follow(fake, [away], [away], [CONNECTED]);

    expect(pauses).toBe(2);
    expect(fake.notes).toEqual([`tsnet: ${away.message}; it is tried again`]);
    expect(fake.calls).toEqual([DETACHED]);
  });

  it("follows anew when Docker ends its events, and when tsnet is away", async () => {
    const fake = await toolsWith([]);
    const { daemon } = fake.tools;
    const { read } = daemon;
    let isAway = true;
    daemon.read = async (path) => {
      if (!isAway) return read(path);
      isAway = false;
      throw new TsnetError("unavailable", "no tsnet answers");
    };

    const pauses = await follow(fake, [CONNECTED], [], [CONNECTED]);

    expect(pauses).toBe(2);
    expect(fake.notes).toEqual([
      "tsnet: no tsnet answers; it is tried again",
      "tsnet: Docker has ended its events; it is tried again",
    ]);
    expect(fake.calls).toEqual([DETACHED]);
  });
});
