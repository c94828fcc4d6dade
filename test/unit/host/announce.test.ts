// The frames byte for byte, beside those that the tests make themselves (`support/frames.ts`).
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatAddress, parseAddress } from "../../../src/cidr.ts";
import { announcementFrame } from "../../../src/host/announce.ts";
import { ETHERTYPE, checksum, pseudoHeader } from "../../support/frames.ts";

const MAC = "02:42:0a:01:01:02";
const hex = (text: string) => Buffer.from(text.replace(/\s/g, ""), "hex");

describe("announcementFrame", () => {
  it("is for IPv4 a request by an address for itself, to all stations", () => {
    const frame = announcementFrame({ mac: MAC, address: parseAddress("10.1.1.2") });

    expect(frame).toEqual(
      hex(`ffffffffffff 02420a010102 0806  0001 0800 06 04 0001
           02420a010102 0a010102  000000000000 0a010102`),
    );
  });

  it("is for IPv6 an advertisement of the address from itself, to all nodes, to replace what they know", () => {
    const frame = announcementFrame({ mac: MAC, address: parseAddress("fd00::2") });

    const address = "fd000000000000000000000000000002";
    expect(frame).toEqual(
      hex(`333300000001 02420a010102 86dd  60000000 0020 3a ff ${address} ff020000000000000000000000000001
           88 00 4f55 20000000 ${address} 02 01 02420a010102`),
    );
  });

  it("carries a tag behind the MAC addresses", () => {
    for (const address of ["10.1.1.2", "fd00::2"].map(parseAddress)) {
      const [plain, tagged] = [undefined, 4094].map((vlanId) =>
        announcementFrame({ mac: MAC, address, ...(vlanId !== undefined && { vlanId }) }),
      );

      expect(tagged).toEqual(
        Buffer.concat([plain?.subarray(0, 12), hex("8100 0ffe"), plain?.subarray(12)] as Buffer[]),
      );
    }
  });

  it("has a right checksum for any address and MAC address", () => {
    const macs = fc.uint8Array({ minLength: 6, maxLength: 6 });
    const values = fc.bigInt({ min: 0n, max: (1n << 128n) - 1n });
    fc.assert(
      fc.property(values, macs, (value, bytes) => {
        const mac = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
        const address = { family: 6 as const, value };
        const frame = announcementFrame({ mac, address });
        expect(frame.readUInt16BE(12)).toBe(ETHERTYPE.ipv6);
        const message = frame.subarray(14 + 40);
        expect(checksum(pseudoHeader(formatAddress(address), "ff02::1", 58, message.length), message)).toBe(0);
      }),
    );
  });

  it.each([0, 4095, 4096, -1, NaN])("refuses VLAN %d", (vlanId) => {
    const address = parseAddress("10.1.1.2");

    expect(() => announcementFrame({ mac: MAC, address, vlanId })).toThrow(`VLAN ${vlanId} is outside 1..4094`);
  });

  it("refuses what is no MAC address", () => {
    expect(() => announcementFrame({ mac: "eth0", address: parseAddress("10.1.1.2") })).toThrow(
      '"eth0" is no MAC address',
    );
  });
});
