import { describe, expect, it } from "vitest";
import { fakeDrivers } from "../support/fake-drivers.ts";
import { serverOn } from "./conversation.ts";
import { ENDPOINT_ID, NETWORK_ID } from "./samples.ts";

async function seenOf(verb: string, body: object): Promise<unknown> {
  const drivers = fakeDrivers();
  await using server = serverOn(drivers);
  await server.app.inject({ method: "POST", url: `/Operator.${verb}`, payload: JSON.stringify(body) });
  return drivers.seen.at(-1)?.request;
}

describe("the verb of `tsnet attach`", () => {
  const container = { OwnerKind: "container", OwnerID: "4f1c", OwnerName: "web" };
  const body = { NetworkID: NETWORK_ID, EndpointID: ENDPOINT_ID, Interface: "eth1", ...container };
  const owner = { kind: "container", id: "4f1c", name: "web" };

  it("hands on which engine has the container", async () => {
    const request = await seenOf("Attach", { ...body, OwnerEngine: "4WNA:77VC /var/lib/docker" });

    expect(request).toMatchObject({ owner: { ...owner, engine: "4WNA:77VC /var/lib/docker" } });
  });

  it("hands on that it is for one that is attached", async () => {
    expect(await seenOf("Attach", { ...body, Again: true })).toMatchObject({ isAgain: true, isLost: false });
    expect(await seenOf("Attach", { ...body, Lost: true })).toMatchObject({ isAgain: false, isLost: true });
  });

  it.each([
    ["does not say", {}],
    ["says with an empty text that it does not know", { OwnerEngine: "" }],
  ])("knows no engine where the command %s", async (_what, more) => {
    const request = (await seenOf("Attach", { ...body, ...more })) as { readonly owner: unknown };

    expect(request.owner).toEqual(owner);
  });
});

describe("the verbs of `tsnet set` and `tsnet plan`", () => {
  it("hand on which network, and the options as they were typed", async () => {
    const request = await seenOf("SetNetwork", { NetworkID: NETWORK_ID, Options: { vlan: "200", icc: "" } });

    const options = new Map(Object.entries({ vlan: "200", icc: "" }));
    expect(request).toEqual({ networkId: NETWORK_ID, options });
  });

  it("hand on which endpoint", async () => {
    const ids = { NetworkID: NETWORK_ID, EndpointID: ENDPOINT_ID };

    expect(await seenOf("SetEndpoint", { ...ids, Options: { ip: "10.1.2.3" } })).toEqual({
      networkId: NETWORK_ID,
      endpointId: ENDPOINT_ID,
      options: new Map([["ip", "10.1.2.3"]]),
    });
  });

  it("hand on the subnets of a plan, with gateways where they were named", async () => {
    const Subnets = [{ Pool: "10.1.2.0/24", Gateway: "10.1.2.9/24" }, { Pool: "fd00::/64" }];

    expect(await seenOf("Plan", { Options: { vlan: "10" }, Internal: true, IPv6: true, Subnets })).toEqual({
      options: new Map([["vlan", "10"]]),
      isInternal: true,
      hasIpv6: true,
      pools: [{ subnet: "10.1.2.0/24", gateway: "10.1.2.9/24" }, { subnet: "fd00::/64" }],
    });
  });

  it("take a plan without anything for the plan of a network without options", async () => {
    expect(await seenOf("Plan", {})).toEqual({ options: new Map(), isInternal: false, hasIpv6: false, pools: [] });
  });
});
