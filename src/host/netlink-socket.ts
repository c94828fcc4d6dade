// One netlink socket with one queue: requests are sent one after the other, and every caller gets the answers to its
// own. Sending runs on a thread of koffi, since the kernel does the work inside send(2): deleting a link waits 10 to
// 20 ms there, and any other change waits as long for the lock that such a deletion holds. Follows netlink(7).
import { constants } from "node:os";
import { TsnetError, inContext } from "../errors.ts";
import {
  AF_NETLINK,
  SOCK_RAW,
  addressOfSocket,
  bindSocket,
  closeSocket,
  errnoError,
  openSocket,
  receiveMessage,
  receiveNow,
  sendMessage,
} from "./libc.ts";
import { NLMSG, NLM_F, type NetlinkMessage, encodeMessage, parseAck, parseMessages } from "./netlink.ts";
import { setRequestOptions } from "./netlink-options.ts";
import { type BatchRequest, batchFailure, encodeBatch } from "./nfnetlink.ts";

/** Protocols of netlink sockets (include/uapi/linux/netlink.h). */
export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;

/** How long a caller waits, its turn in the queue included. The kernel answers in under a millisecond unless it hangs. */
const REQUEST_DEADLINE_MS = 5_000;

/** A dump that was interrupted by a change is repeated; so many times in a row happens on no real host. */
const DUMP_ATTEMPTS = 50;

/** What a dump can end with when a change came in its way. */
const INTERRUPTIONS: readonly number[] = [constants.errno.EINTR, constants.errno.EAGAIN];

/** The kernel makes dump messages of at most 32 KiB; single answers are smaller. */
const RECEIVE_BUFFER_LENGTH = 65_536;

/** More messages than any dump of ours has. */
const DRAIN_LIMIT = 10_000;

/** Of a `struct sockaddr_nl`. */
const SOCKADDR_LENGTH = 12;

/** What is being done, for the error message. A function is called only when the request failed. */
export type Doing = string | (() => Promise<string>);

/** What a request asks for: its message type, flags besides REQUEST, ACK and DUMP, and padded parts. */
export interface NetlinkRequest {
  readonly type: number;
  readonly flags?: number;
  readonly parts: readonly Buffer[];
}

/** Opens a bound netlink socket. @param groups - mask of multicast groups 1 to 32 to listen to. @throws TsnetError `host`. */
export function openNetlink(protocol: number, groups = 0): number {
  const fd = openSocket(AF_NETLINK, SOCK_RAW, protocol);
  try {
    const address = Buffer.alloc(SOCKADDR_LENGTH); // struct sockaddr_nl: u16 family, u16 pad, u32 port (0: kernel's choice), u32 groups
    address.writeUInt16LE(AF_NETLINK, 0);
    address.writeUInt32LE(groups, 8);
    bindSocket(fd, address);
    return fd;
  } catch (failure) {
    closeSocket(fd);
    throw failure;
  }
}

