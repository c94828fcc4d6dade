// Each fault that explain claims to find, planted into the data of a host where everything else is in order: it is named, with
// the command that mends it, and nothing else is.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Fault } from "../../../../src/cli/explain/hop.ts";
import {
  type World,
  explainIn,
  foreignDrop,
  linkIn,
  machineOf,
  makeWorld,
  networkIn,
} from "../../../support/explain-world.ts";

type Question = readonly [from: string, to: string, port?: number];

interface Case extends Fault {
  readonly title: string;
  readonly ask: Question;
  readonly plant: (world: World) => void;
}

const PING: Question = ["a", "b"];
const WEB: Question = ["a", "b", 80];
const OUT: Question = ["a", "198.51.100.9"];
const IN: Question = ["outside", "192.0.2.10", 8080];
const FAR: Question = ["d", "10.4.0.130"];
const LAN: Question = ["e", "10.3.0.99"];
const HOST: Question = ["a", "10.1.0.1", 22];

const daddr = (right: string) => ({ op: "==", left: { payload: { protocol: "ip", field: "daddr" } }, right });
const saddr = (right: string) => ({ op: "==", left: { payload: { protocol: "ip", field: "saddr" } }, right });
const drop = (match: string, chain: string, family: string) =>
  `it is dropped by "${match} drop" in chain ${chain} of table ${family} own`;

