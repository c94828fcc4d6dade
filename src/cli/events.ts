// `tsnet events`: what happens, as it happens and in its order, with names for ids (`event-names.ts`).
import { setTimeout as sleep } from "node:timers/promises";
import type { EventLine } from "../api/events.ts";
import { messageOf } from "../errors.ts";
import { shortId } from "./catalog.ts";
import { EventNames, type NamedEvent, type Patience } from "./event-names.ts";
import type { CommonOptions, Tools } from "./tools.ts";

/** Options of the command. */
export interface EventsOptions extends CommonOptions {
  /** Also calls that only ask. */
  readonly all?: boolean;
}

const PATIENCE: Patience = { reconnectMs: 500, looks: 25, lookMs: 200 };

const ASKING: readonly string[] = [
  "Plugin.Activate",
  "NetworkDriver.GetCapabilities",
  "NetworkDriver.EndpointOperInfo",
  "IpamDriver.GetCapabilities",
  "IpamDriver.GetDefaultAddressSpaces",
];

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
  const names = new EventNames(tools, patience, signal);
  const print = (event: NamedEvent) => (json ? console.jsonLine(event) : console.line(sayEvent(event)));
  let printed = Promise.resolve();
  let isFirst = true;
  let isAway = false;
  while (!signal.aborted) {
    let reason = "it broke off";
    try {
      for await (const line of daemon.follow("/events", signal)) {
        if (line.kind === "start") names.begin();
        if (line.kind === "start") console.note(isAway ? "tsnet is there again" : `listening to tsnet ${line.version}`);
        if (line.kind === "end") reason = line.reason;
        [isFirst, isAway] = [false, false];
        if (line.kind === "end" || line.kind === "start" || (!all && isAsking(line))) continue;
        const naming = names.nameOf(line); // at once: names of several are waited for at the same time
        printed = printed.then(async () => {
          print(await naming);
          names.forget(line);
        });
      }
    } catch (failure) {
      if (isFirst) throw failure;
      reason = messageOf(failure);
    }
    await printed;
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
