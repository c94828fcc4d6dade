// A connection that breaks while its call is under way: what the call has begun is taken back, and the engine's repeat, which
// has lost its body, is answered after that. With the real drivers on a remembered host whose disk is slow.
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { endpointId, endpointRequest, joinRequest, networkId, networkRequest } from "../support/cnm-builder.ts";
import { ask } from "../support/cnm-publishing.ts";
import { NEVER } from "../support/cnm-rig.ts";
import { fakeDrivers } from "../support/fake-drivers.ts";
import { poolRequest } from "../support/ipam-builder.ts";
import { OrderHost, after as turns } from "../support/order-host.ts";
import { waitUntil } from "../support/wait-until.ts";
import { Connection, engineRequest, listeningServer } from "./conversation.ts";

/** A commit takes so many turns of the event loop: some 20 ms. */
const SLOW_TURNS = 2000;

const ids = { NetworkID: networkId(), EndpointID: endpointId() };
const portMap = [{ Proto: 6, IP: "", Port: 80, HostIP: "", HostPort: 8080, HostPortEnd: 8080 }];
const pool = { AddressSpace: "LocalDefault", Pool: "10.1.1.0/24", Gateway: "10.1.1.1/24", AuxAddresses: {} };
const addressOf = (PoolID: string) => ({ PoolID, Address: "", Options: {} });

/** What has to be there before the call, and the call. */
const MAKING = [
  [
    "IpamDriver.RequestPool",
    0,
    () => ({ AddressSpace: "tsnet", Pool: "10.1.1.0/24", SubPool: "", Options: {}, V6: false }),
  ],
  ["IpamDriver.RequestAddress", 1, addressOf],
  ["NetworkDriver.CreateNetwork", 1, () => ({ NetworkID: networkId(), Options: {}, IPv4Data: [pool], IPv6Data: [] })],
  [
    "NetworkDriver.CreateEndpoint",
    2,
    () => ({ ...ids, Interface: { Address: "10.1.1.9/24", AddressIPv6: "", MacAddress: "" } }),
  ],
  ["NetworkDriver.Join", 3, () => ({ ...ids, SandboxKey: "/var/run/docker/netns/1" })],
  [
    "NetworkDriver.ProgramExternalConnectivity",
    4,
    () => ({ ...ids, Options: { "com.docker.network.portmap": portMap } }),
  ],
] as const;

const REMOVING = [
  ["NetworkDriver.RevokeExternalConnectivity", 5, () => ids],
  ["NetworkDriver.Leave", 5, () => ids],
  ["NetworkDriver.DeleteEndpoint", 5, () => ids],
  ["NetworkDriver.DeleteNetwork", 2, () => ({ NetworkID: networkId() })],
  ["IpamDriver.ReleasePool", 1, (PoolID: string) => ({ PoolID })],
] as const;

/** A host with a pool, and so much more: 2 a network, 3 an endpoint, 4 joined, 5 with a port. */
async function hostAt(stage: number) {
  const host = new OrderHost();
  await host.start();
  const { cnm, ipam } = host.process;
  const { poolId } = stage === 0 ? { poolId: "" } : await ipam.requestPool(poolRequest("10.1.1.0/24"));
  if (stage >= 2) await cnm.createNetwork(networkRequest(), NEVER);
  if (stage >= 3) await cnm.createEndpoint(endpointRequest(), NEVER);
  if (stage >= 4) await cnm.join(joinRequest(), NEVER);
  if (stage >= 5) await cnm.programExternalConnectivity({ ...joinRequest(), portMap: [ask(80, 8080)] }, NEVER);
  return { host, poolId, server: await listeningServer({ ...fakeDrivers(), cnm, ipam }) };
}

/** Everything on the host and in the records but addresses at rest. */
function everything({ records, datapath, firewall, process }: OrderHost) {
  const kinds = ["network", "endpoint", "pool", "address"] as const;
  const bodies = kinds
    .flatMap((kind) => [...records.list(kind)])
    .filter(([, body]) => !JSON.stringify(body).includes('"released"'));
  const ports = Object.fromEntries(process.ports.held);
  return { bodies, links: [...datapath.links.keys()], rules: firewall.rules, elements: [...firewall.elements], ports };
}

