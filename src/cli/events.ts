// `tsnet events`: what happens, as it happens, with the names that Docker has for it. Names are remembered: of what is gone
// Docker has none any more.
import { setTimeout as sleep } from "node:timers/promises";
import type { EventLine } from "../api/events.ts";
import { messageOf } from "../errors.ts";
import { shortId } from "./catalog.ts";
import type { DockerView } from "./docker.ts";
import type { CommonOptions, Tools } from "./tools.ts";

/** An event with names, as far as Docker has them. */
export type NamedEvent = EventLine & { readonly network?: string; readonly container?: string };

/** Options of the command. */
export interface EventsOptions extends CommonOptions {
  /** Also calls that only ask. */
  readonly all?: boolean;
}

/** How long is waited, and for what. */
export interface Patience {
  /** After an end of the stream tsnet is looked for so often. */
  readonly reconnectMs: number;
  /** Docker says who has an endpoint only when the container has started, on a busy host after seconds: how often it is asked before an id has to do. */
  readonly looks: number;
  readonly lookMs: number;
}

const PATIENCE: Patience = { reconnectMs: 500, looks: 25, lookMs: 200 };

const ASKING: readonly string[] = [
  "Plugin.Activate",
  "NetworkDriver.GetCapabilities",
  "NetworkDriver.EndpointOperInfo",
  "IpamDriver.GetCapabilities",
  "IpamDriver.GetDefaultAddressSpaces",
];

const DELETING: readonly string[] = ["NetworkDriver.DeleteEndpoint", "NetworkDriver.DeleteNetwork"];

/**
 * Prints until the signal aborts. Between two lives of the daemon it waits for the next one.
 *
 * @throws TsnetError `unavailable` if there is none to begin with.
 */
export async function events(
  tools: Tools,
  { json = false, all = false }: EventsOptions,
  signal: AbortSignal,
  patience = PATIENCE,
): Promise<void> {
  const { console, daemon } = tools;
  const names = new Names(tools.readDocker, patience, signal);
  let isFirst = true;
  let isAway = false;
  while (!signal.aborted) {
    let reason = "it broke off";
    try {
      for await (const line of daemon.follow("/events", signal)) {
        if (line.kind === "start") console.note(isAway ? "tsnet is there again" : `listening to tsnet ${line.version}`);
        if (line.kind === "end") reason = line.reason;
        [isFirst, isAway] = [false, false];
        if (line.kind === "end" || line.kind === "start" || (!all && isAsking(line))) continue;
        const named = await names.nameOf(line);
        if (json) console.jsonLine(named);
        else console.line(sayEvent(named));
      }
    } catch (failure) {
      if (isFirst) throw failure;
      reason = messageOf(failure);
    }
    if (signal.aborted) return;
    if (!isAway) console.note(`the stream has ended: ${reason}; waiting for tsnet`);
    isAway = true;
    await sleep(patience.reconnectMs, undefined, { signal }).catch(() => {}); // aborted: the loop ends
  }
}

function isAsking(line: EventLine): boolean {
  return line.kind === "call" && line.outcome === "ok" && ASKING.includes(line.verb);
}

/** `14:03:09  Join of web on front: ok, 9.8 ms`. */
export function sayEvent(event: NamedEvent): string {
  const time = event.time.slice("2026-05-04T".length, -".000Z".length);
  return `${time}  ${sayWhat(event)}`;
}

function sayWhat(event: NamedEvent): string {
  switch (event.kind) {
    case "call": {
      const verb = event.verb.slice(event.verb.indexOf(".") + 1);
      const why = event.message === undefined ? "" : `: ${event.message}`;
      return `${verb}${sayObject(event)}: ${event.outcome}, ${event.durationMs} ms${why}`;
    }
    case "repair":
      return event.what.startsWith("forgotten-")
        ? `removed what Docker has forgotten: ${event.what.slice("forgotten-".length)}${sayObject(event)}`
        : `put back: ${event.what}${sayObject(event)}`;
    case "fault":
      return `failed, will be tried again: ${event.outcome}${event.message === undefined ? "" : `: ${event.message}`}`;
    case "start":
      return `tsnet ${event.version}`;
    case "end":
      return event.reason;
  }
}

function sayObject(event: NamedEvent): string {
  if (event.kind === "start" || event.kind === "end") return "";
  const { networkId, endpointId, poolId, network, container } = event;
  const endpoint = endpointId === undefined ? "" : ` of ${container ?? `endpoint ${shortId(endpointId)}`}`;
  const where = networkId === undefined ? "" : ` on ${network ?? shortId(networkId)}`;
  return `${endpoint}${where}${poolId === undefined ? "" : ` of pool ${poolId.split("+", 1).join()}`}`; // without what makes it unique
}

/** What Docker calls networks, and the containers that have endpoints. */
class Names {
  readonly #readDocker: () => Promise<DockerView>;
  readonly #patience: Patience;
  readonly #signal: AbortSignal;
  readonly #names = new Map<string, string>();
  /** Asked for in vain: waited for no more. */
  readonly #nameless = new Set<string>();

  constructor(readDocker: () => Promise<DockerView>, patience: Patience, signal: AbortSignal) {
    this.#readDocker = readDocker;
    this.#patience = patience;
    this.#signal = signal;
  }

  async nameOf(line: EventLine): Promise<NamedEvent> {
    if (line.kind === "start" || line.kind === "end") return line;
    const { networkId = "", endpointId = "" } = line;
    await this.#learn([networkId, endpointId].filter((id) => id !== ""));
    const [network, container] = [this.#names.get(networkId), this.#names.get(endpointId)];
    if (line.kind === "call" && line.outcome === "ok" && DELETING.includes(line.verb))
      this.#forget(endpointId || networkId);
    return { ...line, ...(network !== undefined && { network }), ...(container !== undefined && { container }) };
  }

  #forget(id: string): void {
    this.#names.delete(id);
    this.#nameless.delete(id);
  }

  async #learn(ids: readonly string[]): Promise<void> {
    const unknown = () => ids.filter((id) => !this.#names.has(id));
    if (unknown().length === 0) return;
    const isHopeless = unknown().every((id) => this.#nameless.has(id));
    const looks = isHopeless ? 1 : this.#patience.looks;
    for (let look = 0; look < looks && unknown().length > 0 && !this.#signal.aborted; look++) {
      if (look > 0) await sleep(this.#patience.lookMs, undefined, { signal: this.#signal }).catch(() => {}); // aborted
      const { networks, places } = await this.#readDocker();
      for (const { id, name } of networks) this.#names.set(id, name);
      for (const { endpointId, container } of places)
        if (endpointId !== "") this.#names.set(endpointId, container.name);
    }
    for (const id of unknown()) this.#nameless.add(id);
  }
}
