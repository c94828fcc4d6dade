// The requests that the fuzzers start from: one lawful body for each verb, about objects that are there (fuzz-host.ts), so
// that each of them succeeds as it stands. Forms: cnm-protocol.md sections 2 to 4.
import { createHash } from "node:crypto";

/** 64 hex digits out of a word. */
export function idOf(word: string): string {
  return createHash("sha256").update(`fuzz ${word}`).digest("hex");
}

/** Stands for the id of the pool that is there, whose last part is random. */
export const POOL_ID = "@pool@";
/** The same for a pool that nothing is in. */
export const SPARE_POOL_ID = "@spare@";

const ENGINE_HEADERS = ["Host: plugin.moby.localhost", "User-Agent: Go-http-client/1.1"];
const ACCEPT = "Accept: application/vnd.docker.plugins.v1.2+json";

const PORT_MAP = [
  { Proto: 6, IP: "", Port: 80, HostIP: "", HostPort: 8080, HostPortEnd: 8080 },
  { Proto: 17, IP: "", Port: 53, HostIP: "127.0.0.1", HostPort: 5300, HostPortEnd: 5310 },
];
const PORTS = {
  "com.docker.network.endpoint.exposedports": [{ Proto: 6, Port: 80 }],
  "com.docker.network.portmap": PORT_MAP,
};
const network = { NetworkID: idOf("network") };
const joined = { ...network, EndpointID: idOf("joined") };
const created = { ...network, EndpointID: idOf("created") };
const own = { NetworkID: idOf("own network") };
/** An attachment, of a network of tsnet's own IPAM. */
export const ATTACHED = { ...own, EndpointID: idOf("attached") };
const owner = { OwnerKind: "container", OwnerID: idOf("container"), OwnerName: "db", Interface: "eth1" };
const pool4 = {
  AddressSpace: "LocalDefault",
  Pool: "10.50.1.0/24",
  Gateway: "10.50.1.1/24",
  AuxAddresses: { host1: "10.50.1.5/24" },
};
const pool6 = { AddressSpace: "LocalDefault", Pool: "fd50:1::/64", Gateway: "fd50:1::1/64" };
const networkOptions = (options: object) => ({
  "com.docker.network.enable_ipv4": true,
  "com.docker.network.enable_ipv6": true,
  "com.docker.network.internal": false,
  "com.docker.network.generic": options,
});

/** One request that succeeds. */
export interface LawfulRequest {
  readonly verb: string;
  /** Absent for a verb without arguments. */
  readonly body?: object;
}

