// Steps that take back what a verb has done so far, run in reverse unless the verb succeeds.
import { TsnetError, messageOf } from "./errors.ts";

type Step = () => Promise<void> | void;

/**
 * A stack of undo steps for `await using`. Add the undo before the step it belongs to: a step may half succeed.
 * Steps must tolerate that there is nothing to undo.
 */
export class Undo implements AsyncDisposable {
  #steps: Step[] = [];

  add(step: Step): void {
    this.#steps.push(step);
  }

  /** Success: nothing is taken back. */
  disarm(): void {
    this.#steps = [];
  }

  /** Runs all steps, last added first, also when some fail. @throws TsnetError `host` that lists the failures. */
  async [Symbol.asyncDispose](): Promise<void> {
    await runAll("undo", this.#steps.toReversed());
  }
}

/**
 * Runs every step in order, also after failures, and reports them as one error.
 *
 * @throws TsnetError `host` when any step failed; the message lists each failure.
 */
export async function runAll(doing: string, steps: readonly Step[]): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (failure) {
      failures.push(failure);
    }
  }
  if (failures.length === 0) return;
  const cause = failures.length === 1 ? failures[0] : new AggregateError(failures);
  throw new TsnetError("host", `${doing}: ${failures.map(messageOf).join("; ")}`, { cause });
}
