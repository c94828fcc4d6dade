// The two measures of a network's packets: many bytes over one TCP connection (iperf3), and one byte there and one back, in a
// connection that stays open (round-trips-main.ts).
import { join } from "node:path";
import type { Place } from "../support/system-container.ts";

const ASKER = join(import.meta.dirname, "../support/round-trips-main.ts");

/** @param to - where `iperf3 -s` listens. @returns milliseconds. */
export async function sendBulk(from: Place, to: { address: string; port: number }, megabytes: number): Promise<number> {
  const client = ["iperf3", "-c", to.address, "-p", String(to.port), "-n", `${megabytes}M`, "--json"];
  const { end } = JSON.parse(await from.exec(client)) as Report;
  const { bytes, seconds } = end.sum_received;
  return (seconds * 1000 * megabytes * 1_000_000) / bytes;
}

/** @param to - where a server says a line and then echoes (publish-server.ts). @returns milliseconds for all of them. */
export async function exchangeBytes(
  from: Place,
  to: { address: string; port: number },
  count: number,
): Promise<number> {
  return Number(await from.exec([process.execPath, ASKER, to.address, String(to.port), String(count)]));
}

/** Of `iperf3 --json`. */
interface Report {
  readonly end: { readonly sum_received: { readonly seconds: number; readonly bytes: number } };
}
