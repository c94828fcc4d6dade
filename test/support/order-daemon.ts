// Runs a history against the real daemon on the real kernel, beside its model: callers that go away close their connection,
// a crash is SIGKILL, a container is a network namespace. What the daemon says of itself and what ip(8) lists is compared.
import { request } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { SOCKET } from "./lab-serve.ts";
import { type Census, diffCensus } from "./census.ts";
import { endpointId, networkId } from "./cnm-builder.ts";
import { endpointBody, ids, networkBody, portMap } from "./daemon-calls.ts";
import { type OrderCall, type OrderHistory, type OrderStep, describeHistory, networkOf } from "./order-history.ts";
import { FIRST, FIXED, canonical, explain, forgotten, portAtJoin, portOf } from "./order-model.ts";
import { ASKED } from "./order-operator.ts";
import { OrderPools, addressOf } from "./order-pools.ts";
import { type Answer, EMPTY_MODEL, type Model, type ModelLink } from "./order-state.ts";
import type { ServeHost, ShownLink } from "./serve-host.ts";
import { listRecords } from "./system-records.ts";
import { waitUntil } from "./wait-until.ts";

const GENERIC = "com.docker.network.generic";
const PORT_MAP = "com.docker.network.portmap";
const ENDPOINTS = [1, 2, 3, 4] as const;

/** Of a fault's `at`: most calls take some milliseconds. */
const MS_PER_HUNDREDTH = 0.2;

/** So long tsnet bears with endpoints that no container has (lost-endpoints.ts). */
const GRACE_MS = 20_000;

/** It looks at the host when it likes: of calls that were made at once also between two. */
const LOOK = { call: { verb: "Reconcile", on: 1, variant: 0 }, answer: { kind: "ok" } } as const;

/** By the code of the error; its text is all that comes over the wire. */
const FAULTS_OF_THE_DAEMON = /closed its connection|was stopped before|shutting down|still recovering/;

/** A caller has gone, or the daemon has. */
class Gone extends Error {}

/** One host for many histories. */
export class OrderDaemon {
  readonly #host: ServeHost;
  readonly #socket: string;
  #before: Census = {};
  #models: readonly Model[] = [EMPTY_MODEL];
  #pools = new OrderPools();
  /** By performance.now(). */
  #begunAt = 0;
  readonly #sandboxLinks = new Map<number, string>();
  /** The last one of each endpoint's link. */
  readonly #moves = new Map<number, Promise<void>>();

  constructor(host: ServeHost) {
    this.#host = host;
    this.#socket = host.namespace.outside(SOCKET);
  }

  /** Makes the containers, and what the first network of a host leaves. */
  async prepare(): Promise<void> {
    for (const on of ENDPOINTS) await this.#host.exec("ip", "netns", "add", container(on));
    await this.#call("NetworkDriver.CreateNetwork", networkBody(99));
    await this.#call("NetworkDriver.DeleteNetwork", { NetworkID: networkId(99) });
    this.#before = await this.#census();
  }

