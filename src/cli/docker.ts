// What the operator's command asks the engine: how networks and containers are called. Only the command does, never the daemon:
// the engine may be waiting for it.
import Docker from "dockerode";
import { TsnetError, messageOf } from "../errors.ts";

/** A network of any driver. */
export interface DockerNetwork {
  readonly id: string;
  readonly name: string;
  /** As Docker writes it: with `:latest` behind for a plugin that was named so. */
  readonly ipamDriver: string;
  /** CIDRs. */
  readonly subnets: readonly string[];
}

/** A container's place on a network of any driver. */
export interface DockerPlace {
  readonly networkId: string;
  /** Empty while the container does not run. */
  readonly endpointId: string;
  readonly container: { readonly id: string; readonly name: string };
  /** Bare. */
  readonly addresses: readonly string[];
}

/** What Docker has. */
export interface DockerView {
  readonly networks: readonly DockerNetwork[];
  readonly places: readonly DockerPlace[];
  /** Why there is nothing; absent when the engine answered. */
  readonly fault?: string;
}

/** What Docker has, with what only `tsnet doctor` asks for. */
export interface EngineView extends DockerView {
  readonly networks: readonly (DockerNetwork & {
    readonly driver: string;
    /** Bare: kept by the network itself (`--aux-address`). */
    readonly auxAddresses: readonly string[];
  })[];
  readonly places: readonly (DockerPlace & {
    /** Bare: what the container shall have whenever it runs (`--ip`). */
    readonly fixedAddresses: readonly string[];
  })[];
  readonly plugins: readonly { readonly name: string; readonly isEnabled: boolean }[];
}

/** One container as the engine has it now. */
export interface DockerContainer {
  readonly id: string;
  readonly name: string;
  readonly isRunning: boolean;
  /** Of its first process; 0 while it does not run. */
  readonly pid: number;
  /** The container in whose network namespace it lives (`--network container:NAME`); absent for its own. */
  readonly sharedWith?: { readonly id: string; readonly name: string };
  /** Whether it lives in the host's network namespace. */
  readonly isOnHost: boolean;
}

/** What happened to a container; `connected` is no container's: what happened before is not told. */
export type ContainerEvent =
  | { readonly kind: "connected" }
  | { readonly kind: "started" | "removed"; readonly containerId: string };

const TIMEOUT_MS = 10_000;

/** Names and ids, with the slash that the engine writes in front of a name; nothing else belongs into a URL. */
const CONTAINER_NAME = /^\/?([A-Za-z0-9][A-Za-z0-9_.-]*)$/;

/** Asks the engine of `DOCKER_HOST`, or of its usual socket. No answer is no failure: then there are no names. */
export async function readDocker(): Promise<DockerView> {
  try {
    const docker = connect();
    const [networks, containers] = await Promise.all([docker.listNetworks(), docker.listContainers({ all: true })]);
    return { networks: networks.map(networkOf), places: containers.flatMap(placesOf) };
  } catch (failure) {
    const fault = `Docker does not answer, so there are ids in place of names: ${messageOf(failure)}`;
    return { networks: [], places: [], fault };
  }
}

/** The same in more detail. @throws TsnetError `unavailable` if the engine does not answer. */
export async function readEngine(): Promise<EngineView> {
  try {
    const docker = connect();
    const [networks, containers, plugins] = await Promise.all([
      docker.listNetworks(),
      docker.listContainers({ all: true }),
      docker.listPlugins(),
    ]);
    return {
      networks: networks.map((network) => ({
        ...networkOf(network),
        driver: network.Driver,
        auxAddresses: auxAddressesOf(network),
      })),
      places: containers.flatMap((container) =>
        Object.values(container.NetworkSettings.Networks).map((place) => ({
          ...placeOf(container, place),
          fixedAddresses: fixedAddressesOf(place),
        })),
      ),
      plugins: plugins.map(({ Name, Enabled }) => ({ name: Name, isEnabled: Enabled })),
    };
  } catch (cause) {
    throw new TsnetError("unavailable", `Docker does not answer: ${messageOf(cause)}`, { cause });
  }
}

/**
 * The container that is called so, by name or by the beginning of its id, as the engine finds it.
 *
 * @throws TsnetError `not-found`; `unavailable` if the engine does not answer.
 */
export async function findContainer(name: string): Promise<DockerContainer> {
  const missing = () => new TsnetError("not-found", `Docker has no container ${JSON.stringify(name)}`);
  const [, bare] = CONTAINER_NAME.exec(name) ?? [];
  if (bare === undefined) throw missing();
  const found = await connect()
    .getContainer(bare)
    .inspect()
    .catch((cause: unknown) => {
      if (isMissing(cause)) throw missing();
      throw new TsnetError("unavailable", `Docker does not answer: ${messageOf(cause)}`, { cause });
    });
  const [kind = "", other = ""] = found.HostConfig.NetworkMode?.split(/:(.*)/s) ?? [];
  const sharedWith = kind === "container" ? await findContainer(other) : undefined;
  return {
    id: found.Id,
    name: nameOf([found.Name]),
    isRunning: found.State.Running && found.State.Pid > 0, // without a process it waits for its next start
    pid: found.State.Pid,
    ...(sharedWith !== undefined && { sharedWith: { id: sharedWith.id, name: sharedWith.name } }),
    isOnHost: kind === "host",
  };
}

