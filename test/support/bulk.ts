// Sends many bytes from one container to another one, over one TCP connection (bulk-main.ts).
import { join } from "node:path";
import type { LabHost } from "./lab-host.ts";
import type { TestContainer } from "./system-container.ts";
import { waitUntil } from "./wait-until.ts";

const PROGRAM = [process.execPath, join(import.meta.dirname, "bulk-main.ts")];
const PORT = 7800;
const LIMIT_MS = 150_000;
let transfers = 0;

/** Where a container is. */
export interface Place {
  readonly host: { readonly lab: LabHost };
  readonly container: TestContainer;
}

/**
 * Sends random bytes.
 *
 * @param address - of the receiver, of either family.
 * @returns `BYTES SHA256` of what was sent and of what arrived.
 */
export async function transfer(
  from: Place,
  to: Place,
  address: string,
  megabytes: number,
): Promise<{ readonly sent: string; readonly arrived: string }> {
  const receive = await enter(to, ["receive", String(PORT)]);
  const receiver = await to.host.lab.namespace.spawn(`bulk-${++transfers}`, receive);
  await waitUntil("the receiver to listen", () => receiver.log().includes("listening"), { intervalMs: 10 });
  const send = await enter(from, ["send", address, String(PORT), String(megabytes)]);
  const sent = await from.host.lab.exec(send, { timeoutMs: LIMIT_MS });
  const arrived = await waitUntil("the last byte", () => /^\d+ [0-9a-f]{64}$/m.exec(receiver.log())?.[0]);
  return { sent: sent.trim(), arrived };
}

async function enter({ container }: Place, args: readonly string[]): Promise<readonly string[]> {
  return ["nsenter", "-t", String(await container.pid()), "-n", "--", ...PROGRAM, ...args];
}
