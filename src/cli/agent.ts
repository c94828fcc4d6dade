// `tsnet agent`: follows Docker's events and keeps attachments as they are wanted: a container that starts again gets its links
// again, a container that is removed loses what it had here. What cannot be done now, as while Docker or tsnet are away, is tried
// again every few seconds.
import { setTimeout as passed } from "node:timers/promises";
import { TsnetError, codeOf, messageOf } from "../errors.ts";
import { attachOwner, sayDone } from "./attach.ts";
import { type NamedEndpoint, type NamedNetwork, nameNetworks } from "./catalog.ts";
import { detachEndpoint } from "./detach.ts";
import type { ContainerEvent, DockerContainer } from "./docker.ts";
import { findOwner } from "./namespace-owner.ts";
import type { Tools } from "./tools.ts";

/** How long it waits before it tries again. */
const PAUSE_MS = 3000;

/** Follows the containers of the engine until `signal` aborts: first an event "connected", then one for each change. */
export type Follow = (signal: AbortSignal) => AsyncIterable<ContainerEvent>;

/** Waits until it is time to try again, or `signal` aborts. */
export type Pause = (signal: AbortSignal) => Promise<unknown>;

const pauseForSeconds: Pause = (signal) => passed(PAUSE_MS, undefined, { signal }).catch(() => {});

/** Runs until `signal` aborts. What it does and what fails it says, a line each. */
export async function agent(tools: Tools, follow: Follow, signal: AbortSignal, pause = pauseForSeconds): Promise<void> {
  const keeper = new Keeper(tools);
  let fault = "";
  while (!signal.aborted) {
    try {
      for await (const event of withPauses(follow, signal, pause)) {
        fault = "";
        await keeper.serve(event);
      }
      throw new TsnetError("unavailable", "Docker has ended its events");
    } catch (failure) {
      if (signal.aborted) return;
      if (messageOf(failure) !== fault) tools.console.note(`${messageOf(failure)}; it is tried again`);
      fault = messageOf(failure);
    }
    await pause(signal);
  }
}

/** Nothing happened for a while. */
interface Quiet {
  readonly kind: "quiet";
}

async function* withPauses(follow: Follow, signal: AbortSignal, pause: Pause): AsyncGenerator<ContainerEvent | Quiet> {
  const end = new AbortController();
  const events = follow(AbortSignal.any([signal, end.signal]))[Symbol.asyncIterator]();
  try {
    let next = events.next();
    for (;;) {
      const waiting = new AbortController();
      const first = await Promise.race([next, pause(waiting.signal).then(() => "quiet" as const)]);
      waiting.abort();
      if (first === "quiet") yield { kind: "quiet" };
      else if (first.done === true) return;
      else {
        next = events.next();
        next.catch(() => {}); // thrown where it is waited for
        yield first.value;
      }
    }
  } finally {
    end.abort();
  }
}

interface Kept {
  readonly network: NamedNetwork;
  readonly endpoint: NamedEndpoint;
  /** The container's. */
  readonly id: string;
}

/** What stands for all of them in the list of faults. */
const EVERYTHING = "";

class Keeper {
  readonly #tools: Tools;
  /** What could not be done, by endpoint. */
  readonly #faults = new Map<string, string>();

  constructor(tools: Tools) {
    this.#tools = tools;
  }

  async serve(event: ContainerEvent | Quiet): Promise<void> {
    if (event.kind === "quiet" && this.#faults.size === 0) return;
    const isAll = event.kind === "connected" || this.#faults.has(EVERYTHING);
    await this.#attempt(EVERYTHING, "", async () => {
      const all = await readKept(this.#tools);
      for (const each of all) {
        const { id } = each.endpoint;
        const isConcerned = "containerId" in event ? event.containerId === each.id : this.#faults.has(id);
        if (isAll || isConcerned)
          await this.#attempt(id, `${nameOf(each)} on ${each.network.name}: `, () => this.#settle(each));
      }
      for (const id of this.#faults.keys())
        if (all.every(({ endpoint }) => endpoint.id !== id)) this.#faults.delete(id);
    });
  }

  async #attempt(id: string, who: string, task: () => Promise<void>): Promise<void> {
    try {
      await task();
      this.#faults.delete(id);
    } catch (failure) {
      const message = `${who}${messageOf(failure)}; it is tried again`;
      if (this.#faults.get(id) !== message) this.#tools.console.note(message);
      this.#faults.set(id, message);
    }
  }

  async #settle({ network, endpoint, id }: Kept): Promise<void> {
    const { console, findContainer } = this.#tools;
    const container = await findIfThere(findContainer, id);
    if (container === undefined) {
      const isDetached = await detachEndpoint(this.#tools, network, endpoint);
      if (isDetached) console.line(`${nameOf({ endpoint })} is removed and off ${network.name}`);
      return;
    }
    if (!container.isRunning || endpoint.attachment?.isOnce === true) return;
    const owner = await findOwner(this.#tools, { container: id });
    const done = await attachOwner(this.#tools, owner, network, {});
    if (done.isChanged) console.line(sayDone(done));
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

async function findIfThere(find: Tools["findContainer"], id: string): Promise<DockerContainer | undefined> {
  return find(id).catch((failure: unknown) => {
    if (codeOf(failure) === "not-found") return undefined;
    throw failure;
  });
}

function nameOf({ endpoint }: Pick<Kept, "endpoint">): string {
  return endpoint.container?.name ?? endpoint.id;
}
