// Runs a history on a remembered host (order-host.ts) beside its model (order-model.ts), and compares after each step: the
// answers, the records, what tsnet knows, the switch, the rules, the ports.
import { isDeepStrictEqual } from "node:util";
import type { EndpointId } from "../../src/cnm/endpoint.ts";
import type { NetworkId } from "../../src/cnm/network.ts";
import type { EndpointRecord, NetworkRecord } from "../../src/cnm/registry.ts";
import { TsnetError } from "../../src/errors.ts";
import { endpointId, endpointRequest, joinRequest, networkId, networkRequest } from "./cnm-builder.ts";
import { ask } from "./cnm-publishing.ts";
import { NEVER } from "./cnm-rig.ts";
import { wordsOf } from "./fake-firewall.ts";
import { poolRequest } from "./ipam-builder.ts";
import {
  type OrderCall,
  type OrderFault,
  type OrderHistory,
  type OrderStep,
  describeHistory,
  networkOf,
} from "./order-history.ts";
import { OrderHost, abortedAfter } from "./order-host.ts";
import {
  type Answer,
  EMPTY_MODEL,
  FIRST,
  FIXED,
  MAKES,
  type Model,
  type ModelEndpoint,
  type ModelLink,
  afterLong,
  canonical,
  explain,
  portAtJoin,
  portOf,
} from "./order-model.ts";

const REFUSALS: ReadonlySet<string> = new Set(["invalid", "not-found", "conflict", "exhausted", "unsupported"]);
const NUMBERS = [1, 2, 3, 4] as const;
const LONG_MS = 601_000;

/** The subnets of the pools; the third is the first one once more. */
const SUBNETS: readonly string[] = ["", "10.9.1.0/29", "10.9.2.0/29", "10.9.1.0/29"];

/** @param passTime - makes performance.now() be so many milliseconds later. */
export async function runHistory(history: OrderHistory, passTime: (ms: number) => void): Promise<void> {
  const run = new OrderRun(passTime);
  try {
    await run.through(history);
  } catch (failure) {
    throw new Error(`${describeHistory(history)}\n${String(failure)}`, { cause: failure });
  } finally {
    run.close();
  }
}

class OrderRun {
  readonly #host = new OrderHost();
  readonly #passTime: (ms: number) => void;
  #model: Model = EMPTY_MODEL;
  /** The id that each pool got last. */
  readonly #poolIds = new Map<number, string>();
  readonly #poolOfId = new Map<string, number>();
  /** By subnet. */
  readonly #askedLast = new Map<string, number>();

  constructor(passTime: (ms: number) => void) {
    this.#passTime = passTime;
  }

  close(): void {
    this.#host.process.life.end();
    this.#host.process.reconciler.close();
  }

