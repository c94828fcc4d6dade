// The kernel's links, their addresses and the routes, by rtnetlink: what `ip` and `bridge` do, without a process. Every
// method is one kernel message, or two where it says so. The messages are in `rtnetlink-*.ts`, the queue and the errors
// in `netlink-socket.ts`. A link is named to the kernel by its index: names can move to another link, indexes cannot.
import type { Address } from "../cidr.ts";
import { TsnetError } from "../errors.ts";
import { NLM_F, u32Attribute } from "./netlink.ts";
import type { InterfaceAddress, LinkAddress } from "./rtnetlink-address.ts";
import { addAddress, deleteAddress, listAddresses } from "./rtnetlink-address-requests.ts";
import { fdbEntryParts, fdbListParts, parseStaticFdbEntry } from "./rtnetlink-fdb.ts";
import { listFloodPeers, setFloodPeers } from "./rtnetlink-flood.ts";
import {
  IFLA,
  type BridgeSpec,
  type Link,
  type LinkChange,
  type TunnelSpec,
  type VethSpec,
  type VlanSpec,
  bridgeParts,
  changeParts,
  linkHeader,
  vethParts,
  vlanParts,
} from "./rtnetlink-link.ts";
import {
  type AddressGeneration,
  type Ipv4Conf,
  addressGenerationParts,
  ipv4ConfParts,
  parseIpv4Conf,
} from "./rtnetlink-link-settings.ts";
import { type Path, findPath } from "./rtnetlink-path.ts";
import { type PortVlan, listPortVlans, setPortVlans } from "./rtnetlink-port-vlan.ts";
import { LinkRequests, RTM } from "./rtnetlink-requests.ts";
import { type Route, listRoutes } from "./rtnetlink-route.ts";
import { KernelSupport } from "./rtnetlink-support.ts";
import type { TunnelKind } from "./rtnetlink-tunnel.ts";
import { TUNNEL_QUESTIONS, addTunnel } from "./rtnetlink-tunnel-requests.ts";
import { BRIDGE_VLAN_QUESTION, VLAN_LINK_QUESTION } from "./rtnetlink-vlan-support.ts";

/**
 * The links, addresses and routes of the network namespace in which it was opened.
 *
 * Every method throws TsnetError `host` with the kernel's own words when the kernel refuses (`isErrno` in `netlink.ts`
 * tells the reason), and `unavailable` when it does not answer within 5 s.
 */
export class Rtnetlink implements Disposable {
  readonly #requests = new LinkRequests();
  readonly #support = new KernelSupport(this.#requests);

  /** @throws TsnetError `host`. */
  static open(): Rtnetlink {
    return new Rtnetlink();
  }