/**
 * Which engine answers: its ID and its data root. Older engines that run beside one another have one ID, that of
 * /etc/docker/key.json (moby daemon/trustkey.go), but never one data root.
 *
 * @throws TsnetError `unavailable` if it does not answer.
 */
export async function findEngine(): Promise<string> {
  try {
    const { ID, DockerRootDir }: EngineInfo = await connect().info();
    return `${ID} ${DockerRootDir}`;
  } catch (cause) {
    throw new TsnetError("unavailable", `Docker does not answer: ${messageOf(cause)}`, { cause });
  }
}

/**
 * What happens to containers from now on, until `signal` aborts.
 *
 * @throws TsnetError `unavailable` if the engine does not answer, or ends.
 */
export async function* followContainers(signal: AbortSignal): AsyncGenerator<ContainerEvent> {
  const options: Docker.GetEventsOptions & { readonly abortSignal: AbortSignal } = {
    filters: { type: ["container"], event: ["start", "destroy"] },
    abortSignal: signal,
  };
  try {
    const events = await connect(0).getEvents(options);
    yield { kind: "connected" };
    for await (const line of linesOf(events)) {
      const { Action, Actor } = JSON.parse(line) as EventMessage; // the engine's API says so
      yield { kind: Action === "start" ? "started" : "removed", containerId: Actor.ID };
    }
  } catch (failure) {
    throw new TsnetError("unavailable", `Docker does not answer: ${messageOf(failure)}`, { cause: failure });
  }
}

/** `GET /info`. */
interface EngineInfo {
  readonly ID: string;
  readonly DockerRootDir: string;
}

/** `GET /events`, one of a container. */
interface EventMessage {
  readonly Action: string;
  readonly Actor: { readonly ID: string };
}

async function* linesOf(stream: AsyncIterable<string | Buffer>): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + chunk.toString()).split("\n");
    rest = lines.pop() ?? "";
    yield* lines.filter((line) => line !== "");
  }
}

function connect(timeout = TIMEOUT_MS): Docker {
  refuseSsh(process.env["DOCKER_HOST"]);
  return new Docker({ timeout });
}

function isMissing(failure: unknown): boolean {
  return failure instanceof Error && "statusCode" in failure && failure.statusCode === 404;
}

/** tsnet works on its own host; and what dockerode needs for it is not in dist/tsnet.js (plugin/bundle.ts). */
function refuseSsh(dockerHost = ""): void {
  if (dockerHost.startsWith("ssh:")) throw new Error(`DOCKER_HOST=${dockerHost} is another host; unset it`);
}

function networkOf({ Id, Name, IPAM }: Docker.NetworkInspectInfo): DockerNetwork {
  const subnets = (IPAM?.Config ?? []).flatMap(({ Subnet }) => Subnet ?? []);
  return { id: Id, name: Name, ipamDriver: IPAM?.Driver ?? "", subnets };
}

function placesOf(container: Docker.ContainerInfo): readonly DockerPlace[] {
  return Object.values(container.NetworkSettings.Networks).map((place) => placeOf(container, place));
}

function placeOf({ Id, Names }: Docker.ContainerInfo, place: Docker.NetworkInfo): DockerPlace {
  const { NetworkID, EndpointID, IPAddress, GlobalIPv6Address } = place;
  return {
    networkId: NetworkID,
    endpointId: EndpointID,
    container: { id: Id, name: nameOf(Names) },
    addresses: [IPAddress, GlobalIPv6Address].filter(Boolean),
  };
}

/** The client's types do not know these two (moby api/types/network, IPAMConfig and EndpointIPAMConfig). */
function auxAddressesOf({ IPAM }: Docker.NetworkInspectInfo): readonly string[] {
  const configs = (IPAM?.Config ?? []) as readonly { AuxiliaryAddresses?: Record<string, string> | null }[];
  return configs.flatMap(({ AuxiliaryAddresses }) => Object.values(AuxiliaryAddresses ?? {}));
}

function fixedAddressesOf({ IPAMConfig }: Docker.NetworkInfo): readonly string[] {
  const config = IPAMConfig as { IPv4Address?: string; IPv6Address?: string } | null | undefined;
  return [config?.IPv4Address, config?.IPv6Address].filter(
    (address) => address !== undefined && address !== "",
  ) as string[];
}

/** `/web`; those with two slashes are names of links to it. */
function nameOf(names: readonly string[]): string {
  const own = names.find((name) => name.lastIndexOf("/") === 0) ?? names[0] ?? "";
  return own.replace(/^\//, "");
}
