// Who asks may be gone before the answer: what was given out then is taken back.
import { setImmediate } from "node:timers/promises";

/** Who asks for an address. */
export interface AddressCaller {
  /** Aborts when nobody learns of the answer any more. */
  readonly signal?: AbortSignal | undefined;
  /** Whether it is a verb of the operator's, and not the engine: what that took and did not record goes with the next start. */
  readonly isOperators?: boolean;
}

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