/** Every verb at least once. */
export const LAWFUL: readonly LawfulRequest[] = [
  { verb: "Plugin.Activate" },
  { verb: "NetworkDriver.GetCapabilities" },
  {
    verb: "NetworkDriver.DiscoverNew",
    body: { DiscoveryType: 1, DiscoveryData: { Address: "10.99.0.1", Self: true } },
  },
  { verb: "NetworkDriver.DiscoverDelete", body: { DiscoveryType: 1, DiscoveryData: null } },
  { verb: "NetworkDriver.GwAllocCheck", body: { Options: networkOptions({ mode: "nat", mtu: "1400" }) } },
  {
    verb: "NetworkDriver.AllocateNetwork",
    body: { NetworkID: "id5t4xy9dres22c5jqu0a4vu4", Options: { foo: "bar" }, IPv4Data: [pool4], IPv6Data: [pool6] },
  },
  { verb: "NetworkDriver.FreeNetwork", body: { NetworkID: "id5t4xy9dres22c5jqu0a4vu4" } },
  {
    verb: "NetworkDriver.CreateNetwork",
    body: {
      NetworkID: idOf("new network"),
      Options: networkOptions({ mode: "nat", vlan: "12", ifprefix: "net" }),
      IPv4Data: [pool4],
      IPv6Data: [pool6],
    },
  },
  {
    verb: "NetworkDriver.CreateNetwork",
    body: {
      NetworkID: idOf("new network"),
      Options: networkOptions({ parent: "eth1", bridge: "brx", trunk: "20,30-39", mode: "l2" }),
      IPv4Data: [pool4],
      IPv6Data: null,
    },
  },
  {
    verb: "NetworkDriver.CreateNetwork",
    body: {
      NetworkID: idOf("new network"),
      Options: networkOptions({
        backend: "ovs",
        tunnel: "vxlan",
        vni: "77",
        peers: "192.0.2.1,192.0.2.2",
        local: "192.0.2.1",
        routes: "10.0.0.0/16 via 10.50.1.9",
        "host-binding": "127.0.0.1",
      }),
      IPv4Data: [pool4],
      IPv6Data: [],
    },
  },
  { verb: "NetworkDriver.DeleteNetwork", body: { NetworkID: idOf("spare network") } },
  {
    verb: "NetworkDriver.CreateEndpoint",
    body: {
      ...network,
      EndpointID: idOf("new endpoint"),
      Interface: { Address: "10.9.1.77/24", AddressIPv6: "fd09:1::77/64", MacAddress: "02:11:22:33:44:55" },
      Options: { ...PORTS, "com.docker.network.endpoint.macaddress": "AhEiM0RV", mtu: "1400" },
    },
  },
  { verb: "NetworkDriver.DeleteEndpoint", body: created },
  { verb: "NetworkDriver.EndpointOperInfo", body: joined },
  {
    verb: "NetworkDriver.Join",
    body: { ...created, SandboxKey: "/var/run/docker/netns/8dbd4ab94f15", Options: PORTS },
  },
  { verb: "NetworkDriver.Leave", body: joined },
  {
    verb: "NetworkDriver.ProgramExternalConnectivity",
    body: { ...joined, Options: { ...PORTS, "com.docker.network.driver.private.no_proxy_6to4": false } },
  },
  { verb: "NetworkDriver.RevokeExternalConnectivity", body: joined },
  { verb: "IpamDriver.GetCapabilities" },
  { verb: "IpamDriver.GetDefaultAddressSpaces" },
  {
    verb: "IpamDriver.RequestPool",
    body: {
      AddressSpace: "tsnet",
      Pool: "10.60.0.0/16",
      SubPool: "10.60.5.0/24",
      Options: { segment: "a" },
      V6: false,
    },
  },
  { verb: "IpamDriver.ReleasePool", body: { PoolID: SPARE_POOL_ID } },
  {
    verb: "IpamDriver.RequestAddress",
    body: { PoolID: POOL_ID, Address: "10.9.9.9", Options: { RequestAddressType: "com.docker.network.gateway" } },
  },
  { verb: "IpamDriver.ReleaseAddress", body: { PoolID: POOL_ID, Address: "10.9.9.5" } },
  {
    verb: "Operator.Attach",
    body: {
      ...network,
      ...owner,
      EndpointID: idOf("new attachment"),
      Address: "10.9.1.88",
      AddressIPv6: "fd09:1::88",
      MacAddress: "02:11:22:33:44:66",
      Options: { mtu: "1400" },
      DefaultRoute: true,
      Routes: ["10.8.0.0/16 via 10.9.1.9"],
      Once: false,
      Lost: false,
    },
  },
  { verb: "Operator.Attach", body: { ...own, ...owner, EndpointID: idOf("new attachment"), Once: true } },
  {
    verb: "Operator.Attach",
    body: { ...ATTACHED, ...owner, Address: "10.9.4.9", Options: null, Routes: null, Lost: false },
  },
  { verb: "Operator.Detach", body: ATTACHED },
  { verb: "Operator.SetNetwork", body: { ...network, Options: { mtu: "1400", icc: "false", masquerade: "false" } } },
  { verb: "Operator.SetNetwork", body: { ...own, Options: { vlan: "12", ageing: "100", "shared-vlan": "true" } } },
  { verb: "Operator.SetEndpoint", body: { ...joined, Options: { mtu: "1300" } } },
  { verb: "Operator.SetEndpoint", body: { ...ATTACHED, Options: { ip: "10.9.4.77", ip6: "fd09:4::77", mtu: "1400" } } },
  {
    verb: "Operator.Plan",
    body: {
      Options: { mode: "routed", vlan: "30" },
      Internal: false,
      IPv6: true,
      Subnets: [{ Pool: "10.61.0.0/24", Gateway: "10.61.0.1/24" }, { Pool: "fd61::/64" }],
    },
  },
  {
    verb: "Operator.Repair",
    body: { Addresses: [{ AddressSpace: "tsnet", Subnet: "10.9.4.0/24", Address: "10.9.4.9" }] },
  },
];

/** The bytes of a call as the engine writes them. @param body - as text; undefined for none at all. */
export function bytesOfCall(verb: string, body?: string | Buffer): Buffer {
  const content = Buffer.from(body ?? "");
  const head = [`POST /${verb} HTTP/1.1`, ...ENGINE_HEADERS, `Content-Length: ${content.length}`, ACCEPT];
  return Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`), content]);
}

/** The body as the engine writes it. */
export function textOf(body: object | undefined): string | undefined {
  return body === undefined ? undefined : `${JSON.stringify(body)}\n`;
}
