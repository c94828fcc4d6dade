// The table `bridge tsnet`: who sends. Its sets say of each endpoint (the switch's port, `link`) who it is; a port in the link
// group of tsnet of which they say nothing carries no frame. The EtherType comes first: a tag of VLAN 0 would hide all that
// follows. A first fragment that begins with another extension header would hide its message in the next one (RFC 7112).
//   unguarded   link                   antispoof=false
//   access      link                   of these the ones beside VLANs, an uplink or a tunnel: the bridge would take a tag of their VLAN
//   trunk       link                   of these the ones with VLANs of their own: a second tag would come out as the first
//   own         link . MAC             everyone else
//   any         link                   without addresses of ours (null IPAM) the MAC decides alone
//   own4/6      link . MAC . address   IPv6: with the link-local address that belongs to the MAC
//   nd          link . MAC . address   the same, as neighbour advertisements have it (RFC 4861 4.4)
//   nd_target   link . address         the same, without the option that names the MAC
//   nd_mac      link . MAC             the option of neighbour solicitations (RFC 4861 4.3)
// The links that lead to the world:
//   uplinks     link                   a second tag would come out as the first one, in whatever VLAN it says
//   native      link . VLAN            carries untagged frames; inside the bridge they are in that VLAN, which no tag may say
//   untagged    link                   carries no others; VLAN 0 is no VLAN
// And to the other hosts of a network:
//   tunnels     link                   nothing passes between it and the host itself. VLAN 0 is refused, which would hide the rest
//   reserved4/6 link . address         its network's gateways, which every host is itself: no question about one goes in, nothing
//                                      that comes out is from one. They are in the untagged frames
import { LINK_GROUP } from "../link-group.ts";

/** Sets, chains and rules, in the notation of nft(8). */
export const BRIDGE = `
	set unguarded { type ifname; }
	set access { type ifname; }
	set trunk { type ifname; }
	set uplinks { type ifname; }
	set native { typeof iifname . vlan id; }
	set untagged { type ifname; }
	set tunnels { type ifname; }
	set reserved4 { type ifname . ipv4_addr; }
	set reserved6 { typeof iifname . @th,64,128; }
	set own { typeof iifname . ether saddr; }
	set any { type ifname; }
	set own4 { typeof iifname . ether saddr . ip saddr; }
	set own6 { typeof iifname . ether saddr . ip6 saddr; }
	set nd { typeof iifname . @th,208,48 . @th,64,128; }
	set nd_target { typeof iifname . @th,64,128; }
	set nd_mac { typeof iifname . @th,208,48; }
	chain ingress {
		type filter hook prerouting priority -250; policy accept;
		iifname @tunnels goto tunnel
		iifgroup ${LINK_GROUP} goto identity
		iifname @uplinks goto uplink
	}
	chain input {
		type filter hook input priority -250; policy accept;
		iifname @tunnels drop
	}
	chain output {
		type filter hook output priority -250; policy accept;
		oifname @tunnels drop
	}
	chain forward {
		type filter hook forward priority -250; policy accept;
		oifname @tunnels goto outbound
	}
	chain identity {
		iifname @unguarded goto unguarded
		ether type != { arp, ip, ip6 } drop
		iifname . ether saddr != @own drop
		udp sport { 67, 547 } drop
		icmpv6 type { mld-listener-query, nd-router-advert, nd-redirect } drop
		frag frag-off 0 frag nexthdr { 0, 43, 44, 51, 59, 60, 135 } drop
		igmp type membership-query drop
		iifname @any accept
		ether type arp goto arp_identity
		ether type ip6 goto ip6_identity
		iifname . ether saddr . ip saddr @own4 accept
		ether daddr ff:ff:ff:ff:ff:ff ip daddr 255.255.255.255 ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept
		drop
	}
	chain unguarded {
		iifname @access ether type { 8021q, 8021ad } drop
		iifname @trunk goto single_tag
	}
	chain uplink {
		iifname . vlan id @native drop
		iifname @untagged vlan id != 0 drop
		goto single_tag
	}
	chain tunnel {
		vlan id 0 drop
		ether type arp iifname . arp saddr ip @reserved4 drop
		ether type ip iifname . ip saddr @reserved4 drop
		ether type ip6 iifname . @nh,64,128 @reserved6 drop
		ether type ip6 icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } iifname . @th,64,128 @reserved6 drop
		goto uplink
	}
	chain outbound {
		ether type arp oifname . arp daddr ip @reserved4 drop
		ether type ip6 icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } oifname . @th,64,128 @reserved6 drop
	}
	chain single_tag {
		ether type 8021ad drop
		vlan type { 8021q, 8021ad } drop
	}
	chain arp_identity {
		arp htype != 1 drop
		arp ptype != ip drop
		arp hlen != 6 drop
		arp plen != 4 drop
		iifname . arp saddr ether . arp saddr ip @own4 accept
		arp operation request arp saddr ip 0.0.0.0 iifname . arp saddr ether . arp daddr ip @own4 accept
		drop
	}
	chain ip6_identity {
		iifname . ether saddr . ip6 saddr != @own6 drop
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } goto nd_identity
		ip6 saddr != :: accept
		icmpv6 type { mld-listener-report, mld2-listener-report, nd-router-solicit } accept
		drop
	}
	chain nd_identity {
		ip6 nexthdr != 58 drop
		ip6 length != { 24, 32 } drop
		icmpv6 type nd-neighbor-advert ip6 saddr :: drop
		icmpv6 type nd-neighbor-advert ip6 length 24 iifname . @th,64,128 @nd_target accept
		icmpv6 type nd-neighbor-advert @th,192,8 2 iifname . @th,208,48 . @th,64,128 @nd accept
		icmpv6 type nd-neighbor-advert drop
		ip6 saddr :: ip6 length 24 iifname . @th,64,128 @nd_target accept
		ip6 saddr :: @th,192,8 14 iifname . @th,64,128 @nd_target accept
		ip6 saddr :: drop
		ip6 length 24 accept
		@th,192,8 14 accept
		@th,192,8 1 iifname . @th,208,48 @nd_mac accept
		drop
	}
`;
