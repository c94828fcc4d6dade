import * as fc from "fast-check";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { fakeDrivers } from "../support/fake-drivers.ts";
import { serverOn } from "./conversation.ts";
import { type Kind, NETWORK_ID, SAMPLES, type Sample } from "./samples.ts";

const drivers = fakeDrivers();
const server = serverOn(drivers);

beforeEach(() => void drivers.seen.splice(0));
afterAll(() => server.app.close());

type Path = readonly (string | number)[];

/** Stands for "the field is not there". */
const MISSING = Symbol("missing");
/** JSON cannot say infinity; `1e400` is read as such. */
const INFINITE = "@infinite@";

const WRONG_VALUES: readonly unknown[] = [
  MISSING,
  null,
  true,
  false,
  0,
  -1,
  1.5,
  65_536,
  2 ** 53,
  INFINITE,
  "",
  "5",
  "0x10",
  " 10 ",
  "10abc",
  "true",
  "null",
  "x".repeat(5000),
  "line\nbreak",
  "nul\u0000",
  "escape\u001b[31m",
  "turned\u202eround",
  "lone\ud800surrogate",
  "ünïcode ✓",
  "../../etc/passwd",
  "$(reboot);`id`",
  "10.0.0.0",
  "10.0.0.0/8",
  "fe80::1%eth0",
  "02:42:0a:01:02:03",
  NETWORK_ID.toUpperCase(),
  `${NETWORK_ID}\n`,
  [],
  [null],
  [["a"]],
  {},
  { a: 1 },
  { a: "b" },
  { a: null },
  { "bad\nkey": "b" },
  { constructor: { prototype: { polluted: 1 } } },
  JSON.parse('{"__proto__":{"polluted":1}}'),
  Array.from({ length: 40 }).reduce<unknown>((inner) => ({ inner }), 0),
];

const isString = (value: unknown): value is string => typeof value === "string";
const isLine = (value: unknown): value is string =>
  isString(value) && value.length <= 4096 && !/[\p{Cc}\p{Cs}\u2028-\u202e\u2066-\u2069]/u.test(value);
const isAddress = (value: unknown) => isString(value) && /^[\da-f:.]{2,45}$/i.test(value);
const isCidr = (value: unknown) => isString(value) && /^[\da-f:.]{2,45}\/\d{1,3}$/i.test(value);
const isInteger = (value: unknown, maximum: number) =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= maximum;
const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isEmptyList = (value: unknown) => Array.isArray(value) && value.length === 0;
const isMapOf = (value: unknown, isMember: (member: unknown) => boolean) =>
  isObject(value) && Object.entries(value).every(([key, member]) => isLine(key) && isMember(member));
const isAbsent = (value: unknown) => value === MISSING || value === null;

/** What the protocol allows at a place, told independently of the schemas. */
const ACCEPTS: Readonly<Record<Kind, (value: unknown) => boolean>> = {
  "network id": (value) => isString(value) && /^([\da-f]{64}|[\da-z]{25})$/.test(value),
  "endpoint id": (value) => isString(value) && /^[\da-f]{64}$/.test(value),
  "owner kind": (value) => isString(value) && /^(?:container|netns|pid)$/.test(value),
  text: isLine,
  "non-empty text": (value) => isLine(value) && value !== "",
  "option value?": (value) => value === MISSING || isLine(value),
  cidr: isCidr,
  "cidr or empty": (value) => value === "" || isCidr(value),
  "cidr or empty?": (value) => value === MISSING || value === "" || isCidr(value),
  "cidr value?": (value) => value === MISSING || isCidr(value),
  "address or empty": (value) => value === "" || isAddress(value),
  "address or empty?": (value) => value === MISSING || value === "" || isAddress(value),
  "mac or empty?": (value) =>
    value === MISSING || value === "" || (isString(value) && /^([\da-f]{2}:){5}[\da-f]{2}$/i.test(value)),
  boolean: (value) => typeof value === "boolean",
  "boolean?": (value) => value === MISSING || typeof value === "boolean",
  integer: (value) => typeof value === "number" && Number.isInteger(value),
  protocol: (value) => isInteger(value, 255),
  port: (value) => isInteger(value, 65_535),
  "port?": (value) => value === MISSING || isInteger(value, 65_535),
  "anything?": () => true,
  interface: isObject,
  "pools?": (value) => isAbsent(value) || isEmptyList(value),
  "string map?": (value) => isAbsent(value) || isMapOf(value, isLine),
  "cidr map?": (value) => isAbsent(value) || isMapOf(value, isCidr),
  "network options?": (value) => isAbsent(value) || isObject(value),
  "endpoint options?": (value) => isAbsent(value) || isMapOf(value, isLine),
  "sandbox options?": (value) => isAbsent(value) || isObject(value),
  "list?": (value) => isAbsent(value) || isEmptyList(value),
  pool: (value) => value === MISSING,
  binding: (value) => value === MISSING,
};

