// Who asks may be gone before the answer: what was given out then is taken back.
import { setImmediate } from "node:timers/promises";

/**
 * Asked when the call is done.
 *
 * @param signal - of the call, aborts when its caller has gone. One who had gone before the call was read is seen to have
 * gone only one turn of the event loop later, for which this waits.
 */
export async function hasGone(signal: AbortSignal | undefined): Promise<boolean> {
  if (signal === undefined) return false;
  await setImmediate();
  return signal.aborted;
}
