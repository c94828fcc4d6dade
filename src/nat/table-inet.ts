// The table `inet tsnet`: what is routed, translated and let in. Its sets, per switch (its name, `switch`) and subnet:
//   bridged     switch . switch    frames that br_netfilter shows while they pass from port to port
//   private     switch . switch    icc=false: from one endpoint to another by way of the host only what is offered passes
//   hostless    switch             mode isolated, and mode l2 on a switch made by tsnet: the host is not there
//   sealed      switch             the same, and --internal on a switch made by tsnet: nothing is forwarded
//   pools4/6    switch . subnet    modes nat and routed: nothing new gets in from other links
//   open4/6     switch . subnet    the same without --internal: endpoints get out
//   masq4/6     switch . subnet    mode nat with masquerade=true: endpoints leave with the host's address
//   gateways4/6 address            the host's addresses on all of these switches
//   adopted     switch             made by somebody else: what its other machines began before tsnet came goes on
//   overheard   link               ports of Open vSwitch, whose frames in userspace the host's own stack gets as well
//   apart       link               the engine's own bridges: reached by what they publish on the host, if its rules agree
// of all tunnels. A link of VXLAN takes packets from anybody, and a peer takes what this host masquerades for its own:
//   vnis        UDP port . VNI             VXLAN (RFC 7348 5) and Geneve (RFC 8926 3.4) have the VNI at the same place
//   peers4/6    UDP port . VNI . address   the peers: nobody else speaks to this host there, nor by it to them
//   keys        GRE key                    (RFC 2890 2) of packets that carry frames; a checksum may stand before it
//   keyless     protocol                   GRE, if there is a tunnel without a key
//   ends4/6     address                    all peers: none of them is behind a link of tsnet's
// per published port:
//   at4/6       protocol . host address . host port -> endpoint . port    a binding to one address
//   any4/6      protocol . host port -> endpoint . port                   a binding to all addresses
//   published4/6 switch . endpoint . protocol . port    mode nat: open to what was translated
//   offered4/6  switch . endpoint . protocol . port     mode routed: open
//   relayed     switch . protocol . host port           icc=false: from its own switch tsnet relays (a binding to all)
//   relayed4/6  switch . protocol . host address . host port    the same, a binding to one address
//
// What `admit` lets pass carries ADMITTED_MARK through the rest of the forward hook, so that one rule in somebody
// else's chain (foreign-chains.ts) can let all of it pass too. The mark is taken off again behind it. The connection
// keeps ADMITTED_LABEL, and its answers pass by that: what began while these rules were gone, by somebody's flush, does
// not go on when they are back. An ICMP error belongs to the connection that it is about, and must not label it.
import { LINK_GROUP } from "../link-group.ts";

/** One bit of the packet mark, between our forward chain and the end of forwarding. */
export const ADMITTED_MARK = 0x2000_0000;

/** One bit of the 128 of a connection's label, for connections that were admitted. */
export const ADMITTED_LABEL = 97;

