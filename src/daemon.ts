// The daemon `tsnet serve`: builds the parts, listens, recovers, closes on signals. The only file that names
// implementations. The socket listens before recovery starts; calls wait at the gate until it is done.
import { Events } from "./api/events.ts";
import { Gate } from "./api/gate.ts";
import { type Listening, listenOnSockets } from "./api/listen.ts";
import { type MetricsParts, listenForMetrics } from "./api/metrics-listen.ts";
import { Metrics } from "./api/metrics.ts";
import { createServer } from "./api/server.ts";
import type { ChangedLinks } from "./cnm/changed-links.ts";
import { AttachmentVerbs } from "./cnm/attachment-verbs.ts";
import { Cnm } from "./cnm/driver.ts";
import { contains, parseAddress, parseSubnet } from "./cidr.ts";
import { type HeldAddresses, releaseAddresses } from "./cnm/release-addresses.ts";
import { isInUse } from "./cnm/lost-networks.ts";
import { Changes } from "./cnm/changes.ts";
import { CnmLocks } from "./cnm/parts.ts";
import type { Network } from "./cnm/network.ts";
import { tellAll } from "./cnm/repairs.ts";
import { type Changed, Reconciler } from "./cnm/reconcile.ts";
import { Registry } from "./cnm/registry.ts";
import { Repair } from "./cnm/repair.ts";
import type { Config } from "./config.ts";
import { BridgeDatapath } from "./datapath/bridge/datapath.ts";
import { PairRemoval } from "./datapath/pair-removal.ts";
import { OvsDatapath } from "./datapath/ovs/datapath.ts";
import { MovedUplinks } from "./datapath/uplink/moved-uplinks.ts";
import { NamedLinks } from "./datapath/named-links.ts";
import { inContext } from "./errors.ts";
import { readBootId } from "./host/boot-id.ts";
import { Conntrack } from "./host/conntrack.ts";
import { L3Config } from "./host/l3-config.ts";
import { readLinkCounters } from "./host/link-counters.ts";
import { NetlinkWatch } from "./host/netlink-watch.ts";
import { NftTool } from "./host/nft-tool.ts";
import { Nftables } from "./host/nftables.ts";
import { Rtnetlink } from "./host/rtnetlink.ts";
import { Sysctl } from "./host/sysctl.ts";
import { Ipam } from "./ipam/driver.ts";
import { type Log, createLog } from "./log.ts";
import { NftablesFirewall } from "./nat/nftables.ts";
import { NoFirewall } from "./nat/none.ts";
import { HostPorts } from "./nat/port-holder.ts";
import type { RecordStore } from "./state/record-store.ts";
import { openRecords } from "./state/open-records.ts";
import { UplinkStore } from "./state/uplink-store.ts";
import { VERSION } from "./version.ts";

/** How often the host's notifications are looked through: two calls of the kernel each time. */
const WATCH_INTERVAL_MS = 100;

export interface DaemonOptions {
  readonly config: Config;
  /** The socket that the engine made for a managed plugin, besides the one in the settings. */
  readonly pluginSocket?: string;
  /** The folder that stands for /proc/sys/net where that is read-only. */
  readonly sysctlRoot?: string;
}

/** A daemon that listens. */
export interface Daemon {
  /** Ends calls in flight, removes the sockets, leaves the networks running. */
  close(): Promise<void>;
}

/** What the daemon holds open on this host. */
interface HostHandles {
  readonly links: Rtnetlink;
  readonly l3: L3Config;
  readonly elements: Nftables;
  readonly conntrack: Conntrack;
}

function openHost(): HostHandles & { close(): void } {
  const [links, l3, elements, conntrack] = [Rtnetlink.open(), L3Config.open(), Nftables.open(), Conntrack.open()];
  const close = () => {
    [links, elements, conntrack].forEach((handle) => handle.close());
    l3[Symbol.dispose]();
  };
  return { links, l3, elements, conntrack, close };
}

/** Starts the daemon. @returns as soon as it listens; recovery goes on behind. @throws TsnetError. */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { config } = options;
  const log = createLog(config.logLevel);
  const bootId = await readBootId();
  const records = openRecords(config.stateDirectory, log);
  const host = openHost();
  const gate = new Gate();
  const { cnm, ipam, operator, registry, reconciler, metrics, events, ports, ovs, pairs } = buildDrivers(
    { records, bootId, log, ...host },
    options,
  );
  const health = { gate, records, damage: () => registry.damage.lines() };
  let listening: Listening;
  try {
    const app = createServer({ cnm, ipam, operator, log, gate, metrics, events, health });
    listening = await listen(app, options, { metrics, health, log });
  } catch (failure) {
    ovs.close();
    host.close();
    records.close();
    throw failure;
  }
  const { socket, metrics: port } = config;
  log.info({ version: VERSION, socket, ...(port !== undefined && { metrics: port }), pid: process.pid }, "listening");
  const notice = (changed: Changed, names?: ChangedLinks) => reconciler.schedule(changed, names);
  const watch = NetlinkWatch.open(WATCH_INTERVAL_MS, notice, { ownPort: () => host.elements.port });
  const recovery = recover({ records, bootId, registry, ipam, reconciler }, log).then(
    () => gate.open(),
    (failure: unknown) => {
      const error = inContext("tsnet could not recover its records", failure);
      metrics.noteFault(error.code);
      events.noteFault(error.code, error.message);
      log.error({ err: error.message }, "recovery failed");
      gate.fail(error);
    },
  );
  return {
    async close() {
      await listening.close();
      watch.close();
      reconciler.close();
      await recovery;
      await reconciler.idle();
      await ports.close();
      await pairs.idle();
      ovs.close();
      host.close();
      records.close();
      log.info({ pid: process.pid }, "stopped, networks are left running");
    },
  };
}

