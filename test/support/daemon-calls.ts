// Single calls to a daemon, in any order and number, as no engine would make them: networks, endpoints and pools by number.
import { networkId, endpointId } from "./cnm-builder.ts";
import { type Answer, BrokenConnection, type EngineDouble } from "./engine-double.ts";

const GENERIC = "com.docker.network.generic";
const PORT_MAP = "com.docker.network.portmap";
const TCP = 6;

/** What was answered: the fields, or the text of the error; `broken` if the connection ended before. */
export type Result =
  | { readonly kind: "ok"; readonly fields: Answer }
  | { readonly kind: "error"; readonly text: string }
  | { readonly kind: "broken" };

export interface NetworkCall {
  /** CIDR whose first address is the gateway. Default: 10.1.N.0/24. */
  readonly subnet?: string;
  readonly options?: Readonly<Record<string, string>>;
}

export interface EndpointCall {
  /** Of the network 1 unless it says another one. */
  readonly network?: number;
  /** CIDR; default 10.1.NETWORK.(n+1)/24. */
  readonly address?: string;
}

/** One daemon's callers. */
export class DaemonCalls {
  readonly #engine: Pick<EngineDouble, "call">;

  constructor(engine: Pick<EngineDouble, "call">) {
    this.#engine = engine;
  }

  async ask(verb: string, body?: object): Promise<Result> {
    try {
      const fields = await this.#engine.call(verb, body);
      const text = fields["Err"] ?? fields["Error"];
      return typeof text === "string" && text !== "" ? { kind: "error", text } : { kind: "ok", fields };
    } catch (failure) {
      if (failure instanceof BrokenConnection) return { kind: "broken" };
      throw failure;
    }
  }

  async createNetwork(n: number, call: NetworkCall = {}): Promise<Result> {
    return await this.ask("NetworkDriver.CreateNetwork", networkBody(n, call));
  }

  async deleteNetwork(n: number): Promise<Result> {
    return await this.ask("NetworkDriver.DeleteNetwork", { NetworkID: networkId(n) });
  }

  async createEndpoint(n: number, call: EndpointCall = {}): Promise<Result> {
    return await this.ask("NetworkDriver.CreateEndpoint", endpointBody(n, call));
  }

  async join(
    n: number,
    { network = 1, sandbox = `s${n}` }: { network?: number; sandbox?: string } = {},
  ): Promise<Result> {
    return await this.ask("NetworkDriver.Join", { ...ids(n, network), SandboxKey: `/var/run/docker/netns/${sandbox}` });
  }

  async program(n: number, port: number, network = 1): Promise<Result> {
    const body = { ...ids(n, network), Options: { [PORT_MAP]: portMap(port) } };
    return await this.ask("NetworkDriver.ProgramExternalConnectivity", body);
  }

  async revoke(n: number, network = 1): Promise<Result> {
    return await this.ask("NetworkDriver.RevokeExternalConnectivity", ids(n, network));
  }

  async leave(n: number, network = 1): Promise<Result> {
    return await this.ask("NetworkDriver.Leave", ids(n, network));
  }

  async deleteEndpoint(n: number, network = 1): Promise<Result> {
    return await this.ask("NetworkDriver.DeleteEndpoint", ids(n, network));
  }
}

export function ids(endpoint: number, network = 1) {
  return { NetworkID: networkId(network), EndpointID: endpointId(endpoint) };
}

export function portMap(port: number): readonly object[] {
  return [{ Proto: TCP, IP: "", Port: 80, HostIP: "", HostPort: port, HostPortEnd: port }];
}

export function networkBody(n: number, { subnet = `10.1.${n}.0/24`, options = {} }: NetworkCall = {}): object {
  const gateway = subnet.replace(/\.\d+\//, ".1/");
  const pool = { AddressSpace: "LocalDefault", Pool: subnet, Gateway: gateway, AuxAddresses: {} };
  return { NetworkID: networkId(n), Options: { [GENERIC]: options }, IPv4Data: [pool], IPv6Data: [] };
}

export function endpointBody(
  n: number,
  { network = 1, address = `10.1.${network}.${n + 1}/24` }: EndpointCall = {},
): object {
  return { ...ids(n, network), Interface: { Address: address, AddressIPv6: "", MacAddress: "" }, Options: {} };
}

/** How many were answered with success. */
export function countOk(results: readonly Result[]): number {
  return results.filter(({ kind }) => kind === "ok").length;
}

/** The texts of the errors, each once. */
export function errorsOf(results: readonly Result[]): readonly string[] {
  const texts = results.map((result) =>
    result.kind === "error" ? result.text : result.kind === "broken" ? "broken" : "",
  );
  return [...new Set(texts.filter(Boolean))].sort();
}
