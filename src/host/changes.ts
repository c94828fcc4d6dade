// Whether a piece of work changed anything on this host. What is wanted is compared with what is there, and only a
// difference is written; so what was written tells whether something was amiss. Noted where it is written (rtnetlink,
// sysctls, Open vSwitch), and counted for whoever began the work, however many others write meanwhile.
import { AsyncLocalStorage } from "node:async_hooks";

const work = new AsyncLocalStorage<{ hasChanged: boolean }>();

/** Says that something on the host was changed just now. Outside of `changesHost` nobody hears it. */
export function noteChange(): void {
  const current = work.getStore();
  if (current !== undefined) current.hasChanged = true;
}

/** Runs a task. @returns whether it changed anything, as far as that is noted. @throws what the task throws. */
export async function changesHost(task: () => Promise<void>): Promise<boolean> {
  const current = { hasChanged: false };
  await work.run(current, task);
  return current.hasChanged;
}
