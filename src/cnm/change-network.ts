// `Operator.SetNetwork`: gives a network that is in use other properties. All checks come first; then one record says what it
// is and what it was, so that a crash leaves a trace of both; then the host follows. What fails is taken back.
import { isDeepStrictEqual } from "node:util";
import { TsnetError, inContext } from "../errors.ts";
import { withUndo } from "../undo.ts";
import type { InsideChange, SetAnswer, SetNetwork } from "./change-requests.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Network } from "./network.ts";
import type { CnmParts } from "./parts.ts";
import { placeNetwork } from "./placement.ts";
import { asChanged, changesBetween, planChange } from "./plan-change.ts";
import { endpointFaults } from "./plan-endpoint.ts";
import { requirePossible } from "./possible.ts";
import { needsHairpin } from "./publishing.ts";
import { type EndpointRecord, type NetworkRecord, short } from "./registry.ts";
import { refuseSharedMac } from "./shared-mac.ts";

/** Ends a change that was interrupted, if it was: what the network had before goes. The caller holds the lock of all networks. */
export async function finishChange({ network, former }: NetworkRecord, parts: CnmParts): Promise<void> {
  if (former === undefined) return;
  const { registry, locks } = parts;
  const records = registry.endpointsOf(network.id);
  await locks.endpoints(endpointsOf(records), () => new ChangeNetwork(parts).move(network, former, records));
  await registry.putNetwork(network, "ready");
}

/** The change of one network. */
export class ChangeNetwork {
  readonly #parts: CnmParts;

  constructor(parts: CnmParts) {
    this.#parts = parts;
  }

  /** @throws TsnetError with everything that is in the way; then all is as before. */
  async set({ networkId, options }: SetNetwork, signal: AbortSignal): Promise<SetAnswer> {
    const { registry, locks } = this.#parts;
    return locks.networks(async () => {
      const endpoints = endpointsOf(registry.endpointsOf(networkId));
      return locks.endpoints(endpoints, () => {
        const network = registry.requireNetwork(networkId);
        this.#refuseOthers(network, endpoints); // that came while the locks were waited for
        return this.#set(network, options, signal);
      });
    });
  }

  async #set(from: Network, options: ReadonlyMap<string, string>, signal: AbortSignal): Promise<SetAnswer> {
    const { registry } = this.#parts;
    registry.damage.requireComplete();
    const before = registry.endpointsOf(from.id);
    const to = asChanged(from, await placeNetwork(planChange(from, options), this.#parts, from));
    const changes = changesBetween(from, to);
    // Also where it is so already: inside of a container it may not have been done.
    const insideAmong = (records: readonly EndpointRecord[]) => (options.has("mtu") ? records.flatMap(insideOf) : []);
    if (changes.length === 0) return { changes, inside: insideAmong(before) };
    await requirePossible(to, this.#parts);
    const after = before.map((record) => follow(record, from, to));
    this.#refuse(from, to, after);
    const datapath = this.#parts.datapaths[to.backend];
    const settings = await datapath.readSettings(to); // a switch keeps what is not named
    await withUndo(async (undo) => {
      undo.add(async () => {
        await datapath.restoreSettings(to, settings);
        await this.move(from, to, before);
        await registry.putNetwork(from, "ready");
      });
      undo.add(() => registry.putChange({ network: from, state: "ready", former: to }, before));
      await registry.putChange({ network: to, state: "ready", former: from }, after);
      await this.move(to, from, after);
      signal.throwIfAborted();
    }).catch((failure: unknown) => {
      throw inContext(`network ${short(from.id)} cannot be changed`, failure);
    });
    await registry.putNetwork(to, "ready").catch(() => {}); // all is done and recorded: else the next look ends it once more
    return { changes, inside: from.mtu === to.mtu ? insideAmong(after) : after.flatMap(insideOf) };
  }

  /** Endpoints that cannot follow, and those that came while the host was looked at. */
  #refuse(from: Network, to: Network, after: readonly EndpointRecord[]): void {
    const { registry } = this.#parts;
    this.#refuseOthers(from, endpointsOf(after));
    const faults = after.flatMap(({ endpoint }) =>
      endpointFaults(endpoint, to).map((fault) => `endpoint ${short(endpoint.endpointId)}: ${fault}`),
    );
    if (faults.length > 0) throw new TsnetError("conflict", faults.join("; "));
    if (isDeepStrictEqual(from.vlans, to.vlans)) return;
    for (const { endpoint } of after) refuseSharedMac(endpoint, to, registry);
  }

  #refuseOthers({ id }: Network, known: readonly Endpoint[]): void {
    const ids = new Set(known.map(({ endpointId }) => endpointId));
    if (this.#parts.registry.endpointsOf(id).every(({ endpoint }) => ids.has(endpoint.endpointId))) return;
    throw new TsnetError("conflict", `network ${short(id)} just got another endpoint; change it again`);
  }

  /** Has the host follow the records. The rules come first: nothing is open for a moment that shall be closed. */
  async move(network: Network, former: Network, records: readonly EndpointRecord[]): Promise<void> {
    const { registry, datapaths, firewall } = this.#parts;
    const datapath = datapaths[network.backend];
    const others = registry.sharersOf(network);
    await firewall.apply(registry.firewallState());
    const isLinkSame = network.hostLink === former.hostLink;
    if (!isLinkSame || !isDeepStrictEqual(network.tunnel, former.tunnel)) {
      // Of what stays where it is the addresses stay, too.
      const gone = isLinkSame ? { ...former, isHostOnSwitch: false } : former;
      await datapath.removeNetwork(gone, [network, ...others]);
    }
    await datapath.ensureNetwork(network, others);
    for (const record of records) {
      if (record.state !== "joined") continue;
      const { endpoint } = record;
      await datapath.reattach(network, endpoint, needsHairpin(network, record));
      if (network.tunnel !== undefined) await datapath.announce(network, endpoint);
    }
  }
}

function endpointsOf(records: readonly EndpointRecord[]): readonly Endpoint[] {
  return records.map(({ endpoint }) => endpoint);
}

/** What an endpoint has of its network changes with it. */
function follow(record: EndpointRecord, from: Network, to: Network): EndpointRecord {
  const { endpoint } = record;
  const vlans = isDeepStrictEqual(endpoint.vlans, from.vlans) ? to.vlans : endpoint.vlans;
  const mtu = endpoint.mtu === from.mtu ? to.mtu : endpoint.mtu;
  return { ...record, endpoint: { ...endpoint, vlans, mtu } };
}

function insideOf({ endpoint, state, sandboxKey, attachment }: EndpointRecord): InsideChange[] {
  if (state !== "joined" || sandboxKey === undefined) return [];
  const { endpointId, mac, mtu } = endpoint;
  return [{ endpointId, sandboxKey, ...(attachment && { owner: attachment.owner }), mac, mtu, addresses: [] }];
}