const CASES: readonly Case[] = [
  {
    title: "a sender that does not run",
    ask: PING,
    plant: (world) => (machineOf(world, "a").isRunning = false),
    where: "container",
    why: "a does not run",
    fix: "docker start a",
  },
  {
    title: "a link that is down in the sender",
    ask: PING,
    plant: (world) => (linkIn(machineOf(world, "a"), "eth0").isUp = false),
    where: "container",
    why: "link eth0 of a is down",
    fix: "in a: ip link set eth0 up",
  },
  {
    title: "a link that somebody took from the sender",
    ask: PING,
    plant: (world) => (machineOf(world, "a").links = machineOf(world, "a").links.filter(({ name }) => name === "lo")),
    where: "container",
    why: "a has no link of network blue any more",
    fix: "docker network disconnect blue a; docker network connect blue a",
  },
  {
    title: "a default route that is gone",
    ask: OUT,
    plant: (world) => machineOf(world, "a").routes.pop(),
    where: "container",
    why: "a has no route to 198.51.100.9 (network is unreachable)",
    fix: "in a: ip route add default via 10.1.0.1",
  },
  {
    title: "an address that was taken from the sender",
    ask: PING,
    plant: (world) => (linkIn(machineOf(world, "a"), "eth0").addresses = []),
    where: "container",
    why: "link eth0 of a has not the address 10.1.0.2 that tsnet gave out for it",
    fix: "in a: ip address add 10.1.0.2/24 dev eth0",
  },
  {
    title: "a route by a link that is not tsnet's",
    ask: OUT,
    plant: (world) => machineOf(world, "a").routes.push({ to: "198.51.100.0/24", link: "lo" }),
    where: "container",
    why: "a sends it by lo, which is no link of tsnet's: what becomes of it there is not known",
  },
  {
    title: "a wrong neighbour that was typed in",
    ask: PING,
    plant: (world) => {
      const entry = { address: "10.1.0.3", link: "eth0", mac: "02:00:00:00:00:99", states: ["PERMANENT"] };
      machineOf(world, "a").neighbours.push(entry);
    },
    where: "container",
    why: "a has a permanent entry that 10.1.0.3 is at 02:00:00:00:00:99, and it is at 02:42:00:00:00:03",
    fix: "in a: ip neighbour del 10.1.0.3 dev eth0",
  },
  {
    title: "a rule inside the sender",
    ask: PING,
    plant: (world) => machineOf(world, "a").rules.push(...foreignDrop("ip", "output", daddr("10.1.0.3"))),
    where: "container",
    why: `a's own rules drop it: "ip daddr 10.1.0.3 drop" in chain output of table ip own`,
    fix: "in a: nft delete rule ip own output handle 7",
  },
  {
    title: "a MAC address of its own making",
    ask: PING,
    plant: (world) => (linkIn(machineOf(world, "a"), "eth0").mac = "02:00:00:00:00:99"),
    where: "antispoof",
    why: "antispoof drops it: it comes from MAC 02:00:00:00:00:99, and tsnet gave out 02:42:00:00:00:02",
    fix: "in a: ip link set eth0 address 02:42:00:00:00:02",
  },
  {
    title: "an address of its own making",
    ask: PING,
    plant: (world) => {
      const { links, routes } = machineOf(world, "a");
      links[1]?.addresses.push({ address: "10.1.0.50", prefixLength: 24 });
      if (routes[0] !== undefined) routes[0].source = "10.1.0.50";
    },
    where: "antispoof",
    why: "antispoof drops it: it comes from 10.1.0.50, and tsnet gave out 10.1.0.2",
  },
  {
    title: "a switch that is down",
    ask: PING,
    plant: (world) => (linkIn(world.host, "blue0").isUp = false),
    where: "switch",
    why: "switch blue0 is down",
    fix: "ip link set blue0 up",
  },
  {
    title: "a port that is down",
    ask: PING,
    plant: (world) => (linkIn(world.host, "tsvb").isUp = false),
    where: "port",
    why: "port tsvb is down",
    fix: "ip link set tsvb up",
  },
  {
    title: "a port that is not there",
    ask: ["c", "10.2.0.1"],
    plant: (world) => (world.host.links = world.host.links.filter(({ name }) => name !== "tsvc")),
    where: "port",
    why: "port tsvc is not there",
  },
  {
    title: "a port that was taken out of its switch",
    ask: PING,
    plant: (world) => delete linkIn(world.host, "tsva").master,
    where: "port",
    why: "port tsva is in no switch, and belongs into blue0",
    fix: "ip link set tsva master blue0",
  },
  {
    title: "a port that the spanning tree blocks",
    ask: PING,
    plant: (world) => (linkIn(world.host, "tsva").portState = "blocking"),
    where: "port",
    why: "port tsva is in the state blocking and forwards nothing",
  },
  {
    title: "a bridge's port in a wrong VLAN",
    ask: PING,
    plant: (world) => {
      linkIn(world.host, "blue0").hasVlans = true;
      for (const endpoint of networkIn(world, "blue").endpoints) endpoint.vlan = 10;
      world.vlans = { tsva: [{ first: 10, last: 10, isPvid: true }], tsvb: [{ first: 30, last: 30, isPvid: true }] };
    },
    where: "port",
    why: "port tsvb is in VLAN 30, and belongs into VLAN 10",
    fix: "bridge vlan add dev tsvb vid 10 pvid untagged",
  },
  {
    title: "a bridge's port in no VLAN",
    ask: ["c", "10.2.0.1"],
    plant: (world) => {
      linkIn(world.host, "green0").hasVlans = true;
      for (const endpoint of networkIn(world, "green").endpoints) endpoint.vlan = 10;
    },
    where: "port",
    why: "port tsvc is in no VLAN, and belongs into VLAN 10",
    fix: "bridge vlan add dev tsvc vid 10 pvid untagged",
  },
  {
    title: "a bridge that tells VLANs apart no more",
    ask: ["c", "10.2.0.1"],
    plant: (world) => {
      for (const endpoint of networkIn(world, "green").endpoints) endpoint.vlan = 10;
    },
    where: "port",
    why: "switch green0 tells VLANs apart no more, and 10 is one",
    fix: "ip link set green0 type bridge vlan_filtering 1",
  },
  {
    title: "a tag that was changed on Open vSwitch",
    ask: LAN,
    plant: (world) => {
      if (typeof world.ovs === "object" && world.ovs[0] !== undefined) world.ovs[0].tag = 30;
    },
    where: "port",
    why: "port tsve has VLAN 30, and should have VLAN 10",
    fix: "ovs-vsctl set port tsve tag=10",
  },
  {
    title: "a tag that was cleared on Open vSwitch",
    ask: LAN,
    plant: (world) => {
      if (typeof world.ovs === "object") delete world.ovs[0]?.tag;
    },
    where: "port",
    why: "port tsve has no tag, and should have VLAN 10",
    fix: "ovs-vsctl set port tsve tag=10",
  },
  {
    title: "a port that was taken out of Open vSwitch",
    ask: LAN,
    plant: (world) => {
      if (typeof world.ovs === "object") world.ovs = world.ovs.filter(({ name }) => name !== "tsve");
    },
    where: "port",
    why: "port tsve is in no switch, and belongs into lan0",
    fix: "ovs-vsctl --may-exist add-port lan0 tsve",
  },
  {
    title: "an Open vSwitch that does not run",
    ask: ["e", "10.3.0.99"],
    plant: (world) => {
      world.ovs = "database connection failed";
      linkIn(world.host, "eth1").master = "lan0";
    },
    where: "switch",
    why: "Open vSwitch does not answer: database connection failed",
    fix: "systemctl start openvswitch-switch",
  },
  {
    title: "two VLANs of one switch",
    ask: ["e", "f"],
    plant: () => undefined,
    where: "switch",
    why: "the sender is in VLAN 10, the receiver in VLAN 20",
  },
  {
    title: "icc=false",
    ask: PING,
    plant: (world) => (networkIn(world, "blue").icc = false),
    where: "switch",
    why: "icc=false: containers of network blue reach one another by published ports alone",
  },
  {
    title: "an entry of the forwarding table that points elsewhere",
    ask: PING,
    plant: (world) => {
      world.fdb = world.fdb.map((entry) => (entry.link === "tsvb" ? { ...entry, link: "tsva" } : entry));
    },
    where: "switch",
    why: "the forwarding table of blue0 has 02:42:00:00:00:03 behind tsva, not tsvb",
    fix:
      "bridge fdb del 02:42:00:00:00:03 dev tsva master; " +
      "bridge fdb replace 02:42:00:00:00:03 dev tsvb master static sticky",
  },
  {
    title: "an entry that points elsewhere of a forwarding table that learns",
    ask: PING,
    plant: (world) => {
      networkIn(world, "blue").antispoof = false;
      world.fdb = world.fdb.map((entry) => (entry.link === "tsvb" ? { ...entry, link: "tsva" } : entry));
    },
    where: "switch",
    why: "the forwarding table of blue0 has 02:42:00:00:00:03 behind tsva, not tsvb",
    fix: "bridge fdb del 02:42:00:00:00:03 dev tsva master",
  },
  {
    title: "an entry of the forwarding table that is gone",
    ask: PING,
    plant: (world) => (world.fdb = world.fdb.filter(({ link }) => link !== "tsvb")),
    where: "switch",
    why: "the forwarding table of blue0 has no entry of 02:42:00:00:00:03, and such frames go to nobody",
    fix: "bridge fdb replace 02:42:00:00:00:03 dev tsvb master static sticky",
  },
  {
    title: "an address that nobody has",
    ask: ["a", "10.1.0.99"],
    plant: () => undefined,
    where: "switch",
    why: "nobody on network blue has the address 10.1.0.99",
  },
  {
    title: "a rule for what passes a bridge, with br_netfilter",
    ask: PING,
    plant: (world) => world.host.rules.push(...foreignDrop("ip", "forward", daddr("10.1.0.3"))),
    where: "firewall",
    why: drop("ip daddr 10.1.0.3", "forward", "ip"),
    fix: "nft delete rule ip own forward handle 7",
  },
  {
    title: "a rule for frames",
    ask: PING,
    plant: (world) => world.host.rules.push(...foreignDrop("bridge", "forward", daddr("10.1.0.3"))),
    where: "firewall",
    why: drop("ip daddr 10.1.0.3", "forward", "bridge"),
    fix: "nft delete rule bridge own forward handle 7",
  },
  {
    title: "the host's link that is down",
    ask: HOST,
    plant: (world) => {
      const link = linkIn(world.host, "blue0");
      world.host.links.push({ ...link, name: "tsg1", index: 60, kind: "vlan", isUp: false });
      link.addresses = [];
    },
    where: "host link",
    why: "the host's link tsg1 is down",
    fix: "ip link set tsg1 up",
  },
  {
    title: "a gateway's address that was taken from the host",
    ask: OUT,
    plant: (world) => (linkIn(world.host, "blue0").addresses = []),
    where: "host link",
    why: "the host has not the gateway's address 10.1.0.1 on blue0; tsnet puts it back when it runs",
  },
  {
    title: "forwarding that is off",
    ask: OUT,
    plant: (world) => (world.host.forwards["all"] = false),
    where: "routing",
    why: "the host forwards nothing",
    fix: "sysctl -w net.ipv4.ip_forward=1",
  },
  {
    title: "forwarding that is off on one link",
    ask: OUT,
    plant: (world) => (world.host.forwards["eth0"] = false),
    where: "routing",
    why: "the host forwards nothing that comes by eth0, the answers",
    fix: "sysctl -w net.ipv4.conf.eth0.forwarding=1",
  },
  {
    title: "a strict reverse path filter with another way back",
    ask: OUT,
    plant: (world) => {
      world.host.strict.push("blue0");
      world.host.routes.push({ to: "10.1.0.2/32", link: "eth0" });
    },
    where: "routing",
    why: "rp_filter of blue0 is strict, and the way back to 10.1.0.2 is by eth0",
    fix: "sysctl -w net.ipv4.conf.blue0.rp_filter=2",
  },
  {
    title: "a default route that the host has not",
    ask: OUT,
    plant: (world) => world.host.routes.pop(),
    where: "routing",
    why: "the host has no route to 198.51.100.9 (network is unreachable)",
  },
  {
    title: "a network on which the host is not",
    ask: ["a", "e"],
    plant: (world) => delete networkIn(world, "ten").parent,
    where: "routing",
    why: "10.3.0.2 is on network ten (l2), and link eth0 does not lead there",
  },
  {
    title: "a route of the host that leads past the container",
    ask: ["host", "b", 80],
    plant: (world) => world.host.routes.push({ to: "10.1.0.3/32", link: "eth0", source: "192.0.2.10" }),
    where: "routing",
    why: "10.1.0.3 is on network blue (nat), and link eth0 does not lead there",
  },
  {
    title: "a wrong tag of the host's link on Open vSwitch",
    ask: ["c", "10.2.0.1"],
    plant: (world) => {
      const network = networkIn(world, "green");
      network.backend = "ovs";
      world.ovs = [
        { name: "tsvc", bridge: "green0", tag: 0, kind: "", isUserspace: true, remotes: [] },
        { name: "green0", bridge: "green0", tag: 30, kind: "", isUserspace: true, remotes: [] },
      ];
    },
    where: "host link",
    why: "port green0 has VLAN 30, and should have no VLAN",
    fix: "ovs-vsctl set port green0 tag=0",
  },
  {
    title: "two networks that are kept apart",
    ask: ["a", "c"],
    plant: () => undefined,
    where: "firewall",
    why:
      "networks blue and green are kept apart: their containers reach one another by published ports alone; " +
      `dropped by "oifname . ip daddr @pools4 drop" in chain forward of table inet tsnet`,
  },
  {
    title: "a container's own address, asked for from outside",
    ask: ["outside", "b", 80],
    plant: () => undefined,
    where: "firewall",
    why:
      "nothing gets into network blue but to published ports, and 10.1.0.3 does not publish 80/tcp; " +
      `dropped by "oifname . ip daddr @pools4 drop" in chain forward of table inet tsnet`,
  },
  {
    title: "somebody else's rule for forwarding",
    ask: OUT,
    plant: (world) => world.host.rules.push(...foreignDrop("inet", "forward", saddr("10.1.0.2"))),
    where: "firewall",
    why: drop("ip saddr 10.1.0.2", "forward", "inet"),
    fix: "nft delete rule inet own forward handle 7",
  },
  {
    title: "somebody else's policy",
    ask: OUT,
    plant: (world) => {
      const chain = {
        family: "inet",
        table: "own",
        name: "all",
        type: "filter",
        hook: "forward",
        prio: 5,
        policy: "drop",
      };
      world.host.rules.push({ chain });
    },
    where: "firewall",
    why: "it is dropped by the policy of chain all of table inet own",
  },
  {
    title: "somebody else's rule for what the host takes",
    ask: HOST,
    plant: (world) => world.host.rules.push(...foreignDrop("ip", "input", saddr("10.1.0.2"))),
    where: "firewall",
    why: drop("ip saddr 10.1.0.2", "input", "ip"),
    fix: "nft delete rule ip own input handle 7",
  },
  {
    title: "an internal network and the outside",
    ask: OUT,
    plant: (world) => {
      networkIn(world, "blue").isInternal = true;
      machineOf(world, "a").routes.pop();
    },
    where: "container",
    why: "a has no route to 198.51.100.9 (network is unreachable): its network is internal",
  },
  {
    title: "an isolated network and the outside",
    ask: OUT,
    plant: (world) => {
      networkIn(world, "blue").mode = "isolated";
      linkIn(world.host, "blue0").addresses = [];
      machineOf(world, "a").routes.pop();
    },
    where: "container",
    why: "a has no route to 198.51.100.9 (network is unreachable): mode isolated",
  },
  {
    title: "an uplink of the host that is down",
    ask: ["outside", "192.0.2.10", 8080],
    plant: (world) => (linkIn(world.host, "eth0").hasCarrier = false),
    where: "uplink",
    why: "link eth0 has no carrier: nobody is at the other end of the cable",
  },
  {
    title: "a router of the host's that does not answer",
    ask: OUT,
    plant: (world) => world.host.neighbours.push({ address: "192.0.2.1", link: "eth0", states: ["FAILED"] }),
    where: "uplink",
    why: "nobody at eth0 answered for 192.0.2.1 when the host asked last",
  },
  {
    title: "an uplink of a switch that is not there",
    ask: LAN,
    plant: (world) => (world.host.links = world.host.links.filter(({ name }) => name !== "eth1")),
    where: "uplink",
    why: "uplink eth1 is not there",
  },
  {
    title: "an uplink of a switch that is down",
    ask: LAN,
    plant: (world) => (linkIn(world.host, "eth1").isUp = false),
    where: "uplink",
    why: "uplink eth1 is down",
    fix: "ip link set eth1 up",
  },
  {
    title: "an uplink of a switch without carrier",
    ask: LAN,
    plant: (world) => (linkIn(world.host, "eth1").hasCarrier = false),
    where: "uplink",
    why: "uplink eth1 has no carrier: nobody is at the other end of the cable",
  },
  {
    title: "an uplink that was taken out of its switch",
    ask: LAN,
    plant: (world) => {
      if (typeof world.ovs === "object") world.ovs = world.ovs.filter(({ name }) => name !== "eth1");
    },
    where: "uplink",
    why: "uplink eth1 is not in the switch lan0; tsnet puts it back when it runs",
  },
  {
    title: "a tunnel's link that is down",
    ask: FAR,
    plant: (world) => (linkIn(world.host, "tsx1").isUp = false),
    where: "tunnel",
    why: "the tunnel's link tsx1 is down",
    fix: "ip link set tsx1 up",
  },
  {
    title: "a tunnel's link with a smaller MTU",
    ask: FAR,
    plant: (world) => (linkIn(world.host, "tsx1").mtu = 1400),
    where: "tunnel",
    why: "the tunnel's link tsx1 has MTU 1400, its network 1500: large packets are lost",
    fix: "ip link set tsx1 mtu 1500",
  },
  {
    title: "a way to a tunnel's peer that became narrower",
    ask: FAR,
    plant: (world) => (linkIn(world.host, "eth0").mtu = 1500),
    where: "tunnel",
    why: "the way to the peer 192.0.2.20 by eth0 has room for 1450 bytes, the network's MTU is 1500",
  },
  {
    title: "a tunnel's peer to which there is no route",
    ask: FAR,
    plant: (world) => (world.host.routes = world.host.routes.filter(({ link }) => link !== "eth0")),
    where: "tunnel",
    why: "the host has no route to the tunnel's peer 192.0.2.20 (network is unreachable)",
  },
  {
    title: "a tunnel's peer that does not answer",
    ask: FAR,
    plant: (world) => world.host.neighbours.push({ address: "192.0.2.20", link: "eth0", states: ["FAILED"] }),
    where: "tunnel",
    why: "nobody at eth0 answered for 192.0.2.20 when the host asked last",
  },
  {
    title: "a port that is not published",
    ask: ["outside", "192.0.2.10", 8081],
    plant: () => undefined,
    where: "host",
    why: "nobody listens on port 8081/tcp of 192.0.2.10 on the host",
  },
  {
    title: "a port that is bound to another address of the host",
    ask: ["outside", "192.0.2.10", 8081],
    plant: (world) => world.host.sockets.push({ protocol: "tcp", address: "127.0.0.1", port: 8081 }),
    where: "host",
    why: "nobody listens on port 8081/tcp of 192.0.2.10 on the host: only on 127.0.0.1",
  },
  {
    title: "no way back from a published port",
    ask: IN,
    plant: (world) => machineOf(world, "a").routes.pop(),
    where: "answer",
    why: "a has no route back to 192.0.2.1 (network is unreachable)",
    fix: "in a: ip route add default via 10.1.0.1",
  },
  {
    title: "a receiver that does not run",
    ask: PING,
    plant: (world) => (machineOf(world, "b").isRunning = false),
    where: "receiver",
    why: "b does not run",
    fix: "docker start b",
  },
  {
    title: "a link that is down in the receiver",
    ask: PING,
    plant: (world) => (linkIn(machineOf(world, "b"), "eth0").isUp = false),
    where: "receiver",
    why: "link eth0 of b is down",
    fix: "in b: ip link set eth0 up",
  },
  {
    title: "an address that was taken from the receiver",
    ask: PING,
    plant: (world) => (linkIn(machineOf(world, "b"), "eth0").addresses = []),
    where: "receiver",
    why: "b has not the address 10.1.0.3",
    fix: "in b: ip address add 10.1.0.3/24 dev eth0",
  },
  {
    title: "a MAC address of the receiver's own making",
    ask: PING,
    plant: (world) => (linkIn(machineOf(world, "b"), "eth0").mac = "02:00:00:00:00:99"),
    where: "receiver",
    why: "link eth0 of b has the MAC 02:00:00:00:00:99, and tsnet gave out 02:42:00:00:00:03",
    fix: "in b: ip link set eth0 address 02:42:00:00:00:03",
  },
  {
    title: "a rule inside the receiver",
    ask: PING,
    plant: (world) => machineOf(world, "b").rules.push(...foreignDrop("inet", "input", daddr("10.1.0.3"))),
    where: "receiver",
    why: `b's own rules drop it: "ip daddr 10.1.0.3 drop" in chain input of table inet own`,
    fix: "in b: nft delete rule inet own input handle 7",
  },
  {
    title: "a port where nobody listens",
    ask: ["a", "b", 81],
    plant: () => undefined,
    where: "receiver",
    why: "nobody in b listens on port 81/tcp of 10.1.0.3",
  },
  {
    title: "nobody behind a port that tsnet relays",
    ask: ["host", "127.0.0.1", 8080],
    plant: (world) => (machineOf(world, "a").sockets = []),
    where: "receiver",
    why: "nobody in a listens on port 80/tcp of 10.1.0.2",
  },
  {
    title: "a service that listens on loopback alone",
    ask: WEB,
    plant: (world) => (machineOf(world, "b").sockets = [{ protocol: "tcp", address: "127.0.0.1", port: 80 }]),
    where: "receiver",
    why: "nobody in b listens on port 80/tcp of 10.1.0.3, only on 127.0.0.1",
  },
  {
    title: "a wrong neighbour that was typed in on the host",
    ask: ["host", "b", 80],
    plant: (world) => {
      world.host.neighbours.push({
        address: "10.1.0.3",
        link: "blue0",
        mac: "02:00:00:00:00:99",
        states: ["PERMANENT"],
      });
    },
    where: "host link",
    why: "the host has a permanent entry that 10.1.0.3 is at 02:00:00:00:00:99, and it is at 02:42:00:00:00:03",
    fix: "ip neighbour del 10.1.0.3 dev blue0",
  },
];

