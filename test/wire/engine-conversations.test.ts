import { describe, expect, it } from "vitest";
import { FAKE_MAC, fakeDrivers } from "../support/fake-drivers.ts";
import { Connection, HOSTS, engineRequest, listeningServer } from "./conversation.ts";

// Captured on the wire, cnm-protocol.md 2.3, 2.5, 3.2; order of calls: 5.1 to 5.3.
const CREATE_NETWORK_20 = {
  NetworkID: "63cc06f3c7bb93aa0675622011be5b946e3f9e52f00c41adb744604606a0940e",
  Options: {
    "com.docker.network.enable_ipv6": false,
    "com.docker.network.generic": { "a.b.c": "d", flag: "", num: "42" },
    "com.docker.network.internal": true,
  },
  IPv4Data: [
    {
      AddressSpace: "LocalDefault",
      AuxAddresses: { host1: "10.50.1.5/24" },
      Gateway: "10.50.1.254/24",
      Pool: "10.50.1.0/24",
    },
  ],
  IPv6Data: [],
};
const CREATE_NETWORK_28 = {
  NetworkID: "b033733b4e99aa3c3bdd574cd0d2a50d89e74d0ecf48429effc5bf296fdab543",
  Options: {
    "com.docker.network.enable_ipv4": true,
    "com.docker.network.enable_ipv6": true,
    "com.docker.network.generic": { foo: "bar" },
  },
  IPv4Data: [{ AddressSpace: "LocalDefault", Gateway: "10.50.2.1/24", Pool: "10.50.2.0/24" }],
  IPv6Data: [{ AddressSpace: "LocalDefault", Gateway: "fd50:2::1/64", Pool: "fd50:2::/64" }],
};
const GW_ALLOC_CHECK_28 = {
  Options: {
    "com.docker.network.enable_ipv4": true,
    "com.docker.network.enable_ipv6": true,
    "com.docker.network.generic": { z: "1" },
  },
};
const ids = {
  NetworkID: "995f75cfe25fcdf86ef3f160c30e61a7eade6bd31441de8c0ff044af9455f673",
  EndpointID: "83ad9d8339a18fd32493a13f684ac0bc0be0df8d71be9a0fdbd3cf6a58e3554f",
};
const PORTS = {
  "com.docker.network.endpoint.exposedports": [
    { Proto: 6, Port: 9000 },
    { Proto: 6, Port: 1234 },
    { Proto: 6, Port: 80 },
    { Proto: 17, Port: 53 },
    { Proto: 132, Port: 9 },
  ],
  "com.docker.network.portmap": [
    { Proto: 6, IP: "", Port: 9000, HostIP: "::1", HostPort: 9100, HostPortEnd: 9105 },
    { Proto: 6, IP: "", Port: 80, HostIP: "", HostPort: 8080, HostPortEnd: 8080 },
    { Proto: 17, IP: "", Port: 53, HostIP: "127.0.0.1", HostPort: 5353, HostPortEnd: 5353 },
    { Proto: 132, IP: "", Port: 9, HostIP: "", HostPort: 0, HostPortEnd: 0 },
  ],
};
const CREATE_ENDPOINT = {
  ...ids,
  Interface: { Address: "10.50.2.77/24", AddressIPv6: "fd50:2::77/64", MacAddress: "02:11:22:33:44:55" },
  Options: {
    ...PORTS,
    "com.docker.network.endpoint.macaddress": "AhEiM0RV",
    "com.example.x": "y",
    vlan: "12",
  },
};
const CREATE_ENDPOINT_PLAIN = {
  ...ids,
  Interface: { Address: "10.50.2.2/24", AddressIPv6: "", MacAddress: "" },
  Options: {
    "com.docker.network.endpoint.exposedports": [],
    "com.docker.network.portmap": [],
    "com.docker.network.endpoint.dnsservers": ["8.8.8.8"],
    "com.docker.network.endpoint.sysctls": "net.ipv4.conf.ifname.log_martians=1",
  },
};
const JOIN = { ...ids, SandboxKey: "/var/run/docker/netns/8dbd4ab94f15", Options: PORTS };
const PROGRAM_28 = { ...ids, Options: { ...PORTS, "com.docker.network.driver.private.no_proxy_6to4": false } };

