// How long what went on did not get through while something was done to the host: pings that never stop, 20 a second, from a
// container to the outside and to another container of its network.
import type { BesideStand } from "./beside-stand.ts";
import type { Flow } from "./system-flow.ts";

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
   * Does something and waits until all pings are answered again.
   *
   * @returns for how many milliseconds the one that fared worst was not.
   */
  async during(change: () => Promise<unknown>): Promise<number> {
    const before = await this.#lost();
    await change();
    const after = await this.#lost();
    return Math.max(...after.map((lost, at) => lost - (before[at] ?? 0))) * INTERVAL_MS;
  }

  async #lost(): Promise<readonly number[]> {
    return await Promise.all(this.#flows.map(async (flow) => await flow.countLost()));
  }
}