const CLEAN: readonly Question[] = [
  PING,
  WEB,
  OUT,
  IN,
  FAR,
  LAN,
  HOST,
  ["a", "a"],
  ["a", "10.1.0.1"],
  ["c", "192.0.2.10", 8080],
  ["host", "b", 80],
  ["host", "192.0.2.10", 8080],
  ["host", "127.0.0.1", 8080],
  ["host", "198.51.100.9"],
];

describe("explain", () => {
  it.each(CLEAN.map((ask) => ({ ask, title: ask.join(" ") })))(
    "finds nothing on a clean way: $title",
    async ({ ask }) => {
      const trace = await explainIn(makeWorld(), ...ask);

      expect(trace.verdict()).toEqual({ arrives: true, faults: [] });
    },
  );

  it.each(CASES)("names $title, and nothing else", async ({ ask, plant, where, why, fix }) => {
    const world = makeWorld();
    plant(world);

    const verdict = (await explainIn(world, ...ask)).verdict();

    const fault = { where, why, ...(fix !== undefined && { fix }) };
    expect(verdict).toEqual({ arrives: false, ...fault, faults: [fault] });
  });

  it("finds nothing where the host's addresses were moved from the uplink to the switch", async () => {
    const world = makeWorld();
    const eth0 = linkIn(world.host, "eth0");
    world.host.links.push({ ...eth0, name: "lan0", index: 70, mac: "02:00:00:00:00:70" });
    eth0.addresses = [];
    for (const route of world.host.routes) if (route.link === "eth0") route.link = "lan0";

    for (const ask of [OUT, IN]) {
      const trace = await explainIn(world, ...ask);
      expect(trace.verdict()).toEqual({ arrives: true, faults: [] });
    }
  });

  it("stops at a tunnel only if no peer can be reached, since it is not known who has the address", async () => {
    const world = makeWorld();
    world.fdb.push({ mac: "00:00:00:00:00:00", link: "tsx1", remote: "203.0.113.20", state: "permanent" });
    world.host.routes.pop();

    const trace = await explainIn(world, ...FAR);

    expect(trace.verdict()).toEqual({ arrives: true, faults: [] });
    expect(trace.hops.at(-1)?.text).toBe(
      "not to another peer: the host has no route to the tunnel's peer 203.0.113.20 (network is unreachable)",
    );
    linkIn(world.host, "eth0").hasCarrier = false;
    const faults = (await explainIn(world, ...FAR)).verdict().faults.map(({ why }) => why);
    expect(faults).toEqual([
      "link eth0 has no carrier: nobody is at the other end of the cable",
      "the host has no route to the tunnel's peer 203.0.113.20 (network is unreachable)",
    ]);
  });

  it("tells one address in two networks of a switch apart, and one beyond a tunnel from one on this host", async () => {
    const world = makeWorld();
    const twin = networkIn(world, "twenty").endpoints[0];
    const far = networkIn(world, "green").endpoints[0];
    if (twin === undefined || far === undefined) throw new Error("no endpoints");
    networkIn(world, "ten").endpoints.push({ ...twin, hostLink: "tsve", vlan: 10, container: { id: "e", name: "e" } });
    far.addresses = ["10.4.0.130/24"];

    const near = await explainIn(world, "e", "10.3.0.3");
    expect(near.verdict().faults.map(({ why }) => why)).not.toContain(
      "the sender is in VLAN 10, the receiver in VLAN 20",
    );
    expect((await explainIn(world, ...FAR)).verdict()).toEqual({ arrives: true, faults: [] });
  });

  it("marks what follows from the records as known, and what was looked up as probed", async () => {
    const { hops } = await explainIn(makeWorld(), "host", "127.0.0.1", 8080);

    expect(hops.map(({ hop, mark }) => [hop, mark])).toEqual([
      ["nat", "known"],
      ["routing", "probed"],
      ["port", "probed"],
      ["receiver", "probed"],
    ]);
    expect(hops[0]?.text).toBe(
      "tsnet listens on port 8080/tcp of 127.0.0.1 on the host, and relays it to 10.1.0.2 port 80/tcp",
    );
  });

  it("names rules of tsnet's own that are gone", async () => {
    const world = makeWorld();
    world.host.rules = world.host.rules.filter((each) => !JSON.stringify(each).includes('"table":"tsnet"'));

    const { faults } = (await explainIn(world, ...OUT)).verdict();

    expect(faults.map(({ why }) => why)).toEqual([
      "table inet tsnet is not there; tsnet puts it back when it runs",
      "it is dropped by the policy of chain FORWARD of table ip filter",
    ]);
  });
});

