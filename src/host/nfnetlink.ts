// nfnetlink: what nf_tables and ctnetlink share. The header of their messages, their message types, and the batch, which
// is how nf_tables changes things: all messages of a batch happen together or none does. Pure functions over buffers.
// Follows include/uapi/linux/netfilter/nfnetlink.h and nfnetlink_rcv_batch() in net/netfilter/nfnetlink.c.
import { TsnetError, inContext } from "../errors.ts";
import { errnoError } from "./libc.ts";
import { NLMSG, NLM_F, type NetlinkMessage, encodeMessage, parseAck } from "./netlink.ts";

/** Subsystems (nfnetlink.h, NFNL_SUBSYS_*). */
export const NFNL_SUBSYS = { CTNETLINK: 1, NFTABLES: 10 } as const;

/** Protocol families of netfilter (include/uapi/linux/netfilter.h, NFPROTO_*). */
export const NFPROTO = { inet: 1, ipv4: 2, bridge: 7, ipv6: 10 } as const;

/** Length of a `struct nfgenmsg`, behind which the attributes begin. */
export const NF_HEADER_LENGTH = 4;

const NFNL_MSG_BATCH_BEGIN = 0x10;
const NFNL_MSG_BATCH_END = 0x11;

/** One request of a batch. */
export interface BatchRequest {
  /** What it does, for the message of an error that the kernel has with it. */
  readonly doing: string;
  readonly type: number;
  readonly parts: readonly Buffer[];
}

/** A message type: the subsystem's number and the number of the message in it. */
export function nfMessageType(subsystem: number, message: number): number {
  return (subsystem << 8) | message;
}

/** A `struct nfgenmsg`. @param family - NFPROTO_*. @param resourceId - a subsystem in the messages around a batch, else 0. */
export function nfHeader(family: number, resourceId = 0): Buffer {
  const header = Buffer.alloc(NF_HEADER_LENGTH); // u8 family, u8 version 0, be16 resource id
  header.writeUInt8(family, 0);
  header.writeUInt16BE(resourceId, 2);
  return header;
}

/**
 * Makes one datagram of all requests. Only the last asks for an acknowledgement, refusals come unasked: so the answers
 * to thousands of requests cannot overflow the receive buffer when all goes well.
 *
 * @param sequence - of the message before the first request, which has the next number.
 */
export function encodeBatch(subsystem: number, sequence: number, requests: readonly BatchRequest[]): Buffer {
  const around = [nfHeader(0, subsystem)];
  const encoded = requests.map(({ type, parts }, i) => {
    const ack = i === requests.length - 1 ? NLM_F.ACK : 0;
    return encodeMessage(type, NLM_F.REQUEST | ack, (sequence + 1 + i) >>> 0, parts);
  });
  return Buffer.concat([
    encodeMessage(NFNL_MSG_BATCH_BEGIN, NLM_F.REQUEST, sequence, around),
    ...encoded,
    encodeMessage(NFNL_MSG_BATCH_END, NLM_F.REQUEST, (sequence + 1 + requests.length) >>> 0, around),
  ]);
}

/**
 * Reads the kernel's answers to a batch, all of which lie ready when it was sent. Answers to other messages are left out.
 *
 * @param sequence - the same as for `encodeBatch`.
 * @returns why nothing was changed, or undefined if everything was.
 */
export function batchFailure(
  sequence: number,
  requests: readonly BatchRequest[],
  answers: readonly NetlinkMessage[],
): TsnetError | undefined {
  let isAcknowledged = false;
  const failures: TsnetError[] = [];
  for (const answer of answers) {
    const at = (answer.sequence - sequence) >>> 0; // 0 stands for the batch itself
    if (answer.type !== NLMSG.ERROR || at > requests.length) continue;
    const { errno, words } = parseAck(answer);
    if (errno !== 0) failures.push(errnoError(requests[at - 1]?.doing ?? "the whole batch", errno, words));
    else if (at === requests.length) isAcknowledged = true;
  }
  const [first, ...more] = failures;
  if (first !== undefined) return more.length === 0 ? first : inContext("first of several refusals", first);
  return isAcknowledged ? undefined : new TsnetError("host", "the kernel did not say whether it made the change");
}
