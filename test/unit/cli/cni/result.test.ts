import { describe, expect, it } from "vitest";
import { explainError, parseResult } from "../../../../src/cli/cni/result.ts";
import { resultOf } from "../../../support/fake-cni.ts";

describe("the result of a CNI plugin", () => {
  it("is kept with all that it has, also what tsnet does not know", () => {
    expect(parseResult(resultOf("bridge"))).toEqual(JSON.parse(resultOf("bridge")));
  });

  it("may have nothing, and null for an empty list", () => {
    expect(parseResult('{"ips":null}')).toEqual({ ips: null });
  });

  it.each([
    ["", "it printed no result"],
    ["done", "what it printed is no JSON object"],
    ["[]", "what it printed is no JSON object"],
    ['{"ips":{}}', "its result is none of CNI: ips is no list"],
    ['{"ips":[{"address":7}],"routes":[{}]}', "its result is none of CNI: ips[0], routes[0]"],
    ['{"interfaces":[{"name":"eth0"},{"name":"eth1","mac":1}]}', "its result is none of CNI: interfaces[1]"],
    ['{"dns":[]}', "its result is none of CNI: dns"],
    ['{"dns":{"nameservers":[4]}}', "its result is none of CNI: dns"],
  ])("is none if it is %j: %s", (text, reason) => {
    expect(parseResult(text)).toBe(reason);
  });
});

describe("the error of a CNI plugin", () => {
  it("is told with code, message and details", () => {
    const error = { cniVersion: "1.0.0", code: 7, msg: "invalid configuration", details: "mtu is negative" };

    expect(explainError(JSON.stringify(error))).toBe("code 7: invalid configuration (mtu is negative)");
    expect(explainError('{"code":11,"msg":"try again later"}')).toBe("code 11: try again later");
  });

  it("is none if the plugin printed something else", () => {
    expect(explainError("panic: nil")).toBeUndefined();
    expect(explainError('{"ips":[]}')).toBeUndefined();
  });
});
