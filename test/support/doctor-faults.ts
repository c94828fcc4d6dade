// Faults that tests plant on a lab host, each named by `tsnet doctor` with its id and its object, and nothing else. Of what the
// networks of `operator-doctor.test.ts` have.

/** Where tsnet listens. */
export const SOCKET = "/run/docker/plugins/tsnet.sock";
const STRAY = "5".repeat(64);
const OTHER_STRAY = "6".repeat(64);

/** Where settings can be written that tsnet cannot write: on this host they are read-only, so that it cannot put them back. */
export const WRITABLE = "/run/settings";

/** What the host has besides: an uplink, and a switch of each kind that tsnet did not make. */
export const UPLINK = "ip link add up0 type veth peer name up0-far; ip link set up0-far up";
export const OWN_SWITCH = "ip link add own0 type bridge; ip link set own0 up";
export const OWN_OVS_SWITCH = "ovs-vsctl --timeout=10 add-br own1 -- set bridge own1 datapath_type=netdev";

const STRICT = "sysctl -qw net.ipv4.conf.WEB.rp_filter=1";
const IPTABLES = "DOCKER-USER -o WEB";
const DROP_SOME = "-p tcp --dport 443 -j DROP";
const tell = (verb: string, message: object) =>
  `curl -s --unix-socket ${SOCKET} -d '${JSON.stringify(message)}' http://tsnet/${verb}`;
const ENDPOINT = { NetworkID: "NETWORK_WEB", EndpointID: "7".repeat(64) };
/** Takes an address that no container has. */
export const LEAK = tell("IpamDriver.RequestAddress", { PoolID: "POOL", Address: "10.66.0.99", Options: {} });
/** br_netfilter off, and on again. */
export const WITHOUT_BRIDGED = "sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0";
export const WITH_BRIDGED = "sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1";
/** A table of somebody else's, which drops all that is forwarded. */
export const MINE =
  "nft add table inet mine; nft add chain inet mine forward '{ type filter hook forward priority 0; policy drop; }'";

/** What carries tsnet's mark and is in no record: a port, a bridge and a bridge of Open vSwitch. */
export const ORPHANS = [
  "ip link add tsv555555555555 type veth peer name far5",
  `ip link set tsv555555555555 group 29811 alias tsnet:endpoint:${STRAY}`,
  `ip link add tsn-55555555555 type bridge; ip link set tsn-55555555555 group 29811 alias tsnet:network:${STRAY}`,
  `ovs-vsctl --no-wait add-br stray0 -- set bridge stray0 external_ids:tsnet-network=${STRAY}`,
];
/** Takes them away. */
export const ORPHANS_GONE = [
  "ip link del tsv555555555555; ip link del tsn-55555555555; ovs-vsctl --no-wait del-br stray0",
];

/** Of others, called as tsnet calls its own, or in its group of links; and one of tsnet's in no record, with a container at its end. */
export const LOOKALIKES = [
  "ip link add tsn-0123456789a type bridge; ip link add tsv0123456789a type veth peer name tsc0123456789a",
  "ip link set tsv0123456789a master tsn-0123456789a",
  "ip link add tsg0123456789a type veth peer name foreign-far; ip link set tsg0123456789a group 29811",
  "ip link add tsx0123456789a type vxlan id 9 dstport 4799; ip link set tsx0123456789a alias tsnet:uplink",
  "nft add table inet tsnet-mine; nft add table bridge tsnet2",
  "ovs-vsctl --no-wait add-br tsn-foreign -- set bridge tsn-foreign external_ids:tsnet=yes",
  "ip link add tsv666666666666 type veth peer name far6 netns PID_OF_TWO",
  `ip link set tsv666666666666 group 29811 alias tsnet:endpoint:${OTHER_STRAY}`,
];
/** Takes them away. */
export const LOOKALIKES_GONE = [
  "for link in tsn-0123456789a tsv0123456789a tsg0123456789a tsx0123456789a tsv666666666666; do ip link del $link; done",
  "nft delete table inet tsnet-mine; nft delete table bridge tsnet2; ovs-vsctl --no-wait del-br tsn-foreign",
];

