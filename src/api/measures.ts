// What Prometheus is told, and out of what: a table of names, labels and what they are read from. How it is written down is
// prom-client's business (`metric-registry.ts`). Names follow prometheus.io/docs/practices/naming: base units, and `_total`
// for what only grows. The README has the same table.
import type { Repair } from "../cnm/repairs.ts";
import type { CnmStatus, EndpointStatus } from "../cnm/requests.ts";
import type { ErrorCode } from "../errors.ts";
import type { PoolUsage } from "../ipam/requests.ts";
import { VERSION } from "../version.ts";

/** What passed a link, as the host sees it. */
export interface LinkCounters {
  readonly receiveBytes: number;
  readonly receivePackets: number;
  readonly receiveDropped: number;
  readonly transmitBytes: number;
  readonly transmitPackets: number;
  readonly transmitDropped: number;
}

/** Everything that is measured, at one moment. */
export interface Snapshot {
  readonly status: CnmStatus;
  readonly pools: readonly PoolUsage[];
  /** By the links' names. */
  readonly links: ReadonlyMap<string, LinkCounters>;
  readonly repairs: Readonly<Record<Repair, number>>;
  readonly faults: Readonly<Record<ErrorCode, number>>;
}

/** A value and its labels, in the order of the measure's labels. */
type Sample = readonly [value: number, ...labels: string[]];

/** One thing that is measured. */
export interface Measure {
  readonly kind: "gauge" | "counter";
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  readonly read: (snapshot: Snapshot) => Iterable<Sample>;
}

/** How long the calls of the engine took. A call is answered after 20 s at the latest. */
export const VERB_DURATION = {
  name: "tsnet_verb_duration_seconds",
  help: "How long calls of the engine took, by outcome: ok or the code of the error.",
  labels: ["verb", "outcome"],
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20],
} as const;

const OF_POOL = ["subnet", "segment", "address_space"] as const;

/** All but `VERB_DURATION`, in the order in which they are written. */
export const MEASURES: readonly Measure[] = [
  gauge("tsnet_info", "Always 1; which version runs.", ["version"], () => [[1, VERSION]]),
  counter(
    "tsnet_faults_total",
    "Calls that failed, and what could not be repaired, by code.",
    ["class"],
    ({ faults }) => byName(faults),
  ),
  counter("tsnet_repairs_total", "What tsnet put back or removed unasked.", ["what"], ({ repairs }) => byName(repairs)),
  gauge("tsnet_damaged_records", "What of the records is damaged, as /status has it.", [], ({ status }) => [
    [status.damage?.length ?? 0],
  ]),
  gauge("tsnet_networks", "Networks.", ["backend", "mode", "state"], ({ status }) =>
    counted(status.networks.map(({ backend, mode, state }) => [backend, mode, state])),
  ),
  gauge("tsnet_endpoints", "Endpoints: created, joined to a container, or being removed.", ["state"], ({ status }) =>
    counted(
      endpointsOf(status).map(({ endpoint }) => [endpoint.state]),
      [["created"], ["joined"], ["removing"]],
    ),
  ),
  gauge("tsnet_published_ports", "Published ports.", ["protocol"], ({ status }) =>
    counted(
      endpointsOf(status).flatMap(({ endpoint }) => endpoint.ports.map(({ protocol }) => [protocol])),
      [["tcp"], ["udp"], ["sctp"]],
    ),
  ),
  gauge("tsnet_pool_addresses", "Addresses that a pool gives out by itself, in use or not.", OF_POOL, ({ pools }) =>
    pools.map((pool) => [Number(pool.size), ...labelsOfPool(pool)]),
  ),
  gauge("tsnet_pool_addresses_used", "How many of them are in use.", OF_POOL, ({ pools }) =>
    pools.map((pool) => [pool.used, ...labelsOfPool(pool)]),
  ),
  // A container receives what the host transmits.
  ofEndpoint("tsnet_endpoint_receive_bytes_total", "Bytes that came to the container.", "transmitBytes"),
  ofEndpoint("tsnet_endpoint_receive_packets_total", "Frames that came to the container.", "transmitPackets"),
  ofEndpoint("tsnet_endpoint_receive_dropped_total", "Frames to the container that were dropped.", "transmitDropped"),
  ofEndpoint("tsnet_endpoint_transmit_bytes_total", "Bytes that the container sent.", "receiveBytes"),
  ofEndpoint("tsnet_endpoint_transmit_packets_total", "Frames that the container sent.", "receivePackets"),
  ofEndpoint("tsnet_endpoint_transmit_dropped_total", "Frames of the container that were dropped.", "receiveDropped"),
  counter("process_cpu_seconds_total", "Time of a processor that the daemon used, in seconds.", [], () => [
    [cpuSeconds()],
  ]),
  gauge("process_resident_memory_bytes", "Memory of the daemon.", [], () => [[process.memoryUsage.rss()]]),
  gauge("process_start_time_seconds", "When the daemon began, in seconds since 1970.", [], () => [
    [performance.timeOrigin / 1000],
  ]),
];

function gauge(name: string, help: string, labels: readonly string[], read: Measure["read"]): Measure {
  return { kind: "gauge", name, help, labels, read };
}

function counter(name: string, help: string, labels: readonly string[], read: Measure["read"]): Measure {
  return { kind: "counter", name, help, labels, read };
}

/** One link each: an endpoint whose link is not on the host has nothing to tell. */
function ofEndpoint(name: string, help: string, column: keyof LinkCounters): Measure {
  return counter(name, help, ["network", "endpoint", "link"], ({ status, links }) =>
    endpointsOf(status).flatMap(({ networkId, endpoint: { id, hostLink } }) => {
      const counters = links.get(hostLink);
      return counters === undefined ? [] : [[counters[column], short(networkId), short(id), hostLink] as const];
    }),
  );
}

function endpointsOf({ networks }: CnmStatus): { readonly networkId: string; readonly endpoint: EndpointStatus }[] {
  return networks.flatMap(({ id, endpoints }) => endpoints.map((endpoint) => ({ networkId: id, endpoint })));
}

/** How often each row of labels is there. @param always - rows that are told even when there are none. */
function counted(rows: readonly (readonly string[])[], always: readonly (readonly string[])[] = []): Sample[] {
  const counts = new Map(always.map((labels) => [labels.join(" "), { labels, count: 0 }]));
  for (const labels of rows) {
    const key = labels.join(" ");
    counts.set(key, { labels, count: (counts.get(key)?.count ?? 0) + 1 });
  }
  return Array.from(counts.values(), ({ labels, count }) => [count, ...labels]);
}

function byName(counts: Readonly<Record<string, number>>): Sample[] {
  return Object.entries(counts).map(([name, count]) => [count, name]);
}

function labelsOfPool({ subnet, segment, addressSpace }: PoolUsage): readonly string[] {
  return [subnet, segment, addressSpace];
}

/** As the engine prints ids. */
function short(id: string): string {
  return id.slice(0, 12);
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
