// The whole life of one endpoint at the daemon's socket: the calls that an engine makes for a container that publishes nothing
// (cnm-protocol.md 5.2, 5.3), without what it does to the link in between. The sandbox's end stays on the host.
import { join } from "node:path";
import { readCommitCount } from "../../src/state/commit-count.ts";
import { type Answer, type EngineNetwork, newId } from "../support/engine-double.ts";
import { KeptConnection, overConnections } from "../support/kept-connection.ts";
import { SOCKET } from "../support/lab-serve.ts";
import type { ServeHost } from "../support/serve-host.ts";

/** Makes many at once; the engine opens more connections when calls are parallel. */
const CONNECTIONS = 32;

/** One call that succeeds. */
type Ask = (verb: string, body: object) => Promise<Answer>;

/** An endpoint that has joined. */
export interface Living {
  readonly ids: { readonly NetworkID: string; readonly EndpointID: string };
  readonly poolId: string;
  /** CIDR. */
  readonly address: string;
}

/** Up to the moment when the container may start. */
export async function begin(ask: Ask, { id, poolId }: EngineNetwork): Promise<Living> {
  const ids = { NetworkID: id, EndpointID: newId() };
  const options = { "com.docker.network.portmap": [] };
  const given = await ask("IpamDriver.RequestAddress", { PoolID: poolId, Address: "", Options: {} });
  const address = String(given["Address"]);
  const link = { Address: address, AddressIPv6: "", MacAddress: "" };
  await ask("NetworkDriver.CreateEndpoint", { ...ids, Interface: link, Options: options });
  const SandboxKey = `/var/run/docker/netns/${ids.EndpointID.slice(0, 12)}`;
  await ask("NetworkDriver.Join", { ...ids, SandboxKey, Options: options });
  await ask("NetworkDriver.ProgramExternalConnectivity", { ...ids, Options: options });
  await ask("NetworkDriver.EndpointOperInfo", ids);
  return { ids, poolId, address };
}

/** The container's end. */
export async function end(ask: Ask, { ids, poolId, address }: Living): Promise<void> {
  await ask("NetworkDriver.RevokeExternalConnectivity", ids);
  await ask("NetworkDriver.Leave", ids);
  await ask("NetworkDriver.DeleteEndpoint", ids);
  await ask("IpamDriver.ReleaseAddress", { PoolID: poolId, Address: address.replace(/\/.*/, "") });
}

/** Lives once. @returns milliseconds by verb, in the order of the calls. */
export async function live(connection: KeptConnection, network: EngineNetwork): Promise<ReadonlyMap<string, number>> {
  const times = new Map<string, number>();
  const ask: Ask = async (verb, body) => {
    const start = performance.now();
    const answer = await connection.ask(verb, body);
    times.set(verb.replace(/.*\./, ""), performance.now() - start);
    return answer;
  };
  await end(ask, await begin(ask, network));
  return times;
}

/** What the driver took of a life, all verbs together. */
export function sumOf(times: ReadonlyMap<string, number>): number {
  return [...times.values()].reduce((sum, ms) => sum + ms, 0);
}

/** Where a host's daemon listens, as seen from here. */
export function socketOf({ namespace }: Pick<ServeHost, "namespace">): string {
  return namespace.outside(SOCKET);
}

/** How many durable writes the daemon has made since its records are there. */
export function countCommits({ serve }: Pick<ServeHost, "serve">): number {
  return readCommitCount(join(serve.stateDir, "tsnet.db-count")) ?? NaN;
}

/** Endpoints that join, many at once, and stay. */
export async function crowd(host: ServeHost, network: EngineNetwork, count: number): Promise<readonly Living[]> {
  const made: Living[] = [];
  await overConnections(socketOf(host), CONNECTIONS, Array.from({ length: count }), async (connection) => {
    made.push(await begin(async (verb, body) => connection.ask(verb, body), network));
  });
  return made;
}
