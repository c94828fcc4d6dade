// Senders that send without a pause, untagged and with every tag they can think of, while something else happens; and where
// their frames came out meanwhile.
import { setTimeout as pause } from "node:timers/promises";
import { EagerSender } from "./frame-capture.ts";
import type { NetNamespace } from "./namespace.ts";
import { PATIENCE } from "./vlan-host.ts";
import { type Sender, formatTags, probe } from "./vlan-probe.ts";
import type { VlanStage } from "./vlan-stage.ts";
import type { Sightings } from "./vlan-stations.ts";

/** What each of them sends in turn, every millisecond, on an emulated processor every ten; broadcasts. */
const TAGS = [[], [0], [1], [100], [200], [999], [100, 200]] as const;

/** Where frames with certain tags may come out, and with which tags, by the tags with which they were sent. */
export type Permitted = Readonly<Record<string, Sightings>>;

/** One frame that is sent again and again. */
interface Flood {
  readonly name: string;
  readonly trace: Buffer;
  readonly permitted: Sightings;
}

/** For `using`. */
export class VlanFlooding implements Disposable {
  readonly #stage: VlanStage;
  readonly #stack = new DisposableStack();
  readonly #floods: Flood[] = [];
  readonly #leaks = new Set<string>();
  readonly #arrived = new Set<string>();
  readonly #senders: ((act: () => Promise<unknown>) => Promise<unknown>)[] = [];

  constructor(stage: VlanStage) {
    this.#stage = stage;
  }

  /** Sends on a link that is there now, or later, or from time to time. */
  add(
    name: string,
    place: { readonly namespace: NetNamespace; readonly ifName: string },
    from: Sender,
    may: Permitted,
  ) {
    const eager = this.#stack.use(EagerSender.open(place.namespace));
    const frames = TAGS.map((tags) => {
      const { frame, trace } = probe(from, { tags });
      const sent = formatTags(tags);
      this.#floods.push({ name: `${name} ${sent}`, trace, permitted: may[sent] ?? {} });
      return frame;
    });
    this.#senders.push((act) => eager.sendWhile(place.ifName, frames, act, () => pause(PATIENCE)));
  }

  /** Whether a sender's frame has come to a place since the last `look`: `uplink 100`. */
  isSeen(name: string, at: string): boolean {
    const flood = this.#floods.find((each) => each.name === name);
    return flood !== undefined && at in this.#stage.sightings(flood.trace);
  }

  /** Notes what has come out, before somebody who heard it goes. */
  look(): void {
    for (const { name, trace, permitted } of this.#floods) {
      for (const [at, tags] of Object.entries(this.#stage.sightings(trace))) {
        for (const seen of new Set(tags.split(", "))) {
          const meant = seen === "0" ? "untagged" : seen; // a tag that says no VLAN may stay on
          if (permitted[at] === meant) this.#arrived.add(`${name} at ${at}`);
          else this.#leaks.add(`${name} at ${at}: ${seen}`);
        }
      }
    }
    this.#stage.begin();
  }

  /** @returns what came out where it must not, and what where it may. */
  async during(act: () => Promise<unknown>): Promise<{ leaks: readonly string[]; arrived: readonly string[] }> {
    let all = act;
    for (const sender of this.#senders) {
      const inner = all;
      all = () => sender(inner);
    }
    await all();
    this.look();
    return { leaks: [...this.#leaks].sort(), arrived: [...this.#arrived].sort() };
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}
