import { describe, expect, it } from "vitest";
import { bare, sayAddressPort, sayPort, sayVlans } from "../../../src/cli/words.ts";

const PORT = { protocol: "tcp", hostAddress: "", hostPort: 8080, containerPort: 80 } as const;
const ADDRESSES = { addresses: ["10.1.1.2/24", "fd00::2/64"] };

describe("words of the command", () => {
  it.each([
    ["", {}],
    ["100", { vlan: 100 }],
    ["trunk 20,30-39", { trunk: [20, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39] }],
    ["100, trunk 20", { vlan: 100, trunk: [20] }],
  ])("says VLANs as %j", (expected, vlans) => {
    expect(sayVlans(vlans)).toBe(expected);
  });

  it.each([
    ["*:8080/tcp", PORT],
    ["192.0.2.1:8080/udp", { ...PORT, protocol: "udp" as const, hostAddress: "192.0.2.1" }],
    ["[::1]:8080/sctp", { ...PORT, protocol: "sctp" as const, hostAddress: "::1" }],
    ["10.1.1.2:80/tcp, [fd00::2]:80/tcp", { ...PORT, hostPort: 0 }],
  ])("says where a port is reached as %j", (expected, port) => {
    expect(sayPort(port, ADDRESSES)).toBe(expected);
  });

  it("says an address and a port without a protocol", () => {
    expect(sayAddressPort("fd00::2", 80)).toBe("[fd00::2]:80");
  });

  it("takes the prefix length off an address, if there is one", () => {
    expect([bare("10.1.2.3/24"), bare("fd00::3/64"), bare("10.1.2.3")]).toEqual(["10.1.2.3", "fd00::3", "10.1.2.3"]);
  });
});
