// What the networks and endpoints of events are called: as Docker says, and of those whom Docker does not know, since `tsnet attach`
// put them there, as tsnet says. Names are remembered: of what is gone nobody has them any more.
import { setTimeout as sleep } from "node:timers/promises";
import type { EventLine } from "../api/events.ts";
import type { Tools } from "./tools.ts";

/** An event with names, as far as somebody has them. */
export type NamedEvent = EventLine & { readonly network?: string; readonly container?: string };

/** How long is waited, and for what. */
export interface Patience {
  /** After an end of the stream tsnet is looked for so often. */
  readonly reconnectMs: number;
  /** Docker says who has an endpoint only when the container has started, on a busy host after seconds: how often it is asked before an id has to do. */
  readonly looks: number;
  readonly lookMs: number;
}

const DELETING: readonly string[] = ["NetworkDriver.DeleteEndpoint", "NetworkDriver.DeleteNetwork", "Operator.Detach"];

/** After these nobody will have a name who has none by then. */
const ENDING: readonly string[] = ["NetworkDriver.Leave", ...DELETING];

/** The names of one stream after the other. */
export class EventNames {
  readonly #patience: Patience;
  readonly #signal: AbortSignal;
  readonly #names = new Map<string, string>();
  /** Asked for in vain, or gone: waited for no more. */
  readonly #nameless = new Set<string>();
  /** What Docker calls containers now, by their ids. */
  #containers: ReadonlyMap<string, string> = new Map();
  #begun = Promise.resolve();
  #later: Promise<void> | undefined;
  readonly #askDocker: () => Promise<void>;
  readonly #askTsnet: () => Promise<void>;

  /** @param signal - when it aborts nothing is waited for. */
  constructor(tools: Pick<Tools, "daemon" | "readDocker">, patience: Patience, signal: AbortSignal) {
    this.#patience = patience;
    this.#signal = signal;
    this.#askDocker = shared(async () => this.#learnFromDocker(tools));
    this.#askTsnet = shared(async () => this.#learnFromTsnet(tools));
  }

  /** Asks for what is there when a stream begins. */
  begin(): void {
    this.#begun = this.#askDocker();
    void this.#begun.then(this.#askTsnet);
  }

  /** Waits until there are names, or that is hopeless. May be called for several events at the same time. */
  async nameOf(line: EventLine): Promise<NamedEvent> {
    if (line.kind === "start" || line.kind === "end") return line;
    const { networkId = "", endpointId = "" } = line;
    if (isOf(ENDING, line)) this.#nameless.add(endpointId || networkId);
    await this.#learn(
      [networkId, endpointId].filter((id) => id !== ""),
      line,
    );
    const [network, container] = [this.#names.get(networkId), this.#names.get(endpointId)];
    return { ...line, ...(network !== undefined && { network }), ...(container !== undefined && { container }) };
  }

  /** To be called when an event has been printed, so that those before it have their names. */
  forget(line: EventLine): void {
    if (line.kind !== "call" || line.outcome !== "ok" || !isOf(DELETING, line)) return;
    const id = line.endpointId ?? line.networkId ?? "";
    this.#names.delete(id);
    this.#nameless.delete(id);
  }

  async #learn(ids: readonly string[], line: EventLine): Promise<void> {
    const unknown = () => ids.filter((id) => !this.#names.has(id));
    if (unknown().length > 0) await this.#begun;
    if (unknown().length > 0) await this.#askDocker();
    if (unknown().length === 0) return;
    const asked = this.#askTsnet(); // waited for only where it answers at once: it may be recovering
    if (isOperators(line)) await asked;
    const looks = mayBeNamedLater(line) ? this.#patience.looks : 1;
    const isHopeless = () => unknown().every((id) => this.#nameless.has(id));
    for (let look = 1; look < looks && !isHopeless() && !this.#signal.aborted; look++) {
      await this.#askDockerLater();
    }
    for (const id of unknown()) this.#nameless.add(id);
  }

  /** Several wait for the same look. */
  #askDockerLater(): Promise<void> {
    const pause = () => sleep(this.#patience.lookMs, undefined, { signal: this.#signal }).catch(() => {}); // aborted
    this.#later ??= pause().then(() => {
      this.#later = undefined;
      return this.#askDocker();
    });
    return this.#later;
  }

  async #learnFromDocker({ readDocker }: Pick<Tools, "readDocker">): Promise<void> {
    const { networks, places } = await readDocker();
    this.#containers = new Map(places.map(({ container }) => [container.id, container.name]));
    for (const { id, name } of networks) this.#names.set(id, name);
    for (const { endpointId, container } of places) if (endpointId !== "") this.#names.set(endpointId, container.name);
  }

  /** Without an answer there are ids. */
  async #learnFromTsnet({ daemon }: Pick<Tools, "daemon">): Promise<void> {
    const { networks } = await daemon.read("/status").catch(() => ({ networks: [] }));
    for (const { id, attachment } of networks.flatMap(({ endpoints }) => endpoints)) {
      if (attachment === undefined) continue;
      const { owner } = attachment;
      this.#names.set(id, this.#containers.get(owner.id) ?? owner.name);
    }
  }
}

function isOf(verbs: readonly string[], line: EventLine): boolean {
  return line.kind === "call" && verbs.includes(line.verb);
}

function isOperators(line: EventLine): boolean {
  return line.kind === "call" && line.verb.startsWith("Operator.");
}

/** Of what was refused, of what goes, and of what an operator does there is a name by then, or none. */
function mayBeNamedLater(line: EventLine): boolean {
  return line.kind !== "call" || (line.outcome === "ok" && !isOf(ENDING, line) && !isOperators(line));
}

/** One run serves all who ask before it begins; it begins when the run before it has ended. @param task - never rejects. */
function shared(task: () => Promise<void>): () => Promise<void> {
  let last = Promise.resolve();
  let next: Promise<void> | undefined;
  return () => {
    next ??= last.then(() => {
      next = undefined;
      last = task();
      return last;
    });
    return next;
  };
}
