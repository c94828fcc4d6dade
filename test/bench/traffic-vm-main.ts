// Runs in the virtual machine: two endpoints of tsnet on Open vSwitch with the kernel's datapath, and two veth pairs on a bare bridge of
// the same Open vSwitch. Argument: the file that takes the times, as JSON.
import { writeFileSync } from "node:fs";
import type { Network } from "../../src/cnm/network.ts";
import { endpoint, network } from "../support/cnm-builder.ts";
import { NetNamespace } from "../support/namespace.ts";
import { type OvsDatapathHost, ovsDatapathHost } from "../support/ovs-datapath-host.ts";
import { shell } from "../support/packet-lab.ts";
import { SERVE } from "../support/publish-server.ts";
import { warmUp } from "../support/vlan-vm.ts";
import { waitUntil } from "../support/wait-until.ts";
import { inTurn } from "./measure.ts";
import { exchangeBytes, sendBulk } from "./talk.ts";

export const MEGABYTES = 100;
export const EXCHANGES = 500;
const ROUNDS = 30;
const ECHO_PORT = 80;
const BULK_PORT = 5201;
const SIDES = ["tsnet", "bare bridge"] as const;
type Side = (typeof SIDES)[number];

/** Milliseconds of each round. */
export interface VmTimes {
  readonly bulk: Record<Side, number[]>;
  readonly echo: Record<Side, number[]>;
}

/** Two machines on one switch, of which the second one serves. */
interface Two {
  readonly from: NetNamespace;
  readonly address: string;
}

const [file] = process.argv.slice(2);
if (import.meta.main && file !== undefined) writeFileSync(file, JSON.stringify(await measure()));

async function measure(): Promise<VmTimes> {
  await warmUp(["openvswitch"]);
  await using stack = new AsyncDisposableStack();
  const host = stack.use(await ovsDatapathHost("system"));
  const two = { tsnet: await onTsnet(host, stack), "bare bridge": await onBareBridge(host, stack) };
  const times = { bulk: empty(), echo: empty() };
  for (let round = 0; round < ROUNDS; round++) {
    for (const side of inTurn(round, SIDES)) {
      const { from, address } = two[side];
      times.bulk[side].push(await sendBulk(from, { address, port: BULK_PORT }, MEGABYTES));
      times.echo[side].push(await exchangeBytes(from, { address, port: ECHO_PORT }, EXCHANGES));
    }
  }
  return times;
}

function empty(): Record<Side, number[]> {
  return { tsnet: [], "bare bridge": [] };
}

async function onTsnet(host: OvsDatapathHost, stack: AsyncDisposableStack): Promise<Two> {
  const on: Network = network(1, { backend: "ovs", datapathType: "kernel" });
  await host.datapath.ensureNetwork(on, []);
  const attach = async (n: number) => {
    const attached = endpoint(n);
    const free = await host.datapath.attach(on, attached, []);
    const namespace = stack.use(await NetNamespace.create("container"));
    await shell(host.namespace, [`ip link set ${free} netns ${namespace.name}`]);
    return await configure(namespace, free, attached.address ?? "");
  };
  return await serve([await attach(1), await attach(2)], "10.1.1.3");
}

async function onBareBridge({ ovs, namespace: at }: OvsDatapathHost, stack: AsyncDisposableStack): Promise<Two> {
  await ovs.vsctl("add-br", "bare", "--", "set", "bridge", "bare", "datapath_type=system");
  const attach = async (n: number) => {
    const namespace = stack.use(await NetNamespace.create("bare"));
    await shell(at, [`ip link add bare${n} up type veth peer name free netns ${namespace.name}`]);
    await ovs.vsctl("add-port", "bare", `bare${n}`);
    return await configure(namespace, "free", `10.2.1.${n + 1}/24`);
  };
  return await serve([await attach(1), await attach(2)], "10.2.1.3");
}

async function configure(namespace: NetNamespace, link: string, address: string): Promise<NetNamespace> {
  await shell(namespace, [
    `ip link set ${link} name eth0`,
    `ip address add ${address} dev eth0`,
    "ip link set eth0 up",
  ]);
  return namespace;
}

/** Starts both servers on the second one, and waits until they answer. */
async function serve([from, to]: readonly [NetNamespace, NetNamespace], address: string): Promise<Two> {
  to.spawn([...SERVE, "server", String(ECHO_PORT)]);
  to.spawn(["iperf3", "-s", "-p", String(BULK_PORT)]).stdout?.resume();
  const listening = async () => /:5201 /.test(await to.exec(["ss", "-Hltn"]));
  await waitUntil("iperf3 to listen", listening, { limitMs: 60_000 });
  const answers = async () => (await exchangeBytes(from, { address, port: ECHO_PORT }, 1)) > 0;
  await waitUntil(`an answer from ${address}`, answers, { limitMs: 60_000 });
  return { from, address };
}
