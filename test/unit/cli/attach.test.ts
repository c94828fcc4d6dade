import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { attach, readOperands, sayDone } from "../../../src/cli/attach.ts";
import { detach } from "../../../src/cli/detach.ts";
import { endpointIdOf, findOwner, isOwner } from "../../../src/cli/namespace-owner.ts";
import type { AttachmentOwner } from "../../../src/cnm/attachment.ts";
import type { EndpointStatus, NetworkStatus } from "../../../src/cnm/requests.ts";
import { statusOf } from "../../../src/cnm/status.ts";
import { TsnetError } from "../../../src/errors.ts";
import { endpoint, endpointId, network } from "../../support/cnm-builder.ts";
import { CnmRig } from "../../support/cnm-rig.ts";
import { fakeContainer, fakeTools } from "../../support/fake-tools.ts";

const WEB: AttachmentOwner = { kind: "container", id: "web".padEnd(64, "0"), name: "web" };

/** The network `blue` with one endpoint of that owner's; of Docker's, without one. */
async function networkWith(owner?: AttachmentOwner): Promise<readonly NetworkStatus[]> {
  const { registry } = new CnmRig();
  const attachment = owner && { owner, ifName: "eth1", hasDefaultRoute: false, routes: [], isOnce: false };
  await registry.putNetwork(network(), "ready");
  await registry.putEndpoint({ endpoint: endpoint(), state: "joined", ...(attachment && { attachment }) });
  return statusOf(registry).networks;
}

function named(networks: readonly NetworkStatus[]) {
  const list = networks.map(({ id }) => ({ id, name: "blue", ipamDriver: "default", subnets: [] }));
  return { networks: list };
}

describe("the operands of attach and detach", () => {
  it("are a container and a network, or a network alone with --netns or --pid", () => {
    expect(readOperands(["web", "blue"], {})).toEqual({ choice: { container: "web" }, network: "blue" });
    expect(readOperands(["blue"], { netns: "/run/netns/a" })).toEqual({
      choice: { netns: "/run/netns/a" },
      network: "blue",
    });
    expect(readOperands(["blue"], { pid: "7" })).toEqual({ choice: { pid: "7" }, network: "blue" });
  });

  it.each([
    ["one alone without --netns and --pid", ["web"], {}, /CONTAINER and NETWORK are needed/],
    ["a container besides --netns", ["web", "blue"], { netns: "/run/netns/a" }, /there is no CONTAINER/],
    ["--netns and --pid at once", ["blue"], { netns: "/run/netns/a", pid: "7" }, /one of them is enough/],
  ])("are refused: %s", (_what, operands, options, message) => {
    expect(() => readOperands(operands, options)).toThrow(message);
  });
});

