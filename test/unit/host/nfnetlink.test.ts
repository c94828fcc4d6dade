import { describe, expect, it } from "vitest";
import { NLMSG, NLM_F, encodeMessage, isErrno, parseMessages } from "../../../src/host/netlink.ts";
import {
  type BatchRequest,
  NFNL_SUBSYS,
  batchFailure,
  encodeBatch,
  nfHeader,
  nfMessageType,
} from "../../../src/host/nfnetlink.ts";

/** Bytes, written with a space between fields. */
const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");

const REQUESTS: readonly BatchRequest[] = ["one", "two", "three"].map((doing, i) => ({
  doing,
  type: 0xa0c + i,
  parts: [Buffer.from(doing.padEnd(8))],
}));

const ENOENT = 2;
const EEXIST = 17;

/** What the kernel sends back for the message of that sequence. */
function answer(sequence: number, errno = 0) {
  const payload = Buffer.alloc(20);
  payload.writeInt32LE(-errno);
  return { type: NLMSG.ERROR, flags: NLM_F.CAPPED, sequence, payload };
}

describe("nfHeader", () => {
  it("has the family first and the resource in network byte order", () => {
    expect(nfHeader(7)).toEqual(hex("07 00 0000"));
    expect(nfHeader(0, 10)).toEqual(hex("00 00 000a"));
  });
});

describe("nfMessageType", () => {
  it("has the subsystem in its upper byte", () => {
    expect(nfMessageType(NFNL_SUBSYS.NFTABLES, 12)).toBe(0x0a0c);
    expect(nfMessageType(NFNL_SUBSYS.CTNETLINK, 0)).toBe(0x0100);
  });
});

describe("encodeBatch", () => {
  it("puts the requests, numbered, between a begin and an end that name the subsystem", () => {
    const messages = parseMessages(encodeBatch(NFNL_SUBSYS.NFTABLES, 7, REQUESTS));

    expect(messages.map(({ type, sequence }) => [type, sequence])).toEqual([
      [0x10, 7],
      [0xa0c, 8],
      [0xa0d, 9],
      [0xa0e, 10],
      [0x11, 11],
    ]);
    expect(messages[0]?.payload).toEqual(hex("00 00 000a"));
    expect(messages[2]?.payload.toString()).toBe("two     ");
    expect(messages[4]?.payload).toEqual(hex("00 00 000a"));
  });

  it("asks for one acknowledgement, that of the last request", () => {
    const messages = parseMessages(encodeBatch(NFNL_SUBSYS.NFTABLES, 7, REQUESTS));

    expect(messages.map(({ flags }) => flags)).toEqual([1, 1, 1, 1 | NLM_F.ACK, 1]);
  });

  it("counts on from 0 behind the largest sequence number", () => {
    const messages = parseMessages(encodeBatch(NFNL_SUBSYS.NFTABLES, 0xffff_fffe, REQUESTS));

    expect(messages.map(({ sequence }) => sequence)).toEqual([0xffff_fffe, 0xffff_ffff, 0, 1, 2]);
  });
});

describe("batchFailure", () => {
  it("is undefined when the last request is acknowledged", () => {
    expect(batchFailure(7, REQUESTS, [answer(10)])).toBeUndefined();
    expect(batchFailure(0xffff_fffe, REQUESTS, [answer(1)])).toBeUndefined();
  });

  it("names the request that was refused, although the last one was acknowledged", () => {
    const failure = batchFailure(7, REQUESTS, [answer(9, ENOENT), answer(10)]);

    expect(String(failure)).toBe("TsnetError: two: No such file or directory (ENOENT)");
    expect(isErrno(failure, "ENOENT")).toBe(true);
  });

  it("tells the first of several refusals, and that there are more", () => {
    const failure = batchFailure(7, REQUESTS, [answer(8, EEXIST), answer(10, ENOENT)]);

    expect(String(failure)).toBe("TsnetError: first of several refusals: one: File exists (EEXIST)");
    expect(isErrno(failure, "EEXIST")).toBe(true);
  });

  it("tells a refusal of the batch as such", () => {
    const failure = batchFailure(7, REQUESTS, [answer(7, 1)]);

    expect(String(failure)).toBe("TsnetError: the whole batch: Operation not permitted (EPERM)");
  });

  it("is there when nothing was acknowledged", () => {
    expect(String(batchFailure(7, REQUESTS, []))).toMatch("did not say whether it made the change");
    expect(batchFailure(7, REQUESTS, [answer(9)])).toBeDefined();
  });

  it("does not take the answer to another message for one of its own", () => {
    expect(batchFailure(7, REQUESTS, [answer(6, ENOENT), answer(10), answer(12, ENOENT)])).toBeUndefined();
    expect(batchFailure(7, REQUESTS, [answer(6), answer(12)])).toBeDefined();
    expect(batchFailure(7, REQUESTS, parseMessages(encodeMessage(0x10, 0, 10, [Buffer.alloc(20)])))).toBeDefined();
  });
});
