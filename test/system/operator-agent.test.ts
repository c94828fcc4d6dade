// `tsnet attach`, `detach` and `agent` beside `tsnet serve`, and what the agent keeps through restarts of the engine, of tsnet, of
// the host and of containers, seen by ip(8) and by packets.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type NamedNetwork, callEndpoint } from "../../src/cli/catalog.ts";
import { TEST_IMAGE } from "../support/image.ts";
import type { LabHost } from "../support/lab-host.ts";
import type { LabProcess } from "../support/lab-namespace.ts";
import { readTsnet, runTsnet, startTsnet } from "../support/operator.ts";
import { type Interface, TestContainer } from "../support/system-container.ts";
import { OPEN, SystemHost } from "../support/system-host.ts";
import { waitUntil } from "../support/wait-until.ts";

/** Of the network, on the host. */
const GATEWAY = "10.75.0.1";
/** What the agent cannot do at once it tries again 3 s later; it may find neither the engine nor tsnet there at first. */
const AGENT = { timeout: 30_000 };
/** As long as the engine of a lab may take (lab-dockerd.ts). */
const ENGINE_START = { limitMs: 60_000 };

let host: SystemHost;
let kept: TestContainer;

beforeAll(async () => {
  host = await SystemHost.up("tsnet serve", { isAlone: true });
  await host.network("blue", "--subnet", "10.75.0.0/24");
  kept = await runAlone("kept");
});
afterAll(async () => await host?.[Symbol.asyncDispose]());

describe("beside tsnet serve", () => {
  it("a container has an interface by which it reaches the host after attach, and the host has no trace of it after detach", async () => {
    const before = await host.restingCensus();

    expect(await tsnet("attach", "kept", "blue", "--ifname", "lan1")).toBe("kept has lan1 on blue: 10.75.0.2/24");
    await expect.poll(() => host.tryReach(kept, GATEWAY)).toEqual(OPEN);
    expect(await tsnet("attach", "kept", "blue")).toBe("kept has lan1 on blue: 10.75.0.2/24 (as before)");
    expect(await tsnet("detach", "kept", "blue")).toBe("kept is off blue, 10.75.0.2/24 is free");

    expect(await kept.interfaces()).toEqual([]);
    expect(await host.changesSince(before, ["links", "addresses", "routes", "nft"])).toEqual([]);
  });

  it("a refused attach changes nothing, and says what is permitted", async () => {
    const before = await host.restingCensus();

    const { exitCode, stderr } = await runTsnet(host.lab, ["attach", "kept", "blue", "--ip", "10.1.1.1"]);

    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/in no subnet of the network; permitted: 10\.75\.0\.0\/24/);
    expect(await kept.interfaces()).toEqual([]);
    expect(await host.changesSince(before)).toEqual([]);
  });
});

describe("with tsnet agent", () => {
  let agent: LabProcess;
  let brief: TestContainer;
  let whole: readonly Interface[];

  beforeAll(async () => {
    await tsnet("attach", "kept", "blue", "--ip", "10.75.0.40", "--mac", "02:00:00:00:00:40");
    brief = await runAlone("brief");
    await tsnet("attach", "brief", "blue", "--once");
    whole = await kept.interfaces();
    agent = await startTsnet(host.lab, "tsnet-agent", ["agent"]);
  });

  it("a container that starts with dockerd has its interface again, and one that was attached once only has none", async () => {
    await host.lab.dockerd.stop();
    await host.lab.dockerd.start();

    await expectBack();
    expect(await brief.interfaces()).toEqual([]);
    await host.docker("rm", "-f", "brief");
  });

  it("what happens while tsnet is away is made up for when it is back", async () => {
    await runAlone("lost");
    await tsnet("attach", "lost", "blue");
    await host.stop();
    await host.docker("restart", "kept");
    await host.docker("rm", "-f", "lost");
    expect(await kept.interfaces()).toEqual([]);

    await host.start();

    await expectBack();
    await expect.poll(attached, AGENT).not.toContain("lost");
  });

  it("an agent that starts after a reboot attaches what runs, and detaches what was removed without it", async () => {
    await runAlone("lost");
    await tsnet("attach", "lost", "blue");
    await host.exec(["kill", "-TERM", String(agent.pid)]);
    expect(await agent.ended).toBe(0);
    await host.docker("rm", "-f", "lost");

    await host.reboot();
    await kept.restarted(0);
    expect(await kept.interfaces()).toEqual([]);
    agent = await startTsnet(host.lab, "tsnet-agent", ["agent"]);

    await expectBack();
    await expect.poll(attached, AGENT).not.toContain("lost");
  });

  it("a container whose network is that of another one that starts again is left behind, and that one is whole", async () => {
    await host.docker("run", "-d", "--name", "guest", "--network", "container:kept", TEST_IMAGE, "sleep", "1000");
    const guest = new TestContainer(host, "guest");
    expect(await guest.interfaces()).toEqual(whole);

    await host.docker("restart", "kept");

    await expectBack();
    expect(await guest.interfaces()).toEqual([]);
    await host.docker("rm", "-f", "guest");
  });

  it("twenty ends and starts in a row leave nothing behind but the interface, also with two agents, who complain of nothing", async () => {
    const second = await startTsnet(host.lab, "tsnet-agent-2", ["agent"]);
    const before = await host.restingCensus();
    const former = agent.log().length;

    for (let round = 0; round < 20; round++) await endAndStart(round);

    await expectBack();
    await expect.poll(attached, AGENT).toHaveLength(1); // all others are off
    expect(
      `${agent.log().slice(former)}${second.log()}`.replaceAll(/^\w+ (?:has \w+ on|is removed and off) blue.*\n/gm, ""),
    ).toBe("");
    const changes = await host.changesSince(before, ["links", "addresses", "routes"]);
    expect(changes.filter((line) => !line.includes("tsnet:endpoint"))).toEqual([]);
    await host.exec(["kill", "-TERM", String(second.pid)]);
  });

  it("an agent at another engine leaves alone what that one does not have, and says which one has it", async () => {
    await using other = await startOtherEngine(host.lab);
    const stranger = await startTsnet(host.lab, "tsnet-agent-3", ["agent"], { DOCKER_HOST: other.address });

    await waitUntil("the agent to say so", () => stranger.log().includes("left alone"), { limitMs: AGENT.timeout });

    await expect.poll(() => host.tryReach(kept, GATEWAY)).toEqual(OPEN);
    expect(stranger.log()).toContain(`${host.lab.folder}/data, and this one, `);
    await host.exec(["kill", "-TERM", String(stranger.pid)]);
  });

  async function expectBack(): Promise<void> {
    await expect.poll(() => kept.interfaces(), AGENT).toEqual(whole);
    await waitUntil("the host to answer by it", async () => (await host.tryReach(kept, GATEWAY)).ping);
    await expect.poll(() => host.tryReach(kept, GATEWAY)).toEqual(OPEN);
  }
});