describe("README", () => {
  it("says of each place where explain can stop what is found there", () => {
    const readme = readFileSync(join(import.meta.dirname, "../../../../README.md"), "utf8");
    const [, table = ""] = /^\| stops at \|.*\n\| --- .*\n((?:\|.*\n)+)/m.exec(readme) ?? [];
    const places = new Set(Array.from(table.matchAll(/^\| `([^`]+)`/gm), ([, place]) => place));

    expect(places).toEqual(new Set(CASES.map(({ where }) => where)));
  });
});

/** Faults on the way from a to b behind which the way goes on. */
const INDEPENDENT = CASES.filter(({ ask, title }) => {
  return ask === PING && !/does not run|somebody took|icc=false|down in the receiver|that learns/.test(title);
});

/** Of these only one can be there, or be seen. */
const EXCLUSIVE = [
  /down in the sender.*address of its own making/,
  /taken from the sender.*address of its own making/,
  /taken out of its switch.*spanning tree/,
  /points elsewhere.*that is gone/,
];

const PAIRS = INDEPENDENT.flatMap((one, at) =>
  INDEPENDENT.slice(at + 1).map((other) => ({ title: `${one.title}, and ${other.title}`, one, other })),
).filter(({ title }) => !EXCLUSIVE.some((pattern) => pattern.test(title)));

describe("two faults at once", () => {
  it.each(PAIRS)("are both named: $title", async ({ one, other }) => {
    const world = makeWorld();
    one.plant(world);
    other.plant(world);

    const { faults } = (await explainIn(world, ...PING)).verdict();

    expect(faults.map(({ why }) => why)).toEqual(expect.arrayContaining([one.why, other.why]));
  });
});
