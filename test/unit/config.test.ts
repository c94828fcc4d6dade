import { describe, expect, it } from "vitest";
import { SETTINGS, readConfig } from "../../src/config.ts";
import { formatDefaultPool } from "../../src/ipam/default-pools.ts";

const permitted: Readonly<Record<keyof typeof SETTINGS, readonly string[]>> = {
  TSNET_SOCKET: ["/run/x.sock", `/${"a".repeat(100)}`],
  TSNET_STATE_DIR: ["/var/lib/x", "/"].slice(0, 1),
  TSNET_LOG_LEVEL: ["fatal", "error", "warn", "info", "debug", "trace", "silent"],
  TSNET_POOLS: ["10.0.0.0/8:24", "fd00::/48:64", "10.0.0.0/16:24, 10.1.0.0/16:26"],
  TSNET_FIREWALL: ["auto", "nftables", "none"],
  TSNET_OVSDB: ["unix:/run/x.sock", "tcp:127.0.0.1:6640", "tcp:[::1]:6640"],
  TSNET_METRICS: [
    "127.0.0.1:1",
    "0.0.0.0:65535",
    "[::1]:9100",
    "[fd00::1]:9100",
    "localhost:80",
    "host-1.example:9100",
  ],
};

const refused: Readonly<Record<keyof typeof SETTINGS, readonly string[]>> = {
  TSNET_SOCKET: ["tsnet.sock", "/", `/${"a".repeat(101)}`, "/a\nb", "/a\0b"],
  TSNET_STATE_DIR: ["state", "./state", " /state"],
  TSNET_LOG_LEVEL: ["INFO", "verbose", "constructor"],
  TSNET_POOLS: [
    "10.0.0.0/16",
    "10.0.0.0/16:8",
    "10.0.0.0/16:31",
    "10.0.0.1/16:24",
    "x",
    "10.0.0.0/8:24,10.1.0.0/16:24",
  ],
  TSNET_FIREWALL: ["iptables", "off", "None"],
  TSNET_OVSDB: ["/run/x.sock", "unix:x", "ssl:127.0.0.1:6640", "tcp:127.0.0.1"],
  TSNET_METRICS: [
    "9100",
    ":9100",
    "127.0.0.1",
    "127.0.0.1:",
    "http://127.0.0.1:9100",
    "127.0.0.1:9100/metrics",
    " 127.0.0.1:9100",
    "127.0.0.1:0",
    "127.0.0.1:65536",
    "127.0.0.1:09100",
    "127.0.0.1:http",
    "127.0.0.1:-1",
    "127.0.0.256:9100",
    "127.1:9100",
    "::1:9100",
    "[::1]",
    "[127.0.0.1]:9100",
    "[::g]:9100",
    "-x:9100",
    "a..b:9100",
    `${"a".repeat(65)}:9100`,
    "a_b:9100",
  ],
};

const cases = (table: Readonly<Record<string, readonly string[]>>) =>
  Object.entries(table).flatMap(([name, texts]) => texts.map((text) => [name, text] as const));

describe("readConfig", () => {
  it("completes what is absent or empty with the defaults", () => {
    const { defaultPools, ...rest } = readConfig({ TSNET_LOG_LEVEL: "", PATH: "/bin" });

    expect(rest).toEqual({
      socket: "/run/docker/plugins/tsnet.sock",
      stateDirectory: "/var/lib/tsnet",
      logLevel: "info",
      firewall: "auto",
      ovsdb: "unix:/run/openvswitch/db.sock",
      metrics: undefined,
    });
    expect(defaultPools.map(formatDefaultPool)).toEqual(["10.210.0.0/16:24", "fd00:210::/48:64"]);
  });

  it.each([
    ["127.0.0.1:9560", { host: "127.0.0.1", port: 9560 }],
    ["[fd00::1]:80", { host: "fd00::1", port: 80 }],
    ["localhost:65535", { host: "localhost", port: 65_535 }],
  ])("reads host and port out of TSNET_METRICS=%s", (text, expected) => {
    expect(readConfig({ TSNET_METRICS: text }).metrics).toEqual(expected);
  });

  it("is frozen", () => {
    expect(Object.isFrozen(readConfig({}))).toBe(true);
  });

  it.each(cases(permitted))("takes %s=%j", (name, text) => {
    expect(() => readConfig({ [name]: text })).not.toThrow();
  });

  it.each(cases(refused))("refuses %s=%j, and says what is permitted", (name, text) => {
    const message = `${name}=${JSON.stringify(text)} is not permitted`;

    expect(() => readConfig({ [name]: text })).toThrow(message);
    expect(() => readConfig({ [name]: text })).toThrow("; permitted: ");
  });

  it("names every bad variable in one message", () => {
    const bad = { TSNET_SOCKET: "x", TSNET_FIREWALL: "x", TSNET_POOLS: "x", TSNET_METRICS: "x" };

    expect(() => readConfig(bad)).toThrow(
      expect.objectContaining({
        code: "invalid",
        message: expect.stringMatching(/TSNET_SOCKET.*TSNET_POOLS.*TSNET_FIREWALL.*TSNET_METRICS/s) as string,
      }),
    );
  });
});
