// The move of a NIC's addresses, done by a process in a namespace (`address-mover-main.ts`) that can be killed at any step.
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { AddressMove, AddressMoveStep } from "../../src/datapath/uplink/address-move.ts";
import type { NetNamespace } from "./namespace.ts";

/** What is asked for. */
export interface MoverRequest {
  readonly verb: "move" | "return" | "resume";
  /** The record, for the way back. */
  readonly move?: AddressMove;
  readonly killAfter?: AddressMoveStep;
  /** The switch takes no frames from the NIC. */
  readonly isPortBlocked?: boolean;
}

/** What became of it. Without `result`, `message` or `elapsedMs` the process was killed. */
export interface MoverReply {
  readonly result?: AddressMove | "moved" | "back";
  readonly message?: string;
  readonly steps?: readonly AddressMoveStep[];
  readonly elapsedMs?: number;
  /** The last record that was stored. */
  readonly stored?: AddressMove;
}

/** Does one thing in a process of its own. `nic0` and `br0` are the links. */
export async function runMover(host: NetNamespace, request: MoverRequest): Promise<MoverReply> {
  const main = join(import.meta.dirname, "address-mover-main.ts");
  const child = host.spawn([process.execPath, "--no-warnings", main]);
  if (child.stdin === null || child.stdout === null) throw new Error("the mover has no pipes");
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const replies: MoverReply[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    replies.push(JSON.parse(line) as MoverReply);
    if (replies.length === 1) child.stdin.write(`${JSON.stringify(request)}\n`);
    else if (request.killAfter === undefined || replies[1]?.message !== undefined) child.kill("SIGKILL");
  }
  await ended;
  const reply = replies[1];
  if (reply === undefined) throw new Error("the mover ended without an answer");
  return reply;
}

/** Moves. @throws Error with the message when it was refused. */
export async function move(host: NetNamespace): Promise<{ record: AddressMove; elapsedMs: number }> {
  const { stored, message, elapsedMs } = await runMover(host, { verb: "move" });
  if (message !== undefined || stored === undefined || elapsedMs === undefined) throw new Error(message ?? "no record");
  return { record: stored, elapsedMs };
}

/** Moves back. @throws Error with the message when it was refused. */
export async function moveBack(host: NetNamespace, record: AddressMove): Promise<number> {
  const { message, elapsedMs } = await runMover(host, { verb: "return", move: record });
  if (message !== undefined || elapsedMs === undefined) throw new Error(message ?? "no answer");
  return elapsedMs;
}
