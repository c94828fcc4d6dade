// Plays the Docker engine at tsnet's socket: the calls that it makes, in its order, with what it does after a failure
// (cnm-protocol.md 1.6, 5; observed, and read in moby daemon/libnetwork). It sees to the link of a container as the engine
// does: moves it into a namespace, and back.
import { randomBytes } from "node:crypto";
import { request } from "node:http";
import type { LabNamespace } from "./lab-namespace.ts";
import { SOCKET } from "./lab-serve.ts";

const GATEWAY_TYPE = "com.docker.network.gateway";
const PORT_MAP = "com.docker.network.portmap";
const GENERIC = "com.docker.network.generic";
const TCP = 6;

/** What a verb answers: its fields, or `Err` / `Error`. */
export type Answer = Readonly<Record<string, unknown>>;

/** The connection broke before an answer came, as when the daemon dies. */
export class BrokenConnection extends Error {
  /** Nobody listened: not a byte was sent. */
  readonly isUnsent: boolean;

  constructor(message: string, cause: unknown) {
    super(message, { cause });
    this.isUnsent =
      cause instanceof Error && "code" in cause && ["ENOENT", "ECONNREFUSED"].includes(String(cause.code));
  }
}

/** A verb that answered with an error. */
export class Refusal extends Error {}

export interface NetworkWish {
  readonly subnet: string;
  /** Bare; the engine asks for it. */
  readonly gateway: string;
  readonly options?: Readonly<Record<string, string>>;
}

/** A network as the engine remembers it. */
export interface EngineNetwork extends NetworkWish {
  readonly id: string;
  readonly poolId: string;
}

/** A running container's attachment as the engine remembers it. */
export interface EngineEndpoint {
  readonly network: EngineNetwork;
  readonly id: string;
  /** CIDR. */
  readonly address: string;
  readonly mac: string;
  readonly sandbox: string;
  /** Its link's name on the host, absent before Join. */
  readonly link?: string;
  /** The host's port that leads to port 80. */
  readonly port?: number;
}

/** An id as the engine makes them. */
export function newId(): string {
  return randomBytes(32).toString("hex");
}

/** One engine. */
export class EngineDouble {
  readonly #namespace: LabNamespace;
  readonly #socket: string;

  constructor(namespace: LabNamespace) {
    this.#namespace = namespace;
    this.#socket = namespace.outside(SOCKET);
  }

