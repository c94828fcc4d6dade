// What tsnet made of a remembered host (order-host.ts): in the model's words, and whether the records, what tsnet knows, the switch,
// the rules and the ports say the same.
import { isDeepStrictEqual } from "node:util";
import type { EndpointId } from "../../src/cnm/endpoint.ts";
import type { Network, NetworkId } from "../../src/cnm/network.ts";
import type { EndpointRecord, NetworkRecord } from "../../src/cnm/registry.ts";
import { endpointId, networkId } from "./cnm-builder.ts";
import type { FakeLink } from "./fake-datapath.ts";
import { wordsOf } from "./fake-firewall.ts";
import { addressFaults, isUse } from "./order-addresses.ts";
import { OWN_NETWORK } from "./order-engine.ts";
import { ATTACHMENTS, ENDPOINTS, isAttachment, networkOf } from "./order-history.ts";
import type { OrderHost } from "./order-host.ts";
import { ASKED, isClosed } from "./order-operator.ts";
import { type OrderPools, isOfHistory } from "./order-pools.ts";
import type { Model, ModelEndpoint, ModelLink } from "./order-state.ts";

const NUMBERS = [...ENDPOINTS, ...ATTACHMENTS] as const;
/** Addresses from there on are chosen by tsnet. */
const FIRST_CHOSEN = 128;

export function endpointRecordOf(host: OrderHost, on: number): EndpointRecord | undefined {
  const records = host.records.list("endpoint");
  return records.get(endpointId(on)) as EndpointRecord | undefined; // written by the registry
}

export function linkOf(host: OrderHost, on: number): ModelLink {
  const { links } = host.datapath;
  const names = endpointRecordOf(host, on)?.endpoint;
  if (names === undefined || !links.has(names.hostIfName)) return "none";
  return links.has(names.sandboxIfName) ? "host" : "away";
}

/** The records and the links, in the model's words. */
export function observe(host: OrderHost, ofPools: OrderPools): Model {
  const { records } = host;
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
    const record = endpointRecordOf(host, on);
    return record === undefined ? [] : [[on, observeEndpoint(host, on, record)] as const];
  });
  return { networks: new Map(networks), endpoints: new Map(endpoints), pools: observePools(host, ofPools) };
}

function observeEndpoint(host: OrderHost, on: number, record: EndpointRecord): ModelEndpoint {
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
    link: linkOf(host, on),
    ...(state === "joined" && { sandbox: isAttachment(on) ? 0 : Number(sandboxKey?.replace(/^.*-/, "")) }),
    ...(port && { port: port.hostPort }),
    ...(binding && { portAtJoin: binding.hostPort }),
  };
}

function observePools(host: OrderHost, pools: OrderPools): ReadonlyMap<number, ReadonlySet<number>> {
  const { records } = host;
  const ids = [...records.list("pool").keys()].filter((id) => isOfHistory(id));
  const found = new Map(ids.map((id) => [pools.numberOf(id), new Set<number>()] as const));
  for (const [id, body] of records.list("address")) {
    if (!isOfHistory(id)) continue;
    const [poolId = "", address = ""] = id.split("#");
    const inUse = found.get(pools.numberOf(poolId));
    if (inUse === undefined) throw new Error(`the address ${id} has no pool`);
    if (isUse(body)) inUse.add(Number(address.replace(/^.*\./, "")));
  }
  return found;
}

/** The host is what the records say, and so is what tsnet knows. What is being removed may still have rules now. */
export function checkHost(host: OrderHost, moment: string, when: "now" | "in the end"): void {
  const { records, datapath, firewall, process } = host;
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

/** 0 of none. */
export function lastByte(address = ""): number {
  return Number(address.replace(/\/.*/, "").replace(/^.*\./, ""));
}
