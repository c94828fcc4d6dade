import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TsnetError, inContext } from "../../../src/errors.ts";
import {
  NLMSG,
  NLM_F,
  bytesAttribute,
  encodeMessage,
  findAttribute,
  isErrno,
  nestedAttribute,
  parseAck,
  parseAttributeList,
  parseAttributes,
  parseMessages,
  textAttribute,
  textOf,
  u16NetAttribute,
  u32Attribute,
  u32NetAttribute,
  u8Attribute,
} from "../../../src/host/netlink.ts";

/** Bytes, written with a space between fields. */
const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");

describe("encodeMessage", () => {
  it("puts length, type, flags, sequence and port 0 before the parts", () => {
    const message = encodeMessage(0x10, 0x605, 7, [Buffer.of(1, 2, 3, 4)]);

    expect(message).toEqual(hex("14000000 1000 0506 07000000 00000000 01020304"));
  });
});

describe("attributes", () => {
  it("are padded with zeros to four bytes, and the length says the value without them", () => {
    expect(u8Attribute(4, 255)).toEqual(hex("0500 0400 ff000000"));
    expect(u32Attribute(4, 1450)).toEqual(hex("0800 0400 aa050000"));
    expect(textAttribute(3, "br0")).toEqual(hex("0800 0300 62723000"));
    expect(bytesAttribute(20, Buffer.alloc(0))).toEqual(hex("0400 1400"));
  });

  it("have numbers in network byte order where their name says so", () => {
    expect(u16NetAttribute(2, 8080)).toEqual(hex("0600 0200 1f900000"));
    expect(u32NetAttribute(3, 0x20)).toEqual(hex("0800 0300 00000020"));
  });

  it("carry the nested flag when they hold attributes, and lose it when they are read", () => {
    const nested = nestedAttribute(18, [textAttribute(1, "veth"), u8Attribute(2, 1)]);

    expect(nested.readUInt16LE(2)).toBe(0x8012);
    const inner = parseAttributes(parseAttributes(nested).get(18) ?? Buffer.alloc(0));
    expect(inner.get(1)?.toString()).toBe("veth\0");
    expect(inner.get(2)).toEqual(Buffer.of(1));
  });

  it("come back as they were written, in order, repeated types included", () => {
    const attribute = fc.record({ type: fc.integer({ min: 0, max: 0x3fff }), value: fc.uint8Array({ maxLength: 64 }) });

    fc.assert(
      fc.property(fc.array(attribute), (attributes) => {
        const written = attributes.map(({ type, value }) => bytesAttribute(type, Buffer.from(value)));
        const read = parseAttributeList(Buffer.concat(written));
        expect(read.map(({ type, value }) => ({ type, value: Uint8Array.from(value) }))).toEqual(attributes);
      }),
    );
  });

  it("are refused when a length goes beyond the end or below the header", () => {
    expect(() => parseAttributes(Buffer.of(9, 0, 1, 0, 0, 0, 0, 0))).toThrow("netlink attribute whose length is wrong");
    expect(() => parseAttributes(Buffer.of(3, 0, 1, 0))).toThrow("netlink attribute whose length is wrong");
    expect(() => parseAttributes(Buffer.of(4, 0))).toThrow("netlink attribute whose length is wrong");
  });

  it("are refused when the value is too long for a 16 bit length", () => {
    expect(() => bytesAttribute(20, Buffer.alloc(65_532))).toThrow("netlink attribute 20 of 65536 bytes is too long");
  });

  it("are found one by one, the first of a repeated type, without looking at those behind it", () => {
    const bytes = Buffer.concat([u8Attribute(1, 10), nestedAttribute(2, [u8Attribute(1, 1)]), u8Attribute(1, 20)]);

    expect(findAttribute(bytes, 1)).toEqual(Buffer.of(10));
    expect(findAttribute(bytes, 2)).toEqual(u8Attribute(1, 1));
    expect(findAttribute(bytes, 3)).toBeUndefined();
    expect(findAttribute(Buffer.concat([bytes, Buffer.of(9, 0, 1, 0)]), 2)).toBeDefined();
    expect(() => findAttribute(Buffer.concat([bytes, Buffer.of(9, 0, 1, 0)]), 3)).toThrow("whose length is wrong");
  });

  it("never make the parser do anything but answer or throw, whatever bytes arrive", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        for (const parse of [parseAttributeList, parseMessages, (given: Buffer) => findAttribute(given, 0)]) {
          try {
            parse(Buffer.from(bytes));
          } catch (failure) {
            expect(failure).toBeInstanceOf(TsnetError);
          }
        }
      }),
    );
  });
});

