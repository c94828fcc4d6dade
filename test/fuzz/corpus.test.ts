// Every hostile text in every place for text of every request, and as the value of every option: what chance may leave out.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { NETWORK_OPTIONS } from "../../src/cnm/options.ts";
import type { FieldInput } from "./fields.ts";
import { FuzzHost } from "./host.ts";
import { TEXTS } from "./hostile.ts";
import { nodeAt, placesOf, treeOf } from "./json-tree.ts";
import { Oracle } from "./oracle.ts";
import { LAWFUL, type LawfulRequest } from "./requests.ts";

const LIMIT_MS = 300_000;
const GENERIC = "com.docker.network.generic";
const SRC = join(import.meta.dirname, "../../src");

/** One text in one place. */
function* inEveryPlace(request: LawfulRequest): Generator<FieldInput> {
  const tree = treeOf(request.body ?? {});
  const places = placesOf(tree);
  for (const [at, place] of places.entries()) {
    const node = nodeAt(tree, place);
    if (node?.kind !== "raw" || !node.text.startsWith('"')) continue;
    for (const text of TEXTS) yield inputWith(request, at, text);
  }
}

function* inEveryOption(): Generator<FieldInput> {
  const base = LAWFUL.find(({ verb }) => verb === "NetworkDriver.CreateNetwork");
  for (const key of Object.keys(NETWORK_OPTIONS)) {
    const body = { ...base?.body, Options: { [GENERIC]: { [key]: "@" } } };
    const request = { verb: "NetworkDriver.CreateNetwork", body };
    const tree = treeOf(body);
    const places = placesOf(tree);
    const at = places.findIndex((place) => {
      const node = nodeAt(tree, place);
      return node?.kind === "raw" && node.text === '"@"';
    });
    for (const text of TEXTS) yield inputWith(request, at, text);
  }
}

function inputWith(request: LawfulRequest, at: number, text: string): FieldInput {
  const edit = { operation: "replace", at, key: "", value: JSON.stringify(text) } as const;
  return { request, edits: [edit], broken: { how: "none", at: 0 } };
}

/** @returns what does not hold, and how many there were. */
async function judgeAll(inputs: Iterable<FieldInput>): Promise<{ faults: string[]; tried: number }> {
  await using host = await FuzzHost.open();
  using oracle = new Oracle(host);
  const faults: string[] = [];
  for (const input of inputs) {
    try {
      await oracle.judgeFields(input);
    } catch (fault) {
      faults.push(`${String(fault)}: ${JSON.stringify(input).slice(0, 2000)}`);
      break; // the host is anything now
    }
  }
  await oracle.checkpoint();
  return { faults, tried: oracle.tally.inputs };
}

describe("every hostile text", () => {
  it(
    "in every place for text is refused without a change, or is no name of anything [F67] [F72] [F98] [F99] [F100]",
    async () => {
      const { faults, tried } = await judgeAll(
        LAWFUL.filter(({ body }) => body !== undefined).flatMap((request) => [...inEveryPlace(request)]),
      );

      expect(faults).toEqual([]);
      expect(tried).toBeGreaterThan(5000);
    },
    LIMIT_MS,
  );

  it(
    "as every option of a network is refused without a change, or is no name of anything [F67] [F98] [F99]",
    async () => {
      const { faults, tried } = await judgeAll(inEveryOption());

      expect(faults).toEqual([]);
      expect(tried).toBeGreaterThan(4000);
    },
    LIMIT_MS,
  );
});

describe("the path of a sandbox", () => {
  it("is text that is compared and recorded: what touches the host does not know of it [F100]", () => {
    const files = ["host", "datapath", "nat"].flatMap((folder) =>
      readdirSync(join(SRC, folder), { recursive: true, encoding: "utf8" })
        .filter((file) => file.endsWith(".ts"))
        .map((file) => join(SRC, folder, file)),
    );

    expect(files.length).toBeGreaterThan(50);
    expect(files.filter((file) => /sandboxKey/i.test(readFileSync(file, "utf8")))).toEqual([]);
  });
});
