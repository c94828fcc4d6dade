// Places where frames come out, each with a listener, from which frames can be sent as well. `send` sends one frame and tells where
// it came out and with which tags. That it came out nowhere else is known by other frames: the sender's next one has arrived
// by then, and one from elsewhere at each of the places.
import type { PortVlans } from "../../src/vlan.ts";
import type { FrameSocket } from "./frame-capture.ts";
import type { NetNamespace } from "./namespace.ts";
import { PATIENCE } from "./vlan-host.ts";
import { type ProbeWords, type Sender, formatTags, macOf, probe, tagsOf } from "./vlan-probe.ts";
import { waitUntil } from "./wait-until.ts";

/** What MAC addresses of containers (cnm-builder.ts) and neighbours begin with. */
const OF_TESTS = ["02:42:0a:01:", "02:00:00:00:fe:"];
/** Stands for the untagged network inside the switch. */
export const UNTAGGED = 0;
const LIMIT_MS = 30_000;
const RESEND_MS = 100 * PATIENCE;

/** Where a frame came out, and its tags there as `formatTags` says them. Twice at one place: `100, 100`. */
export type Sightings = Readonly<Record<string, string>>;

/** A place where frames come out. */
export interface Station extends Sender {
  readonly name: string;
  readonly socket: FrameSocket;
  readonly namespace: NetNamespace;
  /** What may come out there. */
  readonly wire: () => Wire;
  readonly isGateway?: boolean;
  /** Frames with a tag are none of its business. */
  readonly isDeafToTags?: boolean;
}

/** The tags at a place by the VLAN inside the switch. */
export type Wire = ReadonlyMap<number, readonly number[]>;

/** All places of a stage. For `using`. */
export class VlanStations implements Disposable {
  readonly #stations = new Map<string, Station>();
  readonly #strangers = new Set<string>();
  readonly #hostMacs = new Set<string>();

  add(station: Station): void {
    if (station.isGateway === true) this.know(station.mac);
    this.#stations.set(station.name, station);
  }

  /** The host may send from that MAC address. */
  know(mac: string): void {
    this.#hostMacs.add(mac);
  }

  /** Nobody of that name is no failure. */
  drop(name: string): void {
    this.#stations.get(name)?.socket[Symbol.dispose]();
    this.#stations.delete(name);
  }

  all(): readonly Station[] {
    return [...this.#stations.values()];
  }

  /** @throws Error for a name that is not there. */
  get(name: string): Station {
    const found = this.#stations.get(name);
    if (found === undefined) throw new Error(`nobody is called ${name}`);
    return found;
  }

  /**
   * Sends a frame that the sender's own stack could have sent, and waits until it has come out wherever it does.
   *
   * @param places - where it must come out. Open vSwitch's kernel asks ovs-vswitchd about the first frame of a kind, which those
   * behind it may overtake.
   */
  async send(from: string, words: ProbeWords = {}, places: readonly string[] = []): Promise<Sightings> {
    this.begin();
    const trace = this.cast(from, words);
    await this.settle(this.get(from));
    await waitForAll(from, places, () => this.sightings(trace));
    return this.sightings(trace);
  }

  /** Sends it and does not wait. @returns what no other frame contains. */
  cast(from: string, words: ProbeWords = {}): Buffer {
    const sender = this.get(from);
    const { frame, trace } = probe(sender, words);
    sender.socket.send(frame);
    return trace;
  }

  /** Forgets what was heard, but for tags that do not belong where they came out. */
  begin(): void {
    for (const station of this.#stations.values()) {
      const { name, socket, wire } = station;
      const permitted = new Set([...wire().values()].map(formatTags));
      for (const frame of heardAt(station)) {
        const tags = tagsOf(frame);
        const from = macOf(frame);
        const isKnown = OF_TESTS.some((start) => from.startsWith(start)) || this.#hostMacs.has(from);
        if (isKnown && permitted.has(formatTags(tags.slice(0, 1)))) continue;
        this.#strangers.add(`${name}: ${formatTags(tags)} from ${from}`);
      }
      socket.forget();
    }
  }

  /** Where frames with this in them came out since `begin`. */
  sightings(trace: Buffer): Sightings {
    const found = [...this.#stations.values()].flatMap((station) => {
      const frames = heardAt(station).filter((frame) => frame.includes(trace));
      return frames.length === 0
        ? []
        : [[station.name, frames.map((frame) => formatTags(tagsOf(frame))).join(", ")] as const];
    });
    return Object.fromEntries(found);
  }

  /**
   * What was heard since the last call and does not belong where it came out: a frame with a tag that is not of that place,
   * or one that none of the containers, gateways and neighbours has sent: `a1: 100 from 02:42:0a:01:02:0c`.
   */
  strangers(): readonly string[] {
    this.begin();
    const found = [...this.#strangers].sort();
    this.#strangers.clear();
    return found;
  }

  /** Waits until what was sent before has come out. @param sender - of what was sent. */
  async settle(sender?: Station): Promise<void> {
    const uplinkOrPeer = (of: Station) => [...this.#stations.values()].find((other) => this.#canCall(other, of));
    const first = sender === undefined ? undefined : uplinkOrPeer(sender);
    if (sender !== undefined && first !== undefined) await this.#hears(first, sender);
    const calls = [...this.#stations.values()].flatMap((listener) => {
      const caller = uplinkOrPeer(listener);
      return caller === undefined ? [] : [this.#hears(listener, caller)];
    });
    await Promise.all(calls);
  }

  #canCall(caller: Station, listener: Station): boolean {
    return caller !== listener && caller.isGateway !== true && this.#common(caller, listener) !== undefined;
  }

  /** Waits until one station hears a frame of another one. */
  async #hears(listener: Station, caller: Station): Promise<void> {
    const vid = this.#common(caller, listener);
    const { frame, trace } = probe(caller, { tags: caller.wire().get(vid ?? UNTAGGED) ?? [] });
    let nextAt = 0;
    const isHeard = () => {
      if (Date.now() >= nextAt) {
        caller.socket.send(frame);
        nextAt = Date.now() + RESEND_MS;
      }
      return listener.socket.count(trace) > 0;
    };
    await waitUntil(`${listener.name} to hear ${caller.name}`, isHeard, { limitMs: LIMIT_MS, intervalMs: 1 });
  }

  #common(one: Station, other: Station): number | undefined {
    const others = other.wire();
    return [...one.wire().keys()].find((vid) => others.has(vid));
  }

  [Symbol.dispose](): void {
    for (const name of this.#stations.keys()) this.drop(name);
  }
}

/** Waits until a frame has come out at all of these places. @param from - who sent it. */
export async function waitForAll(from: string, places: readonly string[], sightings: () => Sightings): Promise<void> {
  for (const place of places) await waitUntil(`${place} to hear ${from}`, () => place in sightings());
}

/** What a port carries. */
export function wireOf({ vlan, trunk }: PortVlans): Wire {
  const plain = vlan === undefined && trunk !== undefined ? [] : [[vlan ?? UNTAGGED, []] as const];
  return new Map<number, readonly number[]>([...plain, ...(trunk ?? []).map((id) => [id, [id]] as const)]);
}

function heardAt({ socket, isDeafToTags }: Station): readonly Buffer[] {
  return socket.heard().filter((frame) => isDeafToTags !== true || tagsOf(frame).length === 0);
}
