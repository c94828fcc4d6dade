// A host in a namespace of its own with an Open vSwitch and tsnet's datapath for it, seen and disturbed with ip(8)
// and ovs-vsctl(8).
import type { ChildProcess } from "node:child_process";
import type { DatapathHost, SeenLink } from "../contract/datapath/host.ts";
import { type IpLink, seen } from "./bridge-host.ts";
import { type HostAgent, startHostAgent } from "./host-agent.ts";
import type { NetNamespace } from "./namespace.ts";
import { LINKS_OF_DATAPATH, type OvsDatapath, OvsHost } from "./ovs-host.ts";

/** A host that ends with its namespace. */
export interface OvsDatapathHost extends DatapathHost, AsyncDisposable {
  readonly ovs: OvsHost;
  readonly namespace: NetNamespace;
  readonly agent: HostAgent;
  /** As they run at first. */
  readonly database: ChildProcess;
  readonly vswitchd: ChildProcess;
  /** Removes all bridges and links, for the next test. */
  clear(): Promise<void>;
}

/** Makes one, with both daemons running and no bridge. */
export async function ovsDatapathHost(datapath?: OvsDatapath): Promise<OvsDatapathHost> {
  await using stack = new AsyncDisposableStack();
  const ovs = stack.use(await OvsHost.create(datapath));
  const [database, vswitchd] = [await ovs.startDatabase(), await ovs.startVswitchd()];
  const namespace = ovs.ns;
  const agent = await startHostAgent(namespace, { ovsdb: ovs.address });
  const ip = (...args: string[]) => namespace.exec(["ip", ...args]);
  const list = () => namespace.json<IpLink[]>(["ip", "-json", "-details", "address", "show"]);
  const bridges = async () => (await ovs.vsctl("list-br")).split("\n").filter(Boolean);
  const disposal = stack.move();
  return {
    ovs,
    namespace,
    agent,
    database,
    vswitchd,
    backend: "ovs",
    datapath: agent.datapath,
    async see() {
      const switches = await bridges();
      const links = new Map((await list()).map((link) => [link.ifname, seen(link)]));
      for (const name of LINKS_OF_DATAPATH) links.delete(name);
      for (const name of switches) {
        note(links, name, { isSwitch: true });
        const ports = (await ovs.vsctl("list-ports", name)).split("\n").filter(Boolean);
        for (const port of ports) note(links, port, { switchName: name });
      }
      return links;
    },
    async clear() {
      for (const name of await bridges()) await ovs.vsctl("del-br", name);
      for (const { ifname } of await list()) {
        if (ifname !== "lo" && !LINKS_OF_DATAPATH.includes(ifname)) await ip("link", "del", ifname).catch(() => {}); // gone with its other end
      }
    },
    async plantSwitch(name, addresses = []) {
      await ovs.vsctl("add-br", name, "--", "set", "bridge", name, `datapath_type=${ovs.datapath}`);
      await ip("link", "set", name, "up");
      for (const address of addresses)
        await ip("address", "add", address, "dev", name, ...(address.includes(":") ? ["nodad"] : []));
    },
    plantLink: async (name) => void (await ip("link", "add", name, "type", "veth", "peer", "name", "foreign-end")),
    unmark: async (name) => void (await ip("link", "set", name, "alias", "")),
    async deleteLink(name) {
      if ((await bridges()).includes(name)) await ovs.vsctl("del-br", name);
      else await ip("link", "del", name);
    },
    takeAddress: async (name, address) => void (await ip("address", "del", address, "dev", name)),
    setDown: async (name) => void (await ip("link", "set", name, "down")),
    release: async (name) => void (await ovs.vsctl("del-port", name)),
    [Symbol.asyncDispose]: () => disposal.disposeAsync(),
  };
}

/** A row without a link is seen as well. */
function note(links: Map<string, SeenLink>, name: string, more: Partial<SeenLink>): void {
  const link = links.get(name) ?? { identity: 0, isSwitch: false, isUp: false, addresses: [] };
  links.set(name, { ...link, ...more });
}
