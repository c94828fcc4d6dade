// A tunnel over WireGuard, as the README says: `peers` are the hosts' addresses there, and its MTU leaves room for both.
import { execa } from "execa";
import { expect, it } from "vitest";
import { planNetwork } from "../../../src/cnm/plan.ts";
import { placeTunnel } from "../../../src/cnm/tunnel-place.ts";
import { NamedLinks } from "../../../src/datapath/named-links.ts";
import { Rtnetlink } from "../../../src/host/rtnetlink.ts";
import { networkRequest } from "../../support/cnm-builder.ts";
import { ETHERTYPE } from "../../support/frames.ts";
import { outerPackets } from "../../support/outer-packets.ts";
import { shell } from "../../support/packet-lab.ts";
import { LINUX_BRIDGE, type TunnelHost } from "../../support/tunnel-host.ts";
import { TunnelStand, hostAddress, reaches } from "../../support/tunnel-stand.ts";

const PORT = 51_820;
/** wg-quick(8): what is left of 1500 over either family. */
const WIREGUARD_MTU = 1420;
/** Of WireGuard over IPv4: 20 of IP, 8 of UDP, 32 of its own. */
const WIREGUARD_OVERHEAD = 60;
const KIND = { kind: "vxlan", vni: 77, port: 4789 } as const;

const innerAddress = (n: number) => `198.51.100.${n}`;

/** Gives each host a link `wg0` to all others. */
async function encrypt(hosts: readonly TunnelHost[]): Promise<void> {
  const parties = await Promise.all(
    hosts.map(async ({ ns }, at) => {
      const { stdout: secret } = await execa("wg", ["genkey"]);
      const { stdout: key } = await execa("wg", ["pubkey"], { input: secret });
      return { n: at + 1, ns, secret, key };
    }),
  );
  for (const { n, ns, secret } of parties) {
    const others = parties.filter((other) => other.n !== n);
    const peers = others.map(
      (other) => `peer ${other.key} allowed-ips ${innerAddress(other.n)}/32 endpoint ${hostAddress(other.n)}:${PORT}`,
    );
    await shell(ns, [
      "ip link add wg0 type wireguard",
      `echo ${secret} | wg set wg0 private-key /proc/self/fd/0 listen-port ${PORT} ${peers.join(" ")}`,
      `ip address add ${innerAddress(n)}/24 dev wg0; ip link set wg0 mtu ${WIREGUARD_MTU} up`,
    ]);
  }
}

it("a tunnel between addresses of WireGuard has room for both, and nothing of it can be read on the wire", async () => {
  await using stand = await TunnelStand.up(2, LINUX_BRIDGE);
  await encrypt(stand.hosts);
  using wire = stand.listen();
  const containers = [];
  for (const [at, { ns }] of stand.hosts.entries()) {
    const n = at + 1;
    using links = ns.enter(() => Rtnetlink.open());
    const options = {
      tunnel: "vxlan",
      vni: String(KIND.vni),
      peers: stand.hosts.map((_, place) => innerAddress(place + 1)).join(),
    };
    const placed = await placeTunnel(planNetwork(networkRequest(1, options)), new NamedLinks(links));
    if (placed === undefined) throw new Error("no tunnel");
    const network = stand.network(n, KIND, { tunnel: placed.tunnel, mtu: placed.mtu });
    await stand.makeOn(n, network);
    containers.push(await stand.attach(n, network));
  }
  const [one, two] = containers;
  if (one === undefined || two === undefined) throw new Error("no containers");

  expect(one.endpoint.mtu).toBe(WIREGUARD_MTU - 50);
  await reaches(one, two.address[4]);
  await one.ns.exec(["busybox", "ping", "-c", "1", "-W", "20", "-s", String(one.endpoint.mtu - 28), two.address[4]]);

  const frames = wire.heard().filter((frame) => frame.readUInt16BE(12) === ETHERTYPE.ipv4);
  expect(new Set(frames.map((frame) => frame.readUInt16BE(36)))).toEqual(new Set([PORT]));
  const packets = outerPackets(frames);
  expect(Math.max(...packets.map(({ size }) => size))).toBe(WIREGUARD_MTU + WIREGUARD_OVERHEAD);
  expect(packets.some(({ isFragment }) => isFragment)).toBe(false);
});
