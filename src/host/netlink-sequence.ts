// Many changes by rtnetlink in one system call. The kernel works through the messages of a datagram one after the other
// inside send(2), without a look at signals: a process that is killed meanwhile has made all of them or none. Unlike the
// batches of nf_tables they are no transaction: what comes after a refused one is still done.
// Follows netlink_rcv_skb() in net/netlink/af_netlink.c.
import { TsnetError } from "../errors.ts";
import { closeSocket, errnoError, receiveNow, sendMessage } from "./libc.ts";
import { NLMSG, NLM_F, encodeMessage, parseAck, parseMessages } from "./netlink.ts";
import { setRequestOptions } from "./netlink-options.ts";
import { NETLINK_ROUTE, openNetlink } from "./netlink-socket.ts";

const SEND_LIMIT_MS = 5_000;

/** Refusals are the only answers; each is shorter. */
const RECEIVE_BUFFER_LENGTH = 8_192;

/** One change. */
export interface Change {
  /** For the message of a refusal. */
  readonly doing: string;
  readonly type: number;
  readonly flags?: number;
  readonly parts: readonly Buffer[];
}

/** A change that the kernel refused. */
export interface Refusal {
  readonly change: Change;
  /** Of code `host`; `isErrno` tells the reason. */
  readonly error: TsnetError;
}

/** Makes the changes in their order. @returns those that were refused. @throws TsnetError `host` if they could not be sent. */
export async function changeInOrder(changes: readonly Change[]): Promise<Refusal[]> {
  if (changes.length === 0) return [];
  const fd = openNetlink(NETLINK_ROUTE); // of its own: no other answers in between
  try {
    setRequestOptions(fd, SEND_LIMIT_MS);
    const messages = changes.map(({ type, flags = 0, parts }, at) =>
      encodeMessage(type, NLM_F.REQUEST | flags, at + 1, parts),
    );
    await sendMessage(fd, Buffer.concat(messages));
    return refusalsOf(fd, changes);
  } finally {
    closeSocket(fd);
  }
}

function refusalsOf(fd: number, changes: readonly Change[]): Refusal[] {
  const refusals: Refusal[] = [];
  const buffer = Buffer.allocUnsafeSlow(RECEIVE_BUFFER_LENGTH);
  for (let length; (length = receiveNow(fd, buffer)) !== undefined;) {
    for (const message of parseMessages(buffer.subarray(0, length))) {
      const change = changes[message.sequence - 1];
      if (message.type !== NLMSG.ERROR || change === undefined) continue;
      const { errno, words } = parseAck(message);
      if (errno !== 0) refusals.push({ change, error: errnoError(change.doing, errno, words) });
    }
  }
  return refusals;
}
