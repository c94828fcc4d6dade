// Runs a history on a remembered host (order-host.ts) beside its model (order-model.ts), and compares after each step: the
// answers, the records, what tsnet knows, the switch, the rules, the ports.
import { isDeepStrictEqual } from "node:util";
import type { Attach } from "../../src/cnm/attachment.ts";
import type { EndpointId } from "../../src/cnm/endpoint.ts";
import type { Network, NetworkId } from "../../src/cnm/network.ts";
import type { EndpointRecord, NetworkRecord } from "../../src/cnm/registry.ts";
import { TsnetError } from "../../src/errors.ts";
import { endpointId, endpointRequest, joinRequest, networkId, networkRequest } from "./cnm-builder.ts";
import { ask } from "./cnm-publishing.ts";
import { NEVER } from "./cnm-rig.ts";
import type { FakeLink } from "./fake-datapath.ts";
import { wordsOf } from "./fake-firewall.ts";
import { poolRequest } from "./ipam-builder.ts";
import { addressFaults, addressesOfNobody, isUse } from "./order-addresses.ts";
import { OWN_NETWORK, withOwnPool } from "./order-engine.ts";
import {
  ATTACHMENTS,
  ENDPOINTS,
  type OrderCall,
  type OrderFault,
  type OrderHistory,
  type OrderStep,
  describeHistory,
  isAttachment,
  networkOf,
} from "./order-history.ts";
import { OrderHost, abortedAfter } from "./order-host.ts";
import { FIRST, FIXED, MAKES, afterLong, canonical, explain, givenAddress, portAtJoin, portOf } from "./order-model.ts";
import { ASKED, addressToSet, isOnce, mtuOfEndpoint, mtuOfNetwork } from "./order-operator.ts";
import { type Answer, EMPTY_MODEL, type Model, type ModelEndpoint, type ModelLink } from "./order-state.ts";

