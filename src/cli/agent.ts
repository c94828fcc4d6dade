// `tsnet agent`: follows Docker's events and keeps attachments as they are wanted: a container that starts again gets its links
// again, a container that is removed loses what it had here. What cannot be done now, as while Docker or tsnet are away, is tried
// again every few seconds.
import { setTimeout as passed } from "node:timers/promises";
import { TsnetError, codeOf, messageOf } from "../errors.ts";
import { attachOwner, sayDone } from "./attach.ts";
import { type NamedEndpoint, type NamedNetwork, nameNetworks, shortId } from "./catalog.ts";
import { detachEndpoint } from "./detach.ts";
import type { ContainerEvent, DockerContainer } from "./docker.ts";
import { findContainerOwner } from "./namespace-owner.ts";
import type { CommonOptions, Tools } from "./tools.ts";

/** How long it waits before it tries again. */
const PAUSE_MS = 3000;

/** Follows the containers of the engine until `signal` aborts: first an event "connected", then one for each change. */
export type Follow = (signal: AbortSignal) => AsyncIterable<ContainerEvent>;

/** Waits until it is time to try again, or `signal` aborts. */
export type Pause = (signal: AbortSignal) => Promise<unknown>;

const pauseForSeconds: Pause = (signal) => passed(PAUSE_MS, undefined, { signal }).catch(() => {});

/** Runs until `signal` aborts. What it does and what fails it says, a line each. */
export async function agent(
  tools: Tools,
  { json = false }: CommonOptions,
  follow: Follow,
  signal: AbortSignal,
  pause = pauseForSeconds,
): Promise<void> {
  const keeper = new Keeper(tools, (line, done) => (json ? tools.console.jsonLine(done) : tools.console.line(line)));
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

/** A pause is over, whatever happened meanwhile. */
interface Again {
  readonly kind: "again";
}

/** Each promise is watched once: one that waits for days must not keep what was done with it in each round, as in `Promise.race`. */
async function* withPauses(follow: Follow, signal: AbortSignal, pause: Pause): AsyncGenerator<ContainerEvent | Again> {
  const end = new AbortController();
  const events = follow(AbortSignal.any([signal, end.signal]))[Symbol.asyncIterator]();
  let awake = Promise.withResolvers<void>();
  let isAgain = false;
  let next: PromiseSettledResult<IteratorResult<ContainerEvent>> | undefined;
  const startPause = async () => {
    await pause(end.signal);
    isAgain = true;
    awake.resolve();
  };
  const askNext = async () => {
    [next] = await Promise.allSettled([events.next()]);
    awake.resolve();
  };
  try {
    void startPause();
    void askNext();
    for (;;) {
      await awake.promise;
      awake = Promise.withResolvers();
      if (isAgain) {
        isAgain = false;
        yield { kind: "again" }; // before the event: events may never cease
        void startPause();
      }
      if (next === undefined) continue;
      if (next.status === "rejected") throw next.reason;
      const { value, done } = next.value;
      if (done === true) return;
      next = undefined;
      void askNext();
      yield value;
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
  /** Which one it was attached at, as far as that is recorded. */
  readonly engine: string | undefined;
}

/** What stands for all of them in the list of faults. */
const EVERYTHING = "";

class Keeper {
  readonly #tools: Tools;
  readonly #say: (line: string, done: object) => void;
  /** What could not be done, by endpoint. */
  readonly #faults = new Map<string, { readonly message: string; readonly isSaid: boolean }>();
  /** Containers of whose removal this engine told, as long as they have attachments. */
  readonly #removed = new Set<string>();
  /** What was said of attachments that are another engine's. */
  readonly #said = new Set<string>();

  constructor(tools: Tools, say: (line: string, done: object) => void) {
    this.#tools = tools;
    this.#say = say;
  }

  async serve(event: ContainerEvent | Again): Promise<void> {
    if (event.kind === "again" && this.#faults.size === 0) return;
    if (event.kind === "removed") this.#removed.add(event.containerId);
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
      for (const id of this.#removed) if (all.every((each) => each.id !== id)) this.#removed.delete(id);
    });
  }

  async #attempt(id: string, who: string, task: () => Promise<void>): Promise<void> {
    try {
      await task();
      this.#faults.delete(id);
    } catch (failure) {
      const message = `${who}${messageOf(failure)}; it is tried again`;
      const known = this.#faults.get(id);
      const isSame = known?.message === message;
      const isSaid = isSame || codeOf(failure) !== "not-found"; // what ends in the middle of it is no fault the next time
      if (isSaid && !(isSame && known.isSaid)) this.#tools.console.note(message);
      this.#faults.set(id, { message, isSaid });
    }
  }

  async #settle(kept: Kept): Promise<void> {
    const { network, endpoint, id } = kept;
    const container = await findIfThere(this.#tools.findContainer, id);
    if (container === undefined) return this.#takeOff(kept);
    if (!container.isRunning || endpoint.attachment?.isOnce === true) return;
    const owner = await findContainerOwner(this.#tools, container);
    const done = await attachOwner(this.#tools, owner, network, { isAgain: true }).catch(async (failure: unknown) => {
      if ((await readKept(this.#tools)).some((other) => other.endpoint.id === endpoint.id)) throw failure;
    }); // else it was detached meanwhile
    if (done?.isChanged === true) this.#say(sayDone(done), done);
  }

  /** That this engine does not have the container is no proof that it is gone: another one may have it. */
  async #takeOff({ network, endpoint, id, engine }: Kept): Promise<void> {
    const removed = { container: nameOf({ endpoint }), network: network.name, isRemoved: true };
    const here = this.#removed.has(id) ? engine : await this.#tools.findEngine(); // asked last: it may be another one by now
    if (here !== engine) {
      const where = engine === undefined ? "at a Docker engine that is not recorded" : `at the Docker engine ${engine}`;
      const advice = `if the container is gone, \`tsnet detach ${shortId(id)} ${network.name}\` takes it off`;
      const why = `attached ${where}, and this one, ${here}, does not have it`;
      const line = `${removed.container} on ${network.name}: ${why}, so it is left alone; ${advice}`;
      if (!this.#said.has(line)) this.#tools.console.note(line);
      this.#said.add(line);
      return;
    }
    const isDetached = await detachEndpoint(this.#tools, network, endpoint);
    if (isDetached) this.#say(`${removed.container} is removed and off ${removed.network}`, removed);
  }
}

/** The attachments of containers. */
async function readKept({ daemon, readDocker }: Tools): Promise<readonly Kept[]> {
  const [status, docker] = await Promise.all([daemon.read("/status"), readDocker()]);
  return nameNetworks(status.networks, docker).flatMap((network) =>
    network.endpoints.flatMap((endpoint) => {
      const owner = endpoint.attachment?.owner;
      return owner?.kind === "container" ? [{ network, endpoint, id: owner.id, engine: owner.engine }] : [];
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