/** Every way in which a container's run ends, one after the other. */
async function endAndStart(round: number): Promise<void> {
  const { api } = host.lab.dockerd;
  const container = api.getContainer("kept");
  const ways = [
    async () => void (await container.restart()),
    async () => {
      await container.kill();
      await container.start();
    },
    async () => {
      await container.pause();
      await container.unpause();
      await container.restart();
    },
    async () => {
      await container.rename({ name: "renamed" });
      await api.getContainer("renamed").restart();
      await api.getContainer("renamed").rename({ name: "kept" });
    },
    async () => {
      const { name } = await runAlone(`doomed${round}`);
      await tsnet("attach", name, "blue");
      await api.getContainer(name).restart();
      await api.getContainer(name).remove({ force: true });
    },
  ];
  await ways[round % ways.length]?.();
}

/** Who is on the network, by name. */
async function attached(): Promise<readonly string[]> {
  const [blue] = await readTsnet<readonly Pick<NamedNetwork, "endpoints">[]>(host.lab, "ls");
  return blue?.endpoints.map(callEndpoint) ?? [];
}

/** A container to which Docker gives no network. It ends at once when it is told to, and starts with the engine. */
async function runAlone(name: string): Promise<TestContainer> {
  const options = ["--network", "none", "--restart", "always", "--stop-signal", "KILL"];
  await host.docker("run", "-d", "--name", name, ...options, TEST_IMAGE, "httpd", "-f", "-p", "80", "-h", "/www");
  return new TestContainer(host, name);
}

/** Standard output of one that succeeds. */
async function tsnet(...words: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await runTsnet(host.lab, words);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  return stdout.trimEnd();
}

interface OtherEngine extends AsyncDisposable {
  /** `DOCKER_HOST` for it. */
  readonly address: string;
}

/** A second engine on the same host, which has no container. */
async function startOtherEngine({ engine, folder, namespace }: LabHost): Promise<OtherEngine> {
  const address = `unix://${join(folder, "other.sock")}`;
  const places = { "--data-root": "other-data", "--exec-root": "other-run", "--pidfile": "other.pid" };
  const flags = Object.entries(places).flatMap(([flag, name]) => [flag, join(folder, name)]);
  const plain = ["--bridge=none", "--iptables=false", "--host", address, "--config-file", join(folder, "daemon.json")];
  const { pid, ended } = await namespace.spawn("other-dockerd", [engine.dockerd, ...flags, ...plain]);
  const isThere = async () => {
    const env = { DOCKER_HOST: address };
    return await namespace.exec([engine.docker, "version"], { env }).then(
      () => true,
      () => false,
    );
  };
  await waitUntil("the other engine to answer", isThere, ENGINE_START);
  const end = async () => {
    await namespace.exec(["kill", "-TERM", String(pid)]);
    await ended;
  };
  return { address, [Symbol.asyncDispose]: end };
}
