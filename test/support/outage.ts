// How long what went on did not get through while something was done to the host: pings that never stop, 20 a second, from a
// container to the outside and to another container of its network.
import type { BesideStand } from "./beside-stand.ts";
import { fastest } from "./fastest.ts";
import type { Flow } from "./system-flow.ts";
import { waitUntil } from "./wait-until.ts";

/** What others took away is put back within this time. */
export const REPAIR_MS = 2000;

const INTERVAL_MS = 50;

/** Of one stand. Its pings end with their lab. */
export class Outage {
  readonly #flows: readonly Flow[];

  private constructor(flows: readonly Flow[]) {
    this.#flows = flows;
  }

  /** Begins to ping, over both families. */
  static async watch(stand: BesideStand): Promise<Outage> {
    const [one, two] = [stand.container("one"), stand.container("two")];
    const flows = ([4, 6] as const).flatMap((family) => [
      stand.host.startFlow(one, stand.outside(family)),
      stand.host.startFlow(two, stand.address("one", family)),
    ]);
    return new Outage(await Promise.all(flows));
  }

  /**
   * Does something and waits until all pings are answered again; once more if that took longer than it may.
   *
   * @param undo - what must be done before it can be done once more, if anything.
   * @returns for how many milliseconds the one that fared worst was not, the better time.
   */
  async during(change: () => Promise<unknown>, undo?: () => Promise<unknown>): Promise<number> {
    let isDone = false;
    return await fastest(REPAIR_MS, async () => {
      if (isDone) await undo?.();
      isDone = true;
      return await this.#during(change);
    });
  }

  async #during(change: () => Promise<unknown>): Promise<number> {
    const before = await this.#lost();
    await change();
    const after = await this.#lost();
    return Math.max(...after.map((lost, at) => lost - (before[at] ?? 0))) * INTERVAL_MS;
  }

  async #lost(): Promise<readonly number[]> {
    return await Promise.all(this.#flows.map(async (flow) => await flow.countLost()));
  }
}

/**
 * Takes something away from tsnet and waits until it is there again; once more if that took longer than it may.
 *
 * @param limitMs - that time.
 * @returns the better time in milliseconds.
 */
export async function repairTime(
  takeAway: () => Promise<unknown>,
  isThere: () => Promise<boolean>,
  limitMs = REPAIR_MS,
): Promise<number> {
  return await fastest(limitMs, async () => {
    await takeAway();
    const begin = performance.now();
    await waitUntil("it to be there again", isThere, { limitMs: 30_000 });
    return performance.now() - begin;
  });
}
