// The operator's verb that has tsnet mend its own, as the command sends it.
import { describe, expect, it } from "vitest";
import { fakeDrivers } from "../support/fake-drivers.ts";
import { serverOn } from "./conversation.ts";

const UNHELD = { AddressSpace: "tsnet", Subnet: "10.1.2.0/24", Address: "10.1.2.3" };

async function post(payload: object) {
  const drivers = fakeDrivers();
  await using server = serverOn(drivers);
  const response = await server.app.inject({
    method: "POST",
    url: "/Operator.Repair",
    payload: JSON.stringify(payload),
  });
  return { answer: JSON.parse(response.body) as unknown, seen: drivers.seen };
}

describe("Operator.Repair", () => {
  it("hands on the addresses that nobody has, and answers with what was done and what was left", async () => {
    const { answer, seen } = await post({ Addresses: [UNHELD] });

    expect(seen).toEqual([
      {
        method: "repair",
        request: { addresses: [{ addressSpace: "tsnet", subnet: "10.1.2.0/24", address: "10.1.2.3" }] },
      },
    ]);
    expect(answer).toEqual({ Done: ["tsv0 removed"], Left: ["tsn-0 was not removed: it is in use"] });
  });

  it.each([
    ["an address without its subnet", { Addresses: [{ ...UNHELD, Subnet: undefined }] }],
    ["a subnet that is none", { Addresses: [{ ...UNHELD, Subnet: "10.1.2.0" }] }],
  ])("refuses %s, and nothing is done", async (_what, payload) => {
    const { answer, seen } = await post(payload);

    expect(answer).toEqual(expect.objectContaining({ Err: expect.stringContaining("Repair") }));
    expect(seen).toEqual([]);
  });
});
