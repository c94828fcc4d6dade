import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { Gate } from "../../src/api/gate.ts";
import { fakeDrivers } from "../support/fake-drivers.ts";
import { Connection, listeningServer, serverOn } from "./conversation.ts";
import { NETWORK_ID, SAMPLES } from "./samples.ts";

const drivers = fakeDrivers();
const server = serverOn(drivers);
const closed = serverOn(drivers, { gate: new Gate() });
const listening = await listeningServer(drivers);
const DELETE = "/NetworkDriver.DeleteNetwork";
const GOOD = `{"NetworkID":"${NETWORK_ID}"}`;

beforeEach(() => void drivers.seen.splice(0));
afterAll(async () => {
  for (const resource of [server, closed, listening]) await resource[Symbol.asyncDispose]();
});

async function post(payload: string | Buffer, headers: Record<string, string> = {}, url = DELETE) {
  const answer = await server.app.inject({ method: "POST", url, payload, headers });
  expect(answer.statusCode).toBe(200);
  const body = answer.json<{ Err?: string; Error?: string }>();
  expect(body.Err).toBe(body.Error);
  return body.Err;
}

describe("an empty body", () => {
  it.each(SAMPLES.map((sample) => sample.verb))(
    "is refused by %s within 50 ms, before gate and driver [F48]",
    async (verb) => {
      const times: number[] = [];
      for (let tries = 0; tries < 5; tries++) {
        const start = performance.now();
        const answer = await closed.app.inject({ method: "POST", url: `/${verb}`, headers: { "content-length": "0" } });
        times.push(performance.now() - start);
        expect(answer.statusCode).toBe(200);
        expect(answer.json()).toMatchObject({ Err: expect.stringMatching(/the body is empty .* nothing was changed/) });
      }

      expect(Math.min(...times)).toBeLessThan(50);
      expect(drivers.seen).toEqual([]);
    },
  );

  it.each(SAMPLES.map((sample) => sample.verb))(
    "that is chunked or has a type is refused by %s too [F48]",
    async (verb) => {
      using connection = new Connection(listening.path);

      const chunked = await connection.ask(`POST /${verb} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`);
      const typed = await connection.ask(`POST /${verb} HTTP/1.1\r\nContent-Type: application/json\r\n\r\n`);

      expect([chunked.status, typed.status]).toEqual([200, 200]);
      expect(JSON.stringify([chunked.body, typed.body]).match(/the body is empty/g)).toHaveLength(4);
      expect(drivers.seen).toEqual([]);
    },
  );
});

describe("the type of a body", () => {
  it.each([
    "application/vnd.docker.plugins.v1.1+json",
    "application/json",
    "text/plain",
    "",
    "garbage",
    ";;",
    "a/b; c",
  ])("is not looked at: %j", async (type) => {
    expect(await post(GOOD, { "content-type": type })).toBeUndefined();
    expect(drivers.seen).toHaveLength(1);
  });

  it("may be missing with a body in chunks", async () => {
    using connection = new Connection(listening.path);
    const chunks = [GOOD.slice(0, 20), GOOD.slice(20)].map((part) => `${part.length.toString(16)}\r\n${part}\r\n`);

    const answer = await connection.ask(
      `POST ${DELETE} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n${chunks.join("")}0\r\n\r\n`,
    );

    expect(answer).toMatchObject({ status: 200, body: {} });
    expect(drivers.seen).toEqual([{ method: "deleteNetwork", request: NETWORK_ID }]);
  });
});

describe("a body that is no JSON [F97]", () => {
  it.each([
    ["cut short", GOOD.slice(0, -1)],
    ["with something behind it", `${GOOD}x`],
    ["two values", GOOD + GOOD],
    ["NaN", `{"NetworkID":NaN}`],
    ["single quotes", GOOD.replaceAll('"', "'")],
    ["a raw newline in a string", `{"NetworkID":"a\nb"}`],
    ["spaces only", "   "],
    ["more closing brackets", "}}}}"],
    ["a string without an end", `{"NetworkID":"\\"`],
    ["UTF-16", Buffer.from(GOOD, "utf16le")],
    ["a byte order mark", Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(GOOD)])],
  ])("is refused: %s [F97]", async (_name, payload) => {
    expect(await post(payload)).toBe("DeleteNetwork: the body is not JSON");
    expect(drivers.seen).toEqual([]);
  });

  it.each([
    ["a lone continuation byte", [0x80]],
    ["an overlong slash", [0xc0, 0xaf]],
    ["a surrogate", [0xed, 0xa0, 0x80]],
  ])("is refused as no UTF-8: %s [F97]", async (_name, bytes) => {
    const payload = Buffer.concat([Buffer.from('{"NetworkID":"'), Buffer.from(bytes), Buffer.from('"}')]);

    expect(await post(payload)).toBe("DeleteNetwork: the body is not UTF-8");
  });

  it("is not quoted in the answer: it may hold a secret [F103]", async () => {
    expect(await post(`{"key": "hunter2", x}`)).not.toContain("hunter2");
  });

  it.each(["[]", "null", "1", '"x"', "true"])("is refused when it is no object: %s", async (payload) => {
    expect(await post(payload)).toBe("DeleteNetwork: the body must be object");
  });
});

