// Requests that are lawful, however unusual, must be taken: every prefix length, every way to write an address, fields that a
// newer engine may add, null for what may be absent.
import { SocketAddress, isIP } from "node:net";
import * as fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { formatAddress, formatSubnet, parseAddress, subnetOf } from "../../src/cidr.ts";
import { chooseSeed } from "./campaign.ts";
import { FuzzHost } from "./host.ts";
import { LAWFUL, bytesOfCall, idOf } from "./requests.ts";
import { Wire } from "./wire.ts";

const SEED = chooseSeed(20_260_601);
const host = await FuzzHost.open();
const wire = new Wire(host.socket);

afterAll(async () => {
  wire[Symbol.dispose]();
  await host[Symbol.asyncDispose]();
});

/** @returns the answer's body; afterwards everything is as it was. */
async function take(verb: string, body: unknown): Promise<Record<string, unknown>> {
  const answer = await wire.ask(bytesOfCall(verb, host.withPoolIds(JSON.stringify(body))));
  expect(await host.restore()).toBeUndefined();
  expect(host.guard.breaches).toEqual([]);
  return JSON.parse(answer?.body ?? "null") as Record<string, unknown>; // checked by the caller
}

const networkWith = (pools: object, options: object = {}) => ({
  NetworkID: idOf("new network"),
  Options: { "com.docker.network.generic": options },
  ...pools,
});

describe("the requests that the fuzzers start from", () => {
  it.each(LAWFUL)("succeed: $verb", async ({ verb, body }) => {
    const { Err } = await take(verb, body ?? {});

    if (verb !== "NetworkDriver.AllocateNetwork") expect(Err).toBeUndefined();
  });
});

describe("prefix lengths", () => {
  const subnets = [
    ...Array.from({ length: 32 }, (_, i) => ({ prefixLength: i + 1, base: parseAddress("85.170.85.170") })),
    ...Array.from({ length: 128 }, (_, i) => ({
      prefixLength: i + 1,
      base: parseAddress("2aaa:5555:aaaa:5555:aaaa:5555:aaaa:5555"),
    })),
  ].map(({ prefixLength, base }) => subnetOf(base, prefixLength));

  it("from 1 to 32 and from 1 to 128 are taken as a pool, but for subnets with reserved addresses", async () => {
    const refused: string[] = [];
    for (const subnet of subnets) {
      const body = {
        AddressSpace: "tsnet",
        Pool: formatSubnet(subnet),
        SubPool: "",
        Options: null,
        V6: subnet.family === 6,
      };
      const { Error: error, Pool: pool } = await take("IpamDriver.RequestPool", body);
      if (error !== undefined) refused.push(`${body.Pool}: ${JSON.stringify(error)}`);
      else expect(pool).toBe(body.Pool);
    }

    const ownPools = (text: string) => /overlaps/.test(text);
    expect(refused.filter((text) => !ownPools(text))).toEqual([]);
    expect(refused.length).toBeLessThan(8); // the shortest ones
  });

  it("are taken as the subnet of a network with its first address as the gateway", async () => {
    const refused: string[] = [];
    for (const subnet of subnets.filter(({ prefixLength }) => prefixLength > 7)) {
      const text = formatSubnet(subnet);
      const gateway = `${formatAddress({ family: subnet.family, value: subnet.first })}/${subnet.prefixLength}`;
      const pool = { AddressSpace: "x", Pool: text, Gateway: gateway };
      const pools = subnet.family === 4 ? { IPv4Data: [pool], IPv6Data: null } : { IPv4Data: [], IPv6Data: [pool] };
      const { Err } = await take("NetworkDriver.CreateNetwork", networkWith(pools));
      if (Err !== undefined) refused.push(`${text}: ${JSON.stringify(Err)}`);
    }

    expect(refused).toEqual([]);
  });
});

