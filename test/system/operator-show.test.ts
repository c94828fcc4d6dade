// `tsnet show` and `tsnet macs` on a host with switches of both kinds, an uplink, a tunnel and ports of somebody else, compared with
// what ip(8), bridge(8) and ovs-vsctl(8) say, and with the README's examples.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { NamedDestination } from "../../src/cli/macs.ts";
import type { ShownPort, ShownSwitch } from "../../src/cli/switches.ts";
import { readTsnet, runTsnet } from "../support/operator.ts";
import { maskVolatile, readmeOutput } from "../support/readme-console.ts";
import { SystemHost } from "../support/system-host.ts";
import { waitUntil } from "../support/wait-until.ts";

const NETWORKS: Readonly<Record<string, readonly string[]>> = {
  front: ["--subnet", "10.60.0.0/24", "-o", "bridge=sw0"],
  floor1: ["--subnet", "10.62.0.0/24", "-o", "backend=ovs", "-o", "bridge=sw1", "-o", "parent=eth1", "-o", "vlan=100"],
  floor2: ["--subnet", "10.63.0.0/24", "-o", "backend=ovs", "-o", "bridge=sw1", "-o", "parent=eth1", "-o", "vlan=200"],
  wide: ["--subnet", "10.64.0.0/24", "-o", "bridge=sw2", "-o", "tunnel=vxlan", "-o", "vni=80", "-o", "peers=192.0.2.1"],
};
/** Made after the README's examples were looked at. */
const MORE: Readonly<Record<string, readonly string[]>> = {
  open: ["--subnet", "10.66.0.0/24", "-o", "backend=ovs", "-o", "bridge=sw3", "-o", "antispoof=false"],
  adopted: ["--subnet", "10.65.0.0/24", "-o", "backend=ovs", "-o", "bridge=mine", "-o", "mode=l2"],
};

