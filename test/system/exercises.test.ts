// The four exercises for which people wrote pipework and ovs-docker, with the commands that the README has for them, on two
// hosts with engines and Open vSwitch each:
//
//   containers -- switch of tsnet -- host 1  net1 ---+-- lan1 of the wire
//   containers -- switch of tsnet -- host 2  net1 ---+
//                                            net0  the network of the tunnels (tunnel-hosts.ts)
//
// All containers of the second and third one have addresses of one subnet: nothing but the VLAN keeps them apart.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FrameSocket } from "../support/frame-capture.ts";
import { ETHERTYPE } from "../support/frames.ts";
import { runTsnet } from "../support/operator.ts";
import { cable } from "../support/neighbour.ts";
import type { TestContainer } from "../support/system-container.ts";
import { CLOSED, OPEN } from "../support/system-host.ts";
import { TunnelHosts } from "../support/tunnel-hosts.ts";

const README = readFileSync(join(import.meta.dirname, "../../README.md"), "utf8");

/** By VLAN: the network, and its container on the first and on the second host. */
const FLOORS = [
  { vlan: 100, name: "red", address: ["192.168.0.11", "192.168.0.12"] },
  { vlan: 200, name: "blue", address: ["192.168.0.21", "192.168.0.22"] },
] as const;

/** The first packets to a new place may get lost, as while the hosts of a tunnel look for one another. */
const COLD = { timeout: 30_000 };

const NOBODY = { [Symbol.asyncDispose]: async () => {} };