/** The sockets of the engine and, where the settings have one, the port of the metrics: all of them or none. */
async function listen(
  app: ReturnType<typeof createServer>,
  { config, pluginSocket }: DaemonOptions,
  parts: MetricsParts,
): Promise<Listening> {
  const port = config.metrics && (await listenForMetrics(config.metrics, parts));
  try {
    const paths = [config.socket, ...(pluginSocket === undefined ? [] : [pluginSocket])];
    const sockets = await listenOnSockets(app, paths, parts.log);
    return { close: async () => void (await Promise.all([port?.close(), sockets.close()])) };
  } catch (failure) {
    await port?.close();
    throw failure;
  }
}

function buildDrivers(
  base: HostHandles & { readonly records: RecordStore; readonly bootId: string; readonly log: Log },
  { config, pluginSocket, sysctlRoot }: DaemonOptions,
) {
  const { records, bootId, links, l3, elements, conntrack, log } = base;
  const sysctl = new Sysctl(sysctlRoot);
  const registry = new Registry(records);
  const moved = new MovedUplinks({ links, sysctl, l3 }, new UplinkStore(records, bootId), log);
  const pairs = new PairRemoval(links, () => Rtnetlink.open(), log);
  const bridge = new BridgeDatapath({ links, sysctl, pairs, moved });
  const ovs = new OvsDatapath(
    { links, sysctl, pairs, moved },
    { ovsdb: config.ovsdb, onChanged: () => reconciler.schedule("links") },
  );
  const datapaths = { bridge, ovs };
  const isFirewallOff = config.firewall === "none";
  const hands = { nft: new NftTool(), elements, conntrack, sysctl, links, log };
  const firewall = isFirewallOff ? new NoFirewall() : new NftablesFirewall(hands);
  const hostRoutes = { subnets: async () => (await links.listRoutes()).map(({ subnet }) => subnet) };
  const named = new NamedLinks(links);
  const ofNetworks = {
    isOfNetwork: (space: string, subnet: string) => registry.networksWith(space, subnet).length > 0,
    isInUse: async (space: string, subnet: string) => {
      const uses = registry.networksWith(space, subnet).map(({ id }) => isInUse(id, registry, named));
      return (await Promise.all(uses)).includes(true);
    },
    isStartedByEngine: pluginSocket !== undefined,
  };
  const ipam = new Ipam({ records, defaultPools: config.defaultPools, hostRoutes, ...ofNetworks });
  const ports = new HostPorts({ isRefused: (address) => isOfInternalNetwork(registry, address), log });
  const parts = {
    registry,
    datapaths,
    links: named,
    firewall,
    ports,
    locks: new CnmLocks(),
    pools: ipam.ofNetworks,
    releaseAddresses: (network: Network, held: HeldAddresses) => releaseAddresses(ipam.ofNetworks, network, held),
  };
  const cnm = new Cnm(parts);
  const metrics = new Metrics({
    status: () => cnm.describe(Infinity),
    pools: () => ipam.usage(),
    linkCounters: readLinkCounters,
  });
  const events = new Events();
  const reconciler = new Reconciler(parts, log, tellAll(metrics, events));
  const lookAtHost = async () => {
    await reconciler.idle();
    await reconciler.run();
  };
  const heldForMs = ipam.ofNetworks.heldForMs.bind(ipam.ofNetworks);
  const operator = {
    attachments: new AttachmentVerbs(parts),
    changes: new Changes(parts),
    repair: new Repair({ ...parts, lookAtHost, heldForMs }),
  };
  return { registry, ipam, ports, ovs, pairs, cnm, operator, reconciler, metrics, events };
}

/** What comes from there shall not leave its network, by a relay no more than by forwarding. */
function isOfInternalNetwork(registry: Registry, text: string): boolean {
  const address = parseAddress(text);
  return registry
    .networks()
    .some(
      ({ network }) => network.isInternal && network.pools.some(({ subnet }) => contains(parseSubnet(subnet), address)),
    );
}

interface Recovered {
  readonly records: RecordStore;
  readonly bootId: string;
  readonly registry: Registry;
  readonly ipam: Ipam;
  readonly reconciler: Reconciler;
}

async function recover({ records, bootId, registry, ipam, reconciler }: Recovered, log: Log): Promise<void> {
  const startedAt = performance.now();
  registry.load();
  const senseless = ipam.load();
  for (const damage of [...registry.damage.lines(), ...senseless]) log.error({ damage }, "records damaged");
  const known = records.list("host").get("boot");
  const isNewBoot = typeof known === "object" && known !== null && Reflect.get(known, "bootId") !== bootId;
  await reconciler.recover(isNewBoot);
  for (const id of isNewBoot ? registry.damage.idsOf("uplink") : []) await registry.damage.remove("uplink", id);
  if (isNewBoot || (known === undefined && records.fault === undefined)) {
    await records.commit([{ op: "put", kind: "host", id: "boot", body: { bootId } }], "removal");
  }
  const counts = { networks: registry.networks().length, endpoints: registry.endpoints().length };
  log.info({ ...counts, isNewBoot, durationMs: Math.round(performance.now() - startedAt) }, "recovered");
}