  /** Refuses further calls; those under way still end. */
  close(): void {
    this.#requests[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** The link of that name, or undefined. A link that has the name only as an alternative name does not count. */
  async findLink(name: string): Promise<Link | undefined> {
    return this.#requests.find(name);
  }

  /** The link of that name. @throws TsnetError `host` with errno ENODEV if there is none. */
  async requireLink(name: string): Promise<Link> {
    return this.#requests.require(name);
  }

  /** All links, ordered by nothing in particular. */
  async listLinks(): Promise<Link[]> {
    return this.#requests.list();
  }

  /**
   * Makes a bridge, set down, with all its settings or not at all.
   *
   * @returns its index.
   * @throws TsnetError `host`, EEXIST if the name is taken.
   */
  async addBridge(spec: BridgeSpec): Promise<number> {
    return this.#requests.add(`add bridge ${spec.name}`, spec.name, bridgeParts(spec));
  }

  /** Makes a veth pair, all of it or nothing. @returns the near end's index. @throws TsnetError `host`, EEXIST if a name is taken. */
  async addVeth(spec: VethSpec): Promise<number> {
    return this.#requests.add(`add veth ${spec.name} with peer ${spec.peer.name}`, spec.name, vethParts(spec));
  }

  /** Makes a VLAN link. @returns its index. @throws TsnetError `host`, EEXIST if the name is taken or the parent has that VLAN. */
  async addVlan(spec: VlanSpec): Promise<number> {
    return this.#requests.add(`add VLAN link ${spec.name}`, spec.name, vlanParts(spec));
  }

  /**
   * Makes a tunnel link, all of it or nothing.
   *
   * @returns its index.
   * @throws TsnetError `conflict` if this host has that tunnel already, which for VXLAN is: that VNI on that port; `unsupported`
   * if the kernel has no such kind; `host` otherwise, EEXIST if the name is taken.
   */
  async addTunnel(spec: TunnelSpec): Promise<number> {
    return addTunnel(this.#requests, this.#support, spec);
  }

  /** Changes a link. The kernel works through the changes and stops at the first that it refuses. */
  async setLink(index: number, change: LinkChange): Promise<void> {
    await this.#onLink("change", index, RTM.NEWLINK, changeParts(index, change));
  }

  /** Whether bridges of this kernel can filter VLANs. The answer is kept; nothing is made to find it. */
  async hasBridgeVlans(): Promise<boolean> {
    return this.#support.has(BRIDGE_VLAN_QUESTION);
  }

  /** Whether this kernel has VLAN links (802.1Q). The answer is kept; nothing is made to find it. */
  async hasVlanLinks(): Promise<boolean> {
    return this.#support.has(VLAN_LINK_QUESTION);
  }

  /** Whether this kernel has such links. Loads the module: that of GRE makes `gre0` and the like. The answer is kept. */
  async hasTunnels(kind: TunnelKind): Promise<boolean> {
    return this.#support.has(TUNNEL_QUESTIONS[kind]);
  }

  /** The hosts to which a VXLAN link sends what is for all, none for any other link. */
  async listFloodPeers(index: number): Promise<Address[]> {
    return listFloodPeers(this.#requests, index);
  }

  /**
   * Makes a VXLAN link send what is for all, or for an unknown address, to exactly these hosts. One message reads; those that
   * are missing come before those too many go, with what was learned to be behind them. What stays is not touched.
   *
   * @param peers - of the family of the link (EAFNOSUPPORT), without this host itself.
   */
  async setFloodPeers(index: number, peers: readonly Address[]): Promise<void> {
    await setFloodPeers(this.#requests, index, peers);
  }

  /**
   * The VLANs of a bridge port, or of a bridge itself, by number.
   *
   * @throws TsnetError `host`: ENODEV, EINVAL for a link that is neither, EOPNOTSUPP on a kernel without bridge VLANs.
   */
  async portVlans(index: number): Promise<PortVlan[]> {
    return listPortVlans(this.#requests, index);
  }

  /**
   * Makes a port, or a bridge itself, have exactly these VLANs. One message reads; if there is a difference, one adds and
   * one removes. What is there and wanted stays untouched throughout.
   *
   * @param options.isSelf - the link is the bridge itself, not a port.
   * @throws TsnetError `host` as `portVlans`, `internal` for a list that no port can have.
   */
  async setPortVlans(index: number, wanted: readonly PortVlan[], { isSelf = false } = {}): Promise<void> {
    await setPortVlans(this.#requests, index, wanted, isSelf);
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
    const payload = await this.#requests.get(`read IPv4 settings of link ${index}`, [linkHeader(index)]);
    const conf = payload && parseIpv4Conf(payload);
    if (conf) return conf;
    throw new TsnetError("host", `link ${index} does not exist or has no IPv4`, { cause: { errno: "ENODEV" } });
  }

  /** Makes a bridge send frames for this address by that port and by no other, whatever other ports send. */
  async ensureFdbEntry(portIndex: number, mac: string): Promise<void> {
    const parts = fdbEntryParts(portIndex, mac);
    await this.#onLink(`set ${mac} behind`, portIndex, RTM.NEWNEIGH, parts, [], NLM_F.CREATE | NLM_F.REPLACE);
  }

  /** The addresses that `ensureFdbEntry` set behind a port, each once, whatever the VLAN. */
  async listFdbEntries(portIndex: number): Promise<string[]> {
    const request = { type: RTM.GETNEIGH, parts: fdbListParts(portIndex) };
    const payloads = await this.#requests.dump(this.#requests.naming("list addresses behind", portIndex), request);
    return [...new Set(payloads.flatMap((payload) => parseStaticFdbEntry(payload) ?? []))];
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

  /** Deletes all links of a group, in about the time of one, and with one end of a veth pair the other. That there are none is success. */
  async deleteGroup(group: number): Promise<void> {
    const parts = [linkHeader(0), u32Attribute(IFLA.GROUP, group)];
    await this.#requests.ask(`delete links of group ${group}`, { type: RTM.DELLINK, parts }, ["ENODEV"]);
  }

  /** The IP addresses of one link, none if it is absent, or without `linkIndex` of all. */
  async listAddresses(linkIndex = 0): Promise<LinkAddress[]> {
    return listAddresses(this.#requests, linkIndex);
  }

  /** Gives a link an address. That it has the address already, with the same prefix length, is success. */
  async addAddress(linkIndex: number, wanted: InterfaceAddress): Promise<void> {
    await addAddress(this.#requests, linkIndex, wanted);
  }

  /** Takes an address from a link. That the address or the link is absent is success. */
  async deleteAddress(linkIndex: number, unwanted: InterfaceAddress): Promise<void> {
    await deleteAddress(this.#requests, linkIndex, unwanted);
  }

  /** The way of packets to an address, by two messages; undefined if there is none: no route, or one that leads nowhere. */
  async routeTo(address: Address): Promise<Path | undefined> {
    return findPath(this.#requests, address);
  }

  /** Unicast routes of the main table and local routes of the local table, IPv4 and IPv6. */
  async listRoutes(): Promise<Route[]> {
    return listRoutes(this.#requests);
  }

  async #onLink(
    doing: string,
    index: number,
    type: number,
    parts: readonly Buffer[],
    successes: readonly string[] = [],
    flags = 0,
  ): Promise<void> {
    await this.#requests.change({ doing, index, type, parts, successes, flags });
  }
}