describe("an exercise", () => {
  let stand: TunnelHosts;

  beforeAll(async () => {
    stand = await TunnelHosts.up(["tsnet serve", "tsnet serve"], "ovs");
    await stand.wire.exec(["ip", "link", "add", "lan1", "type", "bridge", "mcast_snooping", "0"]);
    await stand.wire.exec(["ip", "link", "set", "lan1", "promisc", "on", "up"]);
    for (const [at, { lab }] of stand.hosts.entries()) {
      const far = `uplink${at + 1}`;
      await cable({ at: lab.namespace, ifName: "net1", addresses: [] }, { at: stand.wire, ifName: far, addresses: [] });
      await stand.wire.exec(["ip", "link", "set", far, "master", "lan1"]);
    }
  });
  afterAll(async () => await stand?.[Symbol.asyncDispose]());

  it("a container that was started with --network none gets a NIC, and reaches its VLAN", async () => {
    await using stack = new AsyncDisposableStack();
    const host = stand.host(1);
    const [red, blue] = await networksOn(1, stack, () => ["-o", "bridge=sw0"]);
    await place(1, "red-1", red, 0, 0, stack);
    await place(1, "blue-1", blue, 1, 0, stack);
    const lonely = stack.use(await host.run("lonely", { name: "none", ...NOBODY }));
    stack.defer(async () => void (await runTsnet(host.lab, ["detach", "lonely", "red"])));

    expect(README).toContain("$ tsnet attach lonely red\n");
    expect(await runTsnet(host.lab, ["attach", "lonely", "red"])).toMatchObject({ exitCode: 0 });

    await expect.poll(() => reaches(1, lonely), COLD).toEqual(["192.168.0.11"]);
  });

  it("containers on one Open vSwitch in the VLANs 100 and 200 reach those of their own VLAN only", async () => {
    await using stack = new AsyncDisposableStack();
    const [red, blue] = await networksOn(1, stack, () => ["-o", "bridge=sw0"]);
    const [red1, red2] = [await place(1, "red-1", red, 0, 0, stack), await place(1, "red-2", red, 0, 1, stack)];
    const blue1 = await place(1, "blue-1", blue, 1, 0, stack);
    await place(1, "blue-2", blue, 1, 1, stack);

    await expect.poll(() => reaches(1, red1), COLD).toEqual(["192.168.0.12"]);
    await expect.poll(() => reaches(1, red2), COLD).toEqual(["192.168.0.11"]);
    await expect.poll(() => reaches(1, blue1), COLD).toEqual(["192.168.0.22"]);
    const tags = JSON.parse(await stand.host(1).ovs.vsctl("--format=json", "--columns=tag", "list", "Port")) as Rows;
    const count = (vlan: number) => tags.data.flat().filter((tag) => tag === vlan).length;
    expect([count(100), count(200)]).toEqual([2, 2]);
  });

  it("the same over two hosts through uplinks, whose frames have the tags 100 and 200 on the wire", async () => {
    using wire = FrameSocket.open({ path: `/proc/${stand.wire.keeperPid}/ns/net` }, "lan1");

    await expectFloorsApart(() => ["-o", "parent=net1"]);

    // IPv6 is what the hosts' own links say when they come up.
    const tags = new Set(wire.heard().flatMap((frame) => (typeOf(frame) === ETHERTYPE.ipv6 ? [] : [tagOf(frame)])));
    expect(tags).toEqual(new Set([100, 200]));
  });

  it.each(["vxlan", "gre"] as const)("the same over two hosts through a tunnel of kind %s", async (kind) => {
    await expectFloorsApart(({ vlan }) => [
      "-o",
      `tunnel=${kind}`,
      "-o",
      `vni=${vlan}`,
      "-o",
      `peers=${stand.peers()}`,
    ]);
  });

  it("leaves nothing behind, and tsnet complained of nothing", async () => {
    for (const host of stand.hosts) await host.exec(["ip", "link", "delete", "net1"]);

    expect(await stand.leftovers()).toEqual([]);
    expect(stand.hosts.flatMap((host) => host.complaints())).toEqual([]);
  });

  /** On each of the two hosts a container in each of the two VLANs: it reaches that of its VLAN on the other host, and nobody else. */
  async function expectFloorsApart(options: (floor: (typeof FLOORS)[number]) => readonly string[]): Promise<void> {
    await using stack = new AsyncDisposableStack();
    const containers: { n: number; container: TestContainer; friend: string }[] = [];
    for (const n of [1, 2]) {
      const networks = await networksOn(n, stack, options);
      for (const [at, { name, address }] of FLOORS.entries()) {
        const container = await place(n, `${name}-${n}`, networks[at] ?? "", at, n - 1, stack);
        containers.push({ n, container, friend: address[2 - n] ?? "" });
      }
    }
    for (const { n, container, friend } of containers)
      await expect.poll(() => reaches(n, container), COLD).toEqual([friend]);
  }

  /** Types the README's commands. @returns the names of the networks. */
  async function networksOn(
    n: number,
    stack: AsyncDisposableStack,
    options: (floor: (typeof FLOORS)[number]) => readonly string[],
  ): Promise<readonly [string, string]> {
    for (const floor of FLOORS) {
      const { name, vlan } = floor;
      const words = ["docker", "network", "create", "-d", "tsnet", "-o", "backend=ovs", "-o", `vlan=${vlan}`];
      words.push(...options(floor), "-o", "mode=l2");
      const ipam = ["--ipam-driver", "tsnet", "--ipam-opt", `segment=${name}`, "--subnet", "192.168.0.0/24"];
      const command = [...words, ...ipam, name];
      expect(README.replaceAll(/\s*\\\n\s*/g, " ")).toContain(command.join(" "));
      await stand.host(n).exec(command);
      stack.use(stand.host(n).existingNetwork(name));
    }
    return ["red", "blue"];
  }

  async function place(
    n: number,
    name: string,
    network: string,
    floor: number,
    at: number,
    stack: AsyncDisposableStack,
  ): Promise<TestContainer> {
    const host = stand.host(n);
    return stack.use(await host.run(name, host.existingNetwork(network), "--ip", FLOORS[floor]?.address[at] ?? ""));
  }

  /** Which of the four addresses answer, its own left out. */
  async function reaches(n: number, from: TestContainer): Promise<readonly string[]> {
    const own = await from.address();
    const others = FLOORS.flatMap(({ address }) => address).filter((address) => address !== own);
    const found = await Promise.all(others.map((address) => stand.host(n).tryReach(from, address)));
    for (const reach of found) expect([OPEN, CLOSED]).toContainEqual(reach);
    return others.filter((_, at) => found[at]?.ping);
  }
});

function isTagged(frame: Buffer): boolean {
  return frame.readUInt16BE(12) === ETHERTYPE.customerTag;
}

/** VLAN; 0 for a frame without a tag. */
function tagOf(frame: Buffer): number {
  return isTagged(frame) ? frame.readUInt16BE(14) & 0xfff : 0;
}

/** Of what is in the frame. */
function typeOf(frame: Buffer): number {
  return frame.readUInt16BE(isTagged(frame) ? 16 : 12);
}

interface Rows {
  readonly data: readonly (readonly unknown[])[];
}