describe("equal keys", () => {
  it("count as the last one [F97]", async () => {
    const other = NETWORK_ID.replace("6", "7");

    await post(`{"NetworkID":"${other}","NetworkID":"${NETWORK_ID}"}`);

    expect(drivers.seen).toEqual([{ method: "deleteNetwork", request: NETWORK_ID }]);
  });
});

describe("fields", () => {
  it("that are unknown pass [F51]", async () => {
    expect(await post(`{"NetworkID":"${NETWORK_ID}","NewField":{"a":[1]}}`)).toBeUndefined();
  });

  it("in another case do not count", async () => {
    expect(await post(`{"networkid":"${NETWORK_ID}"}`)).toBe("DeleteNetwork: NetworkID is missing");
  });

  it("are all named in one message when several are wrong", async () => {
    const body = { NetworkID: "x", Options: { "com.docker.network.internal": "yes" }, IPv4Data: [{ Pool: "p" }] };

    expect(await post(JSON.stringify(body), {}, "/NetworkDriver.CreateNetwork")).toBe(
      "CreateNetwork: NetworkID must be 64 hex digits, or 25 lower-case letters and digits; " +
        'Options["com.docker.network.internal"] must be boolean; ' +
        "IPv4Data[0].AddressSpace is missing; IPv4Data[0].Pool must be an IP address with a prefix length",
    );
  });

  it("are counted from the 21st fault on", async () => {
    const generic = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`o${index}`, index]));
    const body = { NetworkID: NETWORK_ID, Options: { "com.docker.network.generic": generic } };

    expect(await post(JSON.stringify(body), {}, "/NetworkDriver.CreateNetwork")).toMatch(
      /o19 must be string; and 80 more$/,
    );
  });

  it("of options may be 256, not 257", async () => {
    const create = async (count: number) => {
      const options = Object.fromEntries(Array.from({ length: count }, (_, index) => [`o${index}`, ""]));
      const body = { NetworkID: NETWORK_ID, Options: { "com.docker.network.generic": options } };
      return post(JSON.stringify(body), {}, "/NetworkDriver.CreateNetwork");
    };

    expect(await create(256)).toBeUndefined();
    expect(await create(257)).toContain("must not have more than 256 entries");
  });
});

describe("prototype keys [F95]", () => {
  it.each([
    `{"__proto__":{"polluted":1},"NetworkID":"${NETWORK_ID}"}`,
    `{"\\u005f_proto__":{"polluted":1},"NetworkID":"${NETWORK_ID}"}`,
    `{"NetworkID":"${NETWORK_ID}","x":[{"__proto__":{"polluted":1}}]}`,
  ])("named __proto__ are refused: %s [F95]", async (payload) => {
    expect(await post(payload)).toContain("__proto__");
    expect(drivers.seen).toEqual([]);
    expect({}).not.toHaveProperty("polluted");
  });

  it("named constructor are inert, and stay what they are in a map of options [F95]", async () => {
    const inert = `{"NetworkID":"${NETWORK_ID}","constructor":{"prototype":{"polluted":1}}}`;
    const options = `{"NetworkID":"${NETWORK_ID}","Options":{"com.docker.network.generic":{"constructor":"x","toString":"y"}}}`;

    expect(await post(inert)).toBeUndefined();
    expect(await post(options, {}, "/NetworkDriver.CreateNetwork")).toBeUndefined();

    expect(drivers.seen.at(-1)?.request).toMatchObject({
      options: new Map([
        ["constructor", "x"],
        ["toString", "y"],
      ]),
    });
    expect({}).not.toHaveProperty("polluted");
  });
});