/** A request and answer socket. It belongs to the network namespace in which it was opened. */
export class NetlinkSocket implements Disposable {
  readonly #fd: number;
  readonly #buffer = Buffer.allocUnsafeSlow(RECEIVE_BUFFER_LENGTH);
  #tail: Promise<unknown> = Promise.resolve();
  #sequence = 0;
  #isClosed = false;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** The number by which the kernel tells others who made a change: `nlmsg_pid` of its notifications (netlink(7)). */
  get port(): number {
    return addressOfSocket(this.#fd, SOCKADDR_LENGTH).readUInt32LE(4);
  }

  /** @param protocol - NETLINK_ROUTE or NETLINK_NETFILTER. @throws TsnetError `host`. */
  static open(protocol: number): NetlinkSocket {
    const fd = openNetlink(protocol);
    try {
      setRequestOptions(fd, REQUEST_DEADLINE_MS);
      return new NetlinkSocket(fd);
    } catch (failure) {
      closeSocket(fd);
      throw failure;
    }
  }

  /**
   * Sends one request and waits for its acknowledgement.
   *
   * @returns the messages that came before it, none for a plain change.
   * @throws TsnetError `host` with the kernel's words when it refuses (see `isErrno`), `unavailable` after 5 s.
   */
  async request(doing: Doing, request: NetlinkRequest): Promise<NetlinkMessage[]> {
    return this.#inTurn(doing, () => this.#exchange(request, NLM_F.ACK));
  }

  /**
   * Lists what the kernel has of one kind, as one consistent picture: a listing during which something changed is
   * repeated.
   *
   * @param isWanted - asked for each message as it arrives; what it declines is not kept.
   * @throws TsnetError `host` with the kernel's words when it refuses, `unavailable` after 5 s.
   */
  async dump(doing: Doing, request: NetlinkRequest, isWanted = everything): Promise<NetlinkMessage[]> {
    return this.#inTurn(doing, async () => {
      for (let attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
        const answer = await this.#exchange(request, NLM_F.DUMP, isWanted);
        if (!answer.isInterrupted && !INTERRUPTIONS.includes(answer.errno)) return answer;
      }
      throw new TsnetError("unavailable", `changes interrupted the listing ${DUMP_ATTEMPTS} times`);
    });
  }

  /**
   * Sends requests to a subsystem of nfnetlink as one batch: all of them happen, or nothing does.
   *
   * @param requests - at least one.
   * @throws TsnetError `host` with the first request that the kernel refused and its words, `unavailable` after 5 s: then
   * the batch may still happen.
   */
  async transaction(doing: Doing, subsystem: number, requests: readonly BatchRequest[]): Promise<void> {
    await this.#inTurn(doing, async () => {
      const sequence = (this.#sequence + 1) >>> 0;
      this.#sequence = (sequence + requests.length + 1) >>> 0;
      await sendMessage(this.#fd, encodeBatch(subsystem, sequence, requests));
      const failure = batchFailure(sequence, requests, this.#takeReady());
      if (failure !== undefined) throw failure;
      return { errno: 0, messages: [], isInterrupted: false };
    });
  }

  /** Refuses further requests. @returns when the last request under way is answered and the descriptor is closed. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#tail.then(() => closeSocket(this.#fd));
  }

  [Symbol.dispose](): void {
    void this.close();
  }

  /** Waits for earlier exchanges, then runs this one. An exchange whose caller gave up before its turn is not begun. */
  async #inTurn(doing: Doing, exchange: () => Promise<Answer>): Promise<NetlinkMessage[]> {
    const { promise: deadline, reject } = Promise.withResolvers<never>();
    let hasGivenUp = this.#isClosed;
    const turn = this.#tail.then(() => {
      if (hasGivenUp) throw new TsnetError("unavailable", "the netlink socket is closed");
      return exchange();
    });
    this.#tail = turn.catch(() => {});
    const timer = setTimeout(() => {
      hasGivenUp = true;
      reject(new TsnetError("unavailable", `the kernel did not answer within ${REQUEST_DEADLINE_MS} ms`));
    }, REQUEST_DEADLINE_MS);
    try {
      const answer = await Promise.race([turn, deadline]).catch(async (failure: unknown) => {
        throw inContext(await textOf(doing), failure);
      });
      if (answer.errno === 0) return answer.messages;
      throw errnoError(await textOf(doing), answer.errno, answer.words);
    } finally {
      clearTimeout(timer);
    }
  }

  async #exchange(request: NetlinkRequest, mode: number, isWanted = everything): Promise<Answer> {
    this.#sequence = (this.#sequence + 1) >>> 0;
    const flags = NLM_F.REQUEST | mode | (request.flags ?? 0);
    await sendMessage(this.#fd, encodeMessage(request.type, flags, this.#sequence, request.parts));
    try {
      return await this.#answer(mode === NLM_F.DUMP, isWanted);
    } catch (failure) {
      this.#takeReady(); // reads a dump to its end: the kernel begins no other on this socket before (EBUSY)
      throw failure;
    }
  }

  async #answer(isDump: boolean, isWanted: typeof everything): Promise<Answer> {
    const messages: NetlinkMessage[] = [];
    let isInterrupted = false;
    for (;;) {
      for (const message of await this.#receive(isDump)) {
        if (message.sequence !== this.#sequence) continue; // its caller has given up
        if ((message.flags & NLM_F.DUMP_INTR) !== 0) isInterrupted = true;
        if (message.type === NLMSG.ERROR || message.type === NLMSG.DONE) {
          return { ...parseAck(message), messages, isInterrupted };
        }
        if (isWanted(message)) messages.push(kept(message));
      }
    }
  }

  /** An acknowledgement lies ready when send(2) returns. The parts of a dump are made while they are received. */
  async #receive(isDump: boolean): Promise<NetlinkMessage[]> {
    const ready = isDump ? undefined : receiveNow(this.#fd, this.#buffer);
    const length = ready ?? (await receiveMessage(this.#fd, this.#buffer));
    return parseMessages(this.#buffer.subarray(0, length));
  }

  /** All that can be received without waiting. What was lost or is malformed is left out. */
  #takeReady(): NetlinkMessage[] {
    const messages: NetlinkMessage[] = [];
    for (let received = 0; received < DRAIN_LIMIT; received++) {
      try {
        const length = receiveNow(this.#fd, this.#buffer);
        if (length === undefined) break;
        messages.push(...parseMessages(this.#buffer.subarray(0, length)).map(kept));
      } catch {
        // ENOBUFS: not all refusals of a batch had room. The first of them are there.
      }
    }
    return messages;
  }
}

/** How an exchange ended. `messages` are copies. */
interface Answer {
  readonly errno: number;
  readonly words?: string;
  readonly messages: NetlinkMessage[];
  readonly isInterrupted: boolean;
}

/** The messages of a dump that are kept when nobody says otherwise. */
function everything(_message: NetlinkMessage): boolean {
  return true;
}

/** The message, independent of the buffer it was received in. */
function kept(message: NetlinkMessage): NetlinkMessage {
  return { ...message, payload: Buffer.from(message.payload) };
}

async function textOf(doing: Doing): Promise<string> {
  return typeof doing === "string" ? doing : doing();
}
