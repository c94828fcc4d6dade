import { describe, expect, it } from "vitest";
import type { Log } from "../../../src/log.ts";
import { SILENT_LOG } from "../../../src/log.ts";
import { RELAY_LIMITS, RelayGate, destinationOf } from "../../../src/nat/relay.ts";
import { gate } from "../../support/relay-peers.ts";

describe("the gate", () => {
  it.each([
    ["192.0.2.1", true],
    ["127.0.0.1", true],
    ["::1", true],
    ["2001:db8::1", true],
    ["169.254.0.1", false],
    ["::ffff:169.254.0.1", false],
    ["::ffff:a9fe:1", false],
    ["fe80::1", false],
    ["fe80::1%eth0", false],
    ["febf::1", false],
    ["fec0::1", true],
  ])("serves %s: %s", (address, isServed) => {
    expect(gate().admits(address)).toBe(isServed);
  });

  it.each(["10.9.0.2", "::ffff:10.9.0.2", "::ffff:a09:2", "fd00:9::2", "FD00:9:0::2"])(
    "refuses %s, of a refused network, however it is written",
    (address) => {
      expect(gate({}, ["10.9.0.2", "fd00:9::2"]).admits(address)).toBe(false);
    },
  );

  it("refuses a source whose address is not known, or makes no sense", () => {
    expect(gate().admits(undefined)).toBe(false);
    expect(gate().admits("")).toBe(false);
    expect(gate().admits("/run/docker.sock")).toBe(false);
  });

  it("refuses everyone while the question fails, and says why", () => {
    const errors: object[] = [];
    const log: Log = { ...SILENT_LOG, error: (fields) => errors.push(fields) };
    const isRefused = (): boolean => {
      throw new Error("no networks");
    };

    expect(new RelayGate({ isRefused, log }).admits("192.0.2.1")).toBe(false);

    expect(errors).toEqual([{ remoteAddress: "192.0.2.1", error: "no networks" }]);
  });

  it("lets in as many as there are places, and again when one has left", () => {
    const narrow = gate({ total: 2 });

    expect([narrow.enter(), narrow.enter(), narrow.enter()]).toEqual([true, true, false]);
    narrow.leave();
    expect([narrow.enter(), narrow.enter()]).toEqual([true, false]);
  });

  it("has the documented limits", () => {
    expect(RELAY_LIMITS).toEqual({ perSocket: 1024, total: 4096, connectMs: 10_000, idleMs: 90_000 });
    expect(gate({ total: 1 }).limits).toEqual({ ...RELAY_LIMITS, total: 1 });
  });
});

describe("the destination", () => {
  const both = { address: "10.1.2.3", addressIpv6: "fd00::3" };
  const only4 = { address: "10.1.2.3" };
  const only6 = { addressIpv6: "fd00::3" };

  it.each([
    ["0.0.0.0", both, "10.1.2.3"],
    ["127.0.0.1", both, "10.1.2.3"],
    ["::", both, "fd00::3"],
    ["::1", both, "fd00::3"],
    ["::", only4, "10.1.2.3"],
    ["0.0.0.0", only6, "fd00::3"],
  ])("of what reaches %s, for the addresses %o, is %s", (address, target, host) => {
    expect(destinationOf({ address, hostPort: 8080, containerPort: 80, target })).toEqual({ host, port: 80 });
  });

  it("is nowhere for an endpoint without addresses", () => {
    expect(destinationOf({ address: "::", hostPort: 8080, containerPort: 80, target: {} })).toBeUndefined();
  });
});
