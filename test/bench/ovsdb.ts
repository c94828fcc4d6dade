// An endpoint on Open vSwitch, all verbs of its life at the daemon's socket together, link and records included, beside
// `ovs-vsctl add-port` and `del-port` for a link that is there already. Both wait for ovs-vswitchd, on the same switch.
import { execa } from "execa";
import type { EngineNetwork } from "../support/engine-double.ts";
import { KeptConnection } from "../support/kept-connection.ts";
import { ServeHost } from "../support/serve-host.ts";
import { live, socketOf, sumOf } from "./endpoint-life.ts";
import { type Measured, inTurn, pair, timed } from "./measure.ts";

const ROUNDS = 100;
const WARM_UP = 10;
const SWITCH = "ovsbench";
const VLAN = "10";

/** On a host with an Open vSwitch of its own, in userspace. */
export async function measureOvsEndpoint(): Promise<Measured> {
  await using host = await ServeHost.up("ovs", { backend: "ovs" });
  const options = { backend: "ovs", bridge: SWITCH, vlan: VLAN };
  const network = await host.engine.createNetwork({ subnet: "10.88.0.0/16", gateway: "10.88.0.1", options });
  using connection = await KeptConnection.open(socketOf(host));
  for (let n = 0; n < WARM_UP; n++) await live(connection, network);
  const times = { tsnet: [] as number[], "ovs-vsctl": [] as number[] };
  for (let round = 0; round < ROUNDS; round++) {
    const name = `foreign${round}`;
    await host.exec("ip", "link", "add", name, "type", "veth", "peer", "name", `${name}p`);
    const ours = async () => void times.tsnet.push(await lifeOf(connection, network));
    const theirs = async () => void times["ovs-vsctl"].push(await timed(() => plug(host, name)));
    for (const side of inTurn(round, [ours, theirs])) await side();
    await host.exec("ip", "link", "delete", name);
  }
  return { pairs: [{ ...pair("OVS endpoint, whole life", times), goal: 0.35 }] };
}

async function lifeOf(connection: KeptConnection, network: EngineNetwork): Promise<number> {
  return sumOf(await live(connection, network));
}

/** A port with the tag and the marks of an endpoint, and its removal: two commands. */
async function plug({ namespace }: ServeHost, name: string): Promise<void> {
  const database = `--db=unix:${namespace.outside("/run/openvswitch/db.sock")}`; // nobody has to enter the namespace for it
  const marks = ["external_ids:tsnet-network=n", "external_ids:tsnet-endpoint=e"];
  await execa("ovs-vsctl", [database, "add-port", SWITCH, name, `tag=${VLAN}`, "--", "set", "port", name, ...marks]);
  await execa("ovs-vsctl", [database, "del-port", SWITCH, name]);
}
