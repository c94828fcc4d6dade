// `tsnet ipam`: the pools that tsnet has given out; `tsnet ipam SUBNET|NETWORK`: who has which address of them.
import { TsnetError } from "../errors.ts";
import type { AddressStatus, PoolStatus } from "../ipam/requests.ts";
import { type NamedNetwork, callEndpoint, findCalled } from "./catalog.ts";
import type { DockerView } from "./docker.ts";
import { type CommonOptions, type Everything, type Tools, readEverything } from "./tools.ts";
import { bare } from "./words.ts";

/** An address and who has it. */
export interface OwnedAddress extends AddressStatus {
  /** Empty if that is not known. */
  readonly owner: string;
}

/** A pool with names in it. */
export interface NamedPool extends Omit<PoolStatus, "addresses"> {
  /** Of tsnet or another driver. Several where the same subnet is in several segments. */
  readonly networks: readonly string[];
  readonly addresses: readonly OwnedAddress[];
}

const UNKNOWN = "an auxiliary address, or nobody that Docker knows";

/** @throws TsnetError `not-found` if `text` names neither a subnet nor a network of such a pool. */
export async function ipam(tools: Tools, text: string | undefined, { json = false }: CommonOptions): Promise<void> {
  const reading = tools.console.waitFor("the pools", tools.daemon.read("/pools"));
  const [everything, { pools, isComplete }] = await Promise.all([readEverything(tools), reading]);
  if (!isComplete) tools.console.note("there are more pools and addresses than fit one answer: these are not all");
  const named = namePools(pools, everything);
  const wanted = text === undefined ? named : poolsCalled(text, named, everything);
  if (json) return tools.console.json(wanted);
  if (text === undefined) return printPools(tools, wanted);
  for (const pool of wanted) printAddresses(tools, pool);
}

/** The pools with the names of their networks and owners. */
export function namePools(pools: readonly PoolStatus[], { networks, docker }: Everything): readonly NamedPool[] {
  return pools.map((pool) => ({
    ...pool,
    networks: networksOf(pool, networks, docker),
    addresses: pool.addresses.map((each) => ({ ...each, owner: ownerOf(each, pool, networks, docker) })),
  }));
}

function networksOf({ subnet }: PoolStatus, networks: readonly NamedNetwork[], docker: DockerView): readonly string[] {
  const own = networks.filter(({ subnets }) => subnets.includes(subnet)).map(({ name }) => name);
  const others = foreignNetworks(subnet, networks, docker).map(({ name }) => name);
  return [...own, ...others];
}

/** Networks of other drivers that have their addresses from tsnet. */
function foreignNetworks(subnet: string, networks: readonly NamedNetwork[], docker: DockerView) {
  const own = new Set<string>(networks.map(({ id }) => id));
  return docker.networks.filter(({ id, ipamDriver, subnets }) => {
    return !own.has(id) && /^tsnet(-plugin)?(:|$)/.test(ipamDriver) && subnets.includes(subnet);
  });
}

function ownerOf(
  { address, use }: AddressStatus,
  pool: PoolStatus,
  networks: readonly NamedNetwork[],
  docker: DockerView,
): string {
  if (use === "gateway") return "gateway";
  const own = networks
    .filter(({ subnets }) => subnets.includes(pool.subnet))
    .flatMap(({ endpoints }) => endpoints.filter(({ addresses }) => addresses.some((each) => bare(each) === address)))
    .map(callEndpoint);
  const foreign = foreignNetworks(pool.subnet, networks, docker).flatMap(({ id }) =>
    docker.places.filter(({ networkId, addresses }) => networkId === id && addresses.includes(address)),
  );
  return [...own, ...foreign.map(({ container }) => container.name)].join(" or ");
}

function poolsCalled(
  text: string,
  pools: readonly NamedPool[],
  { networks, docker }: Everything,
): readonly NamedPool[] {
  const bySubnet = pools.filter(({ subnet, id }) => subnet === text || id === text);
  if (bySubnet.length > 0) return bySubnet;
  const known = [...networks, ...docker.networks.filter(({ id }) => networks.every((own) => own.id !== id))];
  const network = findCalled("network", known, text);
  const ofNetwork = pools.filter(({ subnet, networks: names }) => {
    return network !== undefined && network.subnets.includes(subnet) && names.includes(network.name);
  });
  if (ofNetwork.length > 0) return ofNetwork;
  const list = pools.length === 0 ? "it has none" : `it has ${pools.map(({ subnet }) => subnet).join(", ")}`;
  throw new TsnetError("not-found", `tsnet has given out no pool ${JSON.stringify(text)}; ${list}`);
}

function printPools({ console }: Tools, pools: readonly NamedPool[]): void {
  const rows = pools.map(({ subnet, range = "", segment, networks, used, free }) => [
    subnet,
    range,
    segment,
    networks.join(", "),
    `${used}`,
    free,
  ]);
  console.table(["SUBNET", "RANGE", "SEGMENT", "NETWORK", "USED", "FREE"], rows, "tsnet has given out no pool");
}

function printAddresses({ console }: Tools, { subnet, segment, networks, used, free, addresses }: NamedPool): void {
  const where = segment === "" ? "" : `, segment ${segment}`;
  const of = networks.length === 0 ? "of no network" : `of ${networks.join(", ")}`;
  console.title(`${subnet} ${of}${where}: ${used} in use, ${free} free`);
  const rows = addresses.map(({ address, owner }) => [address, owner === "" ? UNKNOWN : owner]);
  console.table(["ADDRESS", "WHO"], rows, "no address is in use");
}
