// How long a daemon takes from the moment in which its process is started, the way into its namespace included (some ms).
import { KeptConnection } from "../support/kept-connection.ts";
import type { ServeHost } from "../support/serve-host.ts";
import { socketOf } from "./endpoint-life.ts";

/** A call with which the daemon is received. */
export interface FirstCall {
  readonly verb: string;
  readonly body?: object;
}

/**
 * Starts a daemon that has ended, and sends calls as soon as it listens, all at once.
 *
 * @returns milliseconds from the start until it listens, and until each call has succeeded.
 */
export async function startAndAsk(
  host: ServeHost,
  calls: readonly FirstCall[] = [],
): Promise<{ readonly listening: number; readonly answered: readonly number[] }> {
  const start = performance.now();
  const isUp = host.serve.startAgain();
  using first = await KeptConnection.openSoon(socketOf(host));
  const listening = performance.now() - start;
  const answered = calls.map(async ({ verb, body }, at) => {
    using other = at === 0 ? undefined : await KeptConnection.open(socketOf(host));
    await (other ?? first).ask(verb, body);
    return performance.now() - start;
  });
  const all = await Promise.all(answered);
  await isUp;
  return { listening, answered: all };
}
