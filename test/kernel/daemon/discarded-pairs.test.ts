// The links of deleted endpoints: nothing passes them any more when DeleteEndpoint is answered, and they are gone a moment later.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { EngineEndpoint, EngineNetwork } from "../../support/engine-double.ts";
import { ServeHost } from "../../support/serve-host.ts";

/** The group that says so (DISCARDED_GROUP). */
const GROUP = "29816";
const SOON = { timeout: 5000 };

interface ShownLink {
  readonly ifname: string;
  readonly flags: readonly string[];
  readonly master?: string;
}

describe("the links of deleted endpoints", () => {
  let host: ServeHost;
  let network: EngineNetwork;

  beforeAll(async () => {
    host = await ServeHost.up("discarded");
    network = await host.engine.createNetwork({ subnet: "10.86.0.0/24", gateway: "10.86.0.1" });
  });
  afterAll(async () => await host?.[Symbol.asyncDispose]());

  it("carry nothing, out of their bridge, though a container still has one end", async () => {
    const running = await host.engine.start(network);
    expect(await host.reachesGateway(running)).toBe(true);

    await deleteEndpoint(running);

    const [left] = await linksNamed(portOf(running));
    expect([left?.master, left?.flags.includes("UP") ?? false]).toEqual([undefined, false]);
    expect(await host.reachesGateway(running)).toBe(false);
    expect(await host.exec("bridge", "fdb", "show")).not.toContain(running.mac);
  });

  it("are gone soon, twenty as well as one", async () => {
    const running: EngineEndpoint[] = [];
    for (let n = 0; n < 20; n++) running.push(await host.engine.start(network));

    for (const each of running) await deleteEndpoint(each);

    await expect.poll(discarded, SOON).toEqual([]);
    expect(await linksNamed(running[0] && portOf(running[0]))).toEqual([]);
  });

  it("are deleted by the next tsnet when the one that was told is killed", async () => {
    const running = await host.engine.start(network);
    await deleteEndpoint(running);
    await host.serve.kill9();
    expect(await discarded()).toEqual([portOf(running)]);

    await host.serve.startAgain();

    await expect.poll(discarded, SOON).toEqual([]);
  });

  it("are deleted by a tsnet that is told to end, before it ends", async () => {
    const running = await host.engine.start(network);
    await deleteEndpoint(running);

    await host.serve.stop();

    expect(await discarded()).toEqual([]);
    await host.serve.startAgain();
  });

  it("are the only ones deleted, whoever has a link in their group", async () => {
    await host.exec("ip", "link", "add", "foreign0", "group", GROUP, "type", "veth", "peer", "name", "foreign1");
    const running = await host.engine.start(network);

    await deleteEndpoint(running);

    await expect.poll(() => linksNamed(portOf(running)), SOON).toEqual([]);
    expect(await discarded()).toContain("foreign0");
    await host.exec("ip", "link", "delete", "foreign0");
  });

  /** The end on the host: Join answers with the other one. */
  function portOf({ link = "" }: EngineEndpoint): string {
    return link.replace(/^tsc/, "tsv");
  }

  /** As the engine does when it cannot get at the container: without moving the link back. */
  async function deleteEndpoint({ id, network: { id: NetworkID } }: EngineEndpoint): Promise<void> {
    await host.engine.ask("NetworkDriver.Leave", { NetworkID, EndpointID: id });
    await host.engine.ask("NetworkDriver.DeleteEndpoint", { NetworkID, EndpointID: id });
  }

  async function discarded(): Promise<string[]> {
    const shown = await host.exec("ip", "-json", "link", "show", "group", GROUP);
    return (JSON.parse(shown || "[]") as Partial<ShownLink>[]).flatMap(({ ifname }) => ifname ?? []);
  }

  async function linksNamed(name = ""): Promise<ShownLink[]> {
    const all = JSON.parse(await host.exec("ip", "-json", "link", "show")) as ShownLink[];
    return all.filter(({ ifname }) => ifname === name);
  }
});
