import { describe, expect, it } from "vitest";
import { ipam } from "../../../src/cli/ipam.ts";
import type { PoolStatus } from "../../../src/ipam/requests.ts";
import { containerId, deskIn, dockerWith, endpointStatus, networkStatus } from "../../support/cli-desk.ts";

function pool(n: number, more: Partial<PoolStatus> = {}): PoolStatus {
  const subnet = `10.1.${n}.0/24`;
  const addresses = [
    { address: `10.1.${n}.1`, use: "gateway" as const },
    { address: `10.1.${n}.2`, use: "endpoint" as const },
  ];
  return { id: `${subnet}+1234`, addressSpace: "tsnet", segment: "", subnet, used: 2, free: "252", addresses, ...more };
}

const FOREIGN = { id: "f".repeat(64), name: "plain", ipamDriver: "tsnet:latest", subnets: ["10.1.2.0/24"] };
const own = dockerWith({ front: 1 }, { web: [1] });
const place = {
  networkId: FOREIGN.id,
  endpointId: "e".repeat(64),
  container: { id: containerId(9), name: "db" },
  addresses: ["10.1.2.2"],
};
const SCENE = {
  networks: [networkStatus(1, { endpoints: [endpointStatus(1)] })],
  pools: [pool(1, { range: "10.1.1.0/25" }), pool(2), pool(3, { segment: "a" })],
  docker: { networks: [...own.networks, FOREIGN], places: [...own.places, place] },
};

async function printed(text?: string, scene = SCENE): Promise<string> {
  const desk = deskIn(scene);
  await ipam(desk, text, {});
  return desk.out.text;
}

describe("tsnet ipam", () => {
  it("lists the pools, and which networks have them, also those of other drivers", async () => {
    expect(await printed()).toBe(
      [
        "SUBNET       RANGE        SEGMENT  NETWORK  USED  FREE",
        "10.1.1.0/24  10.1.1.0/25           front    2     252",
        "10.1.2.0/24                        plain    2     252",
        "10.1.3.0/24               a                 2     252",
        "",
      ].join("\n"),
    );
  });

  it("says who has which address of a network's pool", async () => {
    expect(await printed("front")).toBe(
      ["10.1.1.0/24 of front: 2 in use, 252 free", "ADDRESS   WHO", "10.1.1.1  gateway", "10.1.1.2  web", ""].join(
        "\n",
      ),
    );
  });

  it("knows the containers of other drivers' networks", async () => {
    expect(await printed("plain")).toContain("10.1.2.2  db\n");
  });

  it("finds a pool by its subnet, and says of whom it does not know", async () => {
    expect(await printed("10.1.3.0/24")).toBe(
      [
        "10.1.3.0/24 of no network, segment a: 2 in use, 252 free",
        "ADDRESS   WHO",
        "10.1.3.1  gateway",
        "10.1.3.2  an auxiliary address, or nobody that Docker knows",
        "",
      ].join("\n"),
    );
  });

  it("says both who may have an address that is in two segments", async () => {
    const networks = [1, 2].map((n) =>
      networkStatus(n, {
        subnets: ["10.1.1.0/24"],
        endpoints: [endpointStatus(n, 1, { addresses: ["10.1.1.2/24"] })],
      }),
    );
    const docker = dockerWith({ one: 1, two: 2 }, { web: [1], db: [2] });

    expect(await printed("one", { networks, docker, pools: [pool(1)] } as typeof SCENE)).toContain(
      "10.1.1.2  web or db\n",
    );
  });

  it("takes as foreign networks only those whose addresses are from tsnet", async () => {
    for (const [ipamDriver, network] of [
      ["tsnet-plugin:latest", "plain"],
      ["tsnet", "plain"],
      ["default", ""],
      ["tsnetwork", ""],
    ] as const) {
      const scene = { ...SCENE, docker: { ...SCENE.docker, networks: [{ ...FOREIGN, ipamDriver }] } };
      const desk = deskIn({ ...scene, pools: [pool(2)] });
      await ipam(desk, undefined, { json: true });
      expect(JSON.parse(desk.out.text)[0].networks, ipamDriver).toEqual(network === "" ? [] : [network]);
    }
  });

  it("names the pools that there are when it finds none", async () => {
    await expect(printed("10.9.0.0/16")).rejects.toThrow(
      'tsnet has given out no pool "10.9.0.0/16"; it has 10.1.1.0/24, 10.1.2.0/24, 10.1.3.0/24',
    );
    await expect(printed("x", { networks: [], pools: [], docker: own } as unknown as typeof SCENE)).rejects.toThrow(
      "it has none",
    );
  });

  it("says that there is no pool, and that the list is cut", async () => {
    const desk = deskIn({ isComplete: false });

    await ipam(desk, undefined, {});

    expect(desk.out.text).toBe("tsnet has given out no pool\n");
    expect(desk.notes.text).toContain("these are not all");
  });
});
