// Runs a history on a remembered host (order-host.ts) beside its model (order-model.ts), and compares after each step: the
// answers, the records, what tsnet knows, the switch, the rules, the ports.
import { addressesOfNobody } from "./order-addresses.ts";
import { OrderCaller } from "./order-caller.ts";
import { NEVER } from "./cnm-rig.ts";
import {
  ATTACHMENTS,
  ENDPOINTS,
  type OrderFault,
  type OrderHistory,
  type OrderStep,
  describeHistory,
} from "./order-history.ts";
import { OrderHost, abortedAfter } from "./order-host.ts";
import { checkHost, lastByte, observe } from "./order-look.ts";
import { MAKES, afterLong, canonical, explain } from "./order-model.ts";
import { OrderPools } from "./order-pools.ts";
import { EMPTY_MODEL, type Model } from "./order-state.ts";

const LONG_MS = 601_000;

/** @param passTime - makes performance.now() be so many milliseconds later. */
export async function runHistory(history: OrderHistory, passTime: (ms: number) => void): Promise<void> {
  const run = new OrderRun(passTime);
  try {
    await run.through(history);
  } catch (failure) {
    throw new Error(`${describeHistory(history)}\n${String(failure)}`, { cause: failure });
  } finally {
    run.close();
  }
}

class OrderRun {
  readonly #host = new OrderHost();
  readonly #passTime: (ms: number) => void;
  #model: Model = EMPTY_MODEL;
  readonly #pools = new OrderPools();
  readonly #caller = new OrderCaller(this.#host, this.#pools);

  constructor(passTime: (ms: number) => void) {
    this.#passTime = passTime;
  }

  close(): void {
    this.#host.process.life.end();
    this.#host.process.reconciler.close();
  }

  async through(history: OrderHistory): Promise<void> {
    await this.#host.start();
    for (const [at, step] of history.entries()) {
      await this.#step(step).catch((failure: unknown) => {
        throw new Error(`step ${at + 1}: ${String(failure)}`, { cause: failure });
      });
    }
    await this.#waitLong();
    await this.#releaseAddresses(history.some(({ fault }) => fault !== undefined && isOfRecords(fault)));
    await this.#removeAll();
  }

  async #step(step: OrderStep): Promise<void> {
    const { fault } = step;
    if (fault !== undefined) this.#host.arm(fault);
    const signal = fault?.kind === "abort" ? abortedAfter(fault.at) : NEVER;
    const heldBefore = [...this.#host.heldByEngine];
    const answers = await Promise.all(step.calls.map((call) => this.#caller.answer(call, signal)));
    if (this.#host.process.life.isOver) await this.#host.restart();
    this.#host.heal();
    if (fault === undefined || (isUndone(step, fault) && !this.#isRemoving()))
      checkHost(this.#host, "before tsnet looked at the host", "now");
    const answered = step.calls.map((call, at) => ({ call, answer: answers[at] ?? { kind: "none" as const } }));
    await this.#settle();
    const heldByEngine = new Set([...heldBefore, ...this.#host.heldByEngine].map(lastByte));
    this.#adopt(explain({ ...this.#model, heldByEngine }, answered, fault), `answers ${JSON.stringify(answers)}`);
  }

  /** An endpoint that gives way to another one, dead as it is, goes later when its removal fails. */
  #isRemoving(): boolean {
    return this.#host.process.registry.endpoints().some(({ state }) => state === "removing");
  }

  /** Two looks at the host: the second one finds nothing to do. */
  async #settle(): Promise<void> {
    const { process } = this.#host;
    await process.reconciler.run();
    const writes = this.#host.writeCount;
    await process.reconciler.run();
    if (this.#host.writeCount !== writes) throw new Error("a second look at the host changed something again");
    checkHost(this.#host, "after tsnet looked at the host", "in the end");
  }

  #adopt(possible: readonly Model[], what: string): void {
    const observed = canonical(observe(this.#host, this.#pools));
    const found = possible.find((model) => canonical(model) === observed);
    if (found === undefined) {
      const expected = possible.map(canonical).join("\n  or  ");
      throw new Error(
        `${what} from ${canonical(this.#model)}\nfound ${observed}\nexpected ${expected || "other answers"}`,
      );
    }
    this.#model = found;
  }

  /** Nobody uses for long what has no link in a container: it goes, and what containers have stays. */
  async #waitLong(): Promise<void> {
    await this.#settle();
    this.#passTime(LONG_MS);
    await this.#settle();
    this.#adopt([afterLong(this.#model)], "after ten minutes");
  }

  /** What could not be recorded as free is released some time after the next start. */
  async #releaseAddresses(isForgetful: boolean): Promise<void> {
    const { records, heldByEngine } = this.#host;
    if (addressesOfNobody(records, heldByEngine).length === 0) return;
    if (isForgetful) {
      await this.#host.restart();
      await this.#settle();
      this.#passTime(LONG_MS);
      await this.#settle();
    }
    const left = addressesOfNobody(records, heldByEngine);
    if (left.length > 0) throw new Error(`${left.join()} is in use, and nobody has it`);
  }

  /** Every removal succeeds, and nothing is left. */
  async #removeAll(): Promise<void> {
    const removals = {
      DeleteEndpoint: ENDPOINTS, Detach: ATTACHMENTS, ReleasePool: [1, 2, 3], DeleteNetwork: [1, 2, 3],
    } as const; // prettier-ignore
    for (const [verb, all] of Object.entries(removals)) {
      for (const on of all) {
        const { kind } = await this.#caller.answer({ verb: verb as keyof typeof removals, on, variant: 0 }, NEVER); // its own key
        if (kind !== "ok") throw new Error(`at the end ${verb} ${on} was ${kind}`);
      }
    }
    await this.#host.process.engine.releasePool();
    const { records, datapath, firewall, process } = this.#host;
    const left = {
      records: (["network", "endpoint", "pool", "address"] as const).flatMap((kind) => [...records.list(kind).keys()]),
      links: [...datapath.links.keys()],
      rules: [...firewall.rules, ...firewall.elements.keys()],
      ports: [...process.ports.held.keys()],
    };
    if (Object.values(left).some((list) => list.length > 0))
      throw new Error(`left at the end: ${JSON.stringify(left)}`);
  }
}

/** Whether a fault keeps tsnet from writing something down. */
function isOfRecords({ kind }: OrderFault): boolean {
  return kind === "records" || kind.startsWith("crash");
}

/** Whether a fault leaves nothing: it came once, while things were made. */
function isUndone({ calls }: OrderStep, fault: OrderFault): boolean {
  const isSingle = !fault.kind.startsWith("crash") && !(fault.kind === "records" && fault.when === "after");
  return isSingle && calls.every(({ verb }) => MAKES.has(verb));
}
