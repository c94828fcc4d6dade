// A host in a namespace of its own with tsnet's bridge datapath in it, seen with ip(8) and disturbed with it.
import type { DatapathHost, SeenLink } from "../contract/datapath/host.ts";
import { type HostAgent, startHostAgent } from "./host-agent.ts";
import { NetNamespace } from "./namespace.ts";

/** What `ip -json -details address` says, as far as it is looked at. */
export interface IpLink {
  readonly ifindex: number;
  readonly ifname: string;
  readonly ifalias?: string;
  readonly address?: string;
  readonly mtu: number;
  readonly group: string;
  readonly flags: readonly string[];
  readonly master?: string;
  readonly inet6_addr_gen_mode?: string;
  readonly linkinfo?: { readonly info_kind?: string };
  /** Only in `ip address`. */
  readonly addr_info?: readonly { readonly local: string; readonly prefixlen: number; readonly scope: string }[];
}

/** A host that ends with its namespace. */
export interface BridgeHost extends DatapathHost, AsyncDisposable {
  readonly namespace: NetNamespace;
  readonly agent: HostAgent;
  /** Removes all links, for the next test. */
  clear(): Promise<void>;
  /** Everything that ip(8) says about one link. @throws Error if there is none. */
  ipLink(name: string): Promise<IpLink>;
}

/** Makes one. */
export async function bridgeHost(): Promise<BridgeHost> {
  const namespace = await NetNamespace.create("bridge");
  const agent = await startHostAgent(namespace);
  const ip = (...args: string[]) => namespace.exec(["ip", ...args]);
  const list = () => namespace.json<IpLink[]>(["ip", "-json", "-details", "address", "show"]);
  return {
    namespace,
    agent,
    backend: "bridge",
    datapath: agent.datapath,
    see: async () => new Map((await list()).map((link) => [link.ifname, seen(link)])),
    async clear() {
      for (const { ifname } of await list()) {
        if (ifname !== "lo") await ip("link", "del", ifname).catch(() => {}); // gone with its other end
      }
    },
    async ipLink(name) {
      const [found] = await namespace.json<IpLink[]>(["ip", "-json", "-details", "link", "show", name]);
      if (found === undefined) throw new Error(`no link ${name}`);
      return found;
    },
    async plantSwitch(name, addresses = []) {
      await ip("link", "add", name, "up", "type", "bridge");
      for (const address of addresses)
        await ip("address", "add", address, "dev", name, ...(address.includes(":") ? ["nodad"] : []));
    },
    plantLink: async (name) => void (await ip("link", "add", name, "type", "veth", "peer", "name", "foreign-end")),
    unmark: async (name) => void (await ip("link", "set", name, "alias", "")),
    deleteLink: async (name) => void (await ip("link", "del", name)),
    takeAddress: async (name, address) => void (await ip("address", "del", address, "dev", name)),
    setDown: async (name) => void (await ip("link", "set", name, "down")),
    release: async (name) => void (await ip("link", "set", name, "nomaster")),
    [Symbol.asyncDispose]: () => namespace[Symbol.asyncDispose](),
  };
}

/** One link of that listing. */
export function seen(link: IpLink): SeenLink {
  const addresses = (link.addr_info ?? []).filter(({ scope }) => scope === "global");
  return {
    identity: link.ifindex,
    isSwitch: link.linkinfo?.info_kind === "bridge",
    ...(link.address !== undefined && { mac: link.address }),
    mtu: link.mtu,
    isUp: link.flags.includes("UP"),
    ...(link.master !== undefined && { switchName: link.master }),
    addresses: addresses.map(({ local, prefixlen }) => `${local}/${prefixlen}`).sort(),
  };
}
