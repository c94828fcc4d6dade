// `tsnet agent` with an attachment of the container `web`, an engine whose events a test gives, and a daemon that takes everything.
import { setImmediate } from "node:timers/promises";
import { type Follow, agent } from "../../src/cli/agent.ts";
import type { ContainerEvent, DockerContainer } from "../../src/cli/docker.ts";
import { statusOf } from "../../src/cnm/status.ts";
import { endpoint, endpointId, network } from "./cnm-builder.ts";
import { CnmRig } from "./cnm-rig.ts";
import { ENGINE, type FakeTools, fakeContainer, fakeTools } from "./fake-tools.ts";

/** Its process is that of the test itself: in the host's own network namespace. */
export const WEB = fakeContainer("web");
/** The first event. */
export const CONNECTED: ContainerEvent = { kind: "connected" };
/** The call that takes the attachment off. */
export const DETACHED = { verb: "Operator.Detach", message: { NetworkID: network().id, EndpointID: endpointId() } };

/** How it was attached. */
export interface Made {
  readonly isOnce?: boolean;
  /** Where it was attached. Default: at the one that answers; `null`: an older tsnet did not record it. */
  readonly engine?: string | null;
}

/** With an attachment of `web`. */
export async function toolsWith(
  containers: readonly DockerContainer[],
  { isOnce = false, engine = ENGINE }: Made = {},
) {
  const { registry } = new CnmRig();
  const owner = { kind: "container", id: WEB.id, name: WEB.name, ...(engine !== null && { engine }) } as const;
  const attachment = { owner, ifName: "eth1", hasDefaultRoute: false, routes: [], isOnce };
  await registry.putNetwork(network(), "ready");
  await registry.putEndpoint({ endpoint: endpoint(), state: "joined", attachment });
  const { networks } = statusOf(registry);
  return fakeTools({ networks, containers, answer: () => ({ WasAttached: true }) });
}

/** Runs it through these rounds of events; after the last one, and a while in which nothing happens, it is told to end. */
export async function follow(
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
