// The questions what this kernel can do with VLANs; `rtnetlink-support.ts` asks them. Follows net/core/rtnetlink.c
// (rtnl_newlink), net/bridge/br_netlink.c (br_validate) and net/8021q/vlan_netlink.c (vlan_validate).
import { nestedAttribute, textAttribute, u16NetAttribute, u32Attribute } from "./netlink.ts";
import { IFLA, IFLA_INFO, linkHeader } from "./rtnetlink-link.ts";
import type { SupportQuestion } from "./rtnetlink-support.ts";

const IFLA_BR_VLAN_PROTOCOL = 8;
const NO_VLAN_PROTOCOL = 0xffff;
const NO_NAMESPACE_ID = 0xffffffff; // -1 is the id of no namespace, whatever ids were given

/** Can bridges filter VLANs? Only then they look at the tag's EtherType, and that before all else. */
export const BRIDGE_VLAN_QUESTION: SupportQuestion = {
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
export const VLAN_LINK_QUESTION: SupportQuestion = {
  doing: "ask for VLAN links",
  parts: [linkHeader(0), nestedAttribute(IFLA.LINKINFO, [textAttribute(IFLA_INFO.KIND, "vlan")])],
  yes: "EINVAL",
  no: ["EOPNOTSUPP"],
};