/** Sends a call, and breaks the connection when something has been done for it. */
async function breakOff({ records }: OrderHost, path: string, request: string): Promise<void> {
  records.turnsOf = () => SLOW_TURNS;
  const before = records.commitCount;
  using connection = new Connection(path);
  connection.socket.write(request);
  await waitUntil("the call to be under way", () => records.commitCount > before, { intervalMs: 1 });
}

describe("a connection that breaks while its call is under way", () => {
  it.each(MAKING)(
    "leaves nothing of %s, and its empty repeat is refused once that is so [F15] [F48]",
    async (verb, stage, bodyOf) => {
      const { host, poolId, server: listening } = await hostAt(stage);
      await using server = listening;
      using second = new Connection(server.path);
      const before = everything(host);

      await breakOff(host, server.path, engineRequest(verb, bodyOf(poolId)));
      const { body } = await second.ask(engineRequest(verb));
      const after = everything(host);
      await turns(3 * SLOW_TURNS);

      expect(body).toMatchObject({ Err: expect.stringContaining("nothing was changed") });
      expect(after).toEqual(before);
      expect(everything(host)).toEqual(before);
    },
  );

  it.each(REMOVING)(
    "does not keep %s from being done, and its empty repeat is refused after that [F15] [F48]",
    async (verb, stage, bodyOf) => {
      const { host, poolId, server: listening } = await hostAt(stage);
      await using server = listening;
      using second = new Connection(server.path);
      const before = everything(host);

      await breakOff(host, server.path, engineRequest(verb, bodyOf(poolId)));
      const { body } = await second.ask(engineRequest(verb));
      const after = everything(host);
      const again = await second.ask(engineRequest(verb, bodyOf(poolId)));

      expect(body).toMatchObject({ Err: expect.stringContaining("the body is empty") });
      expect(after).not.toEqual(before);
      expect(again.body).toEqual({});
      expect(everything(host)).toEqual(after);
    },
  );

  it("does not delay the empty repeat of another verb, nor calls that are whole", async () => {
    const slow = Promise.withResolvers<void>();
    await using server = await listeningServer(fakeDrivers({ createNetwork: async () => slow.promise }));
    using first = new Connection(server.path);
    using second = new Connection(server.path);
    first.socket.write(engineRequest("NetworkDriver.CreateNetwork", { NetworkID: networkId() }));
    await pause(20);

    first.socket.destroy();

    expect((await second.ask(engineRequest("NetworkDriver.Join"))).body).toMatchObject({
      Err: expect.stringContaining("empty"),
    });
    expect((await second.ask(engineRequest("NetworkDriver.Leave", ids))).body).toEqual({});
    slow.resolve();
  });
});

describe("a driver that throws what it should not", () => {
  it("fails that call alone, in the log and in the answer, and the next ones are done [F12]", async () => {
    const isBroken = { value: true };
    const leave = async () => {
      if (isBroken.value) throw new RangeError("index out of range");
    };
    await using server = await listeningServer(fakeDrivers({ leave, join: () => { throw new TypeError("at once"); } })); // prettier-ignore
    using connection = new Connection(server.path);

    const failed = await connection.ask(engineRequest("NetworkDriver.Leave", ids));
    const failedAtOnce = await connection.ask(engineRequest("NetworkDriver.Join", { ...ids, SandboxKey: "/k" }));
    isBroken.value = false;

    expect(failed).toMatchObject({ status: 200, body: { Err: "Leave: index out of range" } });
    expect(failedAtOnce).toMatchObject({ status: 200, body: { Err: "Join: at once" } });
    expect((await connection.ask(engineRequest("NetworkDriver.Leave", ids))).body).toEqual({});
    expect(server.lines.filter(({ level }) => level === "error")).toHaveLength(2);
  });
});
