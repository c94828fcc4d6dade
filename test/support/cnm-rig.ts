// The NetworkDriver verbs on a remembered host: records in memory, a fake switch, a fake firewall, fake ports.
import { AttachmentVerbs } from "../../src/cnm/attachment-verbs.ts";
import type { ChangeVerbs } from "../../src/cnm/change-requests.ts";
import { Changes } from "../../src/cnm/changes.ts";
import { Cnm } from "../../src/cnm/driver.ts";
import type { PoolKeeper } from "../../src/cnm/pool-keeper.ts";
import type { Endpoint, EndpointId } from "../../src/cnm/endpoint.ts";
import type { Network } from "../../src/cnm/network.ts";
import { CnmLocks, type CnmParts } from "../../src/cnm/parts.ts";
import { Reconciler } from "../../src/cnm/reconcile.ts";
import { Registry } from "../../src/cnm/registry.ts";
import { releaseAddresses } from "../../src/cnm/release-addresses.ts";
import type {
  CreateEndpoint,
  CreateNetwork,
  Join,
  JoinResult,
  ProgramExternalConnectivity,
} from "../../src/cnm/requests.ts";
import { FakeDatapath } from "./fake-datapath.ts";
import { FakeFirewall, wordsOf } from "./fake-firewall.ts";
import { FakePortHolder } from "./fake-port-holder.ts";
import { MemoryStore } from "./memory-store.ts";

/** One line of the log. */
export interface LogLine {
  readonly level: string;
  readonly fields: object;
  readonly message: string;
}

/** A signal that never aborts. */
export const NEVER: AbortSignal = new AbortController().signal;

/** What `CnmRig.state` is when nothing is left. */
export const NOTHING = { links: {}, rules: [], elements: {}, held: {}, networks: {}, endpoints: {} } as const;

/** As where another IPAM driver gave the pools. */
export const OTHER_IPAM: PoolKeeper = {
  count: () => undefined,
  idForNew: () => undefined,
  claim: () => {},
  refuse: () => {},
  release: async () => {},
  requestAddress: async () => {
    throw new Error("tsnet's own IPAM has no such pool");
  },
  releaseAddress: async () => {},
  listOfFormerLife: () => [],
};

type AddressesOf = Pick<Endpoint, "endpointId" | "address" | "addressIpv6">;

/** A daemon's inside without the socket. */
export class CnmRig {
  readonly records: MemoryStore;
  /** Linux bridges, and the host's links. */
  readonly datapath: FakeDatapath;
  /** Open vSwitch on the same host. */
  readonly ovs: FakeDatapath;
  readonly firewall: FakeFirewall;
  readonly ports: FakePortHolder;
  readonly registry: Registry;
  /** All that the verbs work with. */
  readonly parts: CnmParts;
  readonly cnm: Cnm;
  readonly attachments: AttachmentVerbs;
  readonly changes: ChangeVerbs;
  readonly reconciler: Reconciler;
  readonly logged: LogLine[] = [];
  /** What the reconciler repaired, and `fault CODE` for what it could not. */
  readonly repairs: string[] = [];
  /** Of what each was. */
  readonly repaired: { readonly networkId?: string | undefined; readonly endpointId?: string | undefined }[] = [];
  /** Endpoints whose addresses were given back to IPAM because the engine forgot them. */
  readonly released: string[] = [];
  /** Their addresses. */
  readonly releasedAddresses: string[] = [];

  /** @param before - whose records and host are taken over, as by a daemon that was started anew: it holds no port. @param pools - tsnet's own IPAM. */
  constructor(before?: Pick<CnmRig, "records" | "datapath" | "firewall">, pools = OTHER_IPAM) {
    this.records = before?.records.reopened() ?? new MemoryStore();
    this.datapath = before?.datapath ?? new FakeDatapath();
    this.ovs = new FakeDatapath("ovs", this.datapath);
    this.firewall = before?.firewall ?? new FakeFirewall();
    this.firewall.isPolicing = before === undefined;
    this.ports = new FakePortHolder();
    this.registry = new Registry(this.records);
    this.registry.load();
    const { registry, datapath, firewall, ports } = this;
    const release = async (network: Network, { endpointId, address, addressIpv6 }: AddressesOf) => {
      this.released.push(endpointId);
      const held = { ...(address !== undefined && { address }), ...(addressIpv6 !== undefined && { addressIpv6 }) };
      this.releasedAddresses.push(...Object.values(held));
      await releaseAddresses(pools, network, held);
    };
    const datapaths = { bridge: datapath, ovs: this.ovs };
    const locks = new CnmLocks();
    const parts = { registry, datapaths, links: datapath, firewall, ports, locks, pools, releaseAddresses: release };
    this.parts = parts;
    this.cnm = new Cnm(parts);
    this.attachments = new AttachmentVerbs(parts);
    this.changes = new Changes(parts);
    const at = (level: string) => (fields: object, message: string) =>
      void this.logged.push({ level, fields, message });
    const log = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
    this.reconciler = new Reconciler(parts, log, {
      noteRepair: (what, { networkId, endpointId } = {}) => {
        this.repairs.push(what);
        this.repaired.push({ networkId, endpointId });
      },
      noteFault: (code) => void this.repairs.push(`fault ${code}`),
    });
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

  publish(request: ProgramExternalConnectivity, signal = NEVER): Promise<void> {
    return this.cnm.programExternalConnectivity(request, signal);
  }

  /** What the endpoint publishes, as the rules, the sockets and the record have it: words such as `tcp *:8080>80`. */
  published(endpointId: EndpointId): { rules: readonly string[]; held: readonly string[]; record: readonly string[] } {
    return {
      rules: this.firewall.elements.get(endpointId) ?? [],
      held: wordsOf(this.ports.heldBy(endpointId)),
      record: wordsOf(this.registry.findEndpoint(endpointId)?.ports ?? []),
    };
  }

  /** Writes down every step from now on, in order: records, ports, rules, switch. */
  steps(): readonly string[] {
    const steps: string[] = [];
    const putEndpoint = this.registry.putEndpoint.bind(this.registry);
    this.registry.putEndpoint = async (record) => {
      steps.push(`record ${record.state}${record.ports === undefined ? "" : ` ${wordsOf(record.ports).join()}`}`);
      await putEndpoint(record);
    };
    const removeEndpoint = this.registry.removeEndpoint.bind(this.registry);
    this.registry.removeEndpoint = async (id) => {
      steps.push("record gone");
      await removeEndpoint(id);
    };
    for (const part of [this.datapath, this.ovs, this.firewall, this.ports]) {
      part.onCall = (call) => void (call !== "isNameTaken" && steps.push(call));
    }
    return steps;
  }

  /** Host, rules and records, for comparing before and after. Identities of links are left out. */
  state(): object {
    const links = Object.entries(this.datapath.snapshot()).map(([name, link]) => [
      name,
      { isHairpin: false, ...(link as object), identity: 0 },
    ]);
    return {
      links: Object.fromEntries(links) as object,
      rules: this.firewall.rules,
      elements: Object.fromEntries(this.firewall.elements),
      held: Object.fromEntries(this.ports.held),
      networks: Object.fromEntries(this.records.list("network")),
      endpoints: Object.fromEntries(this.records.list("endpoint")),
    };
  }

  /** Changes of host, rules and records so far. */
  get writeCount(): number {
    return (
      this.datapath.writeCount +
      this.ovs.writeCount +
      this.firewall.writeCount +
      this.ports.writeCount +
      this.records.commitCount
    );
  }
}
