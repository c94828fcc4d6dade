import { describe, expect, it } from "vitest";
import { inspect } from "../../../src/cli/inspect.ts";
import { containerId, deskIn, dockerWith, endpointStatus, networkStatus } from "../../support/cli-desk.ts";
import { endpointId, networkId } from "../../support/cnm-builder.ts";

const PORT = { protocol: "tcp", hostAddress: "", hostPort: 8080, containerPort: 80 } as const;
const SCENE = {
  networks: [
    networkStatus(1, {
      endpoints: [endpointStatus(1, 1, { ports: [PORT] }), endpointStatus(2, 1, { state: "created" })],
    }),
    networkStatus(2, {
      backend: "ovs",
      mode: "l2",
      switch: "sw0",
      vlan: 100,
      parent: "eth1",
      isInternal: true,
      icc: false,
      antispoof: false,
      hostBinding: "192.0.2.1",
      endpoints: [endpointStatus(3, 2, { vlan: 100 })],
    }),
  ],
  docker: dockerWith({ front: 1, floor: 2 }, { web: [1, 3], db: [2], floor: [] }),
} as const;

async function printed(text: string, options: Parameters<typeof inspect>[2] = {}): Promise<string> {
  const desk = deskIn(SCENE);
  await inspect(desk, text, options);
  return desk.out.text;
}

describe("tsnet inspect", () => {
  it("prints a network with its settings and who is on it; what is empty is left out", async () => {
    expect(await printed("front")).toBe(
      [
        "network front",
        `  id         ${networkId(1)}`,
        "  state      ready",
        "  mode       nat",
        "  switch     tsn-1 (bridge)",
        "  mtu        1500",
        "  subnets    10.1.1.0/24",
        "  icc        yes",
        "  antispoof  yes",
        "",
        "CONTAINER     ADDRESSES    MAC                HOST LINK  PORTS",
        "db (created)  10.1.1.3/24  02:42:0a:01:01:03  tsv2",
        "web           10.1.1.2/24  02:42:0a:01:01:02  tsv1       *:8080/tcp to 80",
        "",
      ].join("\n"),
    );
  });

  it("prints all that a network may have", async () => {
    const text = await printed("floor");

    for (const line of [
      "mode          l2, internal",
      "switch        sw0 (ovs)",
      "vlan          100",
      "parent        eth1",
      "icc           no",
      "antispoof     no",
      "host-binding  192.0.2.1",
    ]) {
      expect(text).toContain(`  ${line}\n`);
    }
  });

  it("prints a container with its places on all networks of tsnet", async () => {
    expect(await printed("web")).toBe(
      [
        "container web",
        `  id  ${containerId(1)}`,
        "",
        "NETWORK  ADDRESSES    MAC                HOST LINK  VLAN  PORTS",
        "floor    10.1.2.4/24  02:42:0a:01:02:04  tsv3       100",
        "front    10.1.1.2/24  02:42:0a:01:01:02  tsv1             *:8080/tcp to 80",
        "",
      ].join("\n"),
    );
  });

  it("finds by the beginning of an id", async () => {
    expect(await printed(containerId(1).slice(0, 12))).toMatch(/^container web\n/);
    expect(await printed(networkId(2).slice(0, 5))).toMatch(/^network floor\n/);
  });

  it("prints one object as JSON", async () => {
    expect(JSON.parse(await printed("front", { json: true }))).toMatchObject({ id: networkId(1), name: "front" });
    expect(JSON.parse(await printed("web", { json: true }))).toMatchObject({
      name: "web",
      places: [{ network: { name: "floor" } }, { network: { name: "front" }, endpoint: { id: endpointId(1) } }],
    });
  });

  it("says how to tell a network from a container of the same name, and takes that", async () => {
    const scene = { ...SCENE, docker: dockerWith({ same: 1, floor: 2 }, { same: [1] }) };
    const both = deskIn(scene);

    await expect(inspect(both, "same", {})).rejects.toThrow(
      '"same" is a network and a container: say which with --type network or --type container',
    );
    const [network, container] = [deskIn(scene), deskIn(scene)];
    await inspect(network, "same", { type: "network" });
    await inspect(container, "same", { type: "container" });

    expect(network.out.text).toMatch(/^network same\n/);
    expect(container.out.text).toMatch(/^container same\n/);
  });

  it("names the networks that there are when it finds nothing", async () => {
    await expect(printed("wbe")).rejects.toThrow(
      'tsnet has no network or container "wbe"; its networks are floor, front',
    );
    await expect(printed("db", { type: "network" })).rejects.toThrow('tsnet has no network "db"');
    await expect(inspect(deskIn({}), "x", {})).rejects.toThrow("it has none");
  });
});
