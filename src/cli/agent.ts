// `tsnet agent`: follows Docker's events and keeps attachments as they are wanted: a container that starts again gets its links
// again, a container that is removed loses what it had here. When engine or tsnet are away it waits and then looks at everything.
import { setTimeout as passed } from "node:timers/promises";
import { TsnetError, codeOf, messageOf } from "../errors.ts";
import { attachOwner, sayDone } from "./attach.ts";
import { type NamedEndpoint, type NamedNetwork, nameNetworks } from "./catalog.ts";
import { detachEndpoint } from "./detach.ts";
import type { ContainerEvent, DockerContainer } from "./docker.ts";
import { findOwner } from "./namespace-owner.ts";
import type { Tools } from "./tools.ts";

/** How long it waits before it asks again who did not answer. */
const PAUSE_MS = 2000;

/** Follows the containers of the engine until `signal` aborts: first an event "connected", then one for each change. */
export type Follow = (signal: AbortSignal) => AsyncIterable<ContainerEvent>;

interface Kept {
  readonly network: NamedNetwork;
  readonly endpoint: NamedEndpoint;
  /** The container's. */
  readonly id: string;
}

/** Runs until `signal` aborts. What it does and what fails it says, a line each. */
export async function agent(
  tools: Tools,
  follow: Follow,
  signal: AbortSignal,
  pause: () => Promise<unknown> = () => passed(PAUSE_MS, undefined, { signal }).catch(() => {}),
): Promise<void> {
  let fault = "";
  while (!signal.aborted) {
    try {
      for await (const event of follow(signal)) {
        fault = "";
        await serve(tools, event, signal);
      }
      throw new TsnetError("unavailable", "Docker has ended its events");
    } catch (failure) {
      if (signal.aborted) return;
      if (messageOf(failure) !== fault) tools.console.note(`${messageOf(failure)}; it is tried again`);
      fault = messageOf(failure);
    }
    await pause();
  }
}

/** @throws TsnetError `unavailable` if somebody does not answer: then everything is to be looked at once more. */
async function serve(tools: Tools, event: ContainerEvent, signal: AbortSignal): Promise<void> {
  const kept = await readKept(tools);
  const concerned = event.kind === "connected" ? kept : kept.filter(({ id }) => id === event.containerId);
  for (const each of concerned) {
    if (signal.aborted) return;
    await settle(tools, each, event).catch((failure: unknown) => {
      if (codeOf(failure) === "unavailable") throw failure;
      tools.console.note(`${nameOf(each)} on ${each.network.name}: ${messageOf(failure)}`);
    });
  }
}

/** The attachments of containers. */
async function readKept({ daemon, readDocker }: Tools): Promise<readonly Kept[]> {
  const [status, docker] = await Promise.all([daemon.read("/status"), readDocker()]);
  return nameNetworks(status.networks, docker).flatMap((network) =>
    network.endpoints.flatMap((endpoint) => {
      const owner = endpoint.attachment?.owner;
      return owner?.kind === "container" ? [{ network, endpoint, id: owner.id }] : [];
    }),
  );
}

async function settle(tools: Tools, { network, endpoint, id }: Kept, event: ContainerEvent): Promise<void> {
  const container = event.kind === "removed" ? undefined : await findIfThere(tools, id);
  if (container === undefined) {
    if (await detachEndpoint(tools, network, endpoint))
      tools.console.line(`${nameOf({ endpoint })} is removed and off ${network.name}`);
    return;
  }
  if (!container.isRunning || endpoint.attachment?.isOnce === true) return;
  const done = await attachOwner(tools, await findOwner(tools, { container: id }), network, {});
  if (done.isChanged) tools.console.line(sayDone(done));
}

async function findIfThere({ findContainer }: Tools, id: string): Promise<DockerContainer | undefined> {
  return findContainer(id).catch((failure: unknown) => {
    if (codeOf(failure) === "not-found") return undefined;
    throw failure;
  });
}

function nameOf({ endpoint }: Pick<Kept, "endpoint">): string {
  return endpoint.container?.name ?? endpoint.id;
}
