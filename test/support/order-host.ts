// A remembered host on which tsnet's inside can die: records, switch and rules outlive it, its sockets and all that it was
// about to do do not. A new process finds what the last one left.
import { AttachmentVerbs } from "../../src/cnm/attachment-verbs.ts";
import { Changes } from "../../src/cnm/changes.ts";
import { Cnm } from "../../src/cnm/driver.ts";
import { isInUse } from "../../src/cnm/lost-networks.ts";
import { CnmLocks, type CnmParts } from "../../src/cnm/parts.ts";
import { Reconciler } from "../../src/cnm/reconcile.ts";
import { Registry } from "../../src/cnm/registry.ts";
import { releaseAddresses } from "../../src/cnm/release-addresses.ts";
import { Repair } from "../../src/cnm/repair.ts";
import { TsnetError } from "../../src/errors.ts";
import { Ipam } from "../../src/ipam/driver.ts";
import type { RecordStore } from "../../src/state/record-store.ts";
import { FakeDatapath } from "./fake-datapath.ts";
import { FakeFirewall } from "./fake-firewall.ts";
import { FakePortHolder } from "./fake-port-holder.ts";
import { MemoryStore } from "./memory-store.ts";
import { OrderEngine } from "./order-engine.ts";
import type { OrderFault } from "./order-history.ts";

/** How many turns of the event loop it takes until nothing is under way on a host whose tsnet has died. */
const DRAIN_TURNS = 8;

/** Of a process. What it awaits after its end never comes. */
class Life {
  readonly #end = Promise.withResolvers<void>();
  isOver = false;
  /** Resolves when it ends. */
  readonly over: Promise<void> = this.#end.promise;

  end(): void {
    this.isOver = true;
    this.#end.resolve();
  }
}

/** The same part of the host, as long as the process lives. @param onFailure - of a call, before its caller learns of it. */
function mortal<Part extends object>(part: Part, life: Life, onFailure = () => {}): Part {
  const forever = new Promise<never>(() => {});
  return new Proxy(part, {
    get(target, key) {
      const member: unknown = Reflect.get(target, key, target);
      if (typeof member !== "function") return member;
      return (...args: unknown[]) => {
        if (life.isOver) return forever;
        const result: unknown = Reflect.apply(member, target, args);
        if (!(result instanceof Promise)) return result;
        return result.then(
          (value: unknown) => (life.isOver ? forever : value),
          (failure: unknown) => {
            onFailure();
            if (life.isOver) return forever;
            throw failure;
          },
        );
      };
    },
  });
}

/** One process on a host. */
export class OrderProcess {
  readonly life = new Life();
  readonly engine: OrderEngine;
  readonly cnm: Cnm;
  readonly attachments: AttachmentVerbs;
  readonly changes: Changes;
  readonly repair: Repair;
  readonly ipam: Ipam;
  readonly registry: Registry;
  readonly reconciler: Reconciler;
  readonly ports = new FakePortHolder();
  /** What it logged as an error. */
  readonly errors: string[] = [];

  constructor(host: OrderHost) {
    const { life } = this;
    const endIfAsked = () => {
      if (host.isFailureDeadly) life.end();
    };
    const records = mortal<RecordStore>({
      fault: undefined,
      writeFault: undefined,
      tryAgain: () => {},
 disk: async () => undefined,
      damaged: () => [],
      list: (kind) => host.records.list(kind),
      commit: async (changes) => host.commit(changes, life),
      close: () => {},
    }, life); // prettier-ignore
    const datapath = mortal(host.datapath, life, endIfAsked);
    const firewall = mortal(host.firewall, life);
    const ports = mortal(this.ports, life);
    this.registry = new Registry(records);
    const hostRoutes = { subnets: async () => [] };
    const { registry } = this;
    this.ipam = new Ipam({
      records,
      defaultPools: [],
      hostRoutes,
      isOfNetwork: (space, subnet) => registry.networksWith(space, subnet).length > 0,
      isInUse: async (space, subnet) => {
        const uses = registry.networksWith(space, subnet).map(({ id }) => isInUse(id, registry, datapath));
        return (await Promise.all(uses)).includes(true);
      },
      isStartedByEngine: true,
    });
    const ovs = new FakeDatapath("ovs", host.datapath);
    const datapaths = { bridge: datapath, ovs };
    const pools = this.ipam.ofNetworks;
    const shared = { registry, datapaths, links: datapath, firewall, ports, locks: new CnmLocks(), pools };
    const release: CnmParts["releaseAddresses"] = (network, held) => releaseAddresses(pools, network, held);
    const parts = { ...shared, releaseAddresses: release };
    this.cnm = new Cnm(parts);
    this.engine = new OrderEngine({ cnm: this.cnm, ipam: this.ipam, registry, records, held: host.heldByEngine });
    this.attachments = new AttachmentVerbs(parts);
    this.changes = new Changes(parts);
    const heldForMs = pools.heldForMs.bind(pools);
    this.repair = new Repair({ ...parts, lookAtHost: () => this.reconciler.run(), heldForMs });
    const silent = () => {};
    const error = (fields: object) => void this.errors.push(JSON.stringify(fields));
    this.reconciler = new Reconciler(parts, { debug: silent, info: silent, warn: silent, error });
  }

