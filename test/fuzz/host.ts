// What the fuzzers attack: the real server on a real socket with the real drivers and the real records, on a host that is
// only remembered. On it are a network with an endpoint that no request names and that must go on working (the canary), and
// objects for the lawful requests, which are put back after a request that changed them.
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Gate } from "../../src/api/gate.ts";
import { type Listening, listenOnSockets } from "../../src/api/listen.ts";
import { Events } from "../../src/api/events.ts";
import { Metrics } from "../../src/api/metrics.ts";
import { createServer } from "../../src/api/server.ts";
import { AttachmentVerbs } from "../../src/cnm/attachment-verbs.ts";
import { Changes } from "../../src/cnm/changes.ts";
import { Cnm } from "../../src/cnm/driver.ts";
import { Repair } from "../../src/cnm/repair.ts";
import type { Attach } from "../../src/cnm/attachment.ts";
import type { EndpointId, EndpointRef } from "../../src/cnm/endpoint.ts";
import type { NetworkId } from "../../src/cnm/network.ts";
import type { OperatorDriver } from "../../src/cnm/operator.ts";
import { CnmLocks } from "../../src/cnm/parts.ts";
import { type EndpointRecord, type NetworkRecord, Registry } from "../../src/cnm/registry.ts";
import { releaseAddresses } from "../../src/cnm/release-addresses.ts";
import type { CreateEndpoint, CreateNetwork } from "../../src/cnm/requests.ts";
import { Ipam } from "../../src/ipam/driver.ts";
import { parseDefaultPools } from "../../src/ipam/default-pools.ts";
import { type Log, type LogLevel, SILENT_LOG } from "../../src/log.ts";
import type { RecordStore } from "../../src/state/record-store.ts";
import { SqliteStore } from "../../src/state/sqlite-store.ts";
import { NO_NETWORKS } from "../support/ipam-builder.ts";
import { ask } from "../support/cnm-publishing.ts";
import { FakeDatapath } from "../support/fake-datapath.ts";
import { FakeFirewall } from "../support/fake-firewall.ts";
import { FakePortHolder } from "../support/fake-port-holder.ts";
import { NamesGuard, type WatchedRecords } from "./names-guard.ts";
import { ATTACHED, POOL_ID, SPARE_POOL_ID, idOf } from "./requests.ts";

const NEVER = new AbortController().signal;
const DEFAULT_POOLS = "10.210.0.0/16:24,fd00:210::/48:64";
/** Address that the lawful ReleaseAddress releases. */
const HELD_ADDRESS = "10.9.9.5";

/** In memory where there is one: what was accepted is written to the disk for good, a hundred times a second. */
const FOLDER = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

/** One line of the daemon's log. */
interface LogLine {
  readonly level: LogLevel;
  readonly fields: Readonly<Record<string, unknown>>;
}

function networkOf(word: string, n: number, addressSpace = "LocalDefault"): CreateNetwork {
  return {
    networkId: idOf(word) as NetworkId, // of the right form
    options: new Map(),
    isInternal: false,
    hasIpv4: true,
    hasIpv6: true,
    pools: [
      { addressSpace, subnet: `10.9.${n}.0/24`, gateway: `10.9.${n}.1/24` },
      { addressSpace, subnet: `fd09:${n}::/64`, gateway: `fd09:${n}::1/64` },
    ],
  };
}

function endpointOf(word: string, on: CreateNetwork, last: number): CreateEndpoint {
  const [pool] = on.pools;
  const address = pool?.subnet.replace(".0/24", `.${last}/24`) ?? "";
  return { networkId: on.networkId, endpointId: idOf(word) as EndpointId, address, options: new Map() };
}