const REFUSALS: ReadonlySet<string> = new Set(["invalid", "not-found", "conflict", "exhausted", "unsupported"]);
const NUMBERS = [...ENDPOINTS, ...ATTACHMENTS] as const;
/** Addresses from there on are chosen by tsnet. */
const FIRST_CHOSEN = 128;
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
    await this.#releaseAddresses(history.some(({ fault }) => fault !== undefined && isOfRecords(fault)));
    await this.#removeAll();
  }

  async #step(step: OrderStep): Promise<void> {
    const { fault } = step;
    if (fault !== undefined) this.#host.arm(fault);
    const signal = fault?.kind === "abort" ? abortedAfter(fault.at) : NEVER;
    const heldBefore = [...this.#host.heldByEngine];
    const answers = await Promise.all(step.calls.map((call) => this.#answer(call, signal)));
    if (this.#host.process.life.isOver) await this.#host.restart();
    this.#host.heal();
    if (fault === undefined || (isUndone(step, fault) && !this.#isRemoving()))
      this.#checkHost("before tsnet looked at the host", "now");
    const answered = step.calls.map((call, at) => ({ call, answer: answers[at] ?? { kind: "none" as const } }));
    await this.#settle();
    const heldByEngine = new Set([...heldBefore, ...this.#host.heldByEngine].map(lastByte));
    this.#adopt(explain({ ...this.#model, heldByEngine }, answered, fault), `answers ${JSON.stringify(answers)}`);
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

  /** What could not be recorded as free is released some time after the next start. */
  async #releaseAddresses(isForgetful: boolean): Promise<void> {
    const { records, heldByEngine } = this.#host;
    if (addressesOfNobody(records, heldByEngine).length === 0) return;
    if (isForgetful) {
      await this.#host.restart();
      await this.#settle();
      this.#passTime(LONG_MS);
      await this.#settle();
    }
    const left = addressesOfNobody(records, heldByEngine);
    if (left.length > 0) throw new Error(`${left.join()} is in use, and nobody has it`);
  }

  /** Every removal succeeds, and nothing is left. */
  async #removeAll(): Promise<void> {
    const removals = {
      DeleteEndpoint: ENDPOINTS, Detach: ATTACHMENTS, ReleasePool: [1, 2, 3], DeleteNetwork: [1, 2, 3],
    } as const; // prettier-ignore
    for (const [verb, all] of Object.entries(removals)) {
      for (const on of all) {
        const { kind } = await this.#answer({ verb: verb as keyof typeof removals, on, variant: 0 }, NEVER); // its own key
        if (kind !== "ok") throw new Error(`at the end ${verb} ${on} was ${kind}`);
      }
    }
    await this.#host.process.engine.releasePool();
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
    const { cnm, engine, reconciler } = this.#host.process;
    const ref = { networkId: networkId(networkOf(on)), endpointId: endpointId(on) };
    switch (verb) {
      case "CreateNetwork":
        await engine.createNetwork(networkOfHistory(on, variant), signal);
        return;
      case "DeleteNetwork":
        await engine.deleteNetwork(networkId(on));
        return;
      case "CreateEndpoint": {
        const address = `10.1.${networkOf(on)}.${givenAddress({ on, variant })}/24`;
        const port = portAtJoin(on);
        const ports = port === undefined ? {} : { portMap: [ask(80, port)] };
        await engine.createEndpoint(endpointRequest(on, networkOf(on), { address, ...ports }), signal);
        return;
      }
      case "DeleteEndpoint":
        await engine.deleteEndpoint(ref);
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
      case "RequestPool":
      case "ReleasePool":
      case "RequestAddress":
      case "ReleaseAddress":
        return this.#makeOfPool({ verb, on, variant });
      default:
        return this.#operate({ verb, on, variant }, signal);
    }
  }

  async #operate({ verb, on, variant }: OrderCall, signal: AbortSignal): Promise<undefined> {
    const { attachments, changes, repair } = this.#host.process;
    const ref = { networkId: networkId(networkOf(on)), endpointId: endpointId(on) };
    const set = (...options: (readonly [string, string])[]) =>
      changes.setEndpoint({ ...ref, options: new Map(options) }, signal);
    if (verb === "Attach") {
      const { linkName } = await attachments.attach(this.#attachRequest({ verb, on, variant }), signal);
      this.#host.datapath.links.delete(linkName); // the command moves it into the namespace
    } else if (verb === "Detach") await attachments.detach(ref);
    else if (verb === "SetMtu") await set(["mtu", `${mtuOfEndpoint(variant)}`]);
    else if (verb === "SetAddress") await set(["ip", `10.1.${networkOf(on)}.${addressToSet({ verb, on, variant })}`]);
    else if (verb === "Repair") await repair.run({ addresses: [] });
    else {
      const mtu = mtuOfNetwork(variant);
      const options = new Map([["mtu", `${mtu}`], ["icc", `${!isClosed(mtu)}`]] as const); // prettier-ignore
      await changes.setNetwork({ networkId: networkId(on), options }, signal);
    }
  }

  #attachRequest({ on, variant }: OrderCall): Attach {
    const isLost = this.#endpointRecord(on) !== undefined && this.#linkOf(on) !== "away";
    return {
      networkId: networkId(networkOf(on)),
      endpointId: endpointId(on),
      owner: { kind: "container", id: `${on}`, name: `c${on}` },
      ifName: "eth1",
      ...(variant === 1 && { address: `10.1.${networkOf(on)}.${ASKED}` }),
      options: new Map(),
      hasDefaultRoute: false,
      routes: [],
      isOnce: isOnce(on),
      isLost,
      isAgain: false,
    };
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
      const { network, state } = record;
      if (network.isIccAllowed === isClosed(network.mtu)) throw new Error(`network ${on} is changed by half`);
      const { mtu: asked } = (network.created ?? network).requested;
      return [[on, { variant: asked === 1400 ? 1 : 0, mtu: network.mtu, isRemoving: state === "removing" }] as const];
    });
    const endpoints = NUMBERS.flatMap((on) => {
      const record = this.#endpointRecord(on);
      return record === undefined ? [] : [[on, this.#observeEndpoint(on, record)] as const];
    });
    return { networks: new Map(networks), endpoints: new Map(endpoints), pools: this.#observePools() };
  }

  #observeEndpoint(on: number, record: EndpointRecord): ModelEndpoint {
    const { endpoint, state, sandboxKey, ports, bindings } = record;
    if (state === "removing") throw new Error(`endpoint ${on} is still being removed`);
    const [port] = ports ?? [];
    const [binding] = networkOf(on) === OWN_NETWORK ? (bindings ?? []) : [];
    const [address, mac] = [lastByte(endpoint.address), Number.parseInt(endpoint.mac.slice(-2), 16)];
    return {
      variant: !isAttachment(on) && mac === ASKED ? 1 : 0,
      mtu: endpoint.mtu,
      address: address >= FIRST_CHOSEN ? 0 : address,
      mac: mac >= FIRST_CHOSEN ? 0 : mac,
      link: this.#linkOf(on),
      ...(state === "joined" && { sandbox: isAttachment(on) ? 0 : Number(sandboxKey?.replace(/^.*-/, "")) }),
      ...(port && { port: port.hostPort }),
      ...(binding && { portAtJoin: binding.hostPort }),
    };
  }

  #observePools(): ReadonlyMap<number, ReadonlySet<number>> {
    const { records } = this.#host;
    const ids = [...records.list("pool").keys()].filter((id) => isOfHistory(id));
    for (const id of ids) {
      // A pool whose answer was lost: which of the two that have its subnet asked for it does not matter.
      if (!this.#poolOfId.has(id)) this.#nameNew(id, this.#askedLast.get(id.replace(/\+.*/, "")) ?? 0);
    }
    const found = new Map(ids.map((id) => [this.#poolOfId.get(id) ?? 0, new Set<number>()] as const));
    for (const [id, body] of records.list("address")) {
      if (!isOfHistory(id)) continue;
      const [poolId = "", address = ""] = id.split("#");
      const inUse = found.get(this.#poolOfId.get(poolId) ?? -1);
      if (inUse === undefined) throw new Error(`the address ${id} has no pool`);
      if (isUse(body)) inUse.add(Number(address.replace(/^.*\./, "")));
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
    const faults = addressFaults(records);
    if (faults.length > 0) throw new Error(`${moment}: ${faults.join(", ")}`);
    const ports = endpoints.flatMap(({ endpoint, ports: own }) =>
      own === undefined ? [] : [[endpoint.endpointId, own]],
    );
    const links = [
      ...networks.map(({ network }) => network.switchName),
      ...endpoints
        .flatMap(({ endpoint }) => [endpoint.hostIfName, endpoint.sandboxIfName])
        .filter((name) => datapath.links.has(name)),
    ];
    const settings = Object.fromEntries(
      networks.flatMap(({ network, state }) => (state === "ready" ? settingsOf(network, joined, datapath.links) : [])),
    );
    const states = <T extends { readonly state: string }>(list: readonly T[], idOf: (record: T) => string) =>
      Object.fromEntries(list.map((record) => [idOf(record), record.state]));
    const networkIdOf = ({ network }: NetworkRecord): NetworkId => network.id;
    const endpointIdOf = ({ endpoint }: EndpointRecord): EndpointId => endpoint.endpointId;
    const expected = {
      links: links.toSorted(),
      settings,
      rules: live.toSorted(),
      elements: Object.fromEntries(joined.map(({ endpoint, ports: own = [] }) => [endpoint.endpointId, wordsOf(own)])),
      held: Object.fromEntries(ports),
      networks: states(networks, networkIdOf),
      endpoints: states(endpoints, endpointIdOf),
    };
    const found = {
      links: [...datapath.links.keys()].toSorted(),
      settings: Object.fromEntries(Object.keys(settings).map((name) => [name, shownOf(datapath.links.get(name))])),
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

/** What a network's switch shall be set to, and the ports of its endpoints, by their names. */
function settingsOf(
  { id, switchName, mtu, isIccAllowed }: Network,
  joined: readonly EndpointRecord[],
  links: ReadonlyMap<string, FakeLink>,
) {
  const endpoints = joined.flatMap(({ endpoint }) =>
    endpoint.networkId === id && links.has(endpoint.hostIfName) ? [endpoint] : [],
  );
  const ports = endpoints.map((each) => [each.hostIfName, { mtu: each.mtu, isIsolated: !isIccAllowed }] as const);
  return [[switchName, { mtu }] as const, ...ports];
}

/** What is set of a link; undefined if there is none, as that of a container that died. */
function shownOf(link: FakeLink | undefined) {
  return link && { mtu: link.mtu, ...(link.guard && { isIsolated: link.guard.isIsolated }) };
}

/** Whether a fault keeps tsnet from writing something down. */
function isOfRecords({ kind }: OrderFault): boolean {
  return kind === "records" || kind.startsWith("crash");
}

/** Whether a pool, or an address of one, is none of a network's. */
function isOfHistory(id: string): boolean {
  return SUBNETS.some((subnet) => subnet !== "" && id.startsWith(subnet));
}

function lastByte(address = ""): number {
  return Number(address.replace(/\/.*/, "").replace(/^.*\./, ""));
}

/** Whether containers of a network may not speak to one another: `SetNetwork` changes both at once. */
function isClosed(mtu: number): boolean {
  return mtu === mtuOfNetwork(0);
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
  return networkRequest(on, options, on === 3 ? { pools: networkRequest(1).pools } : withOwnPool(on));
}