describe("attach", () => {
  it("names the networks that there are when it finds none", async () => {
    const networks = await networkWith();
    const { tools } = fakeTools({ networks, docker: named(networks), containers: [fakeContainer("web")] });

    await expect(attach(tools, readOperands(["web", "red"], {}), {})).rejects.toThrow(
      'tsnet has no network "red"; it has blue',
    );
  });

  it("says so of a network of another driver", async () => {
    const other = { id: "b", name: "bridge", ipamDriver: "default", subnets: [] };
    const { tools } = fakeTools({ docker: { networks: [other] } });

    await expect(attach(tools, readOperands(["web", "bridge"], {}), {})).rejects.toThrow(
      /that one is of another driver; it has none/,
    );
  });

  it("is refused in the host's own namespace", async () => {
    const networks = await networkWith();
    const docker = named(networks);
    const { tools, calls } = fakeTools({ networks, docker });
    const options = { pid: String(process.pid) };

    const attempt = attach(tools, readOperands(["blue"], options), options);

    await expect(attempt).rejects.toThrow(/is in the host's own network namespace/);
    expect(calls).toEqual([]);
  });

  it("says what is there, and when nothing was changed", () => {
    const done = { container: "web", network: "blue", interface: "eth1", mac: "", mtu: 1500, hostLink: "" };

    expect(sayDone({ ...done, addresses: ["10.1.1.2/24", "fd00::2/64"], isChanged: true })).toBe(
      "web has eth1 on blue: 10.1.1.2/24, fd00::2/64",
    );
    expect(sayDone({ ...done, addresses: [], isChanged: false })).toBe("web has eth1 on blue: no address (as before)");
  });
});

describe("an owner", () => {
  it.each([
    ["a file that there is not", { netns: "/nowhere" }, /there is no such file/],
    ["a file that is no namespace", { netns: "/etc/passwd" }, /no network namespace; `ip netns add blue`/],
    ["a path that is none", { netns: "blue" }, /no absolute path/],
    ["a number that no process has", { pid: "4194999" }, /there is no such process/],
    ["what is no number", { pid: "1; reboot" }, /no number of a process/],
  ])("is not %s", async (_what, choice, message) => {
    const { tools } = fakeTools({});

    await expect(findOwner(tools, choice)).rejects.toThrow(message);
  });

  it("is a container that runs", async () => {
    const asleep = fakeContainer("web", { isRunning: false, pid: 0 });
    const { tools } = fakeTools({ containers: [asleep] });

    await expect(findOwner(tools, { container: "web" })).rejects.toThrow(/does not run, .*docker start web/);
  });

  it("is no container whose process is not on this host, or is no more", async () => {
    const { tools } = fakeTools({ containers: [fakeContainer("web", { pid: 4_194_999 })] });
    const message =
      /of web, \/proc\/4194999\/ns\/net, is not there: it has ended just now, or its engine runs on another/;

    await expect(findOwner(tools, { container: "web" })).rejects.toThrow(message);
  });

  it("is no container whose network is that of one that does not run", async () => {
    const db = fakeContainer("db", { isRunning: false, pid: 0 });
    const { tools } = fakeTools({ containers: [fakeContainer("web", { sharedWith: db }), db] });

    await expect(findOwner(tools, { container: "web" })).rejects.toThrow(/db does not run, .*docker start db/);
  });

  it("has the same endpoint each time, and another one on another network", () => {
    const owner = { ...WEB, identity: WEB.id };
    const later = { ...owner, name: "renamed" };

    expect(endpointIdOf("a", owner)).toMatch(/^[0-9a-f]{64}$/);
    expect(endpointIdOf("a", later)).toBe(endpointIdOf("a", owner));
    expect(endpointIdOf("b", owner)).not.toBe(endpointIdOf("a", owner));
  });

  it("is meant by a path that leads by a link, as /var/run is one, also when its file is gone", () => {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), "tsnet-owner-")));
    const [real, linked] = [join(folder, "run"), join(folder, "var-run")];
    mkdirSync(real);
    symlinkSync(real, linked);
    const owner = { kind: "netns", id: join(real, "lab"), name: join(real, "lab") } as const;

    const isMeant = [linked, real, tmpdir()].map((directory) => isOwner(owner, { netns: join(directory, "lab") }));

    rmSync(folder, { recursive: true });
    expect(isMeant).toEqual([true, true, false]);
    expect(isOwner(owner, { netns: join(real, "lab") })).toBe(true); // the directory is gone, too
  });

  it("is meant by its name, its id and the beginning of that", () => {
    const id = "4f1c0a9be473".padEnd(64, "5");
    const owner = { kind: "container", id, name: "web" } as const;

    expect(["web", id, id.slice(0, 12)].map((container) => isOwner(owner, { container }))).toEqual([true, true, true]);
    expect(["w", "4f", "4f1c"].map((container) => isOwner(owner, { container }))).toEqual([false, false, false]);
    expect(isOwner({ kind: "netns", id: "web", name: "web" }, { container: "web" })).toBe(false);
    expect(isOwner({ kind: "pid", id: "7", name: "pid 7" }, { pid: "7" })).toBe(true);
  });
});