  /** One call, once. @param body - absent: an empty one. @throws BrokenConnection. */
  async call(verb: string, body?: object): Promise<Answer> {
    const bytes = body === undefined ? "" : `${JSON.stringify(body)}\n`;
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const options = { socketPath: this.#socket, path: `/${verb}`, method: "POST", agent: false, timeout: 60_000 };
    const call = request({ ...options, headers: { "Content-Length": Buffer.byteLength(bytes) } }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => (text += part));
      response.on("end", () => resolve(JSON.parse(text) as Answer)); // every answer of tsnet is JSON
      response.on("error", (cause) => reject(new BrokenConnection(verb, cause)));
    });
    call.on("timeout", () => call.destroy(new Error(`${verb}: no answer`)));
    call.on("error", (cause) => reject(new BrokenConnection(`${verb}: ${cause.message}`, cause)));
    call.end(bytes);
    return await promise;
  }

  /**
   * One call as the engine makes it: when the connection breaks it is repeated, with an empty body if it had been sent.
   *
   * @throws Refusal with the error that is answered.
   */
  async ask(verb: string, body: object): Promise<Answer> {
    const answer = await this.call(verb, body).catch(async (failure: unknown) => {
      if (!(failure instanceof BrokenConnection)) throw failure;
      await this.beforeRepeat();
      return failure.isUnsent ? this.call(verb, body) : this.call(verb);
    });
    const refusal = answer["Err"] ?? answer["Error"];
    if (typeof refusal === "string" && refusal !== "") throw new Refusal(refusal);
    return answer;
  }

  /** What happens while the engine waits to repeat a call; a test puts the daemon's return here. */
  beforeRepeat: () => Promise<void> = async () => {};

  /** `docker network create`. */
  async createNetwork(wish: NetworkWish): Promise<EngineNetwork> {
    const { subnet, gateway, options = {} } = wish;
    const poolWish = { AddressSpace: "tsnet", Pool: subnet, SubPool: "", Options: {}, V6: false };
    const { PoolID } = await this.ask("IpamDriver.RequestPool", poolWish);
    const network = { ...wish, id: newId(), poolId: String(PoolID) };
    const gatewayWish = { PoolID, Address: gateway, Options: { RequestAddressType: GATEWAY_TYPE } };
    const releasePool = () => this.#tell("IpamDriver.ReleasePool", { PoolID });
    await this.#orElse(() => this.ask("IpamDriver.RequestAddress", gatewayWish), releasePool);
    const [, length] = subnet.split("/");
    const pool = { AddressSpace: "tsnet", Pool: subnet, Gateway: `${gateway}/${length}`, AuxAddresses: {} };
    const flags = { "com.docker.network.enable_ipv6": false, "com.docker.network.internal": false };
    const create = {
      NetworkID: network.id,
      Options: { ...flags, [GENERIC]: options },
      IPv4Data: [pool],
      IPv6Data: [],
    };
    await this.#orElse(
      () => this.ask("NetworkDriver.CreateNetwork", create),
      async () => {
        await this.#tell("IpamDriver.ReleaseAddress", { PoolID, Address: gateway });
        await releasePool();
      },
    );
    return network;
  }

  /** `docker network rm`: whatever is answered, the engine has forgotten it. */
  async removeNetwork({ id, poolId, gateway }: EngineNetwork): Promise<void> {
    await this.#tell("IpamDriver.ReleaseAddress", { PoolID: poolId, Address: gateway });
    await this.#tell("IpamDriver.ReleasePool", { PoolID: poolId });
    await this.#tell("NetworkDriver.DeleteNetwork", { NetworkID: id });
  }

  /** `docker run`: up to the container's first instruction. @param wish - `port`: of the host, leads to the container's port 80. */
  async start(network: EngineNetwork, wish: { readonly port?: number } = {}): Promise<EngineEndpoint> {
    const id = newId();
    const { poolId: PoolID } = network;
    const answer = await this.ask("IpamDriver.RequestAddress", { PoolID, Address: "", Options: {} });
    const address = String(answer["Address"]);
    const release = () => this.#tell("IpamDriver.ReleaseAddress", { PoolID, Address: bare(address) });
    const ids = { NetworkID: network.id, EndpointID: id };
    const options = { [PORT_MAP]: portMap(wish.port) };
    const create = { ...ids, Interface: { Address: address, AddressIPv6: "", MacAddress: "" }, Options: options };
    const made = await this.#orElse(() => this.ask("NetworkDriver.CreateEndpoint", create), release);
    const { MacAddress = "" } = (made["Interface"] ?? {}) as { MacAddress?: string }; // cnm-protocol.md 2.5
    const sandbox = `c-${id.slice(0, 10)}`;
    const endpoint = { network, id, address, mac: MacAddress, sandbox, ...wish };
    const join = { ...ids, SandboxKey: `/var/run/docker/netns/${id.slice(0, 12)}`, Options: options };
    const joined = await this.#orElse(
      () => this.ask("NetworkDriver.Join", join),
      async () => {
        await this.#tell("NetworkDriver.DeleteEndpoint", ids);
        await release();
      },
    );
    const { SrcName } = joined["InterfaceName"] as { SrcName: string }; // cnm-protocol.md 2.8
    const running = { ...endpoint, link: SrcName };
    await this.#orElse(
      async () => {
        await this.#moveIn(endpoint, SrcName);
        if (wish.port !== undefined)
          await this.ask("NetworkDriver.ProgramExternalConnectivity", { ...ids, Options: options });
      },
      () => this.stop(running),
    );
    return running;
  }

  /** The container's end: whatever is answered, the engine has forgotten the endpoint. */
  async stop({ network, id, address, sandbox, link, port }: EngineEndpoint): Promise<void> {
    const ids = { NetworkID: network.id, EndpointID: id };
    if (port !== undefined) await this.#tell("NetworkDriver.RevokeExternalConnectivity", ids);
    await this.#tell("NetworkDriver.Leave", ids);
    if (link !== undefined) await this.#moveOut(sandbox, link);
    await this.#tell("NetworkDriver.DeleteEndpoint", ids);
    await this.#tell("IpamDriver.ReleaseAddress", { PoolID: network.poolId, Address: bare(address) });
  }

  /** A command inside the container. */
  async inside({ sandbox }: EngineEndpoint, ...argv: readonly string[]): Promise<string> {
    return await this.#namespace.exec(["ip", "netns", "exec", sandbox, ...argv]);
  }

  async #moveIn({ network, sandbox, address, mac }: EngineEndpoint, link: string): Promise<void> {
    const ip = async (...args: string[]) => void (await this.#namespace.exec(["ip", ...args]));
    await ip("netns", "add", sandbox);
    await ip("-netns", sandbox, "link", "set", "lo", "up");
    await ip("link", "set", link, "netns", sandbox);
    const eth0 = ["-netns", sandbox, "link", "set", link] as const;
    await ip(...eth0, "name", "eth0", ...(mac === "" ? [] : ["address", mac]));
    await ip("-netns", sandbox, "address", "add", address, "dev", "eth0");
    await ip("-netns", sandbox, "link", "set", "eth0", "up");
    await ip("-netns", sandbox, "route", "add", "default", "via", network.gateway);
  }

  /** The processes end, the link goes back to the host, then the container's namespace goes. Each may be gone. */
  async #moveOut(sandbox: string, link: string): Promise<void> {
    const pids = await this.#namespace.exec(["ip", "netns", "pids", sandbox]).catch(() => "");
    if (pids !== "") await this.#namespace.exec(["kill", "-KILL", ...pids.split("\n")]).catch(() => {});
    const moves = [
      ["-netns", sandbox, "link", "set", "eth0", "down"],
      ["-netns", sandbox, "link", "set", "eth0", "name", link],
      ["-netns", sandbox, "link", "set", link, "netns", "1"],
      ["netns", "delete", sandbox],
    ];
    for (const move of moves) await this.#namespace.exec(["ip", ...move]).catch(() => {});
  }

  /** Whose failure the engine throws away. */
  async #tell(verb: string, body: object): Promise<void> {
    await this.ask(verb, body).catch((failure: unknown) => {
      if (!(failure instanceof Refusal)) throw failure;
    });
  }

  async #orElse<T>(task: () => Promise<T>, clean: () => Promise<void>): Promise<T> {
    try {
      return await task();
    } catch (failure) {
      if (failure instanceof Refusal) await clean();
      throw failure;
    }
  }
}

function bare(address: string): string {
  return address.split("/")[0] ?? address;
}

function portMap(port: number | undefined): readonly object[] {
  return port === undefined ? [] : [{ Proto: TCP, IP: "", Port: 80, HostIP: "", HostPort: port, HostPortEnd: port }];
}
