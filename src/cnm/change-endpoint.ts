// `Operator.SetEndpoint`: gives an endpoint that is in use another address, other VLANs or another MTU. An address is taken
// in IPAM before anything else and given back if the change fails. The one that the engine gave stays in use until the engine
// gives it back: the engine goes on to say that the container has it, and nobody else may get it.
import { isDeepStrictEqual } from "node:util";
import { contains, formatAddress, parseAddress, parseSubnet } from "../cidr.ts";
import { TsnetError, inContext } from "../errors.ts";
import { type Undo, withUndo } from "../undo.ts";
import { formatVlanList } from "../vlan.ts";
import type { Change, InsideChange, SetAnswer, SetEndpoint } from "./change-requests.ts";
import type { Endpoint } from "./endpoint.ts";
import { poolOf } from "./join-result.ts";
import type { Network } from "./network.ts";
import { ENDPOINT_OPTIONS, type EndpointSettings } from "./options.ts";
import type { CnmParts } from "./parts.ts";
import { bareAddress } from "./plan.ts";
import { readGiven } from "./plan-change.ts";
import { endpointFaults, vlansOf } from "./plan-endpoint.ts";
import { Publishing, needsHairpin } from "./publishing.ts";
import { type EndpointRecord, short } from "./registry.ts";
import { refuseSharedMac } from "./shared-mac.ts";

/** What may be changed. */
interface Wishes extends EndpointSettings {
  readonly ip?: string;
  readonly ip6?: string;
}

const TABLE = {
  ip: { permitted: "IPv4 address of the network's subnet", default: undefined, parse: parseIpv4 },
  ip6: { permitted: "IPv6 address of the network's subnet", default: undefined, parse: parseIpv6 },
  ...ENDPOINT_OPTIONS,
};

const KEYS = { address: "ip", addressIpv6: "ip6" } as const;

type AddressKey = keyof typeof KEYS;

const ADDRESS_KEYS = ["address", "addressIpv6"] as const;

/** The change of one endpoint. */
export class ChangeEndpoint {
  readonly #parts: CnmParts;
  readonly #publishing: Publishing;

  constructor(parts: CnmParts) {
    this.#parts = parts;
    this.#publishing = new Publishing(parts);
  }

  /** @throws TsnetError with everything that is in the way; then all is as before. */
  async set(request: SetEndpoint, signal: AbortSignal): Promise<SetAnswer> {
    const { registry, locks } = this.#parts;
    return locks.endpoint(request, async () => {
      const network = registry.requireNetwork(request.networkId);
      registry.damage.requireComplete();
      const before = registry.requireEndpoint(request);
      const from = before.endpoint;
      const to = planEndpointChange(before, network, request.options);
      const changes = changesBetween(from, to);
      if (changes.length === 0) return { changes, inside: [] };
      refuseSharedMac(to, network, registry);
      await withUndo(async (undo) => {
        const left = await this.#takeAddresses(network, before, to, undo);
        await this.#change(network, before, { ...before, endpoint: to }, undo);
        signal.throwIfAborted();
        for (const release of left) await release().catch(() => {}); // else the next start finds that it is nobody's
      }).catch((failure: unknown) => {
        throw inContext(`endpoint ${short(from.endpointId)} cannot be changed`, failure);
      });
      return { changes, inside: insideOf(before, to) };
    });
  }

  /** @returns what gives the addresses back that are left, of those that the engine did not give. */
  async #takeAddresses(
    network: Network,
    before: EndpointRecord,
    to: Endpoint,
    undo: Undo,
  ): Promise<(() => Promise<void>)[]> {
    const { pools } = this.#parts;
    const from = before.endpoint;
    const left: (() => Promise<void>)[] = [];
    for (const key of ADDRESS_KEYS) {
      const [was, is] = [from[key], to[key]];
      const pool = poolOf(network, is);
      if (was === is || was === undefined || is === undefined || pool === undefined) continue;
      const given = givenBy(before, key);
      const { addressSpace } = network;
      const poolId = network.poolIds?.[pool.subnet];
      const release = (text: string) => pools.releaseAddress(addressSpace, pool.subnet, bareAddress(text), poolId);
      if (is !== given) {
        if (pools.count(addressSpace, pool.subnet) === undefined) throw strangersPool(network, KEYS[key]);
        await pools.requestAddress(addressSpace, pool.subnet, bareAddress(is), poolId);
        undo.add(() => release(is));
      }
      if (was !== given) left.push(() => release(was));
    }
    return left;
  }

  async #change(network: Network, before: EndpointRecord, after: EndpointRecord, undo: Undo): Promise<void> {
    const { registry } = this.#parts;
    undo.add(() => this.#move(network, after, before));
    undo.add(() => registry.putEndpoint(before));
    await registry.putEndpoint(after);
    await this.#move(network, before, after);
  }

  async #move(network: Network, former: EndpointRecord, record: EndpointRecord): Promise<void> {
    const { registry, datapaths, firewall } = this.#parts;
    if (record.state !== "joined") return;
    const { endpoint, ports = [] } = record;
    const datapath = datapaths[network.backend];
    if (!isDeepStrictEqual(addressesOf(former.endpoint), addressesOf(endpoint))) {
      await firewall.removeEndpoint({ network, endpoint: former.endpoint, ports }); // with the connections to the old one
      await this.#publishing.relayTo(network, former.endpoint, record);
    }
    await firewall.ensureEndpoint({ network, endpoint, ports });
    await datapath.ensureNetwork(network, registry.sharersOf(network));
    await datapath.reattach(network, endpoint, needsHairpin(network, record));
    if (network.tunnel !== undefined) await datapath.announce(network, endpoint);
  }
}