const CANARY = networkOf("canary", 3);
/** Whose addresses are tsnet's to give. */
const OWN = networkOf("own network", 4, "tsnet");
const NETWORKS = [CANARY, networkOf("network", 1), networkOf("spare network", 2), OWN] as const;
const CANARY_ENDPOINT = endpointOf("canary endpoint", CANARY, 2);
const ENDPOINTS = [
  CANARY_ENDPOINT,
  endpointOf("joined", NETWORKS[1], 2),
  endpointOf("created", NETWORKS[1], 3),
] as const;
const ATTACHMENT: Attach = {
  networkId: OWN.networkId,
  endpointId: ATTACHED.EndpointID as EndpointId, // of the right form
  owner: { kind: "container", id: "web", name: "web" },
  ifName: "eth1",
  address: "10.9.4.9",
  addressIpv6: "fd09:4::9",
  options: new Map(),
  hasDefaultRoute: false,
  routes: [],
  isOnce: false,
  isLost: false,
  isAgain: false,
};
/** Gateways of the network whose addresses are tsnet's to give, by pool. */
const GATEWAYS = { own: "10.9.4.1", own6: "fd09:4::1" } as const;
/** Addresses in use by right. */
const OURS = new Set([HELD_ADDRESS, ATTACHMENT.address, ATTACHMENT.addressIpv6, ...Object.values(GATEWAYS)]);
/** Endpoints in a sandbox. */
const JOINED: ReadonlySet<string> = new Set([CANARY_ENDPOINT.endpointId, idOf("joined")]);
const POOLS = {
  canary: "10.9.8.0/24",
  own: "10.9.4.0/24",
  own6: "fd09:4::/64",
  [POOL_ID]: "10.9.9.0/24",
  [SPARE_POOL_ID]: "10.9.10.0/24",
} as const;

function sandboxOf({ endpointId }: EndpointRef): string {
  return `/var/run/docker/netns/${endpointId.slice(0, 12)}`;
}

/** The daemon without its `main.ts`, under watch. */
export class FuzzHost {
  readonly folder: string;
  readonly guard = new NamesGuard();
  readonly lines: LogLine[] = [];
  /** How many calls reached a driver by the socket. */
  calls = 0;
  callsInFlight = 0;
  readonly #records: WatchedRecords;
  readonly #datapath = new FakeDatapath();
  readonly #ovs = new FakeDatapath("ovs", this.#datapath);
  readonly #firewall = new FakeFirewall();
  readonly #ports = new FakePortHolder();
  readonly #registry: Registry;
  readonly #cnm: Cnm;
  readonly #operator: OperatorDriver;
  readonly #ipam: Ipam;
  #listening: Listening | undefined;
  readonly #poolIds = new Map<string, string>();
  #baseline = "";
  /** As text, by id: the networks and endpoints that are there by right. */
  readonly #rightful = new Map<string, string>();

