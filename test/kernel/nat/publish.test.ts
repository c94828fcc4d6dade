// Published ports with real packets, on a host whose own rules drop everything that is forwarded and which sees bridged
// frames in them (br_netfilter), as the engine leaves it. The echo answers with the address from which it was asked.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Network } from "../../../src/cnm/network.ts";
import type { PortBinding } from "../../../src/cnm/ports.ts";
import { dualStack } from "../../support/cnm-builder.ts";
import {
  ECHO_PORT,
  HOST,
  NEIGHBOUR,
  PacketLab,
  type Sandbox,
  askEcho,
  shell,
  startEcho,
  canPing,
} from "../../support/packet-lab.ts";
import { waitUntil } from "../../support/wait-until.ts";

interface Setup {
  readonly lab: PacketLab;
  readonly network: Network;
  /** The server and a peer on its network, and an endpoint of another network. */
  readonly server: Sandbox;
  readonly peer: Sandbox;
  readonly other: Sandbox;
}

const GATEWAY = { 4: "10.1.1.1", 6: "fd00:1:1::1" } as const;

const bind = (hostPort: number, more: Partial<PortBinding> = {}): PortBinding => ({
  protocol: "tcp",
  containerPort: ECHO_PORT,
  hostAddress: "",
  hostPort,
  hostPortEnd: hostPort,
  ...more,
});

/** At the same time, because silence takes seconds. */
async function inBothFamilies(check: (v: 4 | 6) => Promise<void>): Promise<void> {
  await Promise.all([check(4), check(6)]);
}

function setup(network: Network): () => Setup {
  let made: Setup | undefined;
  beforeAll(async () => {
    const lab = await PacketLab.up();
    const second = dualStack(2);
    await lab.make(network, second);
    const [server, peer] = [await lab.attach(network, 1), await lab.attach(network, 2)];
    const other = await lab.attach(second, 1);
    await lab.announce(network);
    await startEcho(server.namespace);
    made = { lab, network, server, peer, other };
  });
  afterAll(async () => await made?.lab[Symbol.asyncDispose]());
  return () => {
    if (made === undefined) throw new Error("the lab did not come up");
    return made;
  };
}

/** Who gets an answer on a port from whom, and which address the server saw: `neighbour v4 tcp: 192.0.2.1`. */
async function answers(
  { lab, peer, server, other }: Setup,
  port: number,
  protocols: readonly ("tcp" | "udp")[] = ["tcp", "udp"],
  limitMs = 8000,
): Promise<Readonly<Record<string, string>>> {
  const sources = {
    neighbour: lab.neighbour,
    host: lab.host,
    peer: peer.namespace,
    itself: server.namespace,
    "other network": other.namespace,
  };
  const asked = protocols.flatMap((protocol) =>
    ([4, 6] as const).flatMap((v) => [
      ...Object.entries(sources).map(([name, from]) => [`${name} v${v} ${protocol}`, from, HOST[v], protocol] as const),
      [`loopback v${v} ${protocol}`, lab.host, v === 4 ? "127.0.0.1" : "::1", protocol] as const,
    ]),
  );
  const found = asked.map(
    async ([name, from, to, protocol]) => [name, await askEcho(from, protocol, to, port, limitMs)] as const,
  );
  return Object.fromEntries((await Promise.all(found)).flatMap(([name, answer]) => (answer ? [[name, answer]] : [])));
}

