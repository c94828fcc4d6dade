import { describe, expect, it } from "vitest";
import { executionConf, parseConf, requireWanted } from "../../../../src/cli/cni/conf.ts";

const BRIDGE = { type: "bridge", bridge: "cni0", ipam: { type: "host-local" } };
const PORTMAP = { type: "portmap", snat: true, capabilities: { portMappings: true, aliases: false } };
const LAB = { cniVersion: "1.0.0", name: "lab", plugins: [BRIDGE, PORTMAP] };

function parse(value: unknown) {
  return parseConf(JSON.stringify(value), "lab.conflist");
}

describe("the configuration of a CNI network", () => {
  it("is a name and a list of plugins", () => {
    const { name, versions, isCheckDisabled, plugins } = parse(LAB);

    expect({ name, versions, isCheckDisabled }).toEqual({ name: "lab", versions: ["1.0.0"], isCheckDisabled: false });
    expect(plugins.map(({ type }) => type)).toEqual(["bridge", "portmap"]);
  });

  it("may be of one plugin alone, which stands for a list of one", () => {
    const { name, plugins } = parse({ cniVersion: "0.4.0", name: "old", ...BRIDGE });

    expect(name).toBe("old");
    expect(plugins).toMatchObject([{ type: "bridge", body: { bridge: "cni0" } }]);
  });

  it("may permit several versions, of which those that tsnet does not speak are left out", () => {
    const { versions } = parse({ ...LAB, cniVersion: "0.2.0", cniVersions: ["1.1.0", "0.4.0", "2.0.0"] });

    expect(versions).toEqual(["0.4.0", "1.1.0"]);
  });

  it("may forbid CHECK", () => {
    expect(parse({ ...LAB, disableCheck: true }).isCheckDisabled).toBe(true);
  });

  it.each([
    [[], "lab.conflist is no JSON object"],
    [{ ...LAB, name: undefined }, 'lab.conflist is no CNI configuration: "name" is missing'],
    [{ ...LAB, name: "../lab" }, '"name" is "../lab", permitted are 1 to 128 letters, digits, _, . and -'],
    [{ ...LAB, cniVersion: undefined }, '"cniVersion" is missing, permitted are 0.3.1, 0.4.0, 1.0.0, 1.1.0'],
    [{ ...LAB, cniVersion: "0.2.0" }, '"cniVersion" is "0.2.0", permitted are 0.3.1'],
    [{ ...LAB, cniVersion: 1 }, '"cniVersion" is 1, permitted'],
    [{ ...LAB, disableCheck: "yes" }, '"disableCheck" is neither true nor false'],
    [{ ...LAB, plugins: [] }, '"plugins" is no list of at least one plugin'],
    [{ ...LAB, plugins: "bridge" }, '"plugins" is no list of at least one plugin'],
    [{ ...LAB, plugins: [BRIDGE, 7] }, "plugins[1]: it is no object"],
    [{ ...LAB, plugins: [BRIDGE, {}] }, 'plugins[1]: "type" is missing'],
    [{ ...LAB, plugins: [{ type: "/bin/sh" }] }, 'plugins[0]: "type" is "/bin/sh", permitted are'],
    [{ ...LAB, plugins: [{ type: ".." }] }, 'plugins[0]: "type" is "..", permitted are'],
    [{ ...LAB, plugins: [{ ...BRIDGE, capabilities: [] }] }, 'plugins[0]: "capabilities" is no object'],
    [{ cniVersion: "1.0.0", name: "lab" }, 'lab.conflist is no CNI configuration: "type" is missing'],
  ])("that is %j is refused: %s", (value, message) => {
    expect(() => parse(value)).toThrow(message);
  });

  it("with several faults is refused with all of them", () => {
    const all = /"name" is missing; "cniVersion" is missing.*; plugins\[0\]: "type" is "a\/b"/;

    expect(() => parse({ plugins: [{ type: "a/b" }] })).toThrow(all);
  });

  it("refuses a capability that no plugin asks for, and says which it may be", () => {
    const conf = parse(LAB);

    expect(() => requireWanted(conf, { portMappings: [] })).not.toThrow();
    expect(() => requireWanted(conf, { portMapping: [] })).toThrow(
      "no plugin of network lab asks for the capability portMapping: is portMappings meant?",
    );
    expect(() => requireWanted(conf, { aliases: [] })).toThrow("they ask for portMappings");
  });
});

describe("what a plugin is told", () => {
  const conf = parse({ ...LAB, plugins: [{ ...BRIDGE, prevResult: "forged", runtimeConfig: "forged" }, PORTMAP] });
  const [bridge, portmap] = conf.plugins;
  if (bridge === undefined || portmap === undefined) throw new Error("there are two");
  const capabilities = { portMappings: [{ hostPort: 8080 }] };

  it("is its own part with the network's name and version, and no more for the first one", () => {
    const told = executionConf(conf, bridge, "1.0.0", {}, undefined);

    expect(told).toEqual({ ...BRIDGE, cniVersion: "1.0.0", name: "lab" });
  });

  it("has in runtimeConfig the capabilities that it asks for, in place of the question", () => {
    const told = executionConf(conf, portmap, "1.0.0", { ...capabilities, aliases: ["web"] }, undefined);

    expect(told).toEqual({
      type: "portmap",
      snat: true,
      cniVersion: "1.0.0",
      name: "lab",
      runtimeConfig: capabilities,
    });
    expect(executionConf(conf, bridge, "1.0.0", capabilities, undefined)).not.toHaveProperty("runtimeConfig");
  });

  it("has the result before", () => {
    expect(executionConf(conf, bridge, "1.0.0", {}, { by: "me" })).toHaveProperty("prevResult", { by: "me" });
  });
});
