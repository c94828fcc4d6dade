// Plays the operator's command at the daemon's socket: the calls that `tsnet attach`, `detach` and `set` make, and what they
// do inside a namespace. What the connection breaks under is told to the operator, who types the same command once more.
import {
  type Answer,
  BrokenConnection,
  type EngineEndpoint,
  type EngineNetwork,
  Refusal,
  newId,
} from "./engine-double.ts";
import type { ServeHost } from "./serve-host.ts";

const SANDBOX = "attached";
const INSIDE = "eth1";

/** One operator, who attaches one namespace. */
export class OperatorDouble implements AsyncDisposable {
  readonly #host: ServeHost;
  readonly #id = newId();

  private constructor(host: ServeHost) {
    this.#host = host;
  }

  /** With the namespace, which goes with it. */
  static async up(host: ServeHost): Promise<OperatorDouble> {
    await host.exec("ip", "netns", "add", SANDBOX);
    return new OperatorDouble(host);
  }

  /** `tsnet attach --ip`, up to the link in the namespace. @throws Refusal. */
  async attach(network: EngineNetwork, ip: string): Promise<EngineEndpoint> {
    const ids = { NetworkID: network.id, EndpointID: this.#id };
    const owner = { OwnerKind: "netns", OwnerID: `/run/netns/${SANDBOX}`, OwnerName: SANDBOX };
    const body = { ...ids, ...owner, Interface: INSIDE, Address: ip, DefaultRoute: true };
    const { Link, Addresses, MacAddress } = (await this.#ask("Operator.Attach", body)) as unknown as Attached;
    const [address = ""] = Addresses;
    if (!(await this.#isInside())) {
      if (!(await this.#isOnHost(Link))) await this.#ask("Operator.Attach", { ...body, Lost: true });
      await this.#moveIn(Link, address, network.gateway);
    }
    return { network, id: this.#id, address, mac: MacAddress, sandbox: SANDBOX };
  }

  /** `tsnet detach`. @throws Refusal. */
  async detach(network: EngineNetwork): Promise<void> {
    await this.#ask("Operator.Detach", { NetworkID: network.id, EndpointID: this.#id });
  }

  /** `tsnet set NETWORK KEY=VALUE`. @throws Refusal. */
  async setNetwork({ id }: EngineNetwork, options: Readonly<Record<string, string>>): Promise<void> {
    await this.#ask("Operator.SetNetwork", { NetworkID: id, Options: options });
  }

  /** `tsnet set CONTAINER KEY=VALUE`. @returns the endpoint with the address that it has inside by then. @throws Refusal. */
  async setAddress(endpoint: EngineEndpoint, ip: string): Promise<EngineEndpoint> {
    const { network, id, sandbox } = endpoint;
    await this.#ask("Operator.SetEndpoint", { NetworkID: network.id, EndpointID: id, Options: { ip } });
    const address = `${ip}/${endpoint.address.split("/")[1]}`;
    const inside = ["ip", "-netns", sandbox] as const;
    await this.#host.exec(...inside, "address", "flush", "dev", "eth0");
    await this.#host.exec(...inside, "address", "add", address, "dev", "eth0");
    await this.#host.exec(...inside, "route", "replace", "default", "via", network.gateway);
    return { ...endpoint, address };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#host.exec("ip", "netns", "delete", SANDBOX);
  }

  async #ask(verb: string, body: object): Promise<Answer> {
    const { engine } = this.#host;
    const answer = await engine.call(verb, body).catch(async (failure: unknown) => {
      if (!(failure instanceof BrokenConnection)) throw failure;
      await engine.beforeRepeat();
      throw new Refusal("the daemon closed the connection");
    });
    const refusal = answer["Err"] ?? answer["Error"];
    if (typeof refusal === "string" && refusal !== "") throw new Refusal(refusal);
    return answer;
  }

  async #isInside(): Promise<boolean> {
    return await this.#has("ip", "-netns", SANDBOX, "link", "show", "dev", INSIDE);
  }

  async #isOnHost(link: string): Promise<boolean> {
    return await this.#has("ip", "link", "show", "dev", link);
  }

  async #has(...argv: readonly string[]): Promise<boolean> {
    return await this.#host.exec(...argv).then(
      () => true,
      () => false,
    );
  }

  async #moveIn(link: string, address: string, gateway: string): Promise<void> {
    const inside = ["ip", "-netns", SANDBOX] as const;
    await this.#host.exec("ip", "link", "set", "dev", link, "netns", SANDBOX);
    await this.#host.exec(...inside, "link", "set", "dev", link, "name", INSIDE);
    await this.#host.exec(...inside, "address", "add", address, "dev", INSIDE);
    await this.#host.exec(...inside, "link", "set", "dev", INSIDE, "up");
    await this.#host.exec(...inside, "route", "add", "default", "via", gateway);
  }
}

/** What `Operator.Attach` answers, as far as it is looked at. */
interface Attached {
  readonly Link: string;
  readonly Addresses: readonly string[];
  readonly MacAddress: string;
}
