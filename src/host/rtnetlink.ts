// The kernel's links, their addresses and the routes, by rtnetlink: what `ip` and `bridge` do, without a process. Every
// method is one kernel message, or two where it says so. The messages are in `rtnetlink-*.ts`, the queue and the errors
// in `netlink-socket.ts`. A link is named to the kernel by its index: names can move to another link, indexes cannot.
import { type Family, formatAddress } from "../cidr.ts";
import { TsnetError } from "../errors.ts";
import { NLM_F, type NetlinkMessage, isErrno, u32Attribute, textAttribute } from "./netlink.ts";
import { NETLINK_ROUTE, NetlinkSocket } from "./netlink-socket.ts";
import {
  type InterfaceAddress,
  type LinkAddress,
  addressHeader,
  addressParts,
  newAddressParts,
  parseLinkAddress,
} from "./rtnetlink-address.ts";
import { fdbEntryParts } from "./rtnetlink-fdb.ts";
import {
  type BridgeSpec,
  IFLA,
  type Link,
  type LinkChange,
  type VethSpec,
  bridgeParts,
  changeParts,
  linkHeader,
  parseLink,
  vethParts,
} from "./rtnetlink-link.ts";
import {
  type AddressGeneration,
  type Ipv4Conf,
  addressGenerationParts,
  ipv4ConfParts,
  parseIpv4Conf,
} from "./rtnetlink-link-settings.ts";
import { ROUTE_SELECTIONS, type Route, parseRoute, routeHeader } from "./rtnetlink-route.ts";

/** Message types (include/uapi/linux/rtnetlink.h, RTM_*). */
const RTM = {
  NEWLINK: 16,
  DELLINK: 17,
  GETLINK: 18,
  NEWADDR: 20,
  DELADDR: 21,
  GETADDR: 22,
  GETROUTE: 26,
  NEWNEIGH: 28,
  DELNEIGH: 29,
} as const;

/** Asks for the notification that a change causes (include/uapi/linux/netlink.h). */
const NLM_F_ECHO = 0x8;

/** Counters are a third of a link's description, and nobody here reads them. */
const WITHOUT_COUNTERS = u32Attribute(IFLA.EXT_MASK, 1 << 3); // RTEXT_FILTER_SKIP_STATS

/**
 * The links, addresses and routes of the network namespace in which it was opened.
 *
 * Every method throws TsnetError `host` with the kernel's own words when the kernel refuses (`isErrno` in `netlink.ts`
 * tells the reason), and `unavailable` when it does not answer within 5 s.
 */
export class Rtnetlink implements Disposable {
  readonly #socket: NetlinkSocket;

  private constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /** @throws TsnetError `host`. */
  static open(): Rtnetlink {
    return new Rtnetlink(NetlinkSocket.open(NETLINK_ROUTE));
  }