/** The sample's body with another value, or none, at one place. */
function withValueAt(node: unknown, path: Path, value: unknown): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return value;
  if (Array.isArray(node)) {
    const member = withValueAt(node[Number(step)], rest, value);
    return member === MISSING ? node.toSpliced(Number(step), 1) : node.with(Number(step), member);
  }
  const members = Object.entries(node as object).flatMap(([key, old]) => {
    const member = key === step ? withValueAt(old, rest, value) : old;
    return member === MISSING ? [] : [[key, member] as const];
  });
  return Object.fromEntries(members);
}

async function send(sample: Sample, path: Path, value: unknown): Promise<string | undefined> {
  const payload = JSON.stringify(withValueAt(sample.body, path, value)).replaceAll(`"${INFINITE}"`, "1e400");
  const answer = await server.app.inject({ method: "POST", url: `/${sample.verb}`, payload });
  expect(answer.statusCode).toBe(200);
  return answer.json<{ Err?: string }>().Err;
}

/** What is wrong with a value in any place. */
function faultAnywhere(value: unknown): string | undefined {
  const text = JSON.stringify(value === MISSING ? null : value);
  if (text.includes('"__proto__":')) return "__proto__";
  return text.includes('{"inner":'.repeat(33)) ? "nested" : undefined;
}

/** A fault of this one value, or undefined if all is as the protocol says. */
async function judge(sample: Sample, path: Path, kind: Kind, value: unknown): Promise<string | undefined> {
  drivers.seen.splice(0);
  const err = await send(sample, path, value);
  const shown = value === MISSING ? "missing" : JSON.stringify(value);
  const where = `${sample.verb} ${path.join(".")} = ${shown.slice(0, 80)} (${kind})`;
  const isRight = ACCEPTS[kind](value === INFINITE ? Infinity : value) && faultAnywhere(value) === undefined;
  const isAlwaysRefused = sample.verb === "NetworkDriver.AllocateNetwork";
  if (isRight && !isAlwaysRefused) return err === undefined ? undefined : `${where}: refused: ${err}`;
  if (isRight) return err?.includes("swarm") === true ? undefined : `${where}: refused for another reason: ${err}`;
  if (err === undefined) return `${where}: accepted`;
  if (drivers.seen.length > 0) return `${where}: refused, but the driver was called`;
  const name = faultAnywhere(value) ?? String(path.findLast(isString));
  return err.includes(name) ? undefined : `${where}: ${name} is not named in: ${err}`;
}

describe("the samples themselves", () => {
  it.each(SAMPLES)("$verb takes its sample", async (sample) => {
    const err = await send(sample, [], sample.body);

    expect(err === undefined || err.includes("swarm")).toBe(true);
  });

  it.each(SAMPLES)("$verb has a form for every place in its sample", (sample) => {
    const told = sample.places.map(([path]) => path.join("/"));

    expect(placesIn(sample.body).filter((path) => !told.includes(path))).toEqual([]);
  });

  it("come with at least 24 wrong values", () => {
    expect(WRONG_VALUES.length).toBeGreaterThanOrEqual(24);
  });
});

/** Every place but those inside `DiscoveryData`, which is not looked at. */
function placesIn(node: unknown, path: Path = []): string[] {
  const here = path.length === 0 ? [] : [path.join("/")];
  if (typeof node !== "object" || node === null || path.includes("DiscoveryData")) return here;
  return [...here, ...Object.entries(node).flatMap(([key, member]) => placesIn(member, [...path, key]))];
}

describe("every field x every wrong value [F72, F96]", () => {
  it.each(SAMPLES)(
    "$verb refuses it by name without asking the driver, or tolerates what the protocol does [F96]",
    async (sample) => {
      const faults: string[] = [];
      for (const [path, kind] of sample.places) {
        for (const value of WRONG_VALUES) faults.push((await judge(sample, path, kind, value)) ?? "");
      }

      expect(faults.filter((fault) => fault !== "")).toEqual([]);
      expect({}).not.toHaveProperty("polluted");
    },
  );
});

describe("random values", () => {
  const places = SAMPLES.flatMap((sample) => sample.places.map(([path, kind]) => ({ sample, path, kind })));
  // Lists and objects can hold parts that are right by chance: only their own suites judge those.
  const simple = places.filter(({ kind }) => !/options|map|list|pool|binding|interface/.test(kind));

  it("are refused by name or fit the form of their field [F96]", async () => {
    const value = fc.oneof(
      fc.string({ unit: "binary", maxLength: 40 }),
      fc.jsonValue({ maxDepth: 3, noUnicodeString: false }),
      fc.double(),
      fc.ipV4(),
      fc.ipV6(),
      fc.stringMatching(/^[0-9a-f]{64}$/),
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...simple), value, async ({ sample, path, kind }, random) => {
        const plain: unknown = JSON.parse(JSON.stringify(random));
        expect(await judge(sample, path, kind, plain)).toBeUndefined();
      }),
      { numRuns: 1000 },
    );
  });
});
