// One complete body per verb with arguments, with every field that the protocol has, and what form each field has.
// Written from cnm-protocol.md, not from the schemas, so that it can contradict them.

export const NETWORK_ID = "63cc06f3c7bb93aa0675622011be5b946e3f9e52f00c41adb744604606a0940e";
export const SWARM_NETWORK_ID = "id5t4xy9dres22c5jqu0a4vu4";
export const ENDPOINT_ID = "83ad9d8339a18fd32493a13f684ac0bc0be0df8d71be9a0fdbd3cf6a58e3554f";

/** The form of one field. `?` in a name: the field may be missing. */
export type Kind =
  | "network id"
  | "endpoint id"
  | "owner kind"
  | "text"
  | "non-empty text"
  | "option value?"
  | "cidr"
  | "cidr or empty"
  | "cidr or empty?"
  | "cidr value?"
  | "address or empty"
  | "address or empty?"
  | "mac or empty?"
  | "boolean"
  | "boolean?"
  | "integer"
  | "protocol"
  | "port"
  | "port?"
  | "anything?"
  | "interface"
  | "pools?"
  | "string map?"
  | "cidr map?"
  | "network options?"
  | "endpoint options?"
  | "sandbox options?"
  | "list?"
  | "pool"
  | "binding";

/** One verb: a body that is right, and the form of every place in it. */
export interface Sample {
  readonly verb: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly places: readonly (readonly [path: readonly (string | number)[], kind: Kind])[];
}

const GENERIC = "com.docker.network.generic";
const PORT_MAP = "com.docker.network.portmap";
const EXPOSED = "com.docker.network.endpoint.exposedports";

const pool = {
  AddressSpace: "LocalDefault",
  Pool: "10.50.1.0/24",
  Gateway: "10.50.1.254/24",
  AuxAddresses: { host1: "10.50.1.5/24" },
};
const networkOptions = {
  "com.docker.network.enable_ipv4": true,
  "com.docker.network.enable_ipv6": false,
  "com.docker.network.internal": true,
  [GENERIC]: { mode: "nat", flag: "" },
};
const binding = { Proto: 6, IP: "", Port: 80, HostIP: "127.0.0.1", HostPort: 8080, HostPortEnd: 8080 };
const sandboxOptions = { [EXPOSED]: [{ Proto: 17, Port: 53 }], [PORT_MAP]: [binding] };

const poolPlaces = (list: string): Sample["places"] => [
  [[list], "pools?"],
  [[list, 0], "pool"],
  [[list, 0, "AddressSpace"], "text"],
  [[list, 0, "Pool"], "cidr"],
  [[list, 0, "Gateway"], "cidr or empty?"],
  [[list, 0, "AuxAddresses"], "cidr map?"],
  [[list, 0, "AuxAddresses", "host1"], "cidr value?"],
];
const networkOptionPlaces: Sample["places"] = [
  [["Options"], "network options?"],
  [["Options", "com.docker.network.enable_ipv4"], "boolean?"],
  [["Options", "com.docker.network.enable_ipv6"], "boolean?"],
  [["Options", "com.docker.network.internal"], "boolean?"],
  [["Options", GENERIC], "string map?"],
  [["Options", GENERIC, "mode"], "option value?"],
  [["Options", GENERIC, "flag"], "option value?"],
];
const portPlaces: Sample["places"] = [
  [["Options", EXPOSED], "list?"],
  [["Options", EXPOSED, 0], "binding"],
  [["Options", EXPOSED, 0, "Proto"], "protocol"],
  [["Options", EXPOSED, 0, "Port"], "port"],
  [["Options", PORT_MAP], "list?"],
  [["Options", PORT_MAP, 0], "binding"],
  [["Options", PORT_MAP, 0, "Proto"], "protocol"],
  [["Options", PORT_MAP, 0, "IP"], "address or empty?"],
  [["Options", PORT_MAP, 0, "Port"], "port"],
  [["Options", PORT_MAP, 0, "HostIP"], "address or empty?"],
  [["Options", PORT_MAP, 0, "HostPort"], "port?"],
  [["Options", PORT_MAP, 0, "HostPortEnd"], "port?"],
];
const ids = { NetworkID: NETWORK_ID, EndpointID: ENDPOINT_ID };
const networkIdPlace: Sample["places"] = [[["NetworkID"], "network id"]];
const idPlaces: Sample["places"] = [...networkIdPlace, [["EndpointID"], "endpoint id"]];
const onlyIds = (verb: string): Sample => ({ verb, body: ids, places: idPlaces });
const discovery = (verb: string): Sample => ({
  verb,
  body: { DiscoveryType: 1, DiscoveryData: { Address: "10.99.0.1", BindAddress: "10.99.0.1", Self: true } },
  places: [
    [["DiscoveryType"], "integer"],
    [["DiscoveryData"], "anything?"],
  ],
});

