// The move of a NIC's addresses, done by a process in a namespace (`address-mover-main.ts`) that can be killed at any step.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { AddressMove, AddressMoveStep } from "../../src/datapath/uplink/address-move.ts";
import type { NetNamespace } from "./namespace.ts";

const MAIN = join(import.meta.dirname, "address-mover-main.ts");

/** What is asked for. */
export interface MoverRequest {
  /** `enslave last`: a move in another order, with no test of gateways, for the benchmark. */
  readonly verb: "move" | "return" | "resume" | "enslave last";
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

/** The process. It ends with the namespace at the latest. */
export class AddressMover {
  readonly #child: ChildProcess;
  readonly #replies: AsyncIterator<string>;

  private constructor(child: ChildProcess) {
    if (child.stdout === null) throw new Error("the mover has no output");
    this.#child = child;
    this.#replies = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  /** Starts it. */
  static async start(host: NetNamespace): Promise<AddressMover> {
    const mover = new AddressMover(host.spawn([process.execPath, "--no-warnings", MAIN]));
    await mover.#reply();
    return mover;
  }

  /** Does one thing, whatever becomes of it. */
  async ask(request: MoverRequest): Promise<MoverReply> {
    this.#child.stdin?.write(`${JSON.stringify(request)}\n`);
    return this.#reply();
  }

  /** Moves. @throws Error with the message when it was refused. */
  async move(): Promise<AddressMove> {
    const { stored, message } = await this.ask({ verb: "move" });
    if (message !== undefined || stored === undefined) throw new Error(message ?? "no record");
    return stored;
  }

  /** Moves back. @throws Error with the message when it was refused. */
  async moveBack(move: AddressMove): Promise<void> {
    const { message } = await this.ask({ verb: "return", move });
    if (message !== undefined) throw new Error(message);
  }

  /** Does one thing until it dies of it. @returns the last record that it stored. @throws Error if it lived on. */
  async askToDeath(request: MoverRequest & { readonly killAfter: string }): Promise<AddressMove | undefined> {
    const ended = once(this.#child, "exit");
    const reply = await this.ask(request);
    if (reply.message !== undefined || reply.elapsedMs !== undefined)
      throw new Error(`lived on: ${JSON.stringify(reply)}`);
    await ended;
    return reply.stored;
  }

  async #reply(): Promise<MoverReply> {
    const { value } = (await this.#replies.next()) as { value?: string };
    if (value === undefined) throw new Error("the mover has ended");
    return JSON.parse(value) as MoverReply;
  }
}
