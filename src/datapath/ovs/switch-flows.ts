// The flows of one switch: what was put there by whom, over one connection that is kept. Whether it is still there is asked by
// counting; what others changed without changing the number is not seen.
import { isDeepStrictEqual } from "node:util";
import type { TsnetError } from "../../errors.ts";
import { noteChange } from "../../host/changes.ts";
import type { Flow } from "../../host/openflow-flow.ts";
import { OpenFlow } from "../../host/openflow.ts";
import { ALL_LEARNED, ALL_OURS, exactly } from "./flows-cookie.ts";
import type { FlowsByOwner } from "./switch-members.ts";

/** An open connection to one switch and the memory of its flows. */
export class SwitchFlows implements Disposable {
  readonly #client: OpenFlow;
  readonly #put = new Map<bigint, readonly Flow[]>();

  private constructor(client: OpenFlow) {
    this.#client = client;
  }

  /**
   * Connects. What flows there are is not known yet.
   *
   * @param isOurs - the switch is tsnet's: flows there see the ports in fragments.
   * @throws TsnetError as `OpenFlow.open`.
   */
  static async open(address: string, isOurs: boolean, onEnd: (reason: TsnetError) => void): Promise<SwitchFlows> {
    const client = await OpenFlow.open(address, { onEnd });
    try {
      if (isOurs) await client.setFragments("matched");
      return new SwitchFlows(client);
    } catch (failure) {
      client.close();
      throw failure;
    }
  }

  get isOpen(): boolean {
    return this.#client.end === undefined;
  }

  /**
   * Makes some owners' flows be these, without a gap for those that stay. Where one of them has not as many as it should,
   * somebody was at work: all of them are written again.
   */
  async put(flows: FlowsByOwner): Promise<void> {
    for (const [cookie, wanted] of flows) {
      if (await this.#isAsPut(cookie, wanted)) continue;
      if (isDeepStrictEqual(this.#put.get(cookie), wanted)) noteChange(); // somebody took of them, or added to them
      for (const [each, all] of flows) await this.#write(each, all);
      return;
    }
  }

  /** Whether the switch has as many flows of tsnet as it should. Those that it learned do not count. */
  async isComplete(flows: FlowsByOwner): Promise<boolean> {
    const expected = [...flows.values()].reduce((sum, { length }) => sum + length, 0);
    const isKnown = [...flows].every(
      ([cookie, wanted]) => wanted.length === 0 || isDeepStrictEqual(this.#put.get(cookie), wanted),
    );
    if (!isKnown) return false;
    const [all, learned] = [await this.#client.countFlows(ALL_OURS), await this.#client.countFlows(ALL_LEARNED)];
    return all - learned === expected;
  }

  /** Deletes all flows of tsnet whose owner is not among these. */
  async deleteOthers(owners: ReadonlySet<bigint>): Promise<void> {
    const present = new Set((await this.#client.listFlows(ALL_OURS)).map(({ cookie }) => cookie));
    for (const cookie of present) if (!owners.has(cookie)) await this.deleteOwner(cookie);
  }

  /** Deletes what has that cookie. */
  async deleteOwner(cookie: bigint): Promise<void> {
    this.#put.delete(cookie);
    await this.#client.deleteFlows(exactly(cookie));
  }

  /** Deletes all flows of tsnet. */
  async deleteAll(): Promise<void> {
    this.#put.clear();
    await this.#client.deleteFlows(ALL_OURS);
  }

  /** Has the switch send frames out of ports, past all flows. */
  async sendFrames(frames: readonly Buffer[], ports: readonly number[]): Promise<void> {
    await this.#client.sendFrames(frames.map((frame) => ({ frame, ports })));
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }

  async #write(cookie: bigint, wanted: readonly Flow[]): Promise<void> {
    const keys = new Set(wanted.map(keyOf));
    const unwanted = (this.#put.get(cookie) ?? []).filter((flow) => !keys.has(keyOf(flow)));
    this.#put.delete(cookie);
    await this.#client.addFlows(wanted);
    await this.#client.deleteStrictly(unwanted);
    if (!(await this.#hasAsMany(cookie, wanted))) {
      await this.#client.deleteFlows(exactly(cookie)); // there are others besides, of nobody knows when
      await this.#client.addFlows(wanted);
    }
    if (wanted.length > 0) this.#put.set(cookie, wanted);
  }

  async #isAsPut(cookie: bigint, wanted: readonly Flow[]): Promise<boolean> {
    return isDeepStrictEqual(this.#put.get(cookie) ?? [], wanted) && (await this.#hasAsMany(cookie, wanted));
  }

  async #hasAsMany(cookie: bigint, { length }: readonly Flow[]): Promise<boolean> {
    return (await this.#client.countFlows(exactly(cookie))) === length;
  }
}

function keyOf({ table, priority, match }: Flow): string {
  return JSON.stringify([table, priority, Object.entries(match).sort(([a], [b]) => (a < b ? -1 : 1))]);
}
