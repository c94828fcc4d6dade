import { describe, expect, it } from "vitest";
import { checkIfName, readAddOptions } from "../../../../src/cli/cni/options.ts";

const USUAL = { cniPath: "/opt/cni/bin:/usr/lib/cni", confDir: "/etc/cni/net.d", stateDir: "/var/lib/tsnet-cni" };

const capabilitiesOf = (cap?: readonly string[]) => readAddOptions({ ...USUAL, ...(cap && { cap }) }).capabilities;

describe("the options of tsnet cni", () => {
  it.each([{}, { ifname: "net1" }, { args: "IP=10.9.0.9;IgnoreUnknown=1" }, { args: "EMPTY=" }])(
    "may be %j",
    (options) => {
      expect(() => readAddOptions({ ...USUAL, ...options })).not.toThrow();
    },
  );

  it.each([
    [{ ifname: "a/b" }, '--ifname "a/b": permitted are 1 to 15 letters, digits, _, . and -, a letter first'],
    [{ ifname: "x".repeat(16) }, "--ifname"],
    [{ args: "IP" }, '--args "IP": permitted is KEY=VALUE;KEY=VALUE without spaces'],
    [{ args: "IP=1;;A=2" }, "--args"],
    [{ args: "A=b c" }, "--args"],
    [{ cniPath: "/usr/lib/cni:bin" }, '--cni-path "bin": permitted are absolute paths, a colon between two'],
    [{ cniPath: "" }, '--cni-path ""'],
  ])("may not be %j: %s", (options, message) => {
    expect(() => readAddOptions({ ...USUAL, ...options })).toThrow(message);
  });

  it("are refused with all that is wrong", () => {
    const all = /--ifname.*; --args.*; --cni-path/;

    expect(() => readAddOptions({ ...USUAL, ifname: "..", args: "x", cniPath: "." })).toThrow(all);
    expect(() => checkIfName("../x")).toThrow("--ifname");
  });

  it("give capabilities one by one, or as an object, or both", () => {
    const texts = ['portMappings=[{"hostPort":80}]', '{"mac":"02:00:00:00:00:09","ips":[]}', "infinibandGUID=null"];

    expect(capabilitiesOf(texts)).toEqual({
      portMappings: [{ hostPort: 80 }],
      mac: "02:00:00:00:00:09",
      ips: [],
      infinibandGUID: null,
    });
    expect(capabilitiesOf()).toEqual({});
  });

  it.each(["portMappings", "portMappings=", "portMappings=[", 'a=1,"b":2', "=1", "[]"])("give none by %j", (text) => {
    expect(() => capabilitiesOf([text])).toThrow("permitted is CAPABILITY=JSON, or a JSON object of them");
  });
});
