// The stage of the attacks on a real Docker host: networks with antispoof and without, and on each of them containers that
// are attacker, victim and peer. What is sent and heard there goes by their network namespaces.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Backend } from "../../src/cnm/network.ts";
import type { RangePlan } from "./attack-range.ts";
import { gullible } from "./attack-effects.ts";
import type { OvsBridge } from "./attack-switch.ts";
import type { Addresses, Scene, Station } from "./attacks.ts";
import { EagerSender } from "./frame-capture.ts";
import { linkLocalOf } from "./frames-ipv6.ts";
import { type Place, TestContainer } from "./system-container.ts";
import { SystemHost, type TestNetwork } from "./system-host.ts";
import { waitUntil } from "./wait-until.ts";

/** What victims reach by their gateway. */
export const BEYOND: Addresses = { 4: "198.51.100.10", 6: "2001:db8:2::10" };

const HOST: Addresses = { 4: "192.0.2.10", 6: "2001:db8:1::10" };

/** One network of the stage. */
export interface AttackedNetwork {
  readonly network: TestNetwork;
  /** Third number of its subnet: 10.95.N.0/24, fd95:0:0:N::/64. */
  readonly number: number;
  readonly hasIpv6: boolean;
  readonly attacker: TestContainer;
  readonly victim: TestContainer;
  /** Without IPv6 the victim itself. */
  readonly peer: TestContainer;
  readonly scene: Scene;
}

/** A Docker host under attack. Disposing of it takes it down. */
export class DockerStage implements AsyncDisposable {
  readonly host: SystemHost;
  #other: TestContainer | undefined;

  private constructor(host: SystemHost) {
    this.host = host;
  }

  /** A host with tsnet and one endpoint on a network that is not attacked. @param backend - of all its networks. */
  static async up(backend: Backend): Promise<DockerStage> {
    const host = await SystemHost.up("tsnet serve", { isLiveRestore: true, backend });
    const off = ["iptables", "ip6tables"].map((tool) => `net.bridge.bridge-nf-call-${tool}=0`);
    await host.exec(["sysctl", "-qw", ...off]);
    const stage = new DockerStage(host);
    const other = await stage.#create("other", 99, true, []);
    stage.#other = await host.run("other", other, "--ip", "10.95.99.2", "--ip6", "fd95:0:0:99::2");
    return stage;
  }

  /** A network with its three containers. @param options - of `docker network create`. */
  async attacked(name: string, number: number, hasIpv6: boolean, ...options: string[]): Promise<AttackedNetwork> {
    const network = await this.#create(name, number, hasIpv6, [...this.#listening, ...options]);
    const run = async (role: string) => await this.host.run(`${name}-${role}`, network);
    const [attacker, victim] = [await run("attacker"), await run("victim")];
    const containers = { attacker, victim, peer: hasIpv6 ? await run("peer") : victim };
    const made = { network, number, hasIpv6, ...containers };
    if (this.host.backend === "ovs") await this.#floodReports(victim);
    return { ...made, scene: await this.#sceneOn(made) };
  }

  /** Where attacks on a network are sent and seen; victim and host are made easy to mislead. */
  async planFor(attacked: AttackedNetwork): Promise<RangePlan> {
    const { host } = this;
    const plan = {
      scene: attacked.scene,
      attacker: await this.standOf(attacked.attacker),
      victim: await this.standOf(attacked.victim),
      peer: await this.standOf(attacked.peer),
      other: await this.standOf(this.#require()),
      neighbour: { path: `/proc/${host.neighbour.namespace.keeperPid}/ns/net` },
      host: { path: `/proc/${host.lab.namespace.keeperPid}/ns/net` },
      hostLink: await this.#hostLinkOf(attacked.network.name),
      attackerPort: await this.portOf(attacked.attacker),
      ...(host.backend === "ovs" && { ovs: await this.#ovsOf(attacked.network.name) }),
    };
    const lines = gullible(plan, BEYOND, attacked.hasIpv6);
    await attacked.victim.exec(["sh", "-ec", lines.victim.join("\n")]);
    await host.exec(["sh", "-ec", lines.host.join("\n")]);
    await this.#warm(attacked);
    return plan;
  }

  /** The network namespace of a container, as seen from outside the lab. */
  async standOf(container: TestContainer): Promise<{ readonly path: string }> {
    return { path: this.host.lab.namespace.outside(`/proc/${await container.pid()}/ns/net`) };
  }

  /** The switch's port that belongs to a container's `eth0`. */
  async portOf(container: TestContainer): Promise<string> {
    const [eth0] = (await linksAt(container)).filter(({ ifname }) => ifname === "eth0");
    return await this.#linkWhere(`port of ${container.name}`, ({ ifindex }) => ifindex === eth0?.link_index);
  }

  /**
   * Sends frames on `eth0` of every container that is started meanwhile, from the moment in which it has one. That is
   * before the container's first instruction: the engine lends its program a network that is up.
   *
   * @returns how often the kernel took all of them.
   */
  async sendWhileStarting(frames: readonly Buffer[], act: () => Promise<unknown>): Promise<number> {
    using stack = new DisposableStack();
    const folder = this.host.lab.namespace.outside("/run/docker/netns");
    const known = new Set(readdirSync(folder));
    const senders: EagerSender[] = [];
    const end = new AbortController();
    const acting = act().finally(() => end.abort());
    let taken = 0;
    while (!end.signal.aborted) {
      for (const name of readdirSync(folder).filter((each) => !known.has(each))) {
        const sender = openIfReady(join(folder, name));
        if (sender === undefined) continue;
        senders.push(stack.use(sender));
        known.add(name);
      }
      for (const sender of senders) if (frames.every((frame) => sender.trySend("eth0", frame))) taken += 1;
      await pause(1);
    }
    await acting;
    return taken;
  }

  /** Stops and starts dockerd; the containers live on. */
  async restartEngine(): Promise<void> {
    await this.host.lab.dockerd.stop();
    await this.host.lab.dockerd.start();
  }

  /** Flushes the host's rules, but those of tsnet, which the kernel leaves alone. */
  async flushRules(): Promise<void> {
    await this.host.exec(["nft", "flush", "ruleset"]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.host[Symbol.asyncDispose]();
  }

  async #create(name: string, number: number, hasIpv6: boolean, options: readonly string[]): Promise<TestNetwork> {
    const v6 = hasIpv6 ? ["--ipv6", "--subnet", `fd95:0:0:${number}::/64`] : [];
    return await this.host.network(name, "--subnet", `10.95.${number}.0/24`, ...v6, ...options);
  }

  /** What a Linux bridge does when nobody says anything. */
  get #listening(): readonly string[] {
    return this.host.backend === "ovs" ? ["-o", "mcast-snooping=true"] : [];
  }

  /** Of those of a network, the one that is in use: Open vSwitch has another one for the switch itself. */
  async #hostLinkOf(network: string): Promise<string> {
    const id = await this.host.docker("network", "inspect", "--format", "{{.Id}}", network);
    const isIt = ({ ifalias, flags }: IpLink) => ifalias === `tsnet:network:${id}` && flags.includes("UP");
    return await this.#linkWhere(`link of the host in ${network}`, isIt);
  }

  async #ovsOf(network: string): Promise<OvsBridge> {
    const { ovs } = this.host;
    const hostPort = await this.#hostLinkOf(network);
    return { name: await ovs.vsctl("port-to-br", hostPort), control: ovs.controlPath, hostPort };
  }

  /** Open vSwitch keeps from all but multicast routers what listeners say. */
  async #floodReports(container: TestContainer): Promise<void> {
    const setting = "other_config:mcast-snooping-flood-reports=true";
    await this.host.ovs.vsctl("set", "port", await this.portOf(container), setting);
  }

