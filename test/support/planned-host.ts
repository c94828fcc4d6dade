// A host on which networks are planned and made by the calls of an engine, and what one of them brought there, read from outside:
// ip(8), nft(8), ovs-vsctl(8), and what the engine is told of a container.
//
//   eth1   a free link              lan0    192.0.2.1
//   eth2   198.51.100.1             mine    a bridge of somebody else's, 10.82.0.1    theirs   one of Open vSwitch
import type { PlanAnswer } from "../../src/cnm/change-requests.ts";
import { newId } from "./engine-double.ts";
import { type HostLook, type Joined, PUBLISHED, effectsBetween, guestIn, lookAt } from "./host-look.ts";
import { ServeHost } from "./serve-host.ts";
import { type Effects, masked, sorted } from "./told-plan.ts";

/** A network that may be made. */
export interface PlanCase {
  readonly options?: Readonly<Record<string, string>>;
  readonly isInternal?: boolean;
  /** With a subnet of IPv6 as well. */
  readonly hasIpv6?: boolean;
  /** Its subnet is 10.N.0.0/24; default 80. */
  readonly net?: number;
  /** Without a subnet, as with `--ipam-driver null`. */
  readonly isBare?: boolean;
  /** What is there already. */
  readonly beside?: readonly PlanCase[];
}

/** A network that was made; disposing of it removes it. */
export interface Made extends AsyncDisposable {
  readonly id: string;
  readonly wish: PlanCase;
}

const HTTP = 80;
const LINKS = `
ip link add eth1 type veth peer name far1
ip link add eth2 type veth peer name far2
ip link add lan0 type veth peer name far0
ip link add mine type bridge
ip address add 198.51.100.1/24 dev eth2
ip address add 192.0.2.1/24 dev lan0
ip address add 10.82.0.1/24 dev mine
for link in far0 far1 far2 eth2 lan0 mine; do ip link set $link up; done
ovs-vsctl add-br theirs -- set bridge theirs datapath_type=netdev
`;

/** Disposing of it takes it down. */
export class PlannedHost implements AsyncDisposable {
  readonly serve: ServeHost;

  private constructor(serve: ServeHost) {
    this.serve = serve;
  }

  static async up(): Promise<PlannedHost> {
    const serve = await ServeHost.up("plans", { backend: "ovs" });
    await serve.exec("sh", "-ec", LINKS);
    return new PlannedHost(serve);
  }

  /** `tsnet plan`. @throws Error as it says. */
  async plan({ options = {}, isInternal = false, hasIpv6 = false, net }: PlanCase): Promise<readonly string[]> {
    const Subnets = subnetsOf(net, hasIpv6).map((subnet) => ({ Pool: subnet }));
    const body = { Options: options, Internal: isInternal, IPv6: hasIpv6, Subnets };
    const { steps } = (await this.serve.engine.ask("Operator.Plan", body)) as unknown as PlanAnswer; // what it answers
    return steps.map(masked);
  }

  /** What `docker network create -o dry-run=true` says, step by step. */
  async dryRun(wish: PlanCase): Promise<readonly string[]> {
    const options = { ...wish.options, "dry-run": "true" };
    const failure: unknown = await this.#create(newId(), { ...wish, options }).catch((thrown: unknown) => thrown);
    const [, list = String(failure)] = /^dry run, nothing was changed; without it tsnet would (.*)$/.exec(
      failure instanceof Error ? failure.message : "",
    ) ?? [""];
    return list.split("; ").map(masked);
  }

  /** @throws Error as it is refused. */
  async create(wish: PlanCase): Promise<Made> {
    const id = newId();
    await this.#create(id, wish);
    const remove = () => this.serve.engine.ask("NetworkDriver.DeleteNetwork", { NetworkID: id });
    return { id, wish, [Symbol.asyncDispose]: async () => void (await remove()) };
  }

  async look(): Promise<HostLook> {
    return await lookAt(this.serve);
  }

  /** What a network brought, and what a container has of it that joins and leaves again. */
  async changesSince(before: HostLook, made: Made): Promise<Effects> {
    const { id, wish } = made;
    const { engine } = this.serve;
    const { net = 80, hasIpv6 = false, isBare = false } = wish;
    const ids = { NetworkID: id, EndpointID: newId() };
    const Interface = { Address: isBare ? "" : `10.${net}.0.9/24`, AddressIPv6: hasIpv6 ? `fd00:${net}::9/64` : "" };
    await engine.ask("NetworkDriver.CreateEndpoint", { ...ids, Interface, Options: {} });
    const joined = await engine.ask("NetworkDriver.Join", { ...ids, SandboxKey: "/run/docker/netns/9", Options: {} });
    const ports = [{ Proto: 6, IP: "", Port: HTTP, HostIP: "", HostPort: PUBLISHED, HostPortEnd: PUBLISHED }];
    const Options = { "com.docker.network.portmap": ports };
    await engine.call("NetworkDriver.ProgramExternalConnectivity", { ...ids, Options }); // some modes refuse it
    const after = await this.look();
    await engine.call("NetworkDriver.RevokeExternalConnectivity", ids);
    await engine.ask("NetworkDriver.Leave", ids);
    await engine.ask("NetworkDriver.DeleteEndpoint", ids);
    const port = `tsv${ids.EndpointID.slice(0, 12)}`;
    const container = guestIn(before, after, port, joined as unknown as Joined); // cnm-protocol.md 2.8
    return sorted({ ...effectsBetween(before, after), container });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.serve[Symbol.asyncDispose]();
  }

  async #create(id: string, wish: PlanCase): Promise<void> {
    const { options = {}, isInternal = false, hasIpv6 = false, net, isBare = false } = wish;
    const [v4 = "", v6 = ""] = subnetsOf(net, hasIpv6);
    const pool = (subnet: string) => ({ AddressSpace: "other", Pool: subnet, Gateway: gatewayOf(subnet) });
    await this.serve.engine.ask("NetworkDriver.CreateNetwork", {
      NetworkID: id,
      Options: {
        "com.docker.network.generic": options,
        "com.docker.network.enable_ipv6": hasIpv6,
        "com.docker.network.internal": isInternal,
      },
      IPv4Data: [isBare ? { AddressSpace: "null", Pool: "0.0.0.0/0" } : pool(v4)],
      IPv6Data: hasIpv6 ? [pool(v6)] : [],
    });
  }
}

function subnetsOf(net = 80, hasIpv6 = false): readonly string[] {
  return [`10.${net}.0.0/24`, ...(hasIpv6 ? [`fd00:${net}::/64`] : [])];
}

function gatewayOf(subnet: string): string {
  return subnet.includes(":") ? subnet.replace("::/", "::1/") : subnet.replace(".0/", ".1/");
}