  /** Refuses further calls; those under way still end. */
  close(): void {
    void this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** The link of that name, or undefined. A link that has the name only as an alternative name does not count. */
  async findLink(name: string): Promise<Link | undefined> {
    const payload = await this.#getLink(`look up link ${name}`, [linkHeader(0), textAttribute(IFLA.IFNAME, name)]);
    const link = payload && parseLink(payload);
    return link?.name === name ? link : undefined;
  }

  /** The link of that name. @throws TsnetError `host` with errno ENODEV if there is none. */
  async requireLink(name: string): Promise<Link> {
    const link = await this.findLink(name);
    if (link) return link;
    throw new TsnetError("host", `link ${name} does not exist`, { cause: { errno: "ENODEV" } });
  }

  /** All links, ordered by nothing in particular. */
  async listLinks(): Promise<Link[]> {
    const parts = [linkHeader(0), WITHOUT_COUNTERS];
    const messages = await this.#socket.dump("list links", { type: RTM.GETLINK, parts });
    return messages.map(({ payload }) => parseLink(payload));
  }

  /** Makes a bridge, set down. @returns its index. @throws TsnetError `host`, EEXIST if the name is taken. */
  async addBridge(spec: BridgeSpec): Promise<number> {
    return this.#addLink(`add bridge ${spec.name}`, spec.name, bridgeParts(spec));
  }

  /** Makes a veth pair, all of it or nothing. @returns the near end's index. @throws TsnetError `host`, EEXIST if a name is taken. */
  async addVeth(spec: VethSpec): Promise<number> {
    return this.#addLink(`add veth ${spec.name} with peer ${spec.peer.name}`, spec.name, vethParts(spec));
  }

  /** Changes a link. The kernel works through the changes and stops at the first that it refuses. */
  async setLink(index: number, change: LinkChange): Promise<void> {
    await this.#onLink("change", index, RTM.NEWLINK, changeParts(index, change));
  }

  /** Says how IPv6 makes the link-local address at the next set-up. A link without IPv6 makes none: that is success. */
  async setAddressGeneration(index: number, mode: AddressGeneration): Promise<void> {
    const doing = `set IPv6 address generation ${mode} of`;
    await this.#onLink(doing, index, RTM.NEWLINK, addressGenerationParts(index, mode), ["EAFNOSUPPORT"]);
  }

  /** Changes IPv4 settings of a link. */
  async setIpv4Conf(index: number, conf: Partial<Ipv4Conf>): Promise<void> {
    await this.#onLink("set IPv4 settings of", index, RTM.NEWLINK, ipv4ConfParts(index, conf));
  }

  /** The IPv4 settings of a link. @throws TsnetError `host`, ENODEV for a link that is absent or has no IPv4. */
  async ipv4Conf(index: number): Promise<Ipv4Conf> {
    const payload = await this.#getLink(`read IPv4 settings of link ${index}`, [linkHeader(index)]);
    const conf = payload && parseIpv4Conf(payload);
    if (conf) return conf;
    throw new TsnetError("host", `link ${index} does not exist or has no IPv4`, { cause: { errno: "ENODEV" } });
  }

  /** Makes a bridge send frames for this address by that port and by no other, whatever other ports send. */
  async ensureFdbEntry(portIndex: number, mac: string): Promise<void> {
    const parts = fdbEntryParts(portIndex, mac);
    await this.#onLink(`set ${mac} behind`, portIndex, RTM.NEWNEIGH, parts, [], NLM_F.CREATE | NLM_F.REPLACE);
  }

  /** Takes the entry for this address from the bridge of that port. That it or the port is absent is success. */
  async deleteFdbEntry(portIndex: number, mac: string): Promise<void> {
    const parts = fdbEntryParts(portIndex, mac);
    await this.#onLink(`delete ${mac} behind`, portIndex, RTM.DELNEIGH, parts, ["ENOENT", "ENODEV"]);
  }

  /** Deletes a link, and with one end of a veth pair the other. An absent link is success. Takes 10 to 20 ms. */
  async deleteLink(index: number): Promise<void> {
    await this.#onLink("delete", index, RTM.DELLINK, [linkHeader(index)], ["ENODEV"]);
  }

  /** The IP addresses of one link, none if it is absent, or without `linkIndex` of all. */
  async listAddresses(linkIndex = 0): Promise<LinkAddress[]> {
    const request = { type: RTM.GETADDR, parts: [addressHeader(linkIndex)] };
    const messages = await absentIs([], ["ENODEV"], this.#socket.dump("list addresses", request));
    return messages
      .flatMap(({ payload }) => parseLinkAddress(payload) ?? [])
      .filter((address) => linkIndex === 0 || address.linkIndex === linkIndex);
  }

  /** Gives a link an address. That it has the address already, with the same prefix length, is success. */
  async addAddress(linkIndex: number, wanted: InterfaceAddress): Promise<void> {
    const doing = `add address ${formatAddress(wanted.address)}/${wanted.prefixLength} to`;
    try {
      const parts = newAddressParts(linkIndex, wanted);
      await this.#onLink(doing, linkIndex, RTM.NEWADDR, parts, [], NLM_F.CREATE | NLM_F.EXCL);
    } catch (failure) {
      if (!isErrno(failure, "EEXIST") || !(await this.#hasAddress(linkIndex, wanted))) throw failure;
    }
  }

  /** Takes an address from a link. That the address or the link is absent is success. */
  async deleteAddress(linkIndex: number, unwanted: InterfaceAddress): Promise<void> {
    const doing = `delete address ${formatAddress(unwanted.address)}/${unwanted.prefixLength} of`;
    const parts = addressParts(linkIndex, unwanted);
    await this.#onLink(doing, linkIndex, RTM.DELADDR, parts, ["EADDRNOTAVAIL", "ENODEV"]);
  }

  /** Unicast routes of the main table and local routes of the local table, IPv4 and IPv6. */
  async listRoutes(): Promise<Route[]> {
    const routes: Route[] = [];
    for (const family of [4, 6] as const satisfies Family[]) {
      for (const asked of ROUTE_SELECTIONS) {
        const request = { type: RTM.GETROUTE, parts: [routeHeader(family, asked)] };
        const dump = this.#socket.dump(`list IPv${family} routes`, request);
        // ENOENT: the table was never used. EOPNOTSUPP: a kernel without IPv6.
        const messages = await absentIs([], ["ENOENT", "EOPNOTSUPP"], dump);
        routes.push(...messages.flatMap(({ payload }) => parseRoute(payload, asked) ?? []));
      }
    }
    return routes;
  }

  async #getLink(doing: string, parts: readonly Buffer[]): Promise<Buffer | undefined> {
    const request = { type: RTM.GETLINK, parts: [...parts, WITHOUT_COUNTERS] };
    const [message] = await absentIs<NetlinkMessage[]>([], ["ENODEV"], this.#socket.request(doing, request));
    return message?.payload;
  }

  async #addLink(doing: string, name: string, parts: readonly Buffer[]): Promise<number> {
    const flags = NLM_F.CREATE | NLM_F.EXCL | NLM_F_ECHO;
    const [made] = await this.#socket.request(doing, { type: RTM.NEWLINK, flags, parts });
    return (made ? parseLink(made.payload) : await this.requireLink(name)).index; // before Linux 6.2 nothing is echoed
  }

  /** A change of one link, which an error names by its name as long as it has one. */
  async #onLink(
    doing: string,
    index: number,
    type: number,
    parts: readonly Buffer[],
    successes: readonly string[] = [],
    flags = 0,
  ): Promise<void> {
    const naming = async () => `${doing} link ${await this.#nameOf(index)}`;
    await absentIs([], successes, this.#socket.request(naming, { type, flags, parts }));
  }

  async #nameOf(index: number): Promise<string> {
    const payload = await this.#getLink(`look up link ${index}`, [linkHeader(index)]).catch(() => undefined);
    return payload ? parseLink(payload).name : `with index ${index}`;
  }

  async #hasAddress(linkIndex: number, { address, prefixLength }: InterfaceAddress): Promise<boolean> {
    const addresses = await this.listAddresses(linkIndex);
    return addresses.some(
      (present) =>
        present.address.family === address.family &&
        present.address.value === address.value &&
        present.prefixLength === prefixLength,
    );
  }
}

/** The result, or `instead` if the kernel refused with one of these reasons. */
async function absentIs<T>(instead: T, reasons: readonly string[], result: Promise<T>): Promise<T> {
  try {
    return await result;
  } catch (failure) {
    if (isErrno(failure, ...reasons)) return instead;
    throw failure;
  }
}