/** Sets, maps, chains and rules, in the notation of nft(8). */
export const INET = `
	set bridged { type ifname . ifname; }
	set private { type ifname . ifname; }
	set hostless { type ifname; }
	set sealed { type ifname; }
	set pools4 { type ifname . ipv4_addr; flags interval; }
	set pools6 { type ifname . ipv6_addr; flags interval; }
	set open4 { type ifname . ipv4_addr; flags interval; }
	set open6 { type ifname . ipv6_addr; flags interval; }
	set masq4 { type ifname . ipv4_addr; flags interval; }
	set masq6 { type ifname . ipv6_addr; flags interval; }
	set gateways4 { type ipv4_addr; }
	set gateways6 { type ipv6_addr; }
	set adopted { type ifname; }
	set overheard { type ifname; }
	set apart { type ifname; }
	set vnis { typeof udp dport . @th,96,24; }
	set peers4 { typeof udp dport . @th,96,24 . ip saddr; }
	set peers6 { typeof udp dport . @th,96,24 . ip6 saddr; }
	set keys { typeof @th,32,32; }
	set keyless { type inet_proto; }
	set ends4 { type ipv4_addr; }
	set ends6 { type ipv6_addr; }
	map at4 { type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service; }
	map at6 { type inet_proto . ipv6_addr . inet_service : ipv6_addr . inet_service; }
	map any4 { type inet_proto . inet_service : ipv4_addr . inet_service; }
	map any6 { type inet_proto . inet_service : ipv6_addr . inet_service; }
	set published4 { type ifname . ipv4_addr . inet_proto . inet_service; }
	set published6 { type ifname . ipv6_addr . inet_proto . inet_service; }
	set offered4 { type ifname . ipv4_addr . inet_proto . inet_service; }
	set offered6 { type ifname . ipv6_addr . inet_proto . inet_service; }
	set relayed { type ifname . inet_proto . inet_service; }
	set relayed4 { type ifname . inet_proto . ipv4_addr . inet_service; }
	set relayed6 { type ifname . inet_proto . ipv6_addr . inet_service; }
	chain overhear {
		type filter hook prerouting priority raw; policy accept;
		iifname @overheard drop
	}
	chain translate {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local jump publish
	}
	chain translate_own {
		type nat hook output priority -100; policy accept;
		fib daddr type local jump publish
	}
	chain publish {
		ip daddr 127.0.0.0/8 return
		ip6 daddr ::1 return
		iifname . meta l4proto . ip daddr . th dport @relayed4 return
		iifname . meta l4proto . ip6 daddr . th dport @relayed6 return
		iifname . meta l4proto . th dport @relayed redirect
		ip6 saddr fe80::/10 return
		meta nfproto ipv4 dnat ip to meta l4proto . ip daddr . th dport map @at4
		meta nfproto ipv4 dnat ip to meta l4proto . th dport map @any4
		meta nfproto ipv6 dnat ip6 to meta l4proto . ip6 daddr . th dport map @at6
		meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @any6
	}
	chain input {
		type filter hook input priority filter - 10; policy accept;
		iifname @hostless drop
		udp dport . @th,96,24 @vnis jump speaker
		iifgroup ${LINK_GROUP} meta l4proto 47 jump gre
		iifgroup ${LINK_GROUP} ip saddr @ends4 drop
		iifgroup ${LINK_GROUP} ip6 saddr @ends6 drop
		iifgroup ${LINK_GROUP} icmp type redirect drop
		iifgroup ${LINK_GROUP} icmpv6 type nd-redirect drop
		ip daddr @gateways4 iifname . ip saddr @open4 fib daddr . iif type != local drop
		ip6 daddr @gateways6 iifname . ip6 saddr @open6 fib daddr . iif type != local drop
		iifname . ip saddr @open4 accept
		iifname . ip6 saddr @open6 accept
		iifname . ip saddr @pools4 fib daddr . iif type != { local, broadcast, multicast } drop
		iifname . ip6 saddr @pools6 fib daddr . iif type != { local, multicast } drop
		iifgroup ${LINK_GROUP} fib daddr . iif type != { local, broadcast, multicast } drop
	}
	chain output {
		type filter hook output priority filter - 10; policy accept;
		oifgroup ${LINK_GROUP} icmp type redirect drop
		oifgroup ${LINK_GROUP} icmpv6 type nd-redirect drop
	}
	chain forward {
		type filter hook forward priority filter - 10; policy accept;
		udp dport . @th,96,24 . ip daddr @peers4 jump speaker
		udp dport . @th,96,24 . ip6 daddr @peers6 jump speaker
		meta l4proto 47 ip daddr @ends4 jump gre
		meta l4proto 47 ip6 daddr @ends6 jump gre
		iifname . oifname @private ct state established,related ct label ${ADMITTED_LABEL} goto admit
		iifname . oifname @private oifname . ip daddr . meta l4proto . th dport @offered4 goto admit
		iifname . oifname @private oifname . ip6 daddr . meta l4proto . th dport @offered6 goto admit
		iifname . oifname @private iifname . ip saddr @pools4 oifname . ip daddr @pools4 drop
		iifname . oifname @private iifname . ip6 saddr @pools6 oifname . ip6 daddr @pools6 drop
		iifname . oifname @bridged goto admit
		iifname @sealed drop
		oifname @sealed drop
		iifname . ip saddr @pools4 iifname . ip saddr != @open4 drop
		iifname . ip6 saddr @pools6 iifname . ip6 saddr != @open6 drop
		iifname . ip saddr @open4 ct state established,related ct label ${ADMITTED_LABEL} goto admit
		iifname . ip6 saddr @open6 ct state established,related ct label ${ADMITTED_LABEL} goto admit
		oifname . ip daddr @open4 ct state established,related ct label ${ADMITTED_LABEL} goto admit
		oifname . ip6 daddr @open6 ct state established,related ct label ${ADMITTED_LABEL} goto admit
		iifname @adopted ct state established,related iifname . ip saddr @open4 goto admit
		iifname @adopted ct state established,related iifname . ip6 saddr @open6 goto admit
		oifname @adopted ct state established,related oifname . ip daddr @open4 goto admit
		oifname @adopted ct state established,related oifname . ip6 daddr @open6 goto admit
		oifname . ip daddr @open4 ct state related meta l4proto != { 1, 58 } goto admit
		oifname . ip6 daddr @open6 ct state related meta l4proto != { 1, 58 } goto admit
		oifname . ip daddr . meta l4proto . th dport @published4 ct status dnat goto admit
		oifname . ip6 daddr . meta l4proto . th dport @published6 ct status dnat goto admit
		oifname . ip daddr . meta l4proto . th dport @offered4 goto admit
		oifname . ip6 daddr . meta l4proto . th dport @offered6 goto admit
		oifname . ip daddr @pools4 drop
		oifname . ip6 daddr @pools6 drop
		iifname . ip saddr @open4 oifname @apart ct status dnat ct label set ${ADMITTED_LABEL} accept
		iifname . ip6 saddr @open6 oifname @apart ct status dnat ct label set ${ADMITTED_LABEL} accept
		iifname . ip saddr @open4 oifname @apart drop
		iifname . ip6 saddr @open6 oifname @apart drop
		iifname . ip saddr @open4 ct direction original goto admit
		iifname . ip6 saddr @open6 ct direction original goto admit
		iifgroup ${LINK_GROUP} drop
		oifgroup ${LINK_GROUP} drop
	}
	chain speaker {
		iifgroup ${LINK_GROUP} drop
		udp dport . @th,96,24 . ip saddr @peers4 return
		udp dport . @th,96,24 . ip6 saddr @peers6 return
		drop
	}
	chain gre {
		@th,16,16 != 0x6558 return
		@th,0,8 & 0xa0 == 0x20 @th,32,32 @keys goto gre_speaker
		@th,0,8 & 0xa0 == 0xa0 @th,64,32 @keys goto gre_speaker
		@th,0,8 & 0x20 == 0 meta l4proto @keyless goto gre_speaker
	}
	chain gre_speaker {
		iifgroup ${LINK_GROUP} drop
		ip saddr @ends4 return
		ip6 saddr @ends6 return
		drop
	}
	chain admit {
		ct label set ${ADMITTED_LABEL}
		meta mark set meta mark | 0x20000000 accept
	}
	chain unmark {
		type filter hook postrouting priority mangle; policy accept;
		meta mark & 0x20000000 == 0x20000000 meta mark set meta mark & 0xdfffffff
	}
	chain leave {
		type nat hook postrouting priority srcnat; policy accept;
		oifname . ip saddr @pools4 ct status dnat masquerade
		oifname . ip6 saddr @pools6 ct status dnat masquerade
		iifname . ip saddr @masq4 masquerade
		iifname . ip6 saddr @masq6 masquerade
	}
`;
