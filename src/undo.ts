// Steps that take back what a verb has done so far, run in reverse unless the verb succeeds.
import { TsnetError, messageOf } from "./errors.ts";

type Step = () => Promise<void> | void;

/** A stack of undo steps. Add the undo before the step it belongs to: a step may half succeed. */
export class Undo {
  readonly #steps: Step[] = [];

  /** @param step - must tolerate that there is nothing to undo. */
  add(step: Step): void {
    this.#steps.push(step);
  }

  /** Runs all steps, last added first, also when some fail. @throws TsnetError `host` that lists the failures. */
  async run(): Promise<void> {
    await runAll("undo", this.#steps.toReversed());
  }
}

/**
 * Runs a task that adds to `undo` as it goes. When the task fails, its steps are taken back and the failure is thrown on;
 * what could not be taken back is added to its message.
 */
export async function withUndo<T>(task: (undo: Undo) => Promise<T>): Promise<T> {
  const undo = new Undo();
  try {
    return await task(undo);
  } catch (cause) {
    try {
      await undo.run();
    } catch (failure) {
      const code = cause instanceof TsnetError ? cause.code : "internal";
      throw new TsnetError(code, `${messageOf(cause)}; besides, ${messageOf(failure)}`, { cause });
    }
    throw cause;
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