describe.each(["20.10", "28.5"] as const)("engine %s", (engine) => {
  const host = HOSTS[engine];

  it("activates, creates a network with this IPAM, and removes it, all over one connection", async () => {
    await using server = await listeningServer(fakeDrivers());
    using connection = new Connection(server.path);
    const ask = async (verb: string, body?: unknown) => (await connection.ask(engineRequest(verb, body, host))).body;
    const pool = { AddressSpace: "tsnet-local", Pool: "10.60.0.0/16", SubPool: "10.60.5.0/24" };

    expect(await ask("Plugin.Activate")).toEqual({ Implements: ["NetworkDriver", "IpamDriver"] });
    expect(await ask("NetworkDriver.GetCapabilities")).toMatchObject({ Scope: "local" });
    expect(await ask("IpamDriver.GetCapabilities")).not.toHaveProperty("Err");
    if (engine === "28.5") expect(await ask("NetworkDriver.GwAllocCheck", GW_ALLOC_CHECK_28)).not.toHaveProperty("Err");
    expect(await ask("IpamDriver.GetDefaultAddressSpaces")).toMatchObject({ LocalDefaultAddressSpace: "tsnet-local" });
    const requested = await ask("IpamDriver.RequestPool", { ...pool, Options: { io: "1", two: "2" }, V6: false });
    const { PoolID } = requested as { PoolID: string };
    const gateway = { PoolID, Address: "", Options: { RequestAddressType: "com.docker.network.gateway" } };
    expect(await ask("IpamDriver.RequestAddress", gateway)).toMatchObject({ Address: "10.210.0.2/24" });
    const created = engine === "28.5" ? CREATE_NETWORK_28 : CREATE_NETWORK_20;
    expect(await ask("NetworkDriver.CreateNetwork", created)).toEqual({});
    expect(await ask("IpamDriver.ReleaseAddress", { PoolID, Address: "10.210.0.2" })).toEqual({});
    expect(await ask("IpamDriver.ReleasePool", { PoolID })).toEqual({});
    expect(await ask("NetworkDriver.DeleteNetwork", { NetworkID: created.NetworkID })).toEqual({});
  });

  it("starts and stops a container, all over one connection", async () => {
    const drivers = fakeDrivers();
    await using server = await listeningServer(drivers);
    using connection = new Connection(server.secondPath);
    const ask = async (verb: string, body: unknown) =>
      (await connection.ask(engineRequest(`NetworkDriver.${verb}`, body, host))).body;
    const program = engine === "28.5" ? PROGRAM_28 : { ...ids, Options: PORTS };

    expect(await ask("CreateEndpoint", CREATE_ENDPOINT)).toEqual({});
    expect(await ask("CreateEndpoint", CREATE_ENDPOINT_PLAIN)).toEqual({ Interface: { MacAddress: FAKE_MAC } });
    expect(await ask("Join", JOIN)).toMatchObject({ Gateway: "10.50.2.1" });
    expect(await ask("ProgramExternalConnectivity", program)).toEqual({});
    expect(await ask("EndpointOperInfo", ids)).toEqual({ Value: {} });
    expect(await ask("RevokeExternalConnectivity", ids)).toEqual({});
    expect(await ask("Leave", ids)).toEqual({});
    expect(await ask("DeleteEndpoint", ids)).toEqual({});

    const programmed = drivers.seen.find((call) => call.method === "programExternalConnectivity");
    expect(programmed?.request).toMatchObject({
      portMap: [
        { protocol: 6, containerPort: 9000, hostAddress: "::1", hostPort: 9100, hostPortEnd: 9105 },
        { protocol: 6, containerPort: 80, hostAddress: "", hostPort: 8080, hostPortEnd: 8080 },
        { protocol: 17, containerPort: 53, hostAddress: "127.0.0.1", hostPort: 5353, hostPortEnd: 5353 },
        { protocol: 132, containerPort: 9, hostAddress: "", hostPort: 0, hostPortEnd: 0 },
      ],
      isHostIpv6Elsewhere: false,
    });
  });

  it("repeats a broken call with an empty body and is refused at once, for every verb with arguments [F48]", async () => {
    const drivers = fakeDrivers();
    await using server = await listeningServer(drivers);
    using connection = new Connection(server.path);
    const times: number[] = [];

    for (let tries = 0; tries < 5; tries++) {
      const start = performance.now();
      const answer = await connection.ask(engineRequest("NetworkDriver.CreateNetwork", undefined, host));
      times.push(performance.now() - start);
      expect(answer).toMatchObject({ status: 200, body: { Err: expect.stringContaining("the body is empty") } });
    }

    expect(Math.min(...times)).toBeLessThan(50); // the machine may be busy with something else now and then
    expect(drivers.seen).toEqual([]);
  });
});
