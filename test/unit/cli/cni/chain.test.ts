import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type Chain,
  addChain,
  checkChain,
  chooseVersion,
  delChain,
  takeBackChain,
} from "../../../../src/cli/cni/chain.ts";
import { type CniVersion, type NetworkConf, parseConf } from "../../../../src/cli/cni/conf.ts";
import { parseResult } from "../../../../src/cli/cni/result.ts";
import { FakeCni, resultOf } from "../../../support/fake-cni.ts";

const PATIENCE_MS = 5000;

/** Of the whole chain. */
const RESULT = { cniVersion: "1.0.0", by: "firewall" };

describe("a chain of CNI plugins", () => {
  let cni: FakeCni;
  beforeEach(() => {
    cni = new FakeCni("bridge", "tuning", "firewall");
  });
  afterEach(() => cni[Symbol.dispose]());

  const confOf = (versions: object = { cniVersion: "1.0.0" }, ...types: string[]): NetworkConf => {
    const plugins = (types.length > 0 ? types : ["bridge", "tuning", "firewall"]).map((type) => ({ type }));
    return parseConf(JSON.stringify({ ...versions, name: "lab", plugins }), "lab");
  };
  const chainOf = (cniVersion: CniVersion = "1.0.0", timeoutMs = PATIENCE_MS): Chain => ({
    conf: confOf(),
    cniVersion,
    capabilities: {},
    attachment: {
      containerId: "c0ffee",
      netns: "/proc/42/ns/net",
      ifName: "eth0",
      args: "IP=10.9.0.9",
      path: `/nonexistent:${cni.path}`,
      timeoutMs,
    },
  });
  const previous = () => cni.calls().map(({ type, input }) => [type, (input["prevResult"] as typeof RESULT)?.by]);

  it("is added in order, each plugin with the result of the one before, and reports them all", async () => {
    const results: unknown[] = [];
    await addChain(chainOf(), (result) => results.push(result));

    expect(results).toEqual(["bridge", "tuning", "firewall"].map((type) => parseResult(resultOf(type))));
    expect(cni.steps()).toEqual(["ADD bridge", "ADD tuning", "ADD firewall"]);
    expect(previous()).toEqual([
      ["bridge", undefined],
      ["tuning", "bridge"],
      ["firewall", "tuning"],
    ]);
  });

  it("gets the parameters of CNI in its environment, and nothing of ours but language and search path", async () => {
    await addChain(chainOf(), () => {});

    expect(cni.calls()[0]?.env).toEqual({
      CNI_CONTAINERID: "c0ffee",
      CNI_NETNS: "/proc/42/ns/net",
      CNI_IFNAME: "eth0",
      CNI_ARGS: "IP=10.9.0.9",
      CNI_PATH: `/nonexistent:${cni.path}`,
      LC_ALL: "C",
      PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
    });
  });

  it("is checked in order, each plugin with the result of the whole", async () => {
    await checkChain(chainOf(), RESULT);

    expect(cni.steps()).toEqual(["CHECK bridge", "CHECK tuning", "CHECK firewall"]);
    expect(previous().map(([, by]) => by)).toEqual(["firewall", "firewall", "firewall"]);
  });

  it("is deleted in reverse, each plugin with the result of the whole", async () => {
    await delChain(chainOf(), RESULT);

    expect(cni.steps()).toEqual(["DEL firewall", "DEL tuning", "DEL bridge"]);
    expect(previous().map(([, by]) => by)).toEqual(["firewall", "firewall", "firewall"]);
  });

  it("is deleted without a result in version 0.3.1, which has none there", async () => {
    await delChain(chainOf("0.3.1"), RESULT);

    expect(cni.calls().map(({ input }) => Object.keys(input).sort())).toEqual(
      Array.from({ length: 3 }, () => ["cniVersion", "name", "type"]),
    );
  });

  it("stops at the plugin that fails, and says which one, its code, message and details", async () => {
    const error = { code: 100, msg: "no such sysctl", details: "net.x.y" };
    cni.plugin("tuning", { ADD: { stdout: JSON.stringify(error), exitCode: 1 } });

    await expect(addChain(chainOf(), () => {})).rejects.toMatchObject({
      code: "host",
      message: `CNI plugin tuning (2 of 3) failed at ADD: ${cni.path}/tuning: exit code 1: code 100: no such sysctl (net.x.y)`,
    });
    expect(cni.steps()).toEqual(["ADD bridge", "ADD tuning"]);
  });

  it("fails if a plugin prints no result", async () => {
    cni.plugin("bridge", { ADD: { stdout: "hello" } });

    await expect(addChain(chainOf(), () => {})).rejects.toThrow(
      "CNI plugin bridge (1 of 3) failed at ADD: what it printed is no JSON object",
    );
  });

  it("leaves what stands before a plugin that cannot be deleted", async () => {
    cni.plugin("tuning", { DEL: { stdout: '{"code":11,"msg":"try again later"}', exitCode: 1 } });

    await expect(delChain(chainOf(), RESULT)).rejects.toThrow(
      /tuning \(2 of 3\) failed at DEL: .*code 11: try again later$/,
    );
    expect(cni.steps()).toEqual(["DEL firewall", "DEL tuning"]);
  });

  it("that was added in part is taken back by all plugins, also after failures, which are told", async () => {
    cni.plugin("tuning", { DEL: { exitCode: 3 } });

    const failures = await takeBackChain(chainOf(), undefined);

    expect(cni.steps()).toEqual(["DEL firewall", "DEL tuning", "DEL bridge"]);
    expect(failures).toEqual([`CNI plugin tuning (2 of 3) failed at DEL: ${cni.path}/tuning: exit code 3`]);
  });

  it("does not wait for ever for a plugin", async () => {
    cni.plugin("bridge", { ADD: { stdout: "END\nsleep 600\ncat <<'END'" } });

    await expect(addChain(chainOf("1.0.0", 300), () => {})).rejects.toThrow(
      /bridge \(1 of 3\) failed at ADD: .*: killed after 300 ms/,
    );
  });

  it("lacks a plugin that is in none of the folders, or is no program", async () => {
    const missing = (type: string) => chooseVersion(confOf(undefined, type), cni.path, PATIENCE_MS);
    cni.conf({}, "bin/text");

    const advice = "Debian has it in the package containernetworking-plugins; --cni-path names other folders";
    await expect(missing("ptp")).rejects.toThrow(`there is no CNI plugin ptp in ${cni.path}; ${advice}`);
    await expect(missing("text")).rejects.toThrow("there is no CNI plugin text");
    mkdirSync(join(cni.path, "folder"));
    await expect(missing("folder")).rejects.toThrow("there is no CNI plugin folder");
  });
});

