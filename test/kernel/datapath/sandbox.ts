// A container's place on a network, as the engine makes it of the free end.
import type { Network } from "../../../src/cnm/network.ts";
import type { Datapath } from "../../../src/cnm/datapath.ts";
import type { Endpoint } from "../../../src/cnm/endpoint.ts";
import { endpoint } from "../../support/cnm-builder.ts";
import { NetNamespace } from "../../support/namespace.ts";
import { canPing, shell } from "../../support/packet-lab.ts";
import { waitUntil } from "../../support/wait-until.ts";

/** The free end in a namespace of its own, set up as the engine does. */
export async function sandboxOf(
  host: { readonly datapath: Datapath; readonly namespace: NetNamespace },
  of: Network,
  n: number,
  mtu = of.mtu,
  more: Partial<Endpoint> = {},
): Promise<NetNamespace> {
  const attached = endpoint(n, 1, { mtu, ...more });
  const free = await host.datapath.attach(of, attached, []);
  const sandbox = await NetNamespace.create("sandbox");
  await shell(host.namespace, [`ip link set ${free} netns ${sandbox.name}`]);
  await shell(sandbox, [
    `ip link set ${free} name eth0 address ${attached.mac}`,
    `ip address add ${attached.address} dev eth0`,
    `ip address add fd00:1:1::${n + 1}/64 dev eth0 nodad`,
    "ip link set eth0 up",
    "ip route add default via 10.1.1.1",
  ]);
  return sandbox;
}

/** Pings until an answer comes: what is sent in the first second of a link may get lost. */
export async function pings(from: NetNamespace, to: string): Promise<true> {
  await waitUntil(`an answer from ${to}`, () => canPing(from, to), { limitMs: 20_000, intervalMs: 100 });
  return true;
}