/** Every verb with arguments. */
export const SAMPLES: readonly Sample[] = [
  { verb: "NetworkDriver.GwAllocCheck", body: { Options: networkOptions }, places: networkOptionPlaces },
  {
    verb: "NetworkDriver.AllocateNetwork",
    body: { NetworkID: SWARM_NETWORK_ID, Options: { foo: "bar" }, IPv4Data: [pool], IPv6Data: [pool] },
    places: [
      ...networkIdPlace,
      [["Options"], "string map?"],
      [["Options", "foo"], "option value?"],
      ...poolPlaces("IPv4Data"),
      ...poolPlaces("IPv6Data"),
    ],
  },
  { verb: "NetworkDriver.FreeNetwork", body: { NetworkID: SWARM_NETWORK_ID }, places: networkIdPlace },
  {
    verb: "NetworkDriver.CreateNetwork",
    body: { NetworkID: NETWORK_ID, Options: networkOptions, IPv4Data: [pool], IPv6Data: [pool] },
    places: [...networkIdPlace, ...networkOptionPlaces, ...poolPlaces("IPv4Data"), ...poolPlaces("IPv6Data")],
  },
  { verb: "NetworkDriver.DeleteNetwork", body: { NetworkID: NETWORK_ID }, places: networkIdPlace },
  {
    verb: "NetworkDriver.CreateEndpoint",
    body: {
      ...ids,
      Interface: { Address: "10.50.2.77/24", AddressIPv6: "fd50:2::77/64", MacAddress: "02:11:22:33:44:55" },
      Options: { ...sandboxOptions, "com.docker.network.endpoint.macaddress": "AhEiM0RV", vlan: "12" },
    },
    places: [
      ...idPlaces,
      [["Interface"], "interface"],
      [["Interface", "Address"], "cidr or empty?"],
      [["Interface", "AddressIPv6"], "cidr or empty?"],
      [["Interface", "MacAddress"], "mac or empty?"],
      [["Options"], "endpoint options?"],
      [["Options", "com.docker.network.endpoint.macaddress"], "anything?"],
      [["Options", "vlan"], "option value?"],
      ...portPlaces,
    ],
  },
  onlyIds("NetworkDriver.DeleteEndpoint"),
  onlyIds("NetworkDriver.EndpointOperInfo"),
  {
    verb: "NetworkDriver.Join",
    body: { ...ids, SandboxKey: "/var/run/docker/netns/0123456789ab", Options: sandboxOptions },
    places: [...idPlaces, [["SandboxKey"], "non-empty text"], [["Options"], "sandbox options?"], ...portPlaces],
  },
  onlyIds("NetworkDriver.Leave"),
  discovery("NetworkDriver.DiscoverNew"),
  discovery("NetworkDriver.DiscoverDelete"),
  {
    verb: "NetworkDriver.ProgramExternalConnectivity",
    body: { ...ids, Options: { ...sandboxOptions, "com.docker.network.driver.private.no_proxy_6to4": false } },
    places: [
      ...idPlaces,
      [["Options"], "sandbox options?"],
      [["Options", "com.docker.network.driver.private.no_proxy_6to4"], "anything?"],
      ...portPlaces,
    ],
  },
  onlyIds("NetworkDriver.RevokeExternalConnectivity"),
  {
    verb: "IpamDriver.RequestPool",
    body: {
      AddressSpace: "a1local",
      Pool: "10.60.0.0/16",
      SubPool: "10.60.5.0/24",
      Options: { io: "1", two: "2" },
      V6: false,
    },
    places: [
      [["AddressSpace"], "text"],
      [["Pool"], "cidr or empty"],
      [["SubPool"], "cidr or empty"],
      [["Options"], "string map?"],
      [["Options", "io"], "option value?"],
      [["Options", "two"], "option value?"],
      [["V6"], "boolean"],
    ],
  },
  { verb: "IpamDriver.ReleasePool", body: { PoolID: "pool-1" }, places: [[["PoolID"], "non-empty text"]] },
  {
    verb: "IpamDriver.RequestAddress",
    body: {
      PoolID: "pool-1",
      Address: "10.60.5.9",
      Options: { RequestAddressType: "com.docker.network.gateway" },
    },
    places: [
      [["PoolID"], "non-empty text"],
      [["Address"], "address or empty"],
      [["Options"], "string map?"],
      [["Options", "RequestAddressType"], "option value?"],
    ],
  },
  {
    verb: "IpamDriver.ReleaseAddress",
    body: { PoolID: "pool-1", Address: "10.60.5.9" },
    places: [
      [["PoolID"], "non-empty text"],
      [["Address"], "address or empty"],
    ],
  },
  {
    verb: "Operator.Attach",
    body: {
      ...ids,
      OwnerKind: "container",
      OwnerID: "4f1c",
      OwnerName: "web",
      OwnerEngine: "4WNA:77VC /var/lib/docker",
      Interface: "eth1",
      Address: "10.50.2.77",
      AddressIPv6: "fd50:2::77",
      MacAddress: "02:11:22:33:44:55",
      Options: { vlan: "12" },
      DefaultRoute: true,
      Routes: ["10.0.0.0/8 via 10.50.2.9"],
      Once: false,
      Again: false,
      Lost: false,
    },
    places: [
      ...idPlaces,
      [["OwnerKind"], "owner kind"],
      [["OwnerID"], "non-empty text"],
      [["OwnerName"], "non-empty text"],
      [["OwnerEngine"], "option value?"],
      [["Interface"], "non-empty text"],
      [["Address"], "address or empty?"],
      [["AddressIPv6"], "address or empty?"],
      [["MacAddress"], "mac or empty?"],
      [["Options"], "string map?"],
      [["Options", "vlan"], "option value?"],
      [["DefaultRoute"], "boolean?"],
      [["Routes"], "list?"],
      [["Routes", 0], "option value?"],
      [["Once"], "boolean?"],
      [["Again"], "boolean?"],
      [["Lost"], "boolean?"],
    ],
  },
  onlyIds("Operator.Detach"),
  {
    verb: "Operator.SetNetwork",
    body: { NetworkID: NETWORK_ID, Options: { vlan: "200" } },
    places: [
      [["NetworkID"], "network id"],
      [["Options"], "string map?"],
      [["Options", "vlan"], "option value?"],
    ],
  },
  {
    verb: "Operator.SetEndpoint",
    body: { ...ids, Options: { ip: "10.50.2.78" } },
    places: [...idPlaces, [["Options"], "string map?"], [["Options", "ip"], "option value?"]],
  },
  {
    verb: "Operator.Plan",
    body: {
      Options: { vlan: "200" },
      Internal: false,
      IPv6: false,
      Subnets: [{ Pool: "10.50.3.0/24", Gateway: "10.50.3.254/24" }],
    },
    places: [
      [["Options"], "string map?"],
      [["Options", "vlan"], "option value?"],
      [["Internal"], "boolean?"],
      [["IPv6"], "boolean?"],
      [["Subnets"], "list?"],
      [["Subnets", 0], "pool"],
      [["Subnets", 0, "Pool"], "cidr"],
      [["Subnets", 0, "Gateway"], "cidr or empty?"],
    ],
  },
  {
    verb: "Operator.Repair",
    body: { Addresses: [{ AddressSpace: "tsnet", Subnet: "10.50.2.0/24", Address: "10.50.2.9" }] },
    places: [
      [["Addresses"], "list?"],
      [["Addresses", 0], "pool"],
      [["Addresses", 0, "AddressSpace"], "non-empty text"],
      [["Addresses", 0, "Subnet"], "cidr"],
      [["Addresses", 0, "Address"], "non-empty text"],
    ],
  },
];

/** The sample of one verb. */
export function sampleOf(verb: string): Sample {
  const sample = SAMPLES.find((candidate) => candidate.verb === verb);
  if (sample === undefined) throw new Error(`no sample of ${verb}`);
  return sample;
}
