// Who reaches whom, in every mode, seen by packets: pings, connections and the source address that a remote host sees. Run
// with each backend.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Backend } from "../../src/cnm/network.ts";
import { setTxChecksum } from "../../src/host/ethtool.ts";
import type { Census } from "../support/census.ts";
import type { LabNamespace, LabProcess } from "../support/lab-namespace.ts";
import { inNetwork } from "../support/namespace.ts";
import { Neighbour } from "../support/neighbour.ts";
import type { Place, TestContainer } from "../support/system-container.ts";
import { CLOSED, OPEN, type Reach, SystemHost, VARIANTS } from "../support/system-host.ts";
import { waitUntil } from "../support/wait-until.ts";

const HOST = { 4: "192.0.2.10", 6: "2001:db8:1::10" } as const;
const FAMILIES = [4, 6] as const;
/** Without one `poll` waits a second. */
const LIMIT = { timeout: 30_000 } as const;

/** @param backend - of all networks. */
export function describeReach(backend: Backend): void {
  const isOvs = backend === "ovs";

  describe.each(VARIANTS)(`containers with the %s, backend ${backend}`, (variant) => {
    let host: SystemHost;
    let before: Census;
    /** Mode nat, two containers. */
    let blue: TestContainer;
    let blueToo: TestContainer;
    /** Mode nat, another network. */
    let red: TestContainer;
    let routed: TestContainer;
    let bare: TestContainer;
    let green: TestContainer;
    let greenToo: TestContainer;
    let dark: TestContainer;
    let darkToo: TestContainer;

    beforeAll(async () => {
      host = await SystemHost.up(variant, { backend });
      // Docker's own policy DROP would hide what tsnet lets through; with it: firewall.test.ts
      for (const tool of ["iptables", "ip6tables"]) await host.exec([tool, "-P", "FORWARD", "ACCEPT"]);
      // and so would the kernel's own check of sources
      await host.exec(["sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0"]);
      before = await host.census();
      const blueNet = await host.network("blue", "--ipv6");
      const redNet = await host.network("red", "--ipv6");
      const plain = ["--ipv6", "--subnet", "10.51.0.0/24", "--subnet", "fd51::/64"];
      const routedNet = await host.network("routed", ...plain, "-o", "mode=routed");
      const bareNet = await host.network("bare", "--subnet", "10.54.0.0/24", "-o", "masquerade=false");
      const greenNet = await host.network("green", "--ipv6", "--internal");
      const darkNet = await host.network("dark", "-o", "mode=isolated");
      blue = await host.run("blue-1", blueNet);
      blueToo = await host.run("blue-2", blueNet);
      red = await host.run("red-1", redNet);
      routed = await host.run("routed-1", routedNet);
      bare = await host.run("bare-1", bareNet);
      green = await host.run("green-1", greenNet);
      greenToo = await host.run("green-2", greenNet);
      dark = await host.run("dark-1", darkNet);
      darkToo = await host.run("dark-2", darkNet);
      await teachRoutes([blue, red, routed, bare, green]);
    });
    afterAll(async () => await host?.[Symbol.asyncDispose]());

    /** Gives the neighbour a route by this host to the networks of these containers, and to that of `dark`, which has no IPv6. */
    async function teachRoutes(containers: readonly TestContainer[]): Promise<void> {
      for (const container of containers) {
        const [eth0] = await container.interfaces();
        for (const address of eth0?.addresses ?? []) {
          const gateway = HOST[address.includes(":") ? 6 : 4];
          const prefix = address.includes(":")
            ? address.replace(/[^:]*\/64$/, "/64")
            : address.replace(/\d+\/24$/, "0/24");
          await host.neighbour.exec(["ip", "route", "replace", prefix, "via", gateway]);
        }
      }
    }

    /** What is open, as soon as both get through: on a busy machine a packet may be too late for whoever asks once. */
    async function open(from: Place, address: string): Promise<Reach> {
      return await waitUntil(`${address} to be open`, async () => {
        const found = await host.tryReach(from, address);
        return found.ping && found.tcp && found;
      });
    }

    it("reach each other on one network, over IPv4 and IPv6", async () => {
      const attempts = FAMILIES.flatMap((family) => [
        blueToo.address(family).then((address) => open(blue, address)),
        blue.address(family).then((address) => open(blueToo, address)),
      ]);

      expect(await Promise.all(attempts)).toEqual(attempts.map(() => OPEN));
    });

    it("reach each other by name", async () => {
      expect(await blue.execInside("ping", "-4", "-c1", "-W10", "blue-2")).toContain("1 packets received");
      expect(await blue.execInside("ping", "-6", "-c1", "-W10", "blue-2")).toContain("1 packets received");
    });

    it("do not reach containers of another network, in neither direction and neither family", async () => {
      const attempts = FAMILIES.flatMap((family) => [
        red.address(family).then((address) => host.tryReach(blue, address)),
        blue.address(family).then((address) => host.tryReach(red, address)),
        routed.address(family).then((address) => host.tryReach(blue, address)),
        blue.address(family).then((address) => host.tryReach(routed, address)),
        green.address(family).then((address) => host.tryReach(blue, address)),
        blue.address(family).then((address) => host.tryReach(green, address)),
      ]);

      expect(await Promise.all(attempts)).toEqual(attempts.map(() => CLOSED));
    });

    it("and the host reach each other in the modes nat and routed", async () => {
      const attempts = FAMILIES.flatMap((family) =>
        [blue, routed].flatMap((container) => [
          container.address(family).then((address) => open(host, address)),
          open(container, HOST[family]),
        ]),
      );

      expect(await Promise.all(attempts)).toEqual(attempts.map(() => OPEN));
    });

    it("leave with the host's source address in mode nat", async () => {
      for (const protocol of ["tcp", "udp"] as const) {
        expect(await host.lab.askEcho(protocol, host.neighbour.address, blue.name)).toBe(HOST[4]);
        expect(await host.lab.askEcho(protocol, host.neighbour.addressIpv6, blue.name)).toBe(HOST[6]);
      }
    });

    it("leave with their own source address with masquerade=false and in mode routed", async () => {
      expect(await host.lab.askEcho("tcp", host.neighbour.address, bare.name)).toBe(await bare.address());
      expect(await host.lab.askEcho("tcp", host.neighbour.address, routed.name)).toBe(await routed.address());
      expect(await host.lab.askEcho("udp", host.neighbour.addressIpv6, routed.name)).toBe(await routed.address(6));
    });

    it("reach a remote host behind a router", async () => {
      await using beyond = await host.neighbour.addBeyond();

      expect(await host.lab.askEcho("tcp", beyond.address, blue.name)).toBe(HOST[4]);
      expect(await host.lab.askEcho("tcp", beyond.addressIpv6, blue.name)).toBe(HOST[6]);
      expect(await host.lab.askEcho("tcp", beyond.address, routed.name)).toBe(await routed.address());
    });

    it("cannot be reached by a remote host that has a route to them", async () => {
      const attempts = [blue, routed].flatMap((container) =>
        FAMILIES.map(async (family) => host.tryReach(host.neighbour, await container.address(family))),
      );
      const ofBare = host.tryReach(host.neighbour, await bare.address());

      expect(await Promise.all([...attempts, ofBare])).toEqual([...attempts, ofBare].map(() => CLOSED));
    });

    it("of an internal network reach each other and the host, have no default route and no way out or in [S10]", async () => {
      const inside = FAMILIES.flatMap((family) => [
        greenToo.address(family).then((address) => open(green, address)),
        green.address(family).then((address) => open(host, address)),
      ]);
      expect(await Promise.all(inside)).toEqual(inside.map(() => OPEN));
      expect(await green.routesVia()).toEqual([]);
      expect(await green.interfaces()).toHaveLength(1);

      await green.exec(["ip", "route", "add", "default", "via", await gatewayOf("green")]); // as a privileged one could
      const attempts = [
        host.tryReach(green, host.neighbour.address),
        host.tryReach(host.neighbour, await green.address()),
        host.tryReach(host.neighbour, await green.address(6)),
      ];
      expect(await Promise.all(attempts)).toEqual([CLOSED, CLOSED, CLOSED]);
    });

    it("of an isolated network reach each other and nobody else, not even the host", async () => {
      expect(await open(dark, await darkToo.address())).toEqual(OPEN);
      expect(await dark.routesVia()).toEqual([]);
      expect(await dark.interfaces()).toHaveLength(1);

      await dark.exec(["ip", "route", "add", "default", "dev", "eth0"]); // as a privileged one could
      const attempts = [
        host.tryReach(dark, HOST[4]),
        host.tryReach(dark, host.neighbour.address),
        host.tryReach(dark, await blue.address()),
        host.tryReach(host, await dark.address()),
      ];
      expect(await Promise.all(attempts)).toEqual(attempts.map(() => CLOSED));
    });

    it("of an isolated network cannot send a packet to the host even when they know its MAC address", async () => {
      const listener = await listen(host.lab.namespace);
      await dark.exec(["ip", "route", "replace", "default", "dev", "eth0"]); // as a privileged one could
      await dark.exec(["ip", "neighbour", "replace", HOST[4], "lladdr", await bridgeMacOf("dark"), "dev", "eth0"]);

      await say(dark, "from dark", HOST[4]);

      await waitUntil(
        "what is lawful to come",
        async () => {
          await say(blue, "from blue", HOST[4]);
          return listener.log().includes("from blue");
        },
        { limitMs: 30_000, intervalMs: 500 },
      );
      expect(listener.log()).not.toContain("from dark");
      await host.exec(["kill", String(listener.pid)]);
    });

    it("of an internal network cannot send a packet out with a source address that is not theirs", async () => {
      const listener = await listen(host.neighbour.namespace);
      await green.exec(["ip", "address", "add", "203.0.113.5/32", "dev", "lo"]); // as a privileged one could
      const foreign = ["via", await gatewayOf("green"), "src", "203.0.113.5"];
      await green.exec(["ip", "route", "replace", `${host.neighbour.address}/32`, ...foreign]);

      await say(green, "from green", host.neighbour.address);

      await waitUntil(
        "what is lawful to come",
        async () => {
          await say(blue, "from blue", host.neighbour.address);
          return listener.log().includes("from blue");
        },
        { limitMs: 30_000, intervalMs: 500 },
      );
      expect(listener.log()).not.toContain("from green");
    });

    it("of a network without IPAM share a bridge of the host with a physical neighbour, and keep what addresses they get", async () => {
      await using segment = await Segment.up(host);
      await using network = await host.network("flat", "--ipam-driver", "null", "-o", "mode=l2", "-o", "bridge=lan-br");
      await using one = await host.run("flat-1", network);
      await using two = await host.run("flat-2", network);
      expect((await one.interface("eth0")).addresses).toEqual([]);

      await one.exec(["ip", "address", "add", "172.31.0.11/24", "dev", "eth0"]);
      await two.exec(["ip", "address", "add", "172.31.0.12/24", "dev", "eth0"]);

      expect(await open(one, "172.31.0.12")).toEqual(OPEN);
      expect(await host.lab.askEcho("tcp", segment.router.address, one.name)).toBe("172.31.0.11");
    });

    it("of mode l2 leave by the physical router of their segment, which sees their own address", async () => {
      await using segment = await Segment.up(host);
      const addresses = ["--subnet", "172.31.0.0/24", "--gateway", "172.31.0.1"];
      await using network = await host.network("lan", ...addresses, "-o", "mode=l2", "-o", "bridge=lan-br");
      await using container = await host.run("lan-1", network);

      expect(await container.routesVia()).toEqual(["default via 172.31.0.1 dev eth0"]);
      expect(await host.lab.askEcho("tcp", segment.router.address, container.name)).toBe("172.31.0.2");
      expect(await open(segment.router, "172.31.0.2")).toEqual(OPEN);
    });

    it("leave a switch of the host as it was, with its addresses, when their network is removed", async () => {
      await using _segment = await Segment.up(host, "172.31.0.5/24");
      const ownBefore = await host.census();
      {
        await using lan = await host.network("lan", "--ipam-driver", "null", "-o", "mode=l2", "-o", "bridge=lan-br");
        await using _container = await host.run("lan-1", lan);
      }
      {
        const addresses = ["--subnet", "172.31.0.0/24", "--gateway", "172.31.0.5"];
        const free = isOvs ? ["--subnet", "172.30.0.0/24"] : addresses;
        await using nat = await host.network("nat", ...free, "-o", "bridge=lan-br");
        await using container = await host.run("nat-1", nat);
        expect(await host.lab.askEcho("tcp", host.neighbour.address, container.name)).toBe(HOST[4]);
      }

      const ours = ["links", "addresses", "routes", "nft", "records"];
      await expect.poll(() => host.changesSince(ownBefore, ours), { timeout: 15_000, interval: 500 }).toEqual([]);
    });

    if (isOvs)
      it("cannot have addresses that the host has on its own switch, which it reaches by another link", async () => {
        await using _segment = await Segment.up(host, "172.31.0.5/24");
        const own = [
          "-o",
          "backend=ovs",
          "-o",
          "bridge=lan-br",
          "--subnet",
          "172.31.0.0/24",
          "--gateway",
          "172.31.0.5",
        ];

        const message = await host.refusalOf("network", "create", "-d", "tsnet", ...own, "nat");

        expect(message).toContain("switch lan-br cannot be used: the host has 172.31.0.5/24 on it");
      });

    it("leave nothing on the host when they and their networks are removed", async () => {
      await host.removeEverything();

      await expect.poll(() => host.changesSince(before), { timeout: 15_000, interval: 500 }).toEqual([]);
    });

    it("cause no warning in tsnet's log", () => {
      expect(host.complaints()).toEqual([]);
    });

    async function bridgeMacOf(network: string): Promise<string> {
      const id = await host.docker("network", "inspect", "--format", "{{.Id}}", network);
      const links = JSON.parse(await host.exec(["ip", "-json", "link"])) as { address: string; ifalias?: string }[];
      return links.find(({ ifalias }) => ifalias === `tsnet:network:${id}`)?.address ?? "";
    }

    async function gatewayOf(network: string): Promise<string> {
      return await host.docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", network);
    }
  });
}