describe("textOf", () => {
  it("ends at the first zero byte, or at the end where there is none", () => {
    expect(textOf(Buffer.from("eth0\0\0"))).toBe("eth0");
    expect(textOf(Buffer.from("an alias"))).toBe("an alias");
  });
});

describe("parseMessages", () => {
  it("parts a datagram into its messages, padding between them left out", () => {
    const first = Buffer.concat([encodeMessage(16, NLM_F.MULTI, 1, [Buffer.of(1)]), Buffer.alloc(3)]);
    const second = encodeMessage(NLMSG.DONE, NLM_F.MULTI, 1, [Buffer.alloc(4)]);

    const messages = parseMessages(Buffer.concat([first, second]));

    expect(messages).toEqual([
      { type: 16, flags: NLM_F.MULTI, sequence: 1, payload: Buffer.of(1) },
      { type: NLMSG.DONE, flags: NLM_F.MULTI, sequence: 1, payload: Buffer.alloc(4) },
    ]);
  });

  it("refuses a message whose length goes beyond the datagram", () => {
    const message = encodeMessage(16, 0, 1, [Buffer.alloc(8)]);

    expect(() => parseMessages(message.subarray(0, 20))).toThrow("netlink message whose length is wrong");
  });
});

describe("parseAck", () => {
  const errno = (number: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(-number);
    return bytes;
  };
  const ack = (type: number, flags: number, ...parts: Buffer[]) => ({
    type,
    flags,
    sequence: 1,
    payload: Buffer.concat(parts),
  });
  const words = textAttribute(1, "mtu less than device minimum");

  it("reads success", () => {
    const request = encodeMessage(16, 0, 1, []);

    expect(parseAck(ack(NLMSG.ERROR, NLM_F.CAPPED, errno(0), request))).toEqual({ errno: 0 });
  });

  it("reads the kernel's words behind the repeated header", () => {
    const request = encodeMessage(16, 0, 1, [Buffer.alloc(100)]).subarray(0, 16);
    const message = ack(NLMSG.ERROR, NLM_F.CAPPED | NLM_F.ACK_TLVS, errno(22), request, words);

    expect(parseAck(message)).toEqual({ errno: 22, words: "mtu less than device minimum" });
  });

  it("reads the kernel's words behind the whole repeated request", () => {
    const request = encodeMessage(16, 0, 1, [Buffer.alloc(100)]);
    const message = ack(NLMSG.ERROR, NLM_F.ACK_TLVS, errno(22), request, words);

    expect(parseAck(message)).toEqual({ errno: 22, words: "mtu less than device minimum" });
  });

  it("reads the failure at the end of a dump", () => {
    expect(parseAck(ack(NLMSG.DONE, NLM_F.ACK_TLVS, errno(2), words)).errno).toBe(2);
    expect(parseAck(ack(NLMSG.DONE, NLM_F.ACK_TLVS, errno(2), words)).words).toBe("mtu less than device minimum");
  });
});

describe("isErrno", () => {
  const refused = new TsnetError("host", "add link x: File exists (EEXIST)", { cause: { errno: "EEXIST" } });

  it("recognizes one of several names", () => {
    expect(isErrno(refused, "ENODEV", "EEXIST")).toBe(true);
    expect(isErrno(refused, "ENODEV")).toBe(false);
  });

  it("looks through errors that put context around it", () => {
    expect(isErrno(inContext("make network n1", refused), "EEXIST")).toBe(true);
  });

  it("is false for any other failure", () => {
    expect(isErrno(new TsnetError("internal", "no cause"), "EEXIST")).toBe(false);
    expect(isErrno("EEXIST", "EEXIST")).toBe(false);
  });
});