describe("addresses", () => {
  const group = fc.integer({ min: 0, max: 0xffff }).chain((n) => {
    const text = n.toString(16);
    return fc.constantFrom(text, text.toUpperCase(), text.padStart(4, "0"));
  });
  const ipv6 = fc.oneof(
    fc.array(group, { minLength: 8, maxLength: 8 }).map((groups) => groups.join(":")),
    fc
      .tuple(fc.array(group, { maxLength: 4 }), fc.array(group, { maxLength: 3 }))
      .map(([before, after]) => `${before.join(":")}::${after.join(":")}`),
    fc
      .tuple(fc.array(group, { minLength: 6, maxLength: 6 }), fc.ipV4())
      .map(([groups, tail]) => `${groups.join(":")}:${tail}`),
    fc.tuple(fc.array(group, { maxLength: 3 }), fc.ipV4()).map(([before, tail]) => `${before.join(":")}::${tail}`),
  );
  const near = fc
    .tuple(fc.oneof(ipv6, fc.ipV4()), fc.nat(40), fc.constantFrom(":", ".", "0", "f", "1", "::", "00", ""))
    .map(([text, at, piece]) => text.slice(0, at) + piece + text.slice(at + 1));

  it("are read exactly when they are addresses, as Node reads them, and written as Node writes them", () => {
    const read = (text: string) => {
      try {
        return formatAddress(parseAddress(text));
      } catch {
        return undefined;
      }
    };
    const written = (text: string) => {
      const family = isIP(text);
      if (family === 0) return undefined;
      const { address } = new SocketAddress({ address: text, family: family === 4 ? "ipv4" : "ipv6" });
      // The C library writes IPv4 in IPv6 with dots.
      return read(address) ?? address;
    };

    fc.assert(
      fc.property(fc.oneof(ipv6, fc.ipV4(), near), (text) => {
        expect([text, read(text)]).toEqual([text, written(text)]);
      }),
      { seed: SEED, numRuns: 20_000 },
    );
  });

  it("of a network are taken in every spelling", async () => {
    const spelled = ["FD77::1", "fd77:0:0:0:0:0:0:1", "fd77:0000::0001", "Fd77::0.0.0.1", "fd77:0::0:1"];
    for (const gateway of spelled) {
      const pool = { AddressSpace: "x", Pool: "FD77:0::/64", Gateway: `${gateway}/64` };
      expect(await take("NetworkDriver.CreateNetwork", networkWith({ IPv4Data: null, IPv6Data: [pool] }))).toEqual({});
    }
  });
});

describe("fields", () => {
  const unknown = fc.dictionary(
    fc.stringMatching(/^[A-Z][A-Za-z]{3,12}$/).map((key) => `Future${key}`),
    fc.jsonValue({ maxDepth: 3, stringUnit: "grapheme-ascii" }),
    { maxKeys: 3 },
  );
  const succeeding = LAWFUL.filter(({ verb, body }) => body !== undefined && verb !== "NetworkDriver.AllocateNetwork");

  it("that are unknown pass, at every level where the protocol has fields [F51]", async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...succeeding), unknown, async ({ verb, body }, more) => {
        fc.pre(!JSON.stringify(more).includes("__proto__"));
        expect(await take(verb, withFields(body, more))).not.toHaveProperty("Err");
      }),
      { seed: SEED, numRuns: 600 },
    );
  });

  it("that may be absent may be null or missing [F51]", async () => {
    const absent = [
      "Options",
      "Routes",
      "Subnets",
      "Addresses",
      "IPv4Data",
      "IPv6Data",
      "AuxAddresses",
      "Gateway",
      "com.docker.network.generic",
      "com.docker.network.portmap",
    ];
    const minimal: [string, object][] = [];
    for (const { verb, body } of succeeding) {
      for (const key of absent.filter((name) => JSON.stringify(body).includes(`"${name}":`))) {
        if (key !== "Gateway") minimal.push([verb, changed(body ?? {}, key, null)]);
        minimal.push([verb, changed(body ?? {}, key, undefined)]);
      }
    }

    const refused: string[] = [];
    for (const [verb, body] of minimal) {
      const { Err } = await take(verb, body);
      // Without addresses, or without their gateway, mode nat is not possible: that is told by its meaning, not by its form.
      if (Err !== undefined && !/needs addresses|needs a gateway|is in no subnet/.test(JSON.stringify(Err)))
        refused.push(`${verb}: ${JSON.stringify(Err)}`);
    }

    expect(minimal.length).toBeGreaterThan(20);
    expect(refused).toEqual([]);
  });
});

/** The objects of the protocol, not those of the user's options, with more fields. */
function withFields(node: unknown, more: object): unknown {
  if (Array.isArray(node)) return node.map((item) => withFields(item, more));
  if (typeof node !== "object" || node === null) return node;
  const entries = Object.entries(node).map(([key, value]) => {
    const isUsers = key === "Options" || key === "AuxAddresses" || key.startsWith("com.docker.network.");
    return [key, isUsers ? value : withFields(value, more)] as const;
  });
  return { ...Object.fromEntries(entries), ...more };
}

function changed(node: object, key: string, value: null | undefined): object {
  return JSON.parse(JSON.stringify(node, (name, old: unknown) => (name === key ? value : old))) as object; // what was written
}
