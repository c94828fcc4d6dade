// The links of this host by their names, and the ways to other hosts, as the CNM verbs ask about them.
import { formatAddress, parseAddress } from "../cidr.ts";
import type { HostLinks, HostRoute } from "../cnm/datapath.ts";
import type { IfName } from "../cnm/network.ts";
import type { Link } from "../host/rtnetlink-link.ts";
import type { Rtnetlink } from "../host/rtnetlink.ts";

/** The host's links, by rtnetlink. */
export class NamedLinks implements HostLinks {
  readonly #links: Pick<Rtnetlink, "findLink" | "listLinks" | "listAddresses" | "routeTo">;

  constructor(links: Pick<Rtnetlink, "findLink" | "listLinks" | "listAddresses" | "routeTo">) {
    this.#links = links;
  }

  async isNameTaken(name: IfName): Promise<boolean> {
    return (await this.#links.findLink(name)) !== undefined;
  }

  async names(): Promise<ReadonlySet<string>> {
    return new Set((await this.#links.listLinks()).map(({ name }) => name));
  }

  async namesAway(): Promise<ReadonlySet<string>> {
    const isAway = ({ kind, peerIndex }: Link) => kind === "veth" && peerIndex === undefined;
    return new Set((await this.#links.listLinks()).filter(isAway).map(({ name }) => name));
  }

  async mtuOf(name: IfName): Promise<number | undefined> {
    return (await this.#links.findLink(name))?.mtu;
  }

  async routeTo(text: string): Promise<HostRoute | undefined> {
    const address = parseAddress(text);
    const path = await this.#links.routeTo(address);
    if (path === undefined) return undefined;
    const owner = path.isLocal ? await this.#ownerOf(text) : undefined;
    const index = owner ?? path.linkIndex;
    const link = (await this.#links.listLinks()).find((one) => one.index === index);
    if (link === undefined) return undefined; // went meanwhile, and the route with it
    const mtu = owner === undefined ? path.mtu : link.mtu;
    return { source: formatAddress(path.source), mtu, link: link.name, isOwn: path.isLocal };
  }

  /** The index of the link that has the address: the route to it leads to the loopback link. */
  async #ownerOf(text: string): Promise<number | undefined> {
    const addresses = await this.#links.listAddresses();
    return addresses.find(({ address }) => formatAddress(address) === text)?.linkIndex;
  }
}
