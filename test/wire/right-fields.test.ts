import * as fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { PATTERN_WORDS } from "../../src/api/fields.ts";
import { fakeDrivers } from "../support/fake-drivers.ts";
import { serverOn } from "./conversation.ts";

const drivers = fakeDrivers();
const server = serverOn(drivers);

afterAll(() => server.app.close());

const isLine = (value: string) => !/[\p{Cc}\p{Cs}\u2028-\u202e\u2066-\u2069]/u.test(value);

describe("right values", () => {
  const line = fc.string({ maxLength: 60 }).filter(isLine);
  const hex = fc.stringMatching(/^[0-9a-f]{64}$/);
  const networkId = fc.oneof(hex, fc.stringMatching(/^[0-9a-z]{25}$/));
  const options = fc.option(
    fc.dictionary(
      line.filter((key) => key !== "__proto__"),
      line,
      { maxKeys: 20 },
    ),
  );
  const pool = fc.record(
    {
      AddressSpace: line,
      Pool: fc.oneof(
        fc.tuple(fc.ipV4(), fc.nat(32)).map(([address, length]) => `${address}/${length}`),
        fc.tuple(fc.ipV6(), fc.nat(128)).map(([address, length]) => `${address}/${length}`),
      ),
      Gateway: fc.ipV4().map((address) => `${address}/24`),
    },
    { requiredKeys: ["AddressSpace", "Pool"] },
  );
  const pools = fc.option(fc.array(pool, { maxLength: 4 }));
  const createNetwork = fc.record(
    {
      NetworkID: networkId,
      Options: fc.record({ "com.docker.network.generic": options }, { requiredKeys: [] }),
      IPv4Data: pools,
      IPv6Data: pools,
      FutureField: fc.jsonValue({ maxDepth: 4 }),
    },
    { requiredKeys: ["NetworkID"] },
  );
  const join = fc.record({ NetworkID: networkId, EndpointID: hex, SandboxKey: line.filter((key) => key !== "") });

  it.each([
    ["NetworkDriver.CreateNetwork", createNetwork],
    ["NetworkDriver.Join", join],
  ] as const)("of %s reach the driver", async (verb, bodies) => {
    await fc.assert(
      fc.asyncProperty(bodies as fc.Arbitrary<object>, async (body) => {
        drivers.seen.splice(0);
        const payload = JSON.stringify(body);
        fc.pre(!payload.includes("__proto__"));
        const answer = await server.app.inject({ method: "POST", url: `/${verb}`, payload });
        expect(answer.json()).not.toHaveProperty("Err");
        expect(drivers.seen).toMatchObject([{ request: { networkId: expect.any(String) } }]);
      }),
      { numRuns: 100 },
    );
  });
});

describe("patterns", () => {
  const units = ["0:", "aa", "1.", "/", "::", "com.docker.network.", "\ud800", "0\n"];

  it.each([...PATTERN_WORDS.keys()])("take linear time: %s [F104]", (pattern) => {
    const expression = new RegExp(pattern, "u");
    const times = units.map((unit) => {
      const text = unit.repeat(65_536 / unit.length);
      return fastestOf(3, () => void expression.test(`${text}!`));
    });

    expect(Math.max(...times)).toBeLessThan(5);
  });
});

/** The least time in milliseconds: the machine may be busy with something else now and then. */
function fastestOf(tries: number, work: () => void): number {
  const times = Array.from({ length: tries }, () => {
    const start = performance.now();
    work();
    return performance.now() - start;
  });
  return Math.min(...times);
}
