import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { parseLinkCounters, readLinkCounters } from "../../../src/host/link-counters.ts";

const HEAD = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
`;
const LO =
  "    lo:    1000      10    0    0    0     0          0         0     1000      10    0    0    0     0       0          0\n";
const VETH = "tsv83ad9d8339a1: 11 12 13 14 15 16 17 18 21 22 23 24 25 26 27 28\n";

describe("parseLinkCounters", () => {
  it("has bytes, packets and drops of each link, both ways", () => {
    const counters = parseLinkCounters(HEAD + LO + VETH);

    expect([...counters.keys()]).toEqual(["lo", "tsv83ad9d8339a1"]);
    expect(counters.get("tsv83ad9d8339a1")).toEqual({
      receiveBytes: 11,
      receivePackets: 12,
      receiveDropped: 14,
      transmitBytes: 21,
      transmitPackets: 22,
      transmitDropped: 24,
    });
  });

  it("takes numbers of 64 bits, and numbers that touch the name", () => {
    const full = `eth0:${"18446744073709551615 ".repeat(16).trim()}\n`;

    expect(parseLinkCounters(HEAD + full).get("eth0")?.transmitBytes).toBe(2 ** 64);
  });

  it.each([
    ["no head", LO],
    ["another order of columns", HEAD.replaceAll("bytes    packets", "packets  bytes") + LO],
    ["a column too few", `${HEAD}eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15\n`],
    ["a column too many", `${HEAD}eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n`],
    ["a number that is none", HEAD + VETH.replace("22", "-2")],
    ["a line without a name", `${HEAD}: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n`],
    ["an end in the middle of a number", (HEAD + LO).slice(0, -2)],
    ["nothing", ""],
  ])("refuses %s", (_what, text) => {
    expect(() => parseLinkCounters(text)).toThrow(expect.objectContaining({ code: "host" }));
  });
});

describe("readLinkCounters", () => {
  it("reads those of this kernel", async () => {
    const counters = await readLinkCounters();

    const names = Array.from(
      (await readFile("/proc/self/net/dev", "utf8")).matchAll(/^ *(\S+):/gm),
      ([, name]) => name,
    );
    expect([...counters.keys()]).toEqual(names);
  });

  it("says what cannot be read", async () => {
    await expect(readLinkCounters("/proc/absent/dev")).rejects.toMatchObject({
      code: "host",
      message: expect.stringContaining("cannot read the counters of links: ENOENT"),
    });
  });
});
