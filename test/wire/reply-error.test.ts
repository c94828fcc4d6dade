import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { LEVEL } from "../../src/api/reply-error.ts";
import { TsnetError, inContext } from "../../src/errors.ts";
import { fakeDrivers } from "../support/fake-drivers.ts";
import { serverOn } from "./conversation.ts";
import { ENDPOINT_ID, NETWORK_ID } from "./samples.ts";

const ids = { NetworkID: NETWORK_ID, EndpointID: ENDPOINT_ID };

async function failWith(error: unknown) {
  const server = serverOn(
    fakeDrivers({
      leave: async () => {
        throw error;
      },
    }),
  );
  const answer = await server.app.inject({ method: "POST", url: "/NetworkDriver.Leave", payload: ids });
  await server.app.close();
  return { answer, lines: server.lines };
}

describe("the table of log levels", () => {
  it("has exactly the error codes of errors.ts", async () => {
    const source = await readFile(join(import.meta.dirname, "../../src/errors.ts"), "utf8");
    const codes = [...source.matchAll(/^ {2}\| "([a-z-]+)"/gm)].flatMap((match) => match[1] ?? []);

    expect(Object.keys(LEVEL).toSorted()).toEqual(codes.toSorted());
  });
});

describe("a failed call", () => {
  it("is a warning when it is the caller's mistake, an error when it is ours or the host's", () => {
    const codesAt = (level: string) => Object.entries(LEVEL).flatMap(([code, its]) => (its === level ? [code] : []));

    expect(codesAt("warn")).toEqual(["invalid", "not-found", "conflict", "exhausted", "unsupported"]);
    expect(codesAt("error")).toEqual(["unavailable", "host", "internal"]);
  });

  it.each(Object.entries(LEVEL))("with code %s is HTTP 200 and is logged once, as %s", async (code, level) => {
    const { answer, lines } = await failWith(new TsnetError(code as keyof typeof LEVEL, "pool 10.0.0.0/30 is full"));

    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toEqual({ Err: "pool 10.0.0.0/30 is full", Error: "pool 10.0.0.0/30 is full" });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({
      level,
      fields: { verb: "NetworkDriver.Leave", networkId: NETWORK_ID, endpointId: ENDPOINT_ID, outcome: code },
    });
    expect(lines[0]?.fields["durationMs"]).toBeTypeOf("number");
  });

  it("logs the chain of causes", async () => {
    const first = new Error("ENODEV");
    const error = inContext("cannot remove endpoint", new TsnetError("host", "link is busy", { cause: first }));

    const { lines } = await failWith(error);

    expect(lines[0]?.fields).toMatchObject({
      error: "cannot remove endpoint: link is busy",
      causes: ["TsnetError: link is busy", "Error: ENODEV"],
    });
  });

  it("keeps a cause that points at itself from hanging the server", async () => {
    const error = new TsnetError("host", "loop");
    error.cause = error;

    const { answer } = await failWith(error);

    expect(answer.json()).toMatchObject({ Err: "loop" });
  });

  it.each([new TypeError("x is undefined"), "a string", undefined])("turns %s into code internal", async (thrown) => {
    const { answer, lines } = await failWith(thrown);

    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toMatchObject({ Err: expect.stringContaining("Leave: ") });
    expect(lines[0]).toMatchObject({ level: "error", fields: { outcome: "internal" } });
  });

  it("answers and logs one line, without control characters [F103]", async () => {
    const { answer, lines } = await failWith(new TsnetError("host", "a\nb\u0000c\u202ed\u2028e\ud800f\u001b[31m"));

    expect(answer.json<{ Err: string }>().Err).toBe("a b c d e f [31m");
    expect(lines[0]?.fields["error"]).toBe("a b c d e f [31m");
  });
});

describe("a call that succeeds", () => {
  it("is logged once, as info, with verb, ids, outcome and duration", async () => {
    await using server = serverOn(fakeDrivers());

    await server.app.inject({ method: "POST", url: "/NetworkDriver.Leave", payload: ids });

    expect(server.lines).toEqual([
      {
        level: "info",
        message: "call",
        fields: {
          verb: "NetworkDriver.Leave",
          networkId: NETWORK_ID,
          endpointId: ENDPOINT_ID,
          outcome: "ok",
          durationMs: expect.any(Number),
        },
      },
    ]);
  });
});
