// The NetworkDriver verbs on a remembered host: records in memory, a fake switch, a fake firewall.
import { Cnm } from "../../src/cnm/driver.ts";
import { CnmLocks } from "../../src/cnm/parts.ts";
import { Reconciler } from "../../src/cnm/reconcile.ts";
import { Registry } from "../../src/cnm/registry.ts";
import type { CreateEndpoint, CreateNetwork, Join, JoinResult } from "../../src/cnm/requests.ts";
import { FakeDatapath } from "./fake-datapath.ts";
import { FakeFirewall } from "./fake-firewall.ts";
import { MemoryStore } from "./memory-store.ts";

/** One line of the log. */
export interface LogLine {
  readonly level: string;
  readonly fields: object;
  readonly message: string;
}

/** A signal that never aborts. */
export const NEVER: AbortSignal = new AbortController().signal;

/** A daemon's inside without the socket. */
export class CnmRig {
  readonly records: MemoryStore;
  readonly datapath: FakeDatapath;
  readonly firewall: FakeFirewall;
  readonly registry: Registry;
  readonly cnm: Cnm;
  readonly reconciler: Reconciler;
  readonly logged: LogLine[] = [];
  /** Endpoints whose addresses were given back to IPAM because the engine forgot them. */
  readonly released: string[] = [];

  /** @param before - whose records and host are taken over, as by a daemon that was started anew. */
  constructor(before?: Pick<CnmRig, "records" | "datapath" | "firewall">) {
    this.records = before?.records.reopened() ?? new MemoryStore();
    this.datapath = before?.datapath ?? new FakeDatapath();
    this.firewall = before?.firewall ?? new FakeFirewall();
    this.firewall.isPolicing = before === undefined;
    this.registry = new Registry(this.records);
    this.registry.load();
    const { registry, datapath, firewall } = this;
    const releaseAddresses = async (_: unknown, { endpointId }: { endpointId: string }) =>
      void this.released.push(endpointId);
    const parts = { registry, datapath, firewall, locks: new CnmLocks(), releaseAddresses };
    this.cnm = new Cnm(parts);
    const at = (level: string) => (fields: object, message: string) =>
      void this.logged.push({ level, fields, message });
    const log = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
    this.reconciler = new Reconciler(parts, log);
  }

  createNetwork(request: CreateNetwork, signal = NEVER): Promise<void> {
    return this.cnm.createNetwork(request, signal);
  }

  createEndpoint(request: CreateEndpoint, signal = NEVER): Promise<{ readonly mac?: string }> {
    return this.cnm.createEndpoint(request, signal);
  }

  /** Joins, and moves the link out of sight as the engine does. */
  async join(request: Join, signal = NEVER): Promise<JoinResult> {
    const result = await this.cnm.join(request, signal);
    this.datapath.links.delete(result.sourceName);
    return result;
  }

  /** Host, rules and records, for comparing before and after. Identities of links are left out. */
  state(): object {
    const links = Object.entries(this.datapath.snapshot()).map(([name, link]) => [
      name,
      { ...(link as object), identity: 0 },
    ]);
    return {
      links: Object.fromEntries(links) as object,
      rules: this.firewall.rules,
      networks: Object.fromEntries(this.records.list("network")),
      endpoints: Object.fromEntries(this.records.list("endpoint")),
    };
  }

  /** Changes of host, rules and records so far. */
  get writeCount(): number {
    return this.datapath.writeCount + this.firewall.writeCount + this.records.commitCount;
  }
}