  private constructor(folder: string) {
    this.folder = folder;
    this.#records = this.guard.watchRecords(SqliteStore.open(join(folder, "state")));
    this.#registry = new Registry(this.#records);
    const { guard } = this;
    this.#ipam = ipamOn(this.#records, this.#registry);
    const parts = {
      registry: this.#registry,
      datapaths: { bridge: guard.watch(this.#datapath), ovs: guard.watch(this.#ovs) },
      links: guard.watch(this.#datapath),
      firewall: guard.watch(this.#firewall),
      ports: guard.watch(this.#ports),
      locks: new CnmLocks(),
      pools: this.#ipam.ofNetworks,
      releaseAddresses: releaseAddresses.bind(undefined, this.#ipam.ofNetworks),
    };
    this.#cnm = new Cnm(parts);
    const heldForMs = this.#ipam.ofNetworks.heldForMs.bind(this.#ipam.ofNetworks);
    const repair = new Repair({ ...parts, lookAtHost: async () => {}, heldForMs });
    this.#operator = { attachments: new AttachmentVerbs(parts), changes: new Changes(parts), repair };
  }

  /** Starts it; for `await using`. */
  static async open(): Promise<FuzzHost> {
    const host = new FuzzHost(await mkdtemp(join(FOLDER, "tsnet-fuzz-")));
    await host.#start();
    return host;
  }

  get socket(): string {
    return join(this.folder, "tsnet.sock");
  }

  async #start(): Promise<void> {
    this.#registry.load();
    this.#ipam.load();
    this.#datapath.plant("eth1", { kind: "other", mac: "02:00:00:00:00:01" });
    this.#datapath.plant("br0", { kind: "switch", mac: "02:00:00:00:00:02", addresses: new Set(["172.31.0.1/24"]) });
    this.#datapath.routes.set("192.0.2.1", { source: "192.0.2.1", mtu: 65_536, link: "lo", isOwn: true });
    await this.#putBack();
    await this.#cnm.programExternalConnectivity({ ...CANARY_ENDPOINT, portMap: [ask(80, 9080)] }, NEVER);
    this.#baseline = this.state();
    for (const record of this.#registry.networks()) this.#rightful.set(record.network.id, textOf(record));
    for (const record of this.#registry.endpoints()) this.#rightful.set(record.endpoint.endpointId, textOf(record));
    const gate = new Gate();
    gate.open();
    const app = createServer({
      cnm: this.#counted(this.#cnm),
      ipam: this.#counted(this.#ipam),
      operator: {
        attachments: this.#counted(this.#operator.attachments),
        changes: this.#counted(this.#operator.changes),
        repair: this.#counted(this.#operator.repair),
      },
      gate,
      metrics: new Metrics({
        status: () => this.#cnm.describe(),
        pools: () => this.#ipam.usage(),
        linkCounters: async () => new Map(),
      }),
      events: new Events(),
      health: { gate, records: this.#records, damage: () => this.#registry.damage.lines() },
      log: this.#log(),
    });
    this.#listening = await listenOnSockets(app, [this.socket], SILENT_LOG);
  }

  /** The same driver, whose calls are counted. */
  #counted<T extends object>(driver: T): T {
    return new Proxy(driver, {
      get: (target, key) => {
        const member: unknown = Reflect.get(target, key, target);
        if (typeof member !== "function") return member;
        return (...args: unknown[]): unknown => {
          this.calls += 1;
          this.callsInFlight += 1;
          const end = () => void (this.callsInFlight -= 1);
          try {
            const result: unknown = Reflect.apply(member, target, args);
            if (result instanceof Promise) result.then(end, end);
            else end();
            return result;
          } catch (failure) {
            end();
            throw failure;
          }
        };
      },
    });
  }

  #log(): Log {
    const keep = (level: LogLevel) => (fields: object) => void this.lines.push({ level, fields: { ...fields } });
    return { debug: keep("debug"), info: keep("info"), warn: keep("warn"), error: keep("error") };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listening?.close();
    this.#records.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** How many changes there were of host, rules and records: the same number means that nothing was changed. */
  get version(): number {
    const parts = [this.#datapath, this.#ovs, this.#firewall, this.#ports];
    return parts.reduce((sum, part) => sum + part.writeCount, this.#records.commits);
  }

  /** Puts the ids of pools where a request has their stand-ins. They have the same length always. */
  withPoolIds(text: string): string {
    return text.replaceAll(/@(?:pool|spare)@/g, (word) => this.#poolIds.get(word) ?? word);
  }

  /** All that there is, on the host, in the rules, in the records, and in memory. Identities and random parts are left out. */
  state(): string {
    const kinds = ["network", "endpoint", "pool", "address"] as const;
    const inUse = (body: unknown) => !Object.hasOwn(body as object, "released");
    const records = kinds.map((kind) => [...this.#records.written(kind)].filter(([, body]) => inUse(body)).sort(byKey));
    const links = Object.entries(this.#datapath.snapshot()).map(([name, link]) => [
      name,
      { isHairpin: false, ...(link as object), identity: 0 },
    ]);
    const known = [
      this.#registry.networks().map((record) => [record.network.id, record]),
      this.#registry.endpoints().map((record) => [record.endpoint.endpointId, record]),
    ] as [string, unknown][][];
    const memory = known.map((entries) => entries.sort(byKey));
    const { rules, elements } = this.#firewall;
    const ofHost = { links, rules, elements: [...elements].sort(byKey), held: [...this.#ports.held].sort(byKey) };
    return textOf({ ...ofHost, records, memory });
  }

  /** Whether everything is as it was at the start. */
  isAsBefore(): boolean {
    return this.state() === this.#baseline;
  }

  /**
   * Removes what a request made and makes what it removed, by the verbs.
   *
   * @returns what is different all the same; undefined for nothing.
   */
  async restore(): Promise<string | undefined> {
    for (const name of this.#datapath.links.keys()) this.guard.lookAtLink(name);
    await this.#removeStrangers();
    await this.#putBack();
    const now = this.state();
    return now === this.#baseline ? undefined : difference(this.#baseline, now);
  }

  async #removeStrangers(): Promise<void> {
    for (const record of this.#registry.endpoints()) {
      const { endpointId, networkId } = record.endpoint;
      const network = this.#registry.findNetwork(networkId);
      const isOfOther = network !== undefined && this.#isOther(network.network.id, network);
      if (isOfOther || this.#isOther(endpointId, record)) await this.#cnm.deleteEndpoint(record.endpoint);
    }
    for (const record of this.#registry.networks()) {
      if (this.#isOther(record.network.id, record)) await this.#cnm.deleteNetwork(record.network.id);
    }
    const known = new Set(this.#poolIds.values());
    for (const id of this.#records.written("pool").keys()) if (!known.has(id)) await this.#ipam.releasePool(id);
    for (const [id, body] of this.#records.written("address")) {
      const [poolId = "", address = ""] = id.split("#");
      const isOurs = OURS.has(address) || poolId === this.#poolIds.get("canary");
      if (!isOurs && Object.hasOwn(body as object, "use")) await this.#ipam.releaseAddress(poolId, address);
    }
  }

  /** Whether a request made it, or made it another one. */
  #isOther(id: string, record: EndpointRecord | NetworkRecord): boolean {
    return this.#rightful.get(id) !== textOf(record);
  }

  async #putBack(): Promise<void> {
    await this.#putBackPools();
    for (const network of NETWORKS) {
      if (this.#registry.findNetwork(network.networkId) === undefined) await this.#cnm.createNetwork(network, NEVER);
    }
    for (const endpoint of ENDPOINTS) {
      if (this.#registry.findEndpoint(endpoint.endpointId) !== undefined) continue;
      await this.#cnm.createEndpoint(endpoint, NEVER);
      if (JOINED.has(endpoint.endpointId))
        await this.#cnm.join({ ...endpoint, sandboxKey: sandboxOf(endpoint) }, NEVER);
    }
    if (this.#registry.findEndpoint(ATTACHMENT.endpointId) === undefined)
      await this.#operator.attachments.attach(ATTACHMENT, NEVER);
    for (const [word, address] of [
      ["canary", "10.9.8.7"],
      [POOL_ID, HELD_ADDRESS],
    ] as const) {
      const poolId = this.#poolIds.get(word) ?? "";
      const isHeld = this.#isInUse(`${poolId}#${address}`);
      if (!isHeld) await this.#ipam.requestAddress({ poolId, address, isGateway: false });
    }
  }

  async #putBackPools(): Promise<void> {
    const present = this.#records.written("pool");
    for (const [word, subnet] of Object.entries(POOLS)) {
      if (present.has(this.#poolIds.get(word) ?? "")) continue;
      const request = {
        addressSpace: "tsnet",
        subnet,
        options: new Map<string, string>(),
        isIpv6: subnet.includes(":"),
      };
      this.#poolIds.set(word, (await this.#ipam.requestPool(request)).poolId);
    }
    for (const [word, address] of Object.entries(GATEWAYS)) {
      const poolId = this.#poolIds.get(word) ?? "";
      if (!this.#isInUse(`${poolId}#${address}`)) await this.#ipam.requestAddress({ poolId, address, isGateway: true });
    }
  }

  #isInUse(addressId: string): boolean {
    const body = this.#records.written("address").get(addressId);
    return typeof body === "object" && body !== null && "use" in body;
  }

  /**
   * Compares what the drivers have in memory with what drivers that are started anew read out of the records, and asks for
   * the canary's next address.
   *
   * @returns what differs.
   */
  async audit(): Promise<string | undefined> {
    for (const kind of ["network", "endpoint", "pool", "address"] as const) {
      const [disk, written] = [this.#records.list(kind), this.#records.written(kind)].map((map) =>
        sorted([...map]).join(),
      );
      if (disk !== written) return difference(written ?? "", disk ?? "");
    }
    const registry = new Registry(this.#records);
    registry.load();
    const same = [
      [this.#registry.networks(), registry.networks()],
      [this.#registry.endpoints(), registry.endpoints()],
    ].map((pair) => pair.map((list) => JSON.stringify(sorted(list))));
    for (const [now = "", anew = ""] of same) if (now !== anew) return difference(anew, now);
    const ipam = ipamOn(readOnly(this.#records), registry);
    ipam.load();
    const poolId = this.#poolIds.get("canary") ?? "";
    const addresses = [];
    for (const one of [ipam, this.#ipam]) addresses.push(await one.requestAddress({ poolId, isGateway: false }));
    await this.#ipam.releaseAddress(poolId, addresses[1]?.split("/")[0] ?? "");
    return addresses[0] === addresses[1]
      ? undefined
      : `the next address is ${addresses.join(", and out of the records ")}`;
  }
}

/** A call about the canary that changes nothing, and what the answer must have. */
export const CANARY_CALL = {
  verb: "NetworkDriver.Join",
  body: { NetworkID: CANARY.networkId, EndpointID: CANARY_ENDPOINT.endpointId, SandboxKey: sandboxOf(CANARY_ENDPOINT) },
  gateway: "10.9.3.1",
} as const;

function ipamOn(records: RecordStore, registry: Registry): Ipam {
  const isOfNetwork = (space: string, subnet: string) => registry.networksWith(space, subnet).length > 0;
  const defaultPools = parseDefaultPools(DEFAULT_POOLS);
  return new Ipam({ records, defaultPools, hostRoutes: { subnets: async () => [] }, ...NO_NETWORKS, isOfNetwork });
}

function readOnly(records: RecordStore): RecordStore {
  const damaged = () => records.damaged();
  return {
    list: (kind) => records.list(kind),
    damaged,
    fault: records.fault,
    writeFault: undefined,
    tryAgain: () => {},
    disk: async () => undefined,
    commit: async () => {},
    close: () => {},
  };
}

/** Without the random parts of the ids of pools. */
function textOf(value: unknown): string {
  return JSON.stringify(value).replaceAll(/\+[0-9a-f]{8}(?=["#])/g, "");
}

function byKey(one: readonly [string, unknown], other: readonly [string, unknown]): number {
  return one[0] < other[0] ? -1 : 1;
}

/** Records as text, in an order and with an order of keys of their own. */
function sorted(list: readonly unknown[]): readonly string[] {
  return list.map((item) => JSON.stringify(withSortedKeys(item))).sort();
}

function withSortedKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withSortedKeys);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).sort(byKey);
  return Object.fromEntries(entries.map(([key, member]) => [key, withSortedKeys(member)]));
}

/** Where two texts part, with what is around it. */
function difference(before: string, now: string): string {
  let at = 0;
  while (at < before.length && before[at] === now[at]) at++;
  const around = (text: string) => text.slice(Math.max(0, at - 120), at + 120);
  return `was ...${around(before)}... is ...${around(now)}...`;
}