/** Prints every UDP datagram that arrives on port 9000. */
async function listen(at: LabNamespace): Promise<LabProcess> {
  const print = `.on("message", (text) => process.stdout.write(text)).bind(9000, () => process.stdout.write("listening "))`;
  const listener = await at.spawn("listener", [
    process.execPath,
    "-e",
    `require("node:dgram").createSocket("udp4")${print}`,
  ]);
  await expect.poll(() => listener.log(), LIMIT).toBe("listening ");
  return listener;
}

/** Sends a datagram there, without an answer being asked for. */
async function say(from: Place, text: string, address: string): Promise<void> {
  await from.exec(["bash", "--norc", "-c", `echo "$0" >/dev/udp/${address}/9000`, text]);
}

/** A switch `lan-br` that the operator made, with a cable to a router 172.31.0.1. */
class Segment implements AsyncDisposable {
  readonly router: Neighbour;
  readonly #host: SystemHost;

  private constructor(host: SystemHost, router: Neighbour) {
    this.#host = host;
    this.router = router;
  }

  /** @param address - of the host itself on the switch; absent: it has none. */
  static async up(host: SystemHost, address?: string): Promise<Segment> {
    const isOvs = host.backend === "ovs";
    if (isOvs) await host.ovs.vsctl("add-br", "lan-br", "--", "set", "bridge", "lan-br", "datapath_type=netdev");
    else await host.exec(["ip", "link", "add", "lan-br", "type", "bridge"]);
    await host.exec(["ip", "link", "set", "lan-br", "up"]);
    if (address !== undefined) await host.exec(["ip", "address", "add", address, "dev", "lan-br"]);
    const near = { at: host.lab.namespace, ifName: "lan1", addresses: [] };
    const router = await Neighbour.up("router", near, { ifName: "lan0", addresses: ["172.31.0.1/24"] });
    await router.namespace.spawn("page", ["busybox", "httpd", "-f", "-p", "80", "-h", router.namespace.folder]);
    if (isOvs) {
      // a network card would compute them; this link leaves it to whoever receives, and in userspace nobody does
      await inNetwork(`/proc/${router.namespace.keeperPid}/ns/net`, () => setTxChecksum("lan0", false));
      await host.ovs.vsctl("add-port", "lan-br", "lan1");
    } else await host.exec(["ip", "link", "set", "lan1", "master", "lan-br"]);
    return new Segment(host, router);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.router[Symbol.asyncDispose]();
    if (this.#host.backend === "ovs") await this.#host.ovs.vsctl("del-br", "lan-br");
    else await this.#host.exec(["ip", "link", "delete", "lan-br"]);
  }
}