  async through(history: OrderHistory): Promise<void> {
    await this.#host.start();
    for (const [at, step] of history.entries()) {
      await this.#step(step).catch((failure: unknown) => {
        throw new Error(`step ${at + 1}: ${String(failure)}`, { cause: failure });
      });
    }
    await this.#waitLong();
    await this.#removeAll();
  }

  async #step(step: OrderStep): Promise<void> {
    const { fault } = step;
    if (fault !== undefined) this.#host.arm(fault);
    const signal = fault?.kind === "abort" ? abortedAfter(fault.at) : NEVER;
    const answers = await Promise.all(step.calls.map((call) => this.#answer(call, signal)));
    if (this.#host.process.life.isOver) await this.#host.restart();
    this.#host.heal();
    if (fault === undefined || (isUndone(step, fault) && !this.#isRemoving()))
      this.#checkHost("before tsnet looked at the host", "now");
    const answered = step.calls.map((call, at) => ({ call, answer: answers[at] ?? { kind: "none" as const } }));
    await this.#settle();
    this.#adopt(explain(this.#model, answered, fault), `answers ${JSON.stringify(answers)}`);
  }

  /** An endpoint that gives way to another one, dead as it is, goes later when its removal fails. */
  #isRemoving(): boolean {
    return this.#host.process.registry.endpoints().some(({ state }) => state === "removing");
  }

  /** Two looks at the host: the second one finds nothing to do. */
  async #settle(): Promise<void> {
    const { process } = this.#host;
    await process.reconciler.run();
    const writes = this.#host.writeCount;
    await process.reconciler.run();
    if (this.#host.writeCount !== writes) throw new Error("a second look at the host changed something again");
    this.#checkHost("after tsnet looked at the host", "in the end");
  }

  #adopt(possible: readonly Model[], what: string): void {
    const observed = canonical(this.#observe());
    const found = possible.find((model) => canonical(model) === observed);
    if (found === undefined) {
      const expected = possible.map(canonical).join("\n  or  ");
      throw new Error(
        `${what} from ${canonical(this.#model)}\nfound ${observed}\nexpected ${expected || "other answers"}`,
      );
    }
    this.#model = found;
  }

  /** Nobody uses for long what has no link in a container: it goes, and what containers have stays. */
  async #waitLong(): Promise<void> {
    await this.#settle();
    this.#passTime(LONG_MS);
    await this.#settle();
    this.#adopt([afterLong(this.#model)], "after ten minutes");
  }

  /** Every removal succeeds, and nothing is left. */
  async #removeAll(): Promise<void> {
    const calls = NUMBERS.flatMap((on) => [
      { verb: "DeleteEndpoint", on, variant: 0 } as const,
      ...(on === 4 ? [] : [{ verb: "ReleasePool", on, variant: 0 } as const]),
    ]);
    const networks = [1, 2, 3].map((on) => ({ verb: "DeleteNetwork", on, variant: 0 }) as const);
    for (const call of [...calls, ...networks]) {
      const { kind } = await this.#answer(call, NEVER);
      if (kind !== "ok") throw new Error(`at the end ${call.verb} ${call.on} was ${kind}`);
    }
    const { records, datapath, firewall, process } = this.#host;
    const left = {
      records: (["network", "endpoint", "pool", "address"] as const).flatMap((kind) => [...records.list(kind).keys()]),
      links: [...datapath.links.keys()],
      rules: [...firewall.rules, ...firewall.elements.keys()],
      ports: [...process.ports.held.keys()],
    };
    if (Object.values(left).some((list) => list.length > 0))
      throw new Error(`left at the end: ${JSON.stringify(left)}`);
  }

  /** What the engine learns. */
  async #answer(call: OrderCall, signal: AbortSignal): Promise<Answer> {
    const { life } = this.#host.process;
    const made: Promise<Answer> = this.#make(call, signal).then(
      (address) => (address === undefined ? { kind: "ok" } : { kind: "ok", address }),
      (failure: unknown) => {
        if (!(failure instanceof TsnetError)) throw failure;
        return { kind: REFUSALS.has(failure.code) ? "refused" : "failed" };
      },
    );
    const answer = await Promise.race([made, life.over.then((): Answer => ({ kind: "none" }))]);
    if (call.verb === "Leave") this.#moveBack(call.on);
    return answer;
  }

  async #make({ verb, on, variant }: OrderCall, signal: AbortSignal): Promise<number | undefined> {
    const { cnm, reconciler } = this.#host.process;
    const ref = { networkId: networkId(networkOf(on)), endpointId: endpointId(on) };
    switch (verb) {
      case "CreateNetwork":
        await cnm.createNetwork(networkOfHistory(on, variant), signal);
        return;
      case "DeleteNetwork":
        await cnm.deleteNetwork(networkId(on));
        return;
      case "CreateEndpoint": {
        const address = `10.1.${networkOf(on)}.${variant === 1 ? 100 : 10 + on}/24`;
        const port = portAtJoin(on);
        const ports = port === undefined ? {} : { portMap: [ask(80, port)] };
        await cnm.createEndpoint(endpointRequest(on, networkOf(on), { address, ...ports }), signal);
        return;
      }
      case "DeleteEndpoint":
        await cnm.deleteEndpoint(ref);
        return;
      case "Join": {
        const request = joinRequest(on, networkOf(on), `/var/run/docker/netns/${on}-${variant}`);
        const { sourceName } = await cnm.join(request, signal);
        this.#host.datapath.links.delete(sourceName); // the engine moves it into the container
        return;
      }
      case "Leave":
        await cnm.leave(ref);
        return;
      case "Program":
        await cnm.programExternalConnectivity({ ...ref, portMap: [ask(80, portOf(variant))] }, signal);
        return;
      case "Revoke":
        await cnm.revokeExternalConnectivity(ref);
        return;
      case "Die":
        if (this.#linkOf(on) === "away")
          this.#host.datapath.unplug(this.#endpointRecord(on)?.endpoint.hostIfName ?? "");
        return;
      case "Reconcile":
        await reconciler.run();
        return;
      default:
        return this.#makeOfPool({ verb, on, variant });
    }
  }

  async #makeOfPool({ verb, on, variant }: OrderCall): Promise<number | undefined> {
    const { ipam } = this.#host.process;
    const poolId = this.#poolIds.get(on) ?? "10.9.9.0/29+00000000";
    if (verb === "RequestPool") {
      this.#askedLast.set(SUBNETS[on] ?? "", on);
      const pool = await ipam.requestPool(poolRequest(SUBNETS[on]));
      this.#nameNew(pool.poolId, on);
    } else if (verb === "ReleasePool") {
      await ipam.releasePool(poolId);
    } else if (verb === "ReleaseAddress") {
      await ipam.releaseAddress(poolId, addressOf(on, variant === 1 ? FIXED : FIRST));
    } else {
      const fixed = variant === 1 ? { address: addressOf(on, FIXED) } : {};
      const answer = await ipam.requestAddress({ poolId, isGateway: false, ...fixed });
      return Number(answer.replace(/^.*\./, "").replace("/29", ""));
    }
  }

  /** A pool that the engine may not have learned of is given to whoever asks for it next. */
  #nameNew(poolId: string, on: number): void {
    const former = this.#poolOfId.get(poolId);
    if (former !== undefined) this.#poolIds.delete(former);
    this.#poolIds.set(on, poolId);
    this.#poolOfId.set(poolId, on);
  }

  /** After Leave, whatever its answer, the engine takes the link out of the container. */
  #moveBack(on: number): void {
    const { datapath } = this.#host;
    const names = this.#endpointRecord(on)?.endpoint;
    if (names === undefined || this.#linkOf(on) !== "away") return;
    datapath.plant(names.sandboxIfName, { kind: "sandbox", mac: names.mac, mtu: names.mtu });
  }

  #endpointRecord(on: number): EndpointRecord | undefined {
    const records = this.#host.records.list("endpoint");
    return records.get(endpointId(on)) as EndpointRecord | undefined; // written by the registry
  }

  #linkOf(on: number): ModelLink {
    const { links } = this.#host.datapath;
    const names = this.#endpointRecord(on)?.endpoint;
    if (names === undefined || !links.has(names.hostIfName)) return "none";
    return links.has(names.sandboxIfName) ? "host" : "away";
  }

  /** The records and the links, in the model's words. */
  #observe(): Model {
    const { records } = this.#host;
    const networks = [1, 2, 3].flatMap((on) => {
      const record = records.list("network").get(networkId(on)) as NetworkRecord | undefined; // written by the registry
      if (record === undefined) return [];
      if (record.state === "creating") throw new Error(`network ${on} is still being made`);
      const isRemoving = record.state === "removing";
      return [[on, { variant: record.network.mtu === 1400 ? 1 : 0, isRemoving }] as const];
    });
    const endpoints = NUMBERS.flatMap((on) => {
      const record = this.#endpointRecord(on);
      return record === undefined ? [] : [[on, this.#observeEndpoint(on, record)] as const];
    });
    return { networks: new Map(networks), endpoints: new Map(endpoints), pools: this.#observePools() };
  }

  #observeEndpoint(on: number, { endpoint, state, sandboxKey, ports, bindings }: EndpointRecord): ModelEndpoint {
    if (state === "removing") throw new Error(`endpoint ${on} is still being removed`);
    const [port] = ports ?? [];
    const [binding] = networkOf(on) === 2 ? (bindings ?? []) : [];
    return {
      variant: endpoint.address?.endsWith(".100/24") === true ? 1 : 0,
      link: this.#linkOf(on),
      ...(state === "joined" && { sandbox: Number(sandboxKey?.replace(/^.*-/, "")) }),
      ...(port && { port: port.hostPort }),
      ...(binding && { portAtJoin: binding.hostPort }),
    };
  }

  #observePools(): ReadonlyMap<number, ReadonlySet<number>> {
    const { records } = this.#host;
    for (const id of records.list("pool").keys()) {
      // A pool whose answer was lost: which of the two that have its subnet asked for it does not matter.
      if (!this.#poolOfId.has(id)) this.#nameNew(id, this.#askedLast.get(id.replace(/\+.*/, "")) ?? 0);
    }
    const pools = [...records.list("pool").keys()].map(
      (id) => [this.#poolOfId.get(id) ?? 0, new Set<number>()] as const,
    );
    const found = new Map(pools);
    for (const [id, body] of records.list("address")) {
      const [poolId = "", address = ""] = id.split("#");
      const inUse = found.get(this.#poolOfId.get(poolId) ?? -1);
      if (inUse === undefined) throw new Error(`the address ${id} has no pool`);
      if (typeof body === "object" && body !== null && "use" in body) inUse.add(Number(address.replace(/^.*\./, "")));
    }
    return found;
  }

  /** The host is what the records say, and so is what tsnet knows. What is being removed may still have rules now. */
  #checkHost(moment: string, when: "now" | "in the end"): void {
    const { records, datapath, firewall, process } = this.#host;
    const networks = [...records.list("network").values()] as NetworkRecord[]; // written by the registry
    const endpoints = [...records.list("endpoint").values()] as EndpointRecord[]; // written by the registry
    const joined = endpoints.filter(({ state }) => state === "joined");
    const inUse = new Set(joined.map(({ endpoint }) => endpoint.networkId));
    const live = networks.flatMap(({ network: { id }, state }) => (state !== "removing" || inUse.has(id) ? [id] : []));
    const isOwed = (id: string) => when === "in the end" || live.some((other) => other === id);
    const ports = endpoints.flatMap(({ endpoint, ports: own }) =>
      own === undefined ? [] : [[endpoint.endpointId, own]],
    );
    const links = [
      ...networks.map(({ network }) => network.switchName),
      ...endpoints
        .flatMap(({ endpoint }) => [endpoint.hostIfName, endpoint.sandboxIfName])
        .filter((name) => datapath.links.has(name)),
    ];
    const states = <T extends { readonly state: string }>(list: readonly T[], idOf: (record: T) => string) =>
      Object.fromEntries(list.map((record) => [idOf(record), record.state]));
    const networkIdOf = ({ network }: NetworkRecord): NetworkId => network.id;
    const endpointIdOf = ({ endpoint }: EndpointRecord): EndpointId => endpoint.endpointId;
    const expected = {
      links: links.toSorted(),
      rules: live.toSorted(),
      elements: Object.fromEntries(joined.map(({ endpoint, ports: own = [] }) => [endpoint.endpointId, wordsOf(own)])),
      held: Object.fromEntries(ports),
      networks: states(networks, networkIdOf),
      endpoints: states(endpoints, endpointIdOf),
    };
    const found = {
      links: [...datapath.links.keys()].toSorted(),
      rules: firewall.rules.filter(isOwed).toSorted(),
      elements: Object.fromEntries(firewall.elements),
      held: Object.fromEntries(process.ports.held),
      networks: states(process.registry.networks(), networkIdOf),
      endpoints: states(process.registry.endpoints(), endpointIdOf),
    };
    if (isDeepStrictEqual(found, expected)) return;
    throw new Error(`${moment} the host is ${JSON.stringify(found)}\nand the records say ${JSON.stringify(expected)}`);
  }
}

/** Whether a fault leaves nothing: it came once, while things were made. */
function isUndone({ calls }: OrderStep, fault: OrderFault): boolean {
  const isSingle = !fault.kind.startsWith("crash") && !(fault.kind === "records" && fault.when === "after");
  return isSingle && calls.every(({ verb }) => MAKES.has(verb));
}

function addressOf(pool: number, last: number): string {
  return (SUBNETS[pool] ?? "").replace("0/29", String(last));
}

/** 1 is plain, 2 has no gateway for its endpoints, 3 has the subnet of 1. With variant 1 the MTU is another one. */
function networkOfHistory(on: number, variant: number) {
  const options = { ...(variant === 1 && { mtu: "1400" }), ...(on === 2 && { gateway: "none" }) };
  return networkRequest(on, options, on === 3 ? { pools: networkRequest(1).pools } : {});
}
