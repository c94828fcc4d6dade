// The managed plugin as it is declared: config.json asks for what plugin/privileges.md explains and for nothing else, and
// its entry point agrees with its own mounts.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { SETTINGS } from "../../src/config.ts";

const project = join(import.meta.dirname, "../..");

interface PluginConfig {
  readonly entrypoint: readonly string[];
  readonly network: { readonly type: string };
  readonly propagatedMount: string;
  readonly interface: { readonly types: readonly string[]; readonly socket: string };
  readonly mounts: readonly { readonly source: string; readonly destination: string }[];
  readonly linux: Readonly<Record<string, readonly string[]>>;
  readonly env: readonly { readonly name: string; readonly value: string; readonly settable: readonly string[] }[];
}

// The shape is what the engine requires of the file (docs.docker.com, plugin config version 1).
const config = JSON.parse(readFileSync(join(project, "config.json"), "utf8")) as PluginConfig;
const privileges = readFileSync(join(project, "plugin/privileges.md"), "utf8");

describe("config.json", () => {
  it("mounts only what exists whenever dockerd starts [F18]", () => {
    const sources = config.mounts.map(({ source }) => source);

    expect(sources).toEqual(["/run/docker/plugins", "/proc/sys/net"]);
  });

  it("asks for the mounts that privileges.md explains", () => {
    const mounts = config.mounts.map(({ source, destination }) => [source, destination]);

    expect(codesOf("Mounts", 2)).toEqual(mounts);
  });

  it("asks for the capabilities that privileges.md explains, and nothing else of Linux", () => {
    const { capabilities, ...others } = config.linux;

    expect(codesOf("Capabilities", 1).flat()).toEqual(capabilities);
    expect(others).toEqual({});
  });

  it("has the network, propagated mount and interface that privileges.md explains", () => {
    const { network, propagatedMount, interface: wire } = config;

    expect(codesOf("The rest", 2)).toEqual([
      ["network", network.type],
      ["propagatedMount", propagatedMount],
      ["interface.types", ...wire.types],
    ]);
  });

  it("lets the operator set every setting of the daemon but its socket and state folder", () => {
    const fixed = ["TSNET_SOCKET", "TSNET_STATE_DIR"];

    const names = config.env.map(({ name }) => name);

    expect([...fixed, ...names].sort()).toEqual(Object.keys(SETTINGS).sort());
    expect(config.env.map((variable) => variable.settable)).toEqual(names.map(() => ["value"]));
  });

  it("has the defaults of the daemon, but reaches Open vSwitch over loopback", () => {
    const defaults = Object.entries(SETTINGS).map(([name, setting]) => [name, setting.default]);
    const expected = new Map([...defaults, ["TSNET_OVSDB", "tcp:127.0.0.1:6640"]] as [string, string][]);

    const differing = config.env.filter(({ name, value }) => expected.get(name) !== value);

    expect(differing).toEqual([]);
  });

  it("fixes socket, state folder, plugin socket and sysctl folder to what is mounted", () => {
    const [plugins, sysctls] = config.mounts.map(({ destination }) => destination);

    const { entrypoint } = config;

    expect(entrypoint).toContain(`TSNET_SOCKET=${plugins}/tsnet.sock`);
    expect(entrypoint).toContain(`TSNET_STATE_DIR=${config.propagatedMount}`);
    expect(valueAfter("--plugin-socket")).toBe(`/run/docker/plugins/${config.interface.socket}`);
    expect(valueAfter("--sysctl-root")).toBe(sysctls);
  });

  it("starts node as the script's first line does", () => {
    const bundle = readFileSync(join(project, "plugin/bundle.ts"), "utf8");
    const [, malloc = ""] = /const MALLOC = "(.*)"/.exec(bundle) ?? [];
    const [, flags = ""] = /const NODE = "node (.*)"/.exec(bundle) ?? [];

    const at = config.entrypoint.indexOf("/usr/bin/node");

    expect(config.entrypoint).toEqual(expect.arrayContaining(malloc.split(" ")));
    expect(config.entrypoint.slice(at + 1, config.entrypoint.indexOf("/usr/lib/tsnet/tsnet.js"))).toEqual(
      flags.split(" "),
    );
  });

  it("gives up all capabilities but three, and the way back to them, before node starts", () => {
    const beforeNode = config.entrypoint.slice(0, config.entrypoint.indexOf("/usr/bin/env"));

    expect(beforeNode).toEqual([
      "/usr/bin/setpriv",
      "--no-new-privs",
      "--bounding-set=-all,+net_admin,+net_bind_service,+net_raw",
      "--inh-caps=-all",
      "--ambient-caps=-all",
    ]);
  });
});

function valueAfter(option: string): string | undefined {
  return config.entrypoint[config.entrypoint.indexOf(option) + 1];
}

/** The words in code font of the first `columns` columns of the table below a heading of privileges.md, row by row. */
function codesOf(heading: string, columns: number): string[][] {
  const [, section = ""] = privileges.split(`## ${heading}\n`);
  const [rest = ""] = section.split("\n## ");
  const rows = rest.split("\n").filter((line) => line.startsWith("| `"));
  return rows.map((row) => {
    const cells = row.split("|").slice(1, 1 + columns);
    return [...cells.join(" ").matchAll(/`([^`]+)`/g)].map((match) => String(match[1]));
  });
}