describe("the version of a chain", () => {
  let cni: FakeCni;
  beforeEach(() => {
    cni = new FakeCni("bridge");
    cni.plugin("old", {}, ["0.3.1", "0.4.0"]);
  });
  afterEach(() => cni[Symbol.dispose]());

  const choose = async (versions: object, ...types: string[]) => {
    const text = JSON.stringify({ ...versions, name: "lab", plugins: types.map((type) => ({ type })) });
    return await chooseVersion(parseConf(text, "lab"), cni.path, PATIENCE_MS);
  };

  it("is that of the configuration", async () => {
    expect(await choose({ cniVersion: "0.4.0" }, "bridge", "old")).toBe("0.4.0");
  });

  it("is the newest that the configuration permits and all plugins know", async () => {
    expect(await choose({ cniVersions: ["0.3.1", "0.4.0", "1.0.0", "1.1.0"] }, "bridge", "old")).toBe("0.4.0");
    expect(await choose({ cniVersions: ["0.3.1", "0.4.0", "1.0.0", "1.1.0"] }, "bridge")).toBe("1.0.0");
  });

  it("is refused if a plugin does not know it: the message names those it knows", async () => {
    await expect(choose({ cniVersion: "1.1.0" }, "bridge", "old")).rejects.toThrow(
      "network lab wants cniVersion 1.1.0, but plugin bridge knows 0.3.1, 0.4.0, 1.0.0; plugin old knows 0.3.1, 0.4.0",
    );
  });

  it("is not asked of a plugin that does not say", async () => {
    cni.plugin("mute", { VERSION: { stdout: "{}" } });

    await expect(choose({ cniVersion: "1.0.0" }, "mute")).rejects.toThrow(
      `${cni.path}/mute does not say which versions of CNI it knows`,
    );
  });
});