describe.each([1, 0])("ports of a network of mode nat, br_netfilter %i", (isOn) => {
  const lab = setup(dualStack());

  it("answer everybody, and remote ones keep their address", async () => {
    const { lab: packets, network, server } = lab();
    await shell(packets.host, [
      `sysctl -qw net.bridge.bridge-nf-call-iptables=${isOn} net.bridge.bridge-nf-call-ip6tables=${isOn}`,
    ]);
    await packets.publish(network, server, [bind(8080), bind(8080, { protocol: "udp" })]);

    const found = await answers(lab(), 8080);

    const both = (name: string, v4: string, v6: string) => ({
      [`${name} v4 tcp`]: v4,
      [`${name} v4 udp`]: v4,
      [`${name} v6 tcp`]: v6,
      [`${name} v6 udp`]: v6,
    });
    expect(found).toEqual({
      ...both("neighbour", NEIGHBOUR[4], NEIGHBOUR[6]),
      ...both("host", HOST[4], HOST[6]),
      ...both("loopback", GATEWAY[4], GATEWAY[6]),
      ...both("peer", GATEWAY[4], GATEWAY[6]),
      ...both("itself", GATEWAY[4], GATEWAY[6]),
      ...both("other network", GATEWAY[4], GATEWAY[6]),
    });
  });

  it("on one address of the host answer there alone", async () => {
    const { lab: packets, network, server } = lab();
    await packets.publish(network, server, [bind(8081, { hostAddress: HOST[4] })]);

    const names = Object.keys(await answers(lab(), 8081, ["tcp"]));

    expect(names.toSorted()).toEqual(
      ["host v4 tcp", "itself v4 tcp", "neighbour v4 tcp", "other network v4 tcp", "peer v4 tcp"].toSorted(),
    );
  });

  it("on 127.0.0.1 answer nobody but the host, not even a neighbour that routes there [S13]", async () => {
    const { lab: packets, network, server } = lab();
    await packets.publish(network, server, [bind(8082, { hostAddress: "127.0.0.1" })]);
    await shell(packets.neighbour, [
      "sysctl -qw net.ipv4.conf.all.route_localnet=1",
      "ip route del table local 127.0.0.0/8 dev lo 2>/dev/null || true",
      "ip address flush dev lo",
      `ip route add 127.0.0.0/8 via ${HOST[4]} dev lan0 src ${NEIGHBOUR[4]}`,
    ]);

    expect(Object.keys(await answers(lab(), 8082, ["tcp"]))).toEqual(["loopback v4 tcp"]);
    expect(await askEcho(packets.neighbour, "tcp", "127.0.0.1", 8082)).toBeUndefined();
    expect(await askEcho(packets.neighbour, "tcp", server.address[4], ECHO_PORT)).toBeUndefined();
  });

  it("that are not published answer nobody from outside, also by the container's own address [S12]", async () => {
    const { lab: packets, network, server } = lab();
    await packets.publish(network, server, []);

    expect(await answers(lab(), 8080, ["tcp"])).toEqual({});
    await inBothFamilies(async (v) => {
      expect(await askEcho(packets.neighbour, "tcp", server.address[v], ECHO_PORT)).toBeUndefined();
      await expect.poll(() => askEcho(packets.host, "tcp", server.address[v], ECHO_PORT)).toBeDefined();
    });
  });

  it("take nothing that is only passing through the host", async () => {
    const { lab: packets, network, server, peer } = lab();
    await packets.publish(network, server, [bind(ECHO_PORT)]);

    await expect.poll(() => askEcho(peer.namespace, "tcp", NEIGHBOUR[4], ECHO_PORT)).toBe(HOST[4]); // the neighbour's own echo
  });
});

