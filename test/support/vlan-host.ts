// A host with a switch of tsnet's for the tests about VLANs, whichever switch it is.
import type { Datapath } from "../../src/cnm/datapath.ts";
import type { Firewall } from "../../src/cnm/firewall.ts";
import type { Backend, DatapathType } from "../../src/cnm/network.ts";
import { startHostAgent } from "./host-agent.ts";
import { NetNamespace } from "./namespace.ts";
import { OvsHost } from "./ovs-host.ts";

/** An emulated processor (support/vm.ts) needs longer. */
export const PATIENCE = process.env["TSNET_VM"] === "tcg" ? 10 : 1;

/** A host that ends when it is disposed of. */
export interface VlanHost extends AsyncDisposable {
  readonly backend: Backend;
  readonly datapathType: DatapathType;
  readonly namespace: NetNamespace;
  /** tsnet's, at work in that namespace. */
  readonly datapath: Datapath;
  readonly firewall: Firewall;
  /** Takes a port out of its switch, as somebody could. */
  release(port: string): Promise<unknown>;
}

/** With Linux bridges. */
export async function bridgeVlanHost(): Promise<VlanHost> {
  await using stack = new AsyncDisposableStack();
  const namespace = stack.use(await NetNamespace.create("bridge"));
  const { datapath, firewall } = await startHostAgent(namespace);
  const release = (port: string) => namespace.exec(["ip", "link", "set", port, "nomaster"]);
  return {
    backend: "bridge",
    datapathType: "auto",
    namespace,
    datapath,
    firewall,
    release,
    ...disposing(stack.move()),
  };
}

/** With an Open vSwitch of its own. @param datapathType - `kernel` wants the module openvswitch. */
export async function ovsVlanHost(datapathType: "userspace" | "kernel"): Promise<VlanHost> {
  await using stack = new AsyncDisposableStack();
  const ovs = stack.use(await OvsHost.create(datapathType === "kernel" ? "system" : "netdev"));
  await ovs.startDatabase();
  await ovs.startVswitchd();
  const { datapath, firewall } = await startHostAgent(ovs.ns, { ovsdb: ovs.address });
  const release = (port: string) => ovs.vsctl("del-port", port);
  return { backend: "ovs", datapathType, namespace: ovs.ns, datapath, firewall, release, ...disposing(stack.move()) };
}

function disposing(stack: AsyncDisposableStack): AsyncDisposable {
  return { [Symbol.asyncDispose]: () => stack.disposeAsync() };
}
