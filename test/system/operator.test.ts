// The operator's command on a host with a real engine: what it says is compared with what Docker, ip(8), nft(8) and a connection
// from elsewhere say, and the README's examples with what it prints.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { NamedContainer, NamedNetwork } from "../../src/cli/catalog.ts";
import type { NamedEvent } from "../../src/cli/event-names.ts";
import type { NamedPool } from "../../src/cli/ipam.ts";
import type { Publication } from "../../src/cli/ports.ts";
import { readTsnet, runTsnet, startTsnet } from "../support/operator.ts";
import { maskVolatile, readmeOutput } from "../support/readme-console.ts";
import { SystemHost, VARIANTS } from "../support/system-host.ts";
import { waitUntil } from "../support/wait-until.ts";

const HOST = "192.0.2.10";

describe.each(VARIANTS)("with the %s", (variant) => {
  let host: SystemHost;

  beforeAll(async () => {
    host = await SystemHost.up(variant);
    const front = await host.network("front", "--subnet", "10.60.0.0/24");
    const back = await host.network("back", "--subnet", "10.61.0.0/24", "--internal");
    const published = ["-p", "8080:80", "-p", `${HOST}:8081:80`, "-p", "127.0.0.1:8082:80", "-p", "5353:53/udp"];
    await host.run("web", front, ...published);
    await host.docker("network", "connect", "back", "web");
    await host.run("db", back);
  });
  afterAll(async () => await host?.[Symbol.asyncDispose]());

  it.each(["tsnet ls", "tsnet inspect front", "tsnet inspect web", "tsnet ports", "tsnet ipam", "tsnet ipam front"])(
    "%s prints what the README shows, and finds the daemon by itself",
    async (command) => {
      const { exitCode, stdout, stderr } = await runTsnet(host.lab, command.split(" ").slice(1));

      expect([exitCode, stderr]).toEqual([0, ""]);
      expect(maskVolatile(stdout)).toBe(readmeOutput(command));
    },
  );

  it("ls has the networks that Docker has of tsnet, with their subnets, and the containers that are on them", async () => {
    const found = await readTsnet<readonly NamedNetwork[]>(host.lab, "ls");

    const ids = (await host.docker("network", "ls", "-q", "--no-trunc", "--filter", "driver=tsnet")).split("\n");
    expect(found.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
    for (const { id, name, subnets, isInternal, endpoints } of found) {
      const docker = await inspected("network", id);
      expect({ name, subnets, isInternal }).toEqual({
        name: docker.Name,
        subnets: docker.IPAM.Config.map(({ Subnet }) => Subnet),
        isInternal: docker.Internal,
      });
      const containers = endpoints.map((each) => [each.container?.name, each.addresses[0], each.mac, each.id]);
      const theirs = Object.values(docker.Containers);
      const expected = theirs.map((each) => [each.Name, each.IPv4Address, each.MacAddress, each.EndpointID]);
      expect(containers).toEqual(expected.toSorted((a, b) => String(a).localeCompare(String(b))));
    }
  });

  it("inspect names the link of the host that leads to the container, its switch and MTU as ip(8) has them", async () => {
    const network = await readTsnet<NamedNetwork>(host.lab, "inspect", "front");
    const container = await readTsnet<NamedContainer>(host.lab, "inspect", "web");

    expect(container.places.map((place) => place.network.name)).toEqual(["back", "front"]);
    const links = JSON.parse(await host.exec(["ip", "-json", "link"])) as IpLink[];
    const peer = JSON.parse(await (await pidOf("web")).exec(["ip", "-json", "link", "show", "eth0"])) as IpLink[];
    const [endpoint] = network.endpoints;
    const link = links.find(({ ifname }) => ifname === endpoint?.hostLink);
    expect(link).toMatchObject({ master: network.switch, mtu: network.mtu, ifindex: peer[0]?.link_index });
    expect(peer[0]).toMatchObject({ address: endpoint?.mac, mtu: network.mtu });
  });

  it("ports says of each port to whom it is open as connections from the host and from elsewhere find it", async () => {
    const found = await readTsnet<readonly Publication[]>(host.lab, "ports");

    expect(found.map(({ hostPort, openTo }) => [hostPort, openTo])).toEqual([
      [5353, "everyone"],
      [8080, "everyone"],
      [8081, "address"],
      [8082, "host"],
    ]);
    const tcp = found.filter(({ protocol }) => protocol === "tcp");
    const reached = await Promise.all(tcp.map(async ({ hostPort }) => [hostPort, await reachOf(hostPort)]));
    expect(reached).toEqual([
      [8080, { elsewhere: true, loopback: true }],
      [8081, { elsewhere: true, loopback: false }],
      [8082, { elsewhere: false, loopback: true }],
    ]);
  });

  it("ports names the containers to which the host's rules lead", async () => {
    const found = await readTsnet<readonly Publication[]>(host.lab, "ports");

    const maps = await Promise.all(
      ["any4", "at4"].map((name) => host.exec(["nft", "-j", "list", "map", "inet", "tsnet", name])),
    );
    const led = maps.flatMap((text) => elementsOf(JSON.parse(text) as NftList));
    const expected = found.filter(({ openTo }) => openTo !== "host"); // loopback is not translated but relayed
    const said = expected.map(({ protocol, hostAddress, hostPort, addresses, containerPort }) => [
      [protocol, ...(hostAddress === "" ? [] : [hostAddress]), hostPort],
      [addresses[0]?.replace("/24", ""), containerPort],
    ]);
    expect(led.map(String).toSorted()).toEqual(said.map(String).toSorted());
    expect(found.map(({ container }) => container)).toEqual(["web", "web", "web", "web"]);
  });

  it("says on which socket nobody answers, and ends with 1, while tsnet is stopped", async () => {
    if (variant !== "tsnet serve") return; // a plugin that is in use is not disabled without need
    await host.stop();
    const { exitCode, stdout, stderr } = await runTsnet(host.lab, ["ports"]);
    await host.start();

    expect([exitCode, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/^tsnet: no tsnet answers on \/run\/docker\/plugins\/tsnet.sock: /);
  });

  it("ipam says who has which address as the containers themselves have it, and what is free", async () => {
    const [pool] = await readTsnet<readonly NamedPool[]>(host.lab, "ipam", "back");

    const addresses = new Map(pool?.addresses.map(({ address, owner }) => [owner, address]));
    for (const name of ["web", "db"]) {
      const inside = await (await pidOf(name)).exec(["ip", "-json", "-4", "address"]);
      expect(inside).toContain(`"${addresses.get(name)}"`);
    }
    expect(pool).toMatchObject({ subnet: "10.61.0.0/24", networks: ["back"], used: 3, free: "251" });
  });

  it("works on with ids, and ends with 0, when Docker does not answer", async () => {
    const { exitCode, stdout, stderr } = await runTsnet(host.lab, ["ls"], { DOCKER_HOST: "unix:///run/none.sock" });

    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^[0-9a-f]{12} +nat/m);
    expect(stderr).toContain("Docker does not answer");
  });

  it("events has a line for each call in a container's life, what is repaired, and why a call is refused", async () => {
    const events = await startTsnet(host.lab, "events", ["events"]);
    const heard = async (text: string) => {
      await waitUntil(`tsnet events to say ${text}`, async () => events.log().includes(text), { limitMs: 20_000 });
    };
    await heard("listening to tsnet");
    {
      await using shop = await host.run("shop", host.existingNetwork("front"), "-p", "8090:80");
      await heard("ProgramExternalConnectivity of shop");
      expect(shop.name).toBe("shop");
    }
    await heard("ReleaseAddress");
    const life = events
      .log()
      .split("\n")
      .filter((line) => !line.startsWith("tsnet: "));
    expect(maskVolatile(life.join("\n"))).toBe(readmeOutput("tsnet events"));
    expect(life.join("\n")).toMatch(/CreateEndpoint of shop on front: ok, .* Leave of shop on front: ok/s);

    const link = (await readTsnet<NamedNetwork>(host.lab, "inspect", "front")).endpoints[0]?.hostLink ?? "";
    await host.exec(["ip", "link", "set", link, "nomaster"]);
    await heard("put back: endpoint of web on front");
    for (const verb of ["attach", "detach"]) await runTsnet(host.lab, [verb, "db", "front"]);
    await heard("Attach of db on front: ok");
    await heard("Detach of db on front: ok");
    await host.refusalOf("network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", "-o", "vlan=5000", "wrong");
    await heard("invalid");

    await host.exec(["kill", "-TERM", String(events.pid)]);
    expect(await events.ended).toBe(0);
    // Since 28.0 the engine asks GwAllocCheck first.
    expect(events.log()).toMatch(
      /(CreateNetwork on \w{12}|GwAllocCheck): invalid, .* ms: option vlan: "5000" is not permitted/,
    );
  });

  it("events goes on with the next life of tsnet, and says so", async () => {
    const events = await startTsnet(host.lab, "events-again", ["events", "--json"]);
    await waitUntil("tsnet events to listen", async () => events.log().includes("listening"));

    await host.kill9();
    if (variant === "tsnet serve") await host.start();
    await waitUntil("tsnet events to find tsnet again", async () => events.log().includes("is there again"), {
      limitMs: 30_000,
    });
    await using again = await host.network("again", "--subnet", "10.69.0.0/24");
    await waitUntil("the next event", async () => events.log().includes("CreateNetwork"), { limitMs: 20_000 });

    await host.exec(["kill", "-INT", String(events.pid)]);
    expect(await events.ended).toBe(0);
    const lines = events
      .log()
      .split("\n")
      .filter((line) => line.startsWith("{"));
    expect(lines.map((line) => JSON.parse(line) as NamedEvent)).toContainEqual(
      expect.objectContaining({
        kind: "call",
        verb: "NetworkDriver.CreateNetwork",
        outcome: "ok",
        network: again.name,
      }),
    );
  });

  it("nothing of it causes a warning in tsnet's log", () => {
    expect(host.complaints()).toEqual([]);
  });

  async function pidOf(name: string) {
    const pid = await host.docker("inspect", "--format", "{{.State.Pid}}", name);
    return { exec: async (argv: readonly string[]) => await host.exec(["nsenter", "-t", pid, "-n", "--", ...argv]) };
  }

  async function inspected(kind: string, id: string): Promise<DockerNetwork> {
    const [found] = JSON.parse(await host.docker(kind, "inspect", id)) as DockerNetwork[];
    if (found === undefined) throw new Error(`no ${kind} ${id}`);
    return found;
  }

  /** Whether a connection gets through from the neighbour, and on the host to 127.0.0.1. */
  async function reachOf(port: number) {
    const connect = (address: string) => [
      "timeout",
      "5",
      "bash",
      "--norc",
      "-c",
      `exec 3<>/dev/tcp/${address}/${port}`,
    ];
    const [elsewhere, loopback] = await Promise.all([
      succeeds(host.neighbour.exec(connect(HOST))),
      succeeds(host.exec(connect("127.0.0.1"))),
    ]);
    return { elsewhere, loopback };
  }
});

async function succeeds(command: Promise<unknown>): Promise<boolean> {
  return await command.then(
    () => true,
    () => false,
  );
}

/** What a map leads to what. */
function elementsOf({ nftables }: NftList): readonly (readonly [readonly unknown[], readonly unknown[]])[] {
  return nftables.flatMap(({ map }) => map?.elem ?? []).map(([from, to]) => [from.concat, to.concat] as const);
}

interface NftList {
  readonly nftables: readonly {
    readonly map?: { readonly elem?: readonly (readonly [Concatenation, Concatenation])[] };
  }[];
}

interface Concatenation {
  readonly concat: readonly unknown[];
}

interface IpLink {
  readonly ifname: string;
  readonly ifindex: number;
  readonly link_index?: number;
  readonly address: string;
  readonly master?: string;
  readonly mtu: number;
}

interface DockerNetwork {
  readonly Name: string;
  readonly Internal: boolean;
  readonly IPAM: { readonly Config: readonly { readonly Subnet: string }[] };
  readonly Containers: Readonly<
    Record<
      string,
      {
        readonly Name: string;
        readonly EndpointID: string;
        readonly MacAddress: string;
        readonly IPv4Address: string;
      }
    >
  >;
}