/** Those that a few lines plant, and others undo. */
export const FAULTS: readonly Fault[] = [
  {
    title: "IPv4 forwarding that is off",
    finds: ["forwarding-off net.ipv4.ip_forward"],
    plant: `echo 0 > ${WRITABLE}/ip_forward`,
    undo: `echo 1 > ${WRITABLE}/ip_forward`,
  },
  {
    title: "IPv6 forwarding that is off",
    finds: ["forwarding6-off net.ipv6.conf.all.forwarding"],
    plant: `echo 0 > ${WRITABLE}/forwarding`,
    undo: `echo 1 > ${WRITABLE}/forwarding`,
  },
  {
    title: "a foreign policy, and that br_netfilter shows it frames between containers",
    finds: ["bridged-drop inet mine forward", "foreign-drop inet mine forward"],
    plant: MINE,
    undo: "nft delete table inet mine",
  },
  {
    title: "a foreign policy alone, where br_netfilter is off",
    finds: ["foreign-drop inet mine forward"],
    plant: `${WITHOUT_BRIDGED}; ${MINE}`,
    undo: `${WITH_BRIDGED}; nft delete table inet mine`,
  },
  {
    title: "a rule in DOCKER-USER that drops all that goes to a network",
    finds: ["bridged-drop ip filter DOCKER-USER handle N", "foreign-drop ip filter DOCKER-USER handle N"],
    plant: `iptables -I ${IPTABLES} -j DROP`,
    undo: `iptables -D ${IPTABLES} -j DROP`,
  },
  {
    title: "a rule in DOCKER-USER that drops some of it",
    finds: ["foreign-drop-some ip filter DOCKER-USER handle N"],
    plant: `iptables -I ${IPTABLES} ${DROP_SOME}`,
    undo: `iptables -D ${IPTABLES} ${DROP_SOME}`,
  },
  {
    title: "iptables-legacy that drops",
    finds: ["legacy-drop iptables-legacy FORWARD"],
    plant: "iptables-legacy -P FORWARD DROP",
    undo: "iptables-legacy -P FORWARD ACCEPT",
  },
  {
    title: "a route that hides half a subnet",
    finds: ["subnet-overlaps-route web"],
    plant: "ip route add 10.66.0.128/25 dev lan0",
    undo: "ip route del 10.66.0.128/25",
  },
  {
    title: "rp_filter that is strict where the answers to a container go another way",
    finds: ["rp-filter-strict 10.66.0.2"],
    plant: `${STRICT}; ip rule add to 10.66.0.2 lookup 77; ip route add default dev lan0 table 77`,
    undo: "ip rule del to 10.66.0.2 lookup 77; ip route flush table 77; sysctl -qw net.ipv4.conf.WEB.rp_filter=2",
  },
  {
    title: "a program that is not there, and records on a disk that is read-only",
    finds: ["program-missing bridge", "state-read-only STATE"],
    plant: "mount --bind /dev/null /usr/sbin/bridge; mount -t tmpfs -o ro tsnet STATE",
    undo: "umount /usr/sbin/bridge STATE",
  },
  {
    title: "an uplink with nothing at its other end",
    finds: ["uplink-no-carrier up0"],
    // ip(8) calls it so when the kernel has told all that a link depends on, which is later.
    plant: "ip link set up0-far down; until ip link show up0 | grep -q NO-CARRIER; do sleep 0.05; done",
    undo: "ip link set up0-far up",
  },
  {
    title: "addresses on an uplink",
    finds: ["uplink-address up0"],
    plant: "ip address add 10.99.0.1/24 dev up0",
    undo: "ip address del 10.99.0.1/24 dev up0",
  },
  {
    title: "an uplink with too small an MTU",
    finds: ["mtu-beyond-uplink up0"],
    plant: "ip link set up0 mtu 1400",
    undo: "ip link set up0 mtu 1500",
  },
  {
    title: "an uplink that is gone",
    finds: ["uplink-missing up0"],
    plant: "ip link del up0",
    undo: UPLINK,
  },
  {
    title: "a switch that is gone and was not made by tsnet",
    finds: ["switch-missing own0"],
    plant: "ip link del own0",
    undo: OWN_SWITCH,
  },
  {
    title: "a peer of a tunnel to which there is no way",
    finds: ["tunnel-no-route 192.0.2.1"],
    plant: "ip route add unreachable 192.0.2.1",
    undo: "ip route del unreachable 192.0.2.1",
  },
  {
    title: "a way out that is too narrow, for a network and for a tunnel",
    finds: ["mtu-beyond-route lan0", "tunnel-mtu 192.0.2.1"],
    plant: "ip link set lan0 mtu 1400",
    undo: "ip link set lan0 mtu 1500",
  },
  {
    title: "a switch of Open vSwitch that is gone and was not made by tsnet",
    finds: ["ovs-switch-missing own1"],
    plant: "ovs-vsctl --timeout=10 del-br own1",
    undo: OWN_OVS_SWITCH,
  },
  {
    title: "a port that Open vSwitch cannot make",
    finds: ["ovs-port-error nosuch0"],
    plant: "ovs-vsctl --timeout=10 add-port FLOOR nosuch0 || true",
    undo: "ovs-vsctl del-port nosuch0",
  },
  {
    title: "an Open vSwitch whose database does not answer",
    finds: ["ovs-away ovsdb-server"],
    plant: "mv /run/openvswitch/db.sock /run/openvswitch/db.away",
    undo: "mv /run/openvswitch/db.away /run/openvswitch/db.sock",
  },
  {
    title: "a port, a switch and a bridge that were left behind",
    finds: ["link-orphaned tsv555555555555", "ovs-orphaned stray0", "switch-orphaned tsn-55555555555"],
    plant: ORPHANS.join("\n"),
    undo: ORPHANS_GONE.join("\n"),
  },
  {
    title: "a container that lost its address",
    finds: ["container-address-missing two"],
    plant: "IN_TWO address del 10.66.0.3/24 dev eth0",
    undo: "IN_TWO address add 10.66.0.3/24 dev eth0",
  },
  {
    title: "a container with another MAC address",
    finds: ["container-mac-differs two"],
    plant: "IN_TWO link set eth0 address 02:00:00:00:00:99",
    undo: "IN_TWO link set eth0 address MAC_OF_TWO",
  },
  {
    title: "a container with the MAC address of another one",
    finds: ["container-mac-differs two", "duplicate-mac MAC_OF_ONE"],
    plant: "IN_TWO link set eth0 address MAC_OF_ONE",
    undo: "IN_TWO link set eth0 address MAC_OF_TWO",
  },
  {
    title: "a container with the address of another one",
    finds: ["duplicate-address 10.66.0.2"],
    plant: "IN_TWO address add 10.66.0.2/24 dev eth0",
    undo: "IN_TWO address del 10.66.0.2/24 dev eth0",
  },
  {
    title: "a container with another MTU",
    finds: ["container-mtu-differs two"],
    plant: "IN_TWO link set eth0 mtu 1300",
    undo: "IN_TWO link set eth0 mtu 1500",
  },
  {
    title: "a container whose link is down",
    finds: ["container-link-down two"],
    plant: "IN_TWO link set eth0 down",
    undo: "docker restart -t 0 two",
  },
  {
    title: "a container whose link is gone",
    finds: ["link-missing two"],
    plant: "ip link del LINK_OF_TWO",
    undo: "docker restart -t 0 two",
  },
  {
    title: "an address that nobody has",
    finds: ["address-leaked 10.66.0.99"],
    plant: LEAK,
    undo: tell("IpamDriver.ReleaseAddress", { PoolID: "POOL", Address: "10.66.0.99" }),
  },
  {
    title: "a subnet of no network",
    finds: ["pool-unused 10.72.0.0/24"],
    plant: `${tell("IpamDriver.RequestPool", { AddressSpace: "tsnet", Pool: "10.72.0.0/24", SubPool: "", Options: {}, V6: false })} > /run/pool`,
    undo: `curl -s --unix-socket ${SOCKET} -d "$(sed 's/.*"PoolID":"\\([^"]*\\)".*/{"PoolID":"\\1"}/' /run/pool)" http://tsnet/IpamDriver.ReleasePool`,
  },
  {
    title: "a network that Docker has and tsnet has not",
    finds: ["network-unknown-to-tsnet gone"],
    plant: [
      "docker network create -d tsnet --ipam-driver tsnet gone",
      tell("NetworkDriver.DeleteNetwork", { NetworkID: "NETWORK_GONE" }),
    ],
    undo: "docker network rm gone",
  },
  {
    title: "a network that tsnet has and Docker has not",
    finds: ["network-unknown-to-docker 666666666666"],
    plant: tell("NetworkDriver.CreateNetwork", {
      NetworkID: OTHER_STRAY,
      Options: {},
      IPv4Data: [{ AddressSpace: "elsewhere", Pool: "10.71.0.0/24", Gateway: "10.71.0.1/24" }],
      IPv6Data: [],
    }),
    undo: tell("NetworkDriver.DeleteNetwork", { NetworkID: OTHER_STRAY }),
  },
  {
    title: "a network whose removal did not end",
    finds: ["network-unfinished half"],
    plant: [
      "docker network create -d tsnet --ipam-driver tsnet half; docker run -d --name halfway --network half IMAGE sleep inf",
      tell("NetworkDriver.DeleteNetwork", { NetworkID: "NETWORK_HALF" }),
    ],
    undo: "docker rm -f halfway; docker network rm half",
  },
  {
    title: "an endpoint that no container ever had",
    finds: ["endpoint-unused web 777777777777"],
    plant: [
      tell("NetworkDriver.CreateEndpoint", {
        ...ENDPOINT,
        Options: {},
        Interface: { Address: "10.66.0.77/24", AddressIPv6: "fd00:66::77/64", MacAddress: "" },
      }),
      tell("NetworkDriver.Join", { ...ENDPOINT, SandboxKey: "/var/run/docker/netns/none", Options: {} }),
    ].join("\n"),
    undo: tell("NetworkDriver.DeleteEndpoint", ENDPOINT),
  },
];

/** One of them. */
export interface Fault {
  readonly title: string;
  readonly finds: readonly string[];
  /** Lines for sh(1), one after the other; what stands in capitals is filled in. */
  readonly plant: string | readonly string[];
  readonly undo: string;
}
