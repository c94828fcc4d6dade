// The kernel's links, their addresses and the routes, by rtnetlink: what `ip` and `bridge` do, without a process. Every
// method is one kernel message, or two where it says so. The messages are in `rtnetlink-*.ts`, the queue and the errors
// in `netlink-socket.ts`. A link is named to the kernel by its index: names can move to another link, indexes cannot.
import { formatAddress } from "../cidr.ts";
import { TsnetError } from "../errors.ts";
import { NLM_F, isErrno } from "./netlink.ts";
import {
  type InterfaceAddress,
  type LinkAddress,
  addressHeader,
  addressParts,
  newAddressParts,
  parseLinkAddress,
} from "./rtnetlink-address.ts";
import { fdbEntryParts, fdbListParts, parseStaticFdbEntry } from "./rtnetlink-fdb.ts";
import {
  type BridgeSpec,
  type Link,
  type LinkChange,
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
import {
  type PortVlan,
  parsePortVlans,
  vlanChangeParts,
  vlanDifference,
  vlanListParts,
} from "./rtnetlink-port-vlan.ts";
import { LinkRequests, RTM } from "./rtnetlink-requests.ts";
import { type Route, listRoutes } from "./rtnetlink-route.ts";
import { VlanSupport } from "./rtnetlink-vlan-support.ts";

/**
 * The links, addresses and routes of the network namespace in which it was opened.
 *
 * Every method throws TsnetError `host` with the kernel's own words when the kernel refuses (`isErrno` in `netlink.ts`
 * tells the reason), and `unavailable` when it does not answer within 5 s.
 */
export class Rtnetlink implements Disposable {
  readonly #requests = new LinkRequests();
  readonly #support = new VlanSupport(this.#requests);

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

  /** Changes a link. The kernel works through the changes and stops at the first that it refuses. */
  async setLink(index: number, change: LinkChange): Promise<void> {
    await this.#onLink("change", index, RTM.NEWLINK, changeParts(index, change));
  }

  /** Whether bridges of this kernel can filter VLANs. The answer is kept; nothing is made to find it. */
  async hasBridgeVlans(): Promise<boolean> {
    return this.#support.hasBridgeVlans();
  }

  /** Whether this kernel has VLAN links (802.1Q). The answer is kept; nothing is made to find it. */
  async hasVlanLinks(): Promise<boolean> {
    return this.#support.hasVlanLinks();
  }

  /**
   * The VLANs of a bridge port, or of a bridge itself, by number.
   *
   * @throws TsnetError `host`: ENODEV, EINVAL for a link that is neither, EOPNOTSUPP on a kernel without bridge VLANs.
   */
  async portVlans(index: number): Promise<PortVlan[]> {
    const request = { type: RTM.GETVLAN, parts: vlanListParts(index) };
    const payloads = await this.#requests.dump(this.#requests.naming("list VLANs of", index), request);
    return payloads.flatMap(parsePortVlans);
  }

  /**
   * Makes a port, or a bridge itself, have exactly these VLANs. One message reads; if there is a difference, one adds and
   * one removes. What is there and wanted stays untouched throughout.
   *
   * @param options.isSelf - the link is the bridge itself, not a port.
   * @throws TsnetError `host` as `portVlans`, `internal` for a list that no port can have.
   */
  async setPortVlans(index: number, wanted: readonly PortVlan[], { isSelf = false } = {}): Promise<void> {
    const { added, removed } = vlanDifference(wanted, await this.portVlans(index));
    const add = vlanChangeParts(index, added, isSelf);
    if (added.length > 0) await this.#onLink("add VLANs to", index, RTM.SETLINK, add);
    const remove = vlanChangeParts(index, removed, isSelf);
    if (removed.length > 0) await this.#onLink("remove VLANs of", index, RTM.DELLINK, remove);
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

  /** The IP addresses of one link, none if it is absent, or without `linkIndex` of all. */
  async listAddresses(linkIndex = 0): Promise<LinkAddress[]> {
    const request = { type: RTM.GETADDR, parts: [addressHeader(linkIndex)] };
    const payloads = await this.#requests.dump("list addresses", request, ["ENODEV"]);
    return payloads
      .flatMap((payload) => parseLinkAddress(payload) ?? [])
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