describe.each([1, 0])("ports of a network with icc=false, br_netfilter %i", (isOn) => {
  const lab = setup(dualStack(1, { isIccAllowed: false }));

  it("answer everybody, while endpoints do not reach one another", async () => {
    const { lab: packets, network, server, peer } = lab();
    await shell(packets.host, [
      `sysctl -qw net.bridge.bridge-nf-call-iptables=${isOn} net.bridge.bridge-nf-call-ip6tables=${isOn}`,
    ]);
    await packets.publish(network, server, [bind(8080), bind(8080, { protocol: "udp" })]);

    expect(Object.keys(await answers(lab(), 8080))).toHaveLength(24);
    await inBothFamilies(async (v) => {
      expect(await askEcho(peer.namespace, "tcp", server.address[v], ECHO_PORT)).toBeUndefined();
      await shell(peer.namespace, [`ip neigh replace ${server.address[v]} lladdr 02:00:00:00:00:01 dev eth0`]);
    });
  });

  it("do not let endpoints reach one another by way of the host [S14]", async () => {
    const { server, peer } = lab();
    await inBothFamilies(async (v) => {
      const mac = await waitUntil("the gateway's MAC address", async () => {
        await canPing(peer.namespace, GATEWAY[v]);
        return /lladdr (\S+)/.exec(await shell(peer.namespace, [`ip neigh show ${GATEWAY[v]}`]))?.[1];
      });
      await shell(peer.namespace, [`ip neigh replace ${server.address[v]} lladdr ${mac} nud permanent dev eth0`]);

      expect(await askEcho(peer.namespace, "tcp", server.address[v], ECHO_PORT)).toBeUndefined();
    });
  });

  it("on one address of the host answer the peer there too", async () => {
    const { lab: packets, network, server, peer } = lab();
    await packets.publish(network, server, [bind(8081, { hostAddress: HOST[4] })]);

    await expect.poll(() => askEcho(peer.namespace, "tcp", HOST[4], 8081)).toBe(GATEWAY[4]);
  });
});

describe("ports of a network of mode routed", () => {
  const routed = dualStack(1, { mode: "routed", isMasqueraded: false });
  const lab = setup(routed);

  it("are open at the container's own address, and no others", async () => {
    const { lab: packets, server, other } = lab();
    const ports = [{ protocol: "tcp", containerPort: ECHO_PORT, hostAddress: "", hostPort: ECHO_PORT }] as const;
    expect(await askEcho(packets.neighbour, "tcp", server.address[4], ECHO_PORT)).toBeUndefined();

    await packets.agent.firewall.ensureEndpoint({ network: routed, endpoint: server.endpoint, ports });

    await inBothFamilies(async (v) => {
      await expect.poll(() => askEcho(packets.neighbour, "tcp", server.address[v], ECHO_PORT)).toBe(NEIGHBOUR[v]);
      await expect.poll(() => askEcho(other.namespace, "tcp", server.address[v], ECHO_PORT)).toBeDefined();
      expect(await askEcho(packets.neighbour, "udp", server.address[v], ECHO_PORT)).toBeUndefined();
    });
  });
});

describe.each([1, 0])("ports of a network of mode routed with icc=false, br_netfilter %i", (isOn) => {
  const shy = dualStack(1, { mode: "routed", isMasqueraded: false, isIccAllowed: false });
  const lab = setup(shy);

  it("are open to endpoints of the same network as to everybody, and nothing else is", async () => {
    const { lab: packets, server, peer } = lab();
    await shell(packets.host, [
      `sysctl -qw net.bridge.bridge-nf-call-iptables=${isOn} net.bridge.bridge-nf-call-ip6tables=${isOn}`,
    ]);
    const ports = [{ protocol: "tcp", containerPort: ECHO_PORT, hostAddress: "", hostPort: ECHO_PORT }] as const;
    await inBothFamilies(async (v) => {
      expect(await askEcho(peer.namespace, "tcp", server.address[v], ECHO_PORT)).toBeUndefined();
    });

    await packets.agent.firewall.ensureEndpoint({ network: shy, endpoint: server.endpoint, ports });

    await inBothFamilies(async (v) => {
      await expect.poll(() => askEcho(peer.namespace, "tcp", server.address[v], ECHO_PORT)).toBe(peer.address[v]);
      await expect.poll(() => askEcho(packets.neighbour, "tcp", server.address[v], ECHO_PORT)).toBe(NEIGHBOUR[v]);
      expect(await askEcho(peer.namespace, "udp", server.address[v], ECHO_PORT)).toBeUndefined();
      expect(await canPing(peer.namespace, server.address[v])).toBe(false);
      expect(await canPing(server.namespace, peer.address[v])).toBe(false);
    });
  });
});
