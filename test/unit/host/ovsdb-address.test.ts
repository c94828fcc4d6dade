import { describe, expect, it } from "vitest";
import { parseOvsdbAddress, unreachable } from "../../../src/host/ovsdb-address.ts";

describe("parseOvsdbAddress", () => {
  it.each([
    ["unix:/run/openvswitch/db.sock", { path: "/run/openvswitch/db.sock" }],
    ["tcp:127.0.0.1:6640", { host: "127.0.0.1", port: 6640 }],
    ["tcp:ovs.example:1", { host: "ovs.example", port: 1 }],
    ["tcp:[fd00::1]:65535", { host: "fd00::1", port: 65_535 }],
  ])("reads %s", (text, expected) => {
    expect(parseOvsdbAddress(text)).toEqual({ text, ...expected });
  });

  it.each([
    "",
    "unix:",
    "unix:db.sock",
    "tcp:127.0.0.1",
    "tcp:127.0.0.1:0",
    "tcp:127.0.0.1:65536",
    "tcp::6640",
    "tcp:fd00::1:6640",
    "tcp:[localhost]:6640",
    "ssl:127.0.0.1:6640",
    "punix:/run/db.sock",
  ])("refuses %j", (text) => {
    expect(() => parseOvsdbAddress(text)).toThrow("is no address of a database: unix:PATH, tcp:HOST:PORT");
  });
});

describe("unreachable", () => {
  it.each([
    [
      "unix:/run/openvswitch/db.sock",
      "Open vSwitch's database does not answer on unix:/run/openvswitch/db.sock (ENOENT): " +
        "start Open vSwitch (systemctl start openvswitch-switch) or set TSNET_OVSDB",
    ],
    [
      "tcp:127.0.0.1:6640",
      "Open vSwitch's database does not answer on tcp:127.0.0.1:6640 (ENOENT): " +
        "start Open vSwitch (systemctl start openvswitch-switch) and let its database listen there " +
        "(ovs-vsctl set-manager ptcp:6640:127.0.0.1), or set TSNET_OVSDB",
    ],
  ])("names the way out for %s", (text, message) => {
    expect(unreachable(parseOvsdbAddress(text), "ENOENT")).toMatchObject({ code: "unavailable", message });
  });

  it("does not advise to start what is there but may not be opened", () => {
    expect(unreachable(parseOvsdbAddress("unix:/db.sock"), "EACCES").message).toBe(
      "Open vSwitch's database does not answer on unix:/db.sock (EACCES): " +
        "run tsnet as root, or as a user that may open the socket",
    );
  });
});