  async #linkWhere(what: string, isIt: (link: IpLink) => boolean): Promise<string> {
    const found = (await linksAt(this.host)).find(isIt);
    if (found === undefined) throw new Error(`no ${what}`);
    return found.ifname;
  }

  #require(): TestContainer {
    if (this.#other === undefined) throw new Error("the stage did not come up");
    return this.#other;
  }

  async #sceneOn({ number, hasIpv6, attacker, victim, peer, network }: Omit<AttackedNetwork, "scene">): Promise<Scene> {
    const station = async (container: TestContainer): Promise<Station> => {
      const { mac } = await container.interface("eth0");
      const v6 = hasIpv6 ? await container.address(6) : "fd00::1";
      return { mac, 4: await container.address(), 6: v6, linkLocal: linkLocalOf(mac) };
    };
    const macOn = async (at: Place, link: string) =>
      (await linksAt(at)).find(({ ifname }) => ifname === link)?.address ?? "";
    const { neighbour } = this.host;
    const switchMac = await macOn(this.host, await this.#hostLinkOf(network.name));
    return {
      attacker: await station(attacker),
      victim: await station(victim),
      peer: await station(peer),
      gateway: {
        mac: switchMac,
        4: `10.95.${number}.1`,
        6: hasIpv6 ? `fd95:0:0:${number}::1` : "fd00::1",
        linkLocal: linkLocalOf(switchMac),
      },
      other: { 4: "10.95.99.2", 6: "fd95:0:0:99::2" },
      otherGateway: { 4: "10.95.99.1", 6: "fd95:0:0:99::1" },
      host: HOST,
      hostMac: await macOn(this.host, "lan0"),
      neighbour: { 4: neighbour.address, 6: neighbour.addressIpv6 },
      neighbourMac: await macOn(neighbour.namespace, "lan0"),
    };
  }

  /** The host knows everybody's MAC address, and addresses are ready for use: else silence would prove nothing. */
  async #warm({ hasIpv6, victim, attacker, scene }: AttackedNetwork): Promise<void> {
    for (const container of [victim, attacker]) {
      const isTentative = async () =>
        (await container.exec(["ip", "-6", "address", "show", "tentative", "-dadfailed"])) !== "";
      await waitUntil("addresses to be ready", async () => !(await isTentative()));
    }
    const families = hasIpv6 ? ([4, 6] as const) : ([4] as const);
    for (const address of families.flatMap((v) => [scene.victim[v], scene.attacker[v], scene.other[v]])) {
      const ping = ["busybox", "ping", "-c1", "-W1", address];
      await waitUntil(`answer from ${address}`, async () => (await this.host.exec(ping)) !== "");
    }
  }
}

/** A file is there a moment before it stands for a network namespace. */
function openIfReady(path: string): EagerSender | undefined {
  try {
    return EagerSender.open({ path });
  } catch {
    return undefined;
  }
}

interface IpLink {
  readonly ifindex: number;
  readonly ifname: string;
  readonly flags: readonly string[];
  readonly ifalias?: string;
  readonly address?: string;
  /** Of the other end of a veth pair. */
  readonly link_index?: number;
}

async function linksAt(at: Place): Promise<readonly IpLink[]> {
  return JSON.parse(await at.exec(["ip", "-json", "link"])) as IpLink[]; // shape of ip(8)
}
