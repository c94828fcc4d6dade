// The import table of style.md 2.2 and what else can be measured in the sources. Changing a table here is a decision.
import { readFileSync, readdirSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "vitest";

const SRC = join(import.meta.dirname, "../../src");

/** What each folder may import, besides leaves and itself. `types:` stands for `import type` only. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  api: ["cnm/requests", "ipam/requests", "types:cnm", "types:ipam"],
  cnm: ["types:state/record-store"],
  ipam: ["types:state/record-store"],
  datapath: ["host", "types:cnm", "cnm/names"],
  nat: ["host", "types:cnm", "cnm/names"],
  state: [],
  host: [],
  cli: ["host/run", "host/listening-sockets", "host/iptables-legacy", "types:api", "types:cnm", "types:ipam"],
};

/** Files that everyone may import and that import none of the folders, but for what is listed. */
const LEAVES: Readonly<Record<string, readonly string[]>> = {
  cidr: [],
  config: ["ipam/default-pools"],
  errors: [],
  "keyed-lock": [],
  "link-group": [],
  log: [],
  suggest: [],
  undo: [],
  "usable-addresses": [],
  vlan: [],
  version: [],
};

/** Where each outside package may be imported. */
const PACKAGES: Readonly<Record<string, string>> = {
  commander: "cli/command-line",
  dockerode: "cli/docker",
  execa: "host/run",
  koffi: "host/libc",
  fastify: "api",
  "@fastify/ajv-compiler": "api/validators",
  typebox: "api",
  "@fastify/type-provider-typebox": "api",
  "ip-num": "cidr",
  pino: "log",
  "prom-client": "api/metric-registry",
};

const MAX_LINES = 250;

interface Import {
  readonly from: string;
  readonly to: string;
  readonly isType: boolean;
}

interface Source {
  /** Path below src without `.ts`: `cnm/driver`. */
  readonly name: string;
  readonly text: string;
  readonly imports: readonly Import[];
}

const sources: readonly Source[] = readdirSync(SRC, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts"))
  .map((path) => {
    const [name, text] = [path.replace(/\.ts$/, ""), readFileSync(join(SRC, path), "utf8")];
    return { name, text, imports: importsOf(name, text) };
  });

function importsOf(name: string, text: string): Import[] {
  const statements = text.matchAll(/^(?:import|export)\s(type\s)?([\w\s*]*(?:\{[^}]*\}\s)?(?:from\s)?)"([^"]+)"/gm);
  const dynamic = [...text.matchAll(/\bimport()()\("([^"]+)"\)/g)];
  return [...statements, ...dynamic].map(([, isType, names = "", specifier = ""]) => ({
    from: name,
    to: specifier.startsWith(".") ? normalize(join(dirname(name), specifier)).replace(/\.ts$/, "") : specifier,
    isType: isType !== undefined || isOnlyTypes(names.replace(/\sfrom\s$/, "")),
  }));
}

/** `{ type A, type B }`: erased as well. */
function isOnlyTypes(names: string): boolean {
  const inside = /^\{(.*)\}\s*$/s.exec(names.trim())?.[1];
  const parts = inside?.split(",").map((part) => part.trim()) ?? [];
  return parts.length > 0 && parts.filter(Boolean).every((part) => part.startsWith("type "));
}

const imports = sources.flatMap((source) => source.imports);
const isOurs = ({ to }: Import) => sources.some(({ name }) => name === to) || to.startsWith("../");
const folderOf = (name: string) => (name.includes("/") ? (name.split("/")[0] ?? "") : "");
const isBelow = (name: string, place: string) => name === place || name.startsWith(`${place}/`);
const shown = ({ from, to }: Import) => `${from} imports ${to}`;

describe("the sources", () => {
  it("are found", () => {
    expect(sources.length).toBeGreaterThan(40);
    expect(imports.length).toBeGreaterThan(100);
  });

  it("stand in the folders and leaves that the tables name", () => {
    const known = [...Object.keys(LEAVES), "main", "daemon"];
    const places = sources.map(({ name }) => folderOf(name) || name);

    expect(places.filter((place) => !(place in MAY_IMPORT) && !known.includes(place))).toEqual([]);
  });

  it.each(Object.entries(MAY_IMPORT))("of %s import only what the table permits", (folder, permitted) => {
    const bad = imports.filter((entry) => {
      if (folderOf(entry.from) !== folder || !isOurs(entry)) return false;
      if (isBelow(entry.to, folder) || entry.to in LEAVES) return false;
      return !permitted.some((place) => {
        const isTypeOnly = place.startsWith("types:");
        return isBelow(entry.to, place.replace("types:", "")) && (!isTypeOnly || entry.isType);
      });
    });

    expect(bad.map(shown)).toEqual([]);
  });

  it.each(Object.entries(LEAVES))("of the leaf %s import no folder", (leaf, permitted) => {
    const bad = imports.filter(({ from, to }) => from === leaf && to.includes("/") && !to.startsWith("node:"));

    const known = leaf === "version" ? ["../package.json", ...permitted] : permitted;

    expect(bad.filter((entry) => isOurs(entry) && !known.includes(entry.to)).map(shown)).toEqual([]);
  });

  it("name implementations in daemon.ts alone", () => {
    const implementations = ["datapath", "nat", "host", "state/sqlite-store"];
    const bad = imports.filter(
      ({ from, to }) =>
        ["main", "api", "cnm", "ipam"].includes(folderOf(from) || from) &&
        implementations.some((place) => isBelow(to, place)),
    );

    expect(bad.map(shown)).toEqual([]);
    expect([...new Set(imports.flatMap(({ from, to }) => (to === "daemon" ? [from] : [])))]).toEqual(["main"]);
  });

  it("have no cycles of imports that are there at run time", () => {
    const next = (name: string) => imports.filter(({ from, isType }) => from === name && !isType).map(({ to }) => to);
    const cycles: string[] = [];
    const done = new Set<string>();
    const walk = (name: string, path: readonly string[]) => {
      if (path.includes(name)) return void cycles.push([...path.slice(path.indexOf(name)), name].join(" > "));
      if (done.has(name)) return;
      for (const to of next(name)) walk(to, [...path, name]);
      done.add(name);
    };
    for (const { name } of sources) walk(name, []);

    expect(cycles).toEqual([]);
  });

  it("import each outside package in one place", () => {
    const outside = imports.filter((entry) => !isOurs(entry) && !entry.to.startsWith("node:"));
    const bad = outside.filter(({ from, to }) => PACKAGES[to] === undefined || !isBelow(from, PACKAGES[to]));

    expect(bad.map(shown)).toEqual([]);
  });

  it("ask no clock that somebody can set, so that nothing is decided by it [F131]", () => {
    const asking = sources.filter(({ text }) =>
      /\bnew Date\b|\bDate\.|\bhrtime\b|datetime\(|CURRENT_TIMESTAMP/.test(text),
    );

    expect(asking.map(({ name }) => name)).toEqual([]);
  });

  it("start processes by execa alone, and name Node's modules with node:", () => {
    const bad = imports.filter(
      ({ to }) => to === "node:child_process" || (!to.startsWith("node:") && builtinModules.includes(to)),
    );

    expect(bad.map(shown)).toEqual([]);
  });
});

describe.each(sources.map(({ name, text }) => [name, text] as const))("%s.ts", (_name, text) => {
  const lines = text.split("\n");

  it(`opens with what it is for and has at most ${MAX_LINES} lines`, () => {
    expect(lines[0]).toMatch(/^\/\/ \S/);
    expect(lines.length).toBeLessThanOrEqual(MAX_LINES + 1); // the last one is empty
  });

  it("says of each exported function, constant (or group of them) and class what it promises", () => {
    const isDocumented = (above = "") => above.trim().endsWith("*/") || above.startsWith("export const ");
    const isExport = (line: string) => /^export (?:async )?(?:function|const|class)\b/.test(line);
    const bare = lines.filter((line, i) => isExport(line) && !isDocumented(lines[i - 1]));

    expect(bare).toEqual([]);
  });

  it("has no any, no non-null assertion, no default export, no enum", () => {
    const code = lines.filter((line) => !/^\s*(?:\/\/|\*|\/\*)/.test(line)).join("\n");

    expect(code).not.toMatch(/(?::\s*|<|\bas )any\b(?!["'`])/);
    expect(code).not.toMatch(/[\w)\]]!(?:[.;,)\]]|$)/m);
    expect(code).not.toMatch(/^export default|^\s*(?:export )?(?:const )?enum\s/m);
  });
});
