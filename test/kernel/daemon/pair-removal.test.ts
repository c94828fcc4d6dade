// The links of an endpoint that leaves: Leave takes both ends, also the one that a container has.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { EngineEndpoint, EngineNetwork } from "../../support/engine-double.ts";
import { ServeHost } from "../../support/serve-host.ts";

/** The group of links that are deleted together (REMOVAL_GROUP). */
const GROUP = "29816";

describe("the links of an endpoint", () => {
  let host: ServeHost;
  let network: EngineNetwork;

  beforeAll(async () => {
    host = await ServeHost.up("pairs");
    network = await host.engine.createNetwork({ subnet: "10.86.0.0/24", gateway: "10.86.0.1" });
  });
  afterAll(async () => await host?.[Symbol.asyncDispose]());

  it("are gone when Leave is answered, from the host and from the container", async () => {
    const running = await host.engine.start(network);
    expect(await host.reachesGateway(running)).toBe(true);

    await leave(running);

    expect(await tsnetLinks()).toEqual([]);
    expect(await host.exec("ip", "-netns", running.sandbox, "-brief", "link")).not.toContain("eth0");
    expect(await host.exec("bridge", "fdb", "show")).not.toContain(running.mac);
    await deleteEndpoint(running);
  });

  it("are made anew when the endpoint joins again", async () => {
    const running = await host.engine.start(network);
    await leave(running);

    const answer = await host.engine.ask("NetworkDriver.Join", { ...idsOf(running), SandboxKey: "/run/again" });

    const { SrcName } = answer["InterfaceName"] as { SrcName: string }; // cnm-protocol.md 2.8
    expect(await tsnetLinks()).toEqual([SrcName, SrcName.replace(/^tsc/, "tsv")].toSorted());
    await leave(running);
    await deleteEndpoint(running);
  });

  it("are gone when DeleteEndpoint is answered that no Leave came before", async () => {
    const running = await host.engine.start(network);

    await deleteEndpoint(running);

    expect(await tsnetLinks()).toEqual([]);
  });

  it("go together when thirty leave at once", async () => {
    const running: EngineEndpoint[] = [];
    for (let n = 0; n < 30; n++) running.push(await host.engine.start(network));

    await Promise.all(running.map(leave));

    expect(await tsnetLinks()).toEqual([]);
    await Promise.all(running.map(deleteEndpoint));
  });

  it("are the only ones that go, whoever has a link in their group", async () => {
    await host.exec("ip", "link", "add", "foreign0", "group", GROUP, "type", "veth", "peer", "name", "foreign1");
    const running: EngineEndpoint[] = [];
    for (let n = 0; n < 5; n++) running.push(await host.engine.start(network));

    await Promise.all(running.map(leave));

    expect(await tsnetLinks()).toEqual([]);
    expect(await host.exec("ip", "-brief", "link", "show", "group", GROUP)).toContain("foreign0");
    await host.exec("ip", "link", "delete", "foreign0");
    await Promise.all(running.map(deleteEndpoint));
  });

  function idsOf({ id, network: { id: NetworkID } }: EngineEndpoint) {
    return { NetworkID, EndpointID: id };
  }

  async function leave(running: EngineEndpoint): Promise<void> {
    await host.engine.ask("NetworkDriver.Leave", idsOf(running));
  }

  async function deleteEndpoint(running: EngineEndpoint): Promise<void> {
    await host.engine.ask("NetworkDriver.DeleteEndpoint", idsOf(running));
  }

  /** Both ends of tsnet's pairs, as far as they are on the host. */
  async function tsnetLinks(): Promise<readonly string[]> {
    const links = await host.links();
    return links.flatMap(({ ifname }) => (/^ts[cv]/.test(ifname) ? [ifname] : [])).toSorted();
  }
});