  /** As the daemon does at start. */
  async recover(): Promise<void> {
    this.registry.load();
    this.ipam.load();
    await this.reconciler.recover(false);
  }
}

/** What is left when a process dies. */
export class OrderHost {
  readonly records = new MemoryStore();
  readonly datapath = new FakeDatapath();
  readonly firewall = new FakeFirewall();
  /** Addresses of networks, CIDRs: see OrderEngine. */
  readonly heldByEngine = new Set<string>();
  /** Whether the process dies of the next failure of the switch. */
  isFailureDeadly = false;
  #process = new OrderProcess(this);
  #deadlyCommit: { readonly number: number; readonly when: "before" | "after" } | undefined;
  #committed = 0;
  #isCrashDue = false;

  get process(): OrderProcess {
    return this.#process;
  }

  async start(): Promise<void> {
    this.firewall.isPolicing = false;
    await this.#process.recover();
  }

  /** The process that was is no more; what it had under way ends where it is. */
  async restart(): Promise<void> {
    this.#process.life.end();
    this.#process.reconciler.close();
    for (let turn = 0; turn < DRAIN_TURNS; turn++) await nextTurn();
    this.heal();
    this.#process = new OrderProcess(this);
    await this.#process.recover();
  }

  /** The fault comes while what follows is done. */
  arm(fault: OrderFault): void {
    const { records, datapath, firewall } = this;
    const { ports, life } = this.#process;
    const { at } = fault;
    const from = records.commitCount;
    switch (fault.kind) {
      case "switch":
        return datapath.failWrite(at, fault.when);
      case "crash at switch":
        this.isFailureDeadly = true;
        return datapath.failWrite(at, fault.when);
      case "records": // one commit, or all from there on: disks are like that
        records.isFailing = (number) => (fault.when === "before" ? number === from + at : number >= from + at);
        return;
      case "crash at records":
        this.#deadlyCommit = { number: this.#committed + at, when: fault.when };
        return;
      case "rules":
        return firewall.fail(
          (["apply", "ensureEndpoint", "removeEndpoint"] as const)[at - 1] ?? "apply",
          1,
          fault.when,
        );
      case "ports":
        return ports.fail("hold", 1);
      case "crash":
        this.#isCrashDue = true;
        return void after(at, () => {
          if (this.#isCrashDue) life.end();
        });
      case "abort":
        return; // comes from the one who calls
    }
  }

  /** Nothing fails any more. */
  heal(): void {
    this.isFailureDeadly = false;
    this.#deadlyCommit = undefined;
    this.#isCrashDue = false;
    this.records.isFailing = () => false;
    this.datapath.heal();
    this.firewall.fail("apply", 0);
    this.#process.ports.fail("hold", 0);
  }

  async commit(changes: Parameters<RecordStore["commit"]>[0], life: Life): Promise<void> {
    this.#committed += 1;
    const deadly = this.#deadlyCommit?.number === this.#committed ? this.#deadlyCommit.when : undefined;
    if (deadly === "before") return life.end();
    await this.records.commit(changes);
    if (deadly === "after") life.end();
  }

  /** Changes of the host and the records so far. */
  get writeCount(): number {
    const { datapath, firewall, records } = this;
    return datapath.writeCount + firewall.writeCount + records.commitCount + this.#process.ports.writeCount;
  }
}

export async function nextTurn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/** Some turns of the event loop later. */
export async function after(turns: number, task = () => {}): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await nextTurn();
  task();
}

/** A signal that aborts some turns later. */
export function abortedAfter(turns: number): AbortSignal {
  const controller = new AbortController();
  void after(turns, () => controller.abort(new TsnetError("unavailable", "the caller has gone")));
  return controller.signal;
}