function parseIpv4(text: string): string {
  return parseOf(4, text);
}

function parseIpv6(text: string): string {
  return parseOf(6, text);
}

function parseOf(family: 4 | 6, text: string): string {
  const address = parseAddress(text);
  if (address.family !== family) throw new TsnetError("invalid", `it is no IPv${family} address`);
  return formatAddress(address);
}

/** @throws TsnetError `invalid` with all faults. */
function planEndpointChange(before: EndpointRecord, network: Network, options: ReadonlyMap<string, string>): Endpoint {
  const from = before.endpoint;
  const { given, faults } = readGiven(options, TABLE);
  if (faults.length > 0) throw new TsnetError("invalid", faults.join("; "));
  const wishes = given as Wishes; // the table has exactly its keys, each with a parser of that key's type
  const isVlanNamed = "vlan" in given || "trunk" in given;
  const vlans = isVlanNamed ? vlansOf({ ...from.vlans, ...wishes }, network) : from.vlans;
  const addresses = ADDRESS_KEYS.map((key) => [key, wishes[KEYS[key]] ?? undefined] as const);
  const wanted = addresses.flatMap(([key, text]) => (text === undefined ? [] : [[key, text] as const]));
  const addressFaults = wanted.flatMap(([key, text]) => addressFault(from, network, key, text));
  const named = Object.fromEntries(wanted.map(([key, text]) => [key, `${text}/${lengthOf(from[key])}`]));
  const to: Endpoint = { ...from, ...named, vlans, mtu: wishes.mtu ?? from.mtu };
  const all = [...addressFaults, ...endpointFaults(to, network)];
  if (all.length > 0) throw new TsnetError("invalid", all.join("; "));
  const { given: _given, ...bare } = to;
  const kept = ADDRESS_KEYS.flatMap((key) => {
    const was = givenBy(before, key);
    return was === undefined || was === to[key] ? [] : [[key, was] as const];
  });
  return { ...bare, ...(kept.length > 0 && { given: Object.fromEntries(kept) }) };
}

/** The address that the engine gave; undefined for none, as that of an attachment, which knows no other owner but tsnet. */
function givenBy({ endpoint, attachment }: EndpointRecord, key: AddressKey): string | undefined {
  return attachment === undefined ? (endpoint.given?.[key] ?? endpoint[key]) : undefined;
}

function addressFault(from: Endpoint, network: Network, key: AddressKey, text: string): string[] {
  const subnet = poolOf(network, from[key])?.subnet;
  if (subnet === undefined) return [`option ${KEYS[key]}: the container has no address of that family on this network`];
  if (contains(parseSubnet(subnet), parseAddress(text))) return [];
  return [`option ${KEYS[key]}: ${text} is outside ${subnet}, in which the container's gateway is`];
}

function strangersPool({ addressSpace, pools }: Network, key: string): TsnetError {
  const [subnet = ""] = pools.map((pool) => pool.subnet);
  const why = `its addresses are not tsnet's to give (address space ${addressSpace}, subnet ${subnet})`;
  const remedy =
    "an address that Docker does not know of would be given to another container; permitted with a network";
  return new TsnetError("unsupported", `option ${key}: ${why}: ${remedy} made with --ipam-driver tsnet`);
}

function changesBetween(from: Endpoint, to: Endpoint): readonly Change[] {
  const [was, is] = [wordsOf(from), wordsOf(to)];
  return Object.entries(is).flatMap(([key, text]) =>
    was[key] === text ? [] : [{ key, from: was[key] ?? "none", to: text }],
  );
}

function wordsOf({ address, addressIpv6, mtu, vlans }: Endpoint): Record<string, string> {
  const { vlan, trunk } = vlans;
  const [ip, ip6] = [address, addressIpv6].map((text) => (text === undefined ? "none" : bareAddress(text)));
  return {
    ip: ip ?? "none",
    ip6: ip6 ?? "none",
    vlan: vlan === undefined ? "none" : `${vlan}`,
    trunk: trunk === undefined ? "none" : formatVlanList(trunk),
    mtu: `${mtu}`,
  };
}

function addressesOf(endpoint: Endpoint): readonly (string | undefined)[] {
  return ADDRESS_KEYS.map((key) => endpoint[key]);
}

function lengthOf(text = ""): string {
  return text.split("/")[1] ?? "";
}

function insideOf({ endpoint: from, state, sandboxKey, attachment }: EndpointRecord, to: Endpoint): InsideChange[] {
  if (state !== "joined" || sandboxKey === undefined) return [];
  const { endpointId, mac, mtu } = to;
  const addresses = ADDRESS_KEYS.flatMap((key) => {
    const [was, is] = [from[key], to[key]];
    return was === undefined || is === undefined || was === is ? [] : [{ from: was, to: is }];
  });
  if (addresses.length === 0 && from.mtu === mtu) return [];
  const place = { sandboxKey, ...(attachment && { owner: attachment.owner }) };
  return [{ endpointId, ...place, mac, ...(from.mtu !== mtu && { mtu }), addresses }];
}
