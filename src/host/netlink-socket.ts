// One netlink socket with one queue: requests are sent one after the other, and every caller gets the answers to its
// own. Sending runs on a thread of koffi, since the kernel does the work inside send(2): deleting a link waits 10 to
// 20 ms there, and any other change waits as long for the lock that such a deletion holds. Follows netlink(7).
import { TsnetError, inContext } from "../errors.ts";
import {
  AF_NETLINK,
  SOCK_RAW,
  SOL_SOCKET,
  SO_RCVTIMEO,
  SO_SNDTIMEO,
  bindSocket,
  closeSocket,
  errnoError,
  openSocket,
  receiveMessage,
  receiveNow,
  sendMessage,
  setSocketOption,
} from "./libc.ts";
import { NLMSG, NLM_F, type NetlinkMessage, encodeMessage, isErrno, parseAck, parseMessages } from "./netlink.ts";

/** Protocols of netlink sockets (include/uapi/linux/netlink.h). */
export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;

const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;

/** How long a caller waits, its turn in the queue included. The kernel answers in under a millisecond unless it hangs. */
const REQUEST_DEADLINE_MS = 5_000;

/** A dump that was interrupted by a change is repeated; so many times in a row happens on no real host. */
const DUMP_ATTEMPTS = 50;

/** The kernel makes dump messages of at most 32 KiB; single answers are smaller. */
const RECEIVE_BUFFER_LENGTH = 65_536;

/** More messages than any dump of ours has. */
const DRAIN_LIMIT = 10_000;

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
    const address = Buffer.alloc(12); // struct sockaddr_nl: u16 family, u16 pad, u32 port (0: kernel's choice), u32 groups
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

  /** @param protocol - NETLINK_ROUTE or NETLINK_NETFILTER. @throws TsnetError `host`. */
  static open(protocol: number): NetlinkSocket {
    const fd = openNetlink(protocol);
    try {
      setOptions(fd);
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
   * @throws TsnetError `host` with the kernel's words when it refuses, `unavailable` after 5 s.
   */
  async dump(doing: Doing, request: NetlinkRequest): Promise<NetlinkMessage[]> {
    return this.#inTurn(doing, async () => {
      for (let attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
        const answer = await this.#exchange(request, NLM_F.DUMP);
        if (!answer.isInterrupted) return answer;
      }
      throw new TsnetError("unavailable", `changes interrupted the listing ${DUMP_ATTEMPTS} times`);
    });
  }

  /** Refuses further requests; the descriptor is closed as soon as the last request under way is answered. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    void this.#tail.then(() => closeSocket(this.#fd));
  }

  [Symbol.dispose](): void {
    this.close();
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

  async #exchange(request: NetlinkRequest, mode: number): Promise<Answer> {
    this.#sequence = (this.#sequence + 1) >>> 0;
    const flags = NLM_F.REQUEST | mode | (request.flags ?? 0);
    await sendMessage(this.#fd, encodeMessage(request.type, flags, this.#sequence, request.parts));
    try {
      return await this.#answer(mode === NLM_F.DUMP);
    } catch (failure) {
      this.#drain();
      throw failure;
    }
  }

  async #answer(isDump: boolean): Promise<Answer> {
    const messages: NetlinkMessage[] = [];
    let isInterrupted = false;
    for (;;) {
      for (const message of await this.#receive(isDump)) {
        if (message.sequence !== this.#sequence) continue; // its caller has given up
        if ((message.flags & NLM_F.DUMP_INTR) !== 0) isInterrupted = true;
        if (message.type === NLMSG.ERROR || message.type === NLMSG.DONE) {
          return { ...parseAck(message), messages, isInterrupted };
        }
        messages.push({ ...message, payload: Buffer.from(message.payload) });
      }
    }
  }

  /** An acknowledgement lies ready when send(2) returns. The parts of a dump are made while they are received. */
  async #receive(isDump: boolean): Promise<NetlinkMessage[]> {
    const ready = isDump ? undefined : receiveNow(this.#fd, this.#buffer);
    const length = ready ?? (await receiveMessage(this.#fd, this.#buffer));
    return parseMessages(this.#buffer.subarray(0, length));
  }

  /** Reads a dump to its end, since the kernel begins no other on this socket before (EBUSY). */
  #drain(): void {
    for (let received = 0; received < DRAIN_LIMIT; received++) {
      try {
        if (receiveNow(this.#fd, this.#buffer) === undefined) return;
      } catch {
        // What is lost or too large was not to be used anyway.
      }
    }
  }
}

/** How an exchange ended. `messages` are copies. */
interface Answer {
  readonly errno: number;
  readonly words?: string;
  readonly messages: NetlinkMessage[];
  readonly isInterrupted: boolean;
}

async function textOf(doing: Doing): Promise<string> {
  return typeof doing === "string" ? doing : doing();
}

/** Extended acknowledgements and strict requests are newer than netlink itself: a kernel without them still serves. */
function setOptions(fd: number): void {
  const on = Buffer.of(1, 0, 0, 0);
  for (const option of [NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK]) {
    try {
      setSocketOption(fd, SOL_NETLINK, option, on);
    } catch (failure) {
      if (!isErrno(failure, "ENOPROTOOPT")) throw failure;
    }
  }
  const limit = Buffer.alloc(16); // struct timeval: i64 seconds, i64 microseconds
  limit.writeBigInt64LE(BigInt(REQUEST_DEADLINE_MS / 1000));
  setSocketOption(fd, SOL_SOCKET, SO_RCVTIMEO, limit);
  setSocketOption(fd, SOL_SOCKET, SO_SNDTIMEO, limit);
}
