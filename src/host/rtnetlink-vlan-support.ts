// What this kernel can do with VLANs. It is asked to make links that no kernel makes, and the reason of its refusal tells:
// nothing is made, and a module that is there is loaded, as it would be for the real thing. Follows net/core/rtnetlink.c
// (rtnl_newlink), net/bridge/br_netlink.c (br_validate) and net/8021q/vlan_netlink.c (vlan_validate).
import { nestedAttribute, textAttribute, u16NetAttribute, u32Attribute } from "./netlink.ts";
import { IFLA, IFLA_INFO, linkHeader } from "./rtnetlink-link.ts";
import type { LinkRequests } from "./rtnetlink-requests.ts";

const IFLA_BR_VLAN_PROTOCOL = 8;
const NO_VLAN_PROTOCOL = 0xffff;
const NO_NAMESPACE_ID = 0xffffffff; // -1 is the id of no namespace, whatever ids were given

/** A request for a link, and what its refusal says about the kernel. */
interface SupportQuestion {
  readonly doing: string;
  readonly parts: readonly Buffer[];
  readonly yes: string;
  readonly no: readonly string[];
}

/** Can bridges filter VLANs? Only then they look at the tag's EtherType, and that before all else. */
const BRIDGE_VLAN_QUESTION: SupportQuestion = {
  doing: "ask for bridge VLAN filtering",
  parts: [
    linkHeader(0),
    u32Attribute(IFLA.LINK_NETNSID, NO_NAMESPACE_ID),
    nestedAttribute(IFLA.LINKINFO, [
      textAttribute(IFLA_INFO.KIND, "bridge"),
      nestedAttribute(IFLA_INFO.DATA, [u16NetAttribute(IFLA_BR_VLAN_PROTOCOL, NO_VLAN_PROTOCOL)]),
    ]),
  ],
  yes: "EPROTONOSUPPORT",
  no: ["EINVAL", "EOPNOTSUPP"], // the namespace is looked at next; EOPNOTSUPP: no bridges at all
};

/** Are there 802.1Q links? A known kind is refused for want of a VLAN, an unknown one for being unknown. */
const VLAN_LINK_QUESTION: SupportQuestion = {
  doing: "ask for VLAN links",
  parts: [linkHeader(0), nestedAttribute(IFLA.LINKINFO, [textAttribute(IFLA_INFO.KIND, "vlan")])],
  yes: "EINVAL",
  no: ["EOPNOTSUPP"],
};

/** What the kernel answered, asked once each. */
export class VlanSupport {
  readonly #requests: LinkRequests;
  readonly #answers = new Map<SupportQuestion, boolean>();

  constructor(requests: LinkRequests) {
    this.#requests = requests;
  }

  async hasBridgeVlans(): Promise<boolean> {
    return this.#ask(BRIDGE_VLAN_QUESTION);
  }

  async hasVlanLinks(): Promise<boolean> {
    return this.#ask(VLAN_LINK_QUESTION);
  }

  async #ask(question: SupportQuestion): Promise<boolean> {
    const { doing, parts, yes, no } = question;
    const known = this.#answers.get(question);
    const isYes = known ?? (await this.#requests.refusal(doing, parts, [yes, ...no])) === yes;
    this.#answers.set(question, isYes);
    return isYes;
  }
}