describe("the operator's look at switches", () => {
  let host: SystemHost;

  beforeAll(async () => {
    host = await SystemHost.up("tsnet serve", { backend: "ovs" });
    for (const name of ["eth1", "tap7"]) {
      await host.exec(["ip", "link", "add", name, "up", "type", "veth", "peer", "name", `${name}-peer`]);
    }
    for (const [name, options] of Object.entries(NETWORKS)) await create(name, options);
    await Promise.all([run("web", "front"), run("printer", "floor1"), run("camera", "floor2"), run("far", "wide")]);
    await host.exec(["ip", "link", "set", "tap7", "master", "sw0"]);
  });
  afterAll(async () => await host?.[Symbol.asyncDispose]());

  it.each(["tsnet show", "tsnet macs front"])("%s prints what the README shows", async (command) => {
    const { exitCode, stdout, stderr } = await runTsnet(host.lab, command.split(" ").slice(1));

    expect([exitCode, stderr]).toEqual([0, ""]);
    expect(maskVolatile(stdout)).toBe(readmeOutput(command));
  });

  it("show has the ports of a Linux bridge that ip(8) has, each container at the link that leads into it", async () => {
    const [shown] = await readTsnet<readonly ShownSwitch[]>(host.lab, "show", "front");

    const links = JSON.parse(await host.exec(["ip", "-json", "link", "show", "master", "sw0"])) as IpLink[];
    const ports = shown?.ports.filter(({ name }) => name !== "sw0") ?? [];
    expect(ports.map(({ name }) => name).toSorted()).toEqual(links.map(({ ifname }) => ifname).toSorted());
    expect(ports.find(({ kind }) => kind === "foreign")?.name).toBe("tap7");
    const web = links.find(({ ifname }) => ifname === ports.find(({ who }) => who === "web")?.name);
    const inside = JSON.parse(await inContainer("web", "ip", "-json", "link", "show", "eth0")) as IpLink[];
    expect(web?.ifindex).toBe(inside[0]?.link_index);
  });

  it("show has the ports of Open vSwitch with their VLANs as its database has them", async () => {
    const [shown] = await readTsnet<readonly ShownSwitch[]>(host.lab, "show", "floor1");

    const names = (await host.ovs.vsctl("list-ports", "sw1")).split("\n");
    const ports = shown?.ports ?? [];
    expect(ports.map(({ name }) => name).toSorted()).toEqual(names.toSorted());
    expect(ports.map(({ kind, who, vlans }) => [kind, who, vlans])).toEqual([
      ["container", "camera", { untagged: 200, tagged: [] }],
      ["container", "printer", { untagged: 100, tagged: [] }],
      ["uplink", "", { tagged: [100, 200] }],
    ]);
    for (const { name, kind, vlans } of ports) {
      const column = kind === "uplink" ? "trunks" : "tag";
      const said = kind === "uplink" ? `[${vlans.tagged.join(", ")}]` : String(vlans.untagged);
      expect(await host.ovs.vsctl("get", "Port", name, column)).toBe(said);
    }
  });

  it("show has a tunnel with the peers to which the kernel floods", async () => {
    const [shown] = await readTsnet<readonly ShownSwitch[]>(host.lab, "show", "sw2");

    const tunnel = shown?.ports.find(({ kind }) => kind === "tunnel");
    const flood = await host.exec(["bridge", "fdb", "show", "dev", tunnel?.name ?? ""]);
    expect(tunnel).toMatchObject({ isOurs: true, peers: ["192.0.2.1"], who: "vxlan 80 to 192.0.2.1" });
    expect(flood).toContain("00:00:00:00:00:00 dst 192.0.2.1");
  });

  it("show tells the switches of others apart, and shows them when asked", async () => {
    const { stdout } = await runTsnet(host.lab, ["show"]);
    const [docker0] = await readTsnet<readonly ShownSwitch[]>(host.lab, "show", "docker0");

    expect(stdout).toMatch(/\nnot of tsnet: docker0\n?$/);
    expect(docker0).toMatchObject({ name: "docker0", isOurs: false, networks: [] });
  });

  it("macs has what a switch of Open vSwitch has learned, on one that tsnet made and on one of the user's own", async () => {
    await host.ovs.vsctl("add-br", "mine", "--", "set", "bridge", "mine", "datapath_type=netdev");
    for (const [name, options] of Object.entries(MORE)) await create(name, options);
    await Promise.all(["open", "adopted"].flatMap((name) => [run(`${name}-1`, name), run(`${name}-2`, name)]));

    for (const name of ["open", "adopted"]) {
      const other = await addressOf(`${name}-2`);
      await waitUntil(`${other} to answer`, () => inContainer(`${name}-1`, "busybox", "ping", "-c1", "-W2", other));
      const found = await readTsnet<readonly NamedDestination[]>(host.lab, "macs", name);

      const [shown] = await readTsnet<readonly ShownSwitch[]>(host.lab, "show", name);
      for (const container of [`${name}-1`, `${name}-2`]) {
        const [eth0] = JSON.parse(await inContainer(container, "ip", "-json", "link", "show", "eth0")) as IpLink[];
        const entry = found.find(({ mac }) => mac === eth0?.address);
        expect(entry).toMatchObject({ who: container, port: portOf(shown, container)?.name });
        expect(entry?.ageSeconds).toBeLessThan(60);
      }
    }
  });

  it("macs has what a Linux bridge has learned from somebody else's port, and does not know who that is", async () => {
    await host.exec(["ip", "address", "add", "10.60.0.77/32", "dev", "tap7-peer"]);
    await host.exec(["ip", "link", "set", "tap7-peer", "up"]);
    const [peer] = JSON.parse(await host.exec(["ip", "-json", "link", "show", "tap7-peer"])) as IpLink[];
    await waitUntil("the bridge to learn the address", async () => {
      await host.exec(["busybox", "arping", "-c", "1", "-U", "-I", "tap7-peer", "10.60.0.77"]).catch(() => {}); // no answer is wanted
      return (await host.exec(["bridge", "fdb", "show", "dev", "tap7"])).includes(`${peer?.address} `);
    });

    const found = await readTsnet<readonly NamedDestination[]>(host.lab, "macs", "front");

    expect(found.find(({ mac }) => mac === peer?.address)).toMatchObject({ port: "tap7", who: "unknown" });
  });

  it("show marks an uplink that is gone as missing", async () => {
    await host.exec(["ip", "link", "del", "eth1"]);

    const { stdout } = await runTsnet(host.lab, ["show", "floor1"]);

    expect(stdout).toMatch(/eth1 \(missing\) +uplink/);
  });

  async function create(name: string, options: readonly string[]): Promise<void> {
    await host.docker("network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", ...options, name);
  }

  async function run(name: string, network: string): Promise<void> {
    await host.run(name, host.existingNetwork(network));
  }

  async function inContainer(name: string, ...argv: readonly string[]): Promise<string> {
    const pid = await host.docker("inspect", "--format", "{{.State.Pid}}", name);
    return await host.exec(["nsenter", "-t", pid, "-n", "--", ...argv]);
  }

  async function addressOf(name: string): Promise<string> {
    return await host.docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name);
  }
});

function portOf(shown: ShownSwitch | undefined, who: string): ShownPort | undefined {
  return shown?.ports.find((port) => port.who === who);
}

interface IpLink {
  readonly ifname: string;
  readonly ifindex: number;
  readonly link_index?: number;
  readonly address: string;
}