  /** @throws Error with the history. */
  async run(history: OrderHistory): Promise<void> {
    [this.#models, this.#pools, this.#begunAt] = [[EMPTY_MODEL], new OrderPools(), performance.now()];
    let at = 0;
    try {
      for (const step of history) {
        at += 1;
        await this.#step(step);
      }
    } catch (failure) {
      await this.#removeAll().catch(() => {});
      throw new Error(`${describeHistory(history)}\nstep ${at}: ${String(failure)}`, { cause: failure });
    }
    await this.#removeAll();
    let left: readonly string[] = [];
    const isClean = async () => (left = diffCensus(this.#before, await this.#census())).length === 0;
    await waitUntil("nothing to be left", isClean).catch(() => {});
    if (left.length > 0) throw new Error(`${describeHistory(history)}\nleft at the end:\n${left.join("\n")}`);
  }

  async #step({ calls, fault }: OrderStep): Promise<void> {
    const controller = new AbortController();
    const answering = Promise.all(calls.map((call) => this.#answer(call, controller.signal)));
    if (fault !== undefined) await pause(fault.at * MS_PER_HUNDREDTH);
    if (fault?.kind === "abort") controller.abort();
    if (fault?.kind === "crash") await this.#host.serve.kill9();
    const answers = await answering;
    if (fault?.kind === "crash") await this.#host.serve.startAgain();
    const answered = calls.map((call, at) => ({ call, answer: answers[at] ?? { kind: "none" as const } }));
    const looks = calls.length > 1 ? [LOOK] : [];
    const before = this.#models.flatMap((model) => this.#afterWait(model));
    const after = before.flatMap((model) => explain(model, [...answered, ...looks], fault));
    const possible = after.flatMap((model) => this.#afterWait(model));
    const blurs = new Set(possible.map(blurred));
    let last = "";
    const settled = async () => {
      last = blurred(await this.#observe());
      return blurs.has(last) && last;
    };
    const found = await waitUntil("the host to be as the model", settled, { limitMs: 10_000, intervalMs: 20 }).catch(
      () => "",
    );
    if (found === "") {
      const expected = [...blurs].join("\n  or  ") || "other answers";
      throw new Error(`answers ${JSON.stringify(answers)}\nfound ${last}\nexpected ${expected}`);
    }
    this.#models = [
      ...new Map(possible.filter((each) => blurred(each) === found).map((each) => [canonical(each), each])).values(),
    ];
  }

  /** A slow machine may be so slow that tsnet takes some endpoints for forgotten. */
  #afterWait(model: Model): readonly Model[] {
    return performance.now() - this.#begunAt < GRACE_MS ? [model] : forgotten(model);
  }

  async #answer(call: OrderCall, signal: AbortSignal): Promise<Answer> {
    const answer = await this.#make(call, signal).catch((failure: unknown): Answer => {
      if (failure instanceof Gone) return { kind: "none" };
      throw failure;
    });
    if (call.verb === "Leave")
      await this.#move(call.on, "-netns", container(call.on), "link", "set", this.#sandboxLink(call.on), "netns", "1");
    return answer;
  }

  /** In the order of the answers: what is taken out after a Leave is not what a Join after it has brought. */
  async #move(on: number, ...args: readonly string[]): Promise<void> {
    const former = this.#moves.get(on) ?? Promise.resolve();
    const move = former.then(() => this.#ip(...args)).catch(() => {});
    this.#moves.set(on, move);
    await move;
  }

  async #make({ verb, on, variant }: OrderCall, signal: AbortSignal): Promise<Answer> {
    const network = networkOf(on);
    const own = ids(on, network);
    switch (verb) {
      case "CreateNetwork": {
        const options = { ...(variant === 1 && { mtu: "1400" }), ...(on === 2 && { gateway: "none" }) };
        const subnet = `10.1.${on === 3 ? 1 : on}.0/24`;
        return toAnswer(await this.#call("NetworkDriver.CreateNetwork", networkBody(on, { options, subnet }), signal));
      }
      case "DeleteNetwork":
        return toAnswer(await this.#call("NetworkDriver.DeleteNetwork", { NetworkID: networkId(on) }, signal));
      case "CreateEndpoint": {
        const body = endpointBody(on, { network, address: `10.1.${network}.${variant === 1 ? 100 : 10 + on}/24` });
        const port = portAtJoin(on);
        const Options = port === undefined ? {} : { [PORT_MAP]: portMap(port) };
        return toAnswer(await this.#call("NetworkDriver.CreateEndpoint", { ...body, Options }, signal));
      }
      case "DeleteEndpoint":
        return toAnswer(await this.#call("NetworkDriver.DeleteEndpoint", own, signal));
      case "Join": {
        const key = `/var/run/docker/netns/${on}-${variant}`;
        const reply = await this.#call("NetworkDriver.Join", { ...own, SandboxKey: key }, signal);
        const answer = toAnswer(reply);
        if (answer.kind !== "ok") return answer;
        const { SrcName } = reply["InterfaceName"] as { SrcName: string }; // cnm-protocol.md 2.8
        this.#sandboxLinks.set(on, SrcName);
        await this.#move(on, "link", "set", SrcName, "netns", container(on));
        return answer;
      }
      case "Leave":
        return toAnswer(await this.#call("NetworkDriver.Leave", own, signal));
      case "Program": {
        const Options = { [PORT_MAP]: portMap(portOf(variant)), [GENERIC]: {} };
        return toAnswer(await this.#call("NetworkDriver.ProgramExternalConnectivity", { ...own, Options }, signal));
      }
      case "Revoke":
        return toAnswer(await this.#call("NetworkDriver.RevokeExternalConnectivity", own, signal));
      case "Die":
        await this.#ip("-netns", container(on), "link", "delete", this.#sandboxLink(on)).catch(() => {});
        return { kind: "ok" };
      case "Reconcile": // of its own accord
        return { kind: "ok" };
      default:
        return this.#makeOfPool({ verb, on, variant }, signal);
    }
  }

  async #makeOfPool({ verb, on, variant }: OrderCall, signal: AbortSignal): Promise<Answer> {
    const PoolID = this.#pools.idOf(on);
    if (verb === "RequestPool") {
      const body = { AddressSpace: "tsnet", Pool: this.#pools.ask(on), SubPool: "", Options: {}, V6: false };
      const reply = await this.#call("IpamDriver.RequestPool", body, signal);
      const id = reply["PoolID"];
      if (typeof id === "string") this.#pools.name(id, on);
      return toAnswer(reply);
    }
    if (verb === "ReleasePool") return toAnswer(await this.#call("IpamDriver.ReleasePool", { PoolID }, signal));
    if (verb === "ReleaseAddress") {
      const Address = addressOf(on, variant === 1 ? FIXED : FIRST);
      return toAnswer(await this.#call("IpamDriver.ReleaseAddress", { PoolID, Address }, signal));
    }
    const Address = variant === 1 ? addressOf(on, FIXED) : "";
    const reply = await this.#call("IpamDriver.RequestAddress", { PoolID, Address, Options: {} }, signal);
    const given = reply["Address"];
    return typeof given === "string"
      ? { kind: "ok", address: Number(given.replace(/^.*\.|\/29/g, "")) }
      : toAnswer(reply);
  }

  /** A call whose connection breaks is repeated empty, as the engine does it, as soon as there is a daemon. */
  async #call(verb: string, body: object, signal?: AbortSignal): Promise<Readonly<Record<string, unknown>>> {
    try {
      return await this.#once(verb, JSON.stringify(body), signal);
    } catch (failure) {
      if (!(failure instanceof Gone) || signal?.aborted !== true) throw failure;
      const refused = await this.#once(verb, "");
      if (!String(refused["Err"]).includes("the body is empty"))
        throw new Error(`an empty ${verb} was taken`, { cause: failure });
      throw failure;
    }
  }

  async #once(verb: string, text: string, signal?: AbortSignal): Promise<Readonly<Record<string, unknown>>> {
    const { promise, resolve, reject } = Promise.withResolvers<Readonly<Record<string, unknown>>>();
    const where = { socketPath: this.#socket, path: `/${verb}`, method: "POST", agent: false, timeout: 30_000 };
    const call = request(
      { ...where, headers: { "Content-Length": Buffer.byteLength(text) }, ...(signal && { signal }) },
      (response) => {
        let reply = "";
        response.setEncoding("utf8");
        response.on("data", (part: string) => (reply += part));
        response.on("end", () => resolve(JSON.parse(reply) as Record<string, unknown>)); // every answer of tsnet is JSON
        response.on("error", (cause) => reject(new Gone(verb, { cause })));
      },
    );
    call.on("timeout", () => call.destroy(new Error(`${verb} has had no answer for 30 s`)));
    call.on("error", (cause) => reject(new Gone(`${verb}: ${cause.message}`, { cause })));
    call.end(text);
    return promise;
  }

  async #observe(): Promise<Model> {
    const [status, links] = await Promise.all([this.#status(), this.#links()]);
    const networks = new Map(
      status.networks.map(({ id, mtu, state }) => {
        return [
          numberOf(id, networkId),
          { variant: mtu === 1400 ? 1 : 0, mtu, isRemoving: state === "removing" },
        ] as const;
      }),
    );
    const endpoints = status.networks.flatMap((network) =>
      network.endpoints.map(({ id, state, addresses, ports }) => {
        const on = numberOf(id, endpointId);
        const host = links.find(({ ifalias }) => ifalias === `tsnet:endpoint:${id}`);
        const isOnHost = links.some(({ ifname }) => ifname === host?.ifname.replace(/^tsv/, "tsc"));
        const link: ModelLink = host === undefined ? "none" : isOnHost ? "host" : "away";
        const [port] = ports;
        const address = Number(addresses[0]?.replace(/^.*\.|\/.*$/g, ""));
        const made = { variant: address === ASKED ? 1 : 0, address, ...UNSEEN } as const;
        return [
          on,
          { ...made, link, ...(state === "joined" && { sandbox: 0 }), ...(port && { port: port.hostPort }) },
        ] as const;
      }),
    );
    return { networks, endpoints: new Map(endpoints), pools: this.#observePools() };
  }

  #observePools(): ReadonlyMap<number, ReadonlySet<number>> {
    const lines = listRecords(this.#host.serve.stateDir).map((line) => line.split(" "));
    const pools = new Map<string, Set<number>>();
    for (const [kind, id = ""] of lines) if (kind === "pool") pools.set(id, new Set());
    for (const [kind, id = ""] of lines) {
      if (kind === "address") pools.get(id.replace(/#.*/, ""))?.add(Number(id.replace(/^.*\./, "")));
    }
    return new Map([...pools].map(([id, inUse]) => [this.#pools.numberOf(id), inUse]));
  }

  async #status(): Promise<Status> {
    const { promise, resolve, reject } = Promise.withResolvers<Status>();
    const call = request({ socketPath: this.#socket, path: "/status", agent: false }, (response) => {
      let reply = "";
      response.on("data", (part: Buffer) => (reply += part.toString()));
      response.on("end", () => resolve(JSON.parse(reply) as Status)); // status-read.ts
    });
    call.on("error", reject).end();
    return promise;
  }

  /** The end for the container, which the last Join told. */
  #sandboxLink(on: number): string {
    return this.#sandboxLinks.get(on) ?? `tsc${endpointId(on).slice(0, 12)}`;
  }

  async #links(): Promise<readonly ShownLink[]> {
    return JSON.parse(await this.#host.exec("ip", "-json", "link")) as ShownLink[]; // ip-link(8)
  }

  /** Every removal succeeds. */
  async #removeAll(): Promise<void> {
    const calls = [
      ...ENDPOINTS.flatMap((on) => [
        ["NetworkDriver.Leave", ids(on, networkOf(on))] as const,
        ["NetworkDriver.DeleteEndpoint", ids(on, networkOf(on))] as const,
      ]),
      ...[1, 2, 3].map((on) => ["NetworkDriver.DeleteNetwork", { NetworkID: networkId(on) }] as const),
      ...this.#pools.ids().map((PoolID) => ["IpamDriver.ReleasePool", { PoolID }] as const),
    ];
    for (const [verb, body] of calls) {
      const answer = toAnswer(await this.#call(verb, body));
      if (answer.kind !== "ok") throw new Error(`at the end ${verb} was ${answer.kind}`);
    }
  }

  async #ip(...args: readonly string[]): Promise<void> {
    await this.#host.exec("ip", ...args);
  }

  /** Without what differs from one life of the daemon to the next. */
  async #census(): Promise<Census> {
    const { "open files": _files, processes: _processes, ...rest } = await this.#host.census();
    return rest;
  }
}

/** What status-read.ts writes, as far as it is looked at. */
interface Status {
  readonly networks: readonly {
    readonly id: string;
    readonly state: string;
    readonly mtu: number;
    readonly endpoints: readonly {
      readonly id: string;
      readonly state: string;
      readonly addresses: readonly string[];
      readonly ports: readonly { readonly hostPort: number }[];
    }[];
  }[];
}

/** Of an endpoint, what is not looked at. */
const UNSEEN = { mtu: 0, mac: 0 } as const;

/** A model without what cannot be seen from outside: which sandbox, and what is published later. */
function blurred(model: Model): string {
  const endpoints = [...model.endpoints].map(([on, { variant, address, link, sandbox, port }]) => {
    return [
      on,
      {
        variant,
        address,
        ...UNSEEN,
        link,
        ...(sandbox !== undefined && { sandbox: 0 }),
        ...(port !== undefined && { port }),
      },
    ] as const;
  });
  return canonical({ ...model, endpoints: new Map(endpoints) });
}

function toAnswer(reply: Readonly<Record<string, unknown>>): Answer {
  const text = reply["Err"] ?? reply["Error"];
  if (typeof text !== "string" || text === "") return { kind: "ok" };
  return { kind: FAULTS_OF_THE_DAEMON.test(text) ? "failed" : "refused" };
}

function container(on: number): string {
  return `c${on}`;
}

function numberOf(id: string, make: (n: number) => string): number {
  return ENDPOINTS.find((n) => make(n) === id) ?? 0;
}
