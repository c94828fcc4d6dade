import { describe, expect, it } from "vitest";
import { planPool } from "../../../src/ipam/pool-request.ts";
import { inSegment, poolRequest } from "../../support/ipam-builder.ts";

function invalid(message: string | RegExp): unknown {
  const text: unknown = typeof message === "string" ? message : expect.stringMatching(message);
  return expect.objectContaining({ code: "invalid", message: text });
}

describe("planPool", () => {
  it.each([
    "10.0.0.0/8",
    "32.0.0.0/3",
    "10.1.2.0/24",
    "10.1.2.2/31",
    "10.1.2.3/32",
    "169.254.7.0/24",
    "198.51.100.0/24",
  ])("takes %s", (subnet) => {
    expect(() => planPool(poolRequest(subnet))).not.toThrow();
  });

  it.each(["fd00::/8", "2001:db8::/32", "fd00::/64", "fd00::2/127", "fd00::3/128", "fe80::/64"])(
    "takes %s",
    (subnet) => {
      expect(() => planPool(poolRequest(subnet))).not.toThrow();
    },
  );

  it.each([
    ["0.0.0.0/0", /^subnet prefix length 0 of 0\.0\.0\.0\/0 is outside 1\.\.32 \(.*--ipam-driver null\)$/],
    ["::/0", /^subnet prefix length 0 of ::\/0 is outside 1\.\.128 /],
    ["0.0.0.0/4", "subnet 0.0.0.0/4 overlaps 0.0.0.0/8 (this host on this network, RFC 1122)"],
    ["127.1.0.0/16", "subnet 127.1.0.0/16 overlaps 127.0.0.0/8 (loopback)"],
    ["64.0.0.0/2", "subnet 64.0.0.0/2 overlaps 127.0.0.0/8 (loopback)"],
    ["239.1.2.0/24", "subnet 239.1.2.0/24 overlaps 224.0.0.0/4 (multicast)"],
    ["255.255.255.0/24", "subnet 255.255.255.0/24 overlaps 240.0.0.0/4 (reserved and broadcast, RFC 1112)"],
    ["::/64", "subnet ::/64 overlaps ::/127 (unspecified address and loopback)"],
    ["::1/128", "subnet ::1/128 overlaps ::/127 (unspecified address and loopback)"],
    ["::ffff:10.1.2.0/120", "subnet ::ffff:a01:200/120 overlaps ::ffff:0:0/96 (IPv4-mapped)"],
    ["ff02::/64", "subnet ff02::/64 overlaps ff00::/8 (multicast)"],
    ["10.1.2.3/24", "subnet 10.1.2.3/24 has host bits set; did you mean 10.1.2.0/24"],
    ["10.1.2.0", '"10.1.2.0" is no IP address with a prefix length'],
  ])("refuses %s with the reason", (subnet, message) => {
    expect(() => planPool(poolRequest(subnet))).toThrow(invalid(message));
  });

  it.each([
    ["10.1.2.0/24", true, "subnet 10.1.2.0/24 is IPv4, but an IPv6 pool is asked for"],
    ["fd00::/64", false, "subnet fd00::/64 is IPv6, but an IPv4 pool is asked for"],
  ])("refuses %s when isIpv6 is %s", (subnet, isIpv6, message) => {
    expect(() => planPool(poolRequest(subnet, { isIpv6 }))).toThrow(invalid(message));
  });

  it.each([
    ["10.1.2.0/24", "10.1.2.128/25"],
    ["10.1.2.0/24", "10.1.2.0/24"],
    ["10.1.2.0/24", "10.1.2.7/32"],
    ["fd00::/64", "fd00::1:0/112"],
  ])("takes range %2$s within %1$s", (subnet, range) => {
    expect(() => planPool(poolRequest(subnet, { range }))).not.toThrow();
  });

  it.each([
    ["10.1.2.0/24", "10.1.3.0/25", "range 10.1.3.0/25 is not within subnet 10.1.2.0/24"],
    ["10.1.2.0/24", "10.1.0.0/16", "range 10.1.0.0/16 is not within subnet 10.1.2.0/24"],
    ["10.1.2.0/24", "fd00::/64", "range fd00::/64 is not within subnet 10.1.2.0/24"],
    ["10.1.2.0/24", "10.1.2.9/25", "range 10.1.2.9/25"],
    ["10.1.2.0/24", "10.1.2.0/32", "range 10.1.2.0/32 has no usable address in subnet 10.1.2.0/24"],
    ["10.1.2.0/24", "10.1.2.255/32", "range 10.1.2.255/32 has no usable address in subnet 10.1.2.0/24"],
    ["fd00::/64", "fd00::/128", "range fd00::/128 has no usable address in subnet fd00::/64"],
  ])("refuses in %s the range %s", (subnet, range, message) => {
    const expected =
      range === "10.1.2.9/25" ? /10\.1\.2\.9\/25 has host bits set; did you mean 10\.1\.2\.0\/25/ : message;

    expect(() => planPool(poolRequest(subnet, { range }))).toThrow(invalid(expected));
  });

  it("refuses a range without a subnet", () => {
    expect(() => planPool(poolRequest(undefined, { range: "10.1.2.0/25" }))).toThrow(
      invalid("range 10.1.2.0/25 needs a subnet that it lies in"),
    );
  });

  it.each(["a", "lab", "Lab_1.west-2", "0", "x".repeat(32)])("takes segment %s", (segment) => {
    expect(planPool(poolRequest("10.1.2.0/24", inSegment(segment))).segment).toBe(segment);
  });

  it.each(["", " ", "-a", ".a", "a b", "a/b", "x".repeat(33), "ä", "a\n"])("refuses segment %j", (segment) => {
    expect(() => planPool(poolRequest("10.1.2.0/24", inSegment(segment)))).toThrow(
      invalid(/^segment ".*" is no name of 1/),
    );
  });

  it("refuses an unknown option and names the known one", () => {
    const options = new Map([["segmnt", "lab"]]);

    expect(() => planPool(poolRequest("10.1.2.0/24", { options }))).toThrow(
      invalid('unknown ipam option "segmnt"; did you mean segment, the only one there is'),
    );
  });

  it("lets the engine's own options pass", () => {
    const options = new Map([["com.docker.network.ipam.serial", "true"]]);

    expect(() => planPool(poolRequest("10.1.2.0/24", { options }))).not.toThrow();
  });

  it("names all faults in one message", () => {
    const options = new Map([
      ["one", "1"],
      ["segment", "no good"],
    ]);
    const request = poolRequest("10.1.2.3/24", { range: "10.1.2.0/99", options });

    expect(() => planPool(request)).toThrow(
      invalid(
        /^unknown ipam option "one".*; segment "no good".*; subnet 10\.1\.2\.3\/24 has host bits.*; prefix length of/,
      ),
    );
  });
});