describe("detach", () => {
  const answer = () => ({ WasAttached: true });

  it.each([
    ["by its name", "web", [fakeContainer("web")]],
    ["by its name when it is no more", "web", []],
    ["by its id when it is no more", WEB.id.slice(0, 12), []],
    ["by its name when another one has that now", "web", [fakeContainer("web", { id: "7".repeat(64) })]],
  ])("finds a container %s", async (_what, called, containers) => {
    const networks = await networkWith(WEB);
    const { tools, calls, lines } = fakeTools({ networks, containers, docker: named(networks), answer });

    await detach(tools, readOperands([called, "blue"], {}), {});

    const ids = { NetworkID: network().id, EndpointID: endpointId() };
    expect(calls).toEqual([{ verb: "Operator.Detach", message: ids }]);
    expect(lines).toEqual(["web is off blue, 10.1.1.2/24 is free"]);
  });

  it("calls a renamed container as it is called now", async () => {
    const networks = await networkWith(WEB);
    const old = fakeContainer("old", { id: WEB.id });
    const places = [{ networkId: "none", endpointId: "", container: old, addresses: [] }];
    const { tools, lines } = fakeTools({ networks, containers: [old], docker: { ...named(networks), places }, answer });

    await detach(tools, readOperands(["old", "blue"], {}), {});

    expect(lines).toEqual(["old is off blue, 10.1.1.2/24 is free"]);
  });

  it("leaves a container alone that had the name before, and lives", async () => {
    const containers = [fakeContainer("web", { id: "7".repeat(64) }), fakeContainer("old", { id: WEB.id })];
    const networks = await networkWith(WEB);
    const { tools, calls, notes } = fakeTools({ networks, containers, docker: named(networks), answer });

    await detach(tools, readOperands(["web", "blue"], {}), {});

    expect(calls).toEqual([]);
    expect(notes).toEqual(["tsnet: web is not attached to blue: nothing was changed"]);
  });

  it("is refused when Docker no more says whether the one that had the name before lives", async () => {
    const web = fakeContainer("web", { id: "7".repeat(64) });
    const networks = await networkWith(WEB);
    const { tools, calls } = fakeTools({ networks, docker: named(networks), answer });
    const findContainer = async (name: string) => {
      if (name === "web") return web;
      throw new TsnetError("unavailable", "Docker does not answer");
    };

    const attempt = detach({ ...tools, findContainer }, readOperands(["web", "blue"], {}), {});

    await expect(attempt).rejects.toThrow("Docker does not answer");
    expect(calls).toEqual([]);
  });

  it("takes off the one in whose network the container is, also by way of another one, and says so", async () => {
    const web = fakeContainer("web");
    const guest = fakeContainer("guest", { sharedWith: web });
    const friend = fakeContainer("friend", { sharedWith: guest });
    const networks = await networkWith(WEB);
    const containers = [web, guest, friend];
    const { tools, calls, notes } = fakeTools({ networks, containers, docker: named(networks), answer });

    await detach(tools, readOperands(["friend", "blue"], {}), {});

    expect(calls).toHaveLength(1);
    expect(notes).toEqual(["tsnet: friend shares the network of web: this is about web"]);
  });

  it("of a container in the network of one that is gone is a note and no failure", async () => {
    const guest = fakeContainer("guest", { sharedWith: { id: "7".repeat(64), name: "gone" } });
    const networks = await networkWith(WEB);
    const { tools, notes } = fakeTools({ networks, containers: [guest], docker: named(networks), answer });

    await detach(tools, readOperands(["guest", "blue"], {}), {});

    expect(notes).toEqual(["tsnet: guest is not attached to blue: nothing was changed"]);
  });

  it("of one who is not attached is a note and no failure", async () => {
    const networks = await networkWith(WEB);
    const { tools, calls, notes } = fakeTools({ networks, docker: named(networks), answer });

    await detach(tools, readOperands(["db", "blue"], {}), {});

    expect(calls).toEqual([]);
    expect(notes).toEqual(["tsnet: db is not attached to blue: nothing was changed"]);
  });

  it("is refused for a container that Docker connected", async () => {
    const networks = await networkWith();
    const web = fakeContainer("web");
    const place = { networkId: network().id, endpointId: endpointId(), container: web, addresses: [] };
    const docker = { ...named(networks), places: [place] };
    const { tools } = fakeTools({ networks, containers: [web], docker, answer });

    await expect(detach(tools, readOperands(["web", "blue"], {}), {})).rejects.toThrow(
      /`docker network disconnect blue web`/,
    );
  });
});

describe("an attachment in the lists", () => {
  it("has the container's name, also the one that it got later, and the old one when it is no more", async () => {
    const { nameNetworks } = await import("../../../src/cli/catalog.ts");
    const status = await networkWith(WEB);
    const renamed = { networkId: "none", endpointId: "", container: { id: WEB.id, name: "www" }, addresses: [] };

    const nameIn = (places: readonly (typeof renamed)[]) =>
      nameNetworks(status, { networks: [], places })[0]?.endpoints.map((each: EndpointStatus & object) => each);

    expect(nameIn([renamed])).toMatchObject([{ container: { name: "www" } }]);
    expect(nameIn([])).toMatchObject([{ container: { id: WEB.id, name: "web" } }]);
  });
});
