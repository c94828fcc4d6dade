// The firewall by nftables: our own tables (skeleton.ts, elements.ts), one rule in a foreign chain (foreign-chains.ts),
// forwarding (forwarding.ts), and the connections that a changed port leaves behind (flows.ts). Tables, chains and rules
// are made by `nft` out of constant text; elements go in and out by netlink, so that an endpoint costs no process.
// Everything is compared with what is there first: a second call changes nothing. What was made is read back.
import type { Firewall, FirewallState, GuardedEndpoint } from "../cnm/firewall.ts";
import type { Network } from "../cnm/network.ts";
import type { PublishedPort } from "../cnm/ports.ts";
import { TsnetError, inContext } from "../errors.ts";
import type { Conntrack } from "../host/conntrack.ts";
import { isErrno } from "../host/netlink.ts";
import type { NftObject, NftTool } from "../host/nft-tool.ts";
import type { Nftables, SetChange } from "../host/nftables.ts";
import type { Rtnetlink } from "../host/rtnetlink.ts";
import type { Sysctl } from "../host/sysctl.ts";
import { KeyedLock } from "../keyed-lock.ts";
import type { Log } from "../log.ts";
import { Elements, SETS } from "./element-sets.ts";
import { endpointElements, networkElements, portElements } from "./elements.ts";
import { forgetFlows, forgetUntranslatedFlows } from "./flows.ts";
import { forwardRuleCommands, hasLegacyRules, listEngineBridges, refuseLegacyRules } from "./foreign-chains.ts";
import { ensureForwarding } from "./forwarding.ts";
import { SKELETON, SKELETON_SIZES, SKELETON_SET, TABLES } from "./skeleton.ts";
import { emptyingCommands, fieldsOf, replacingCommands } from "./table-commands.ts";

/** What the firewall needs of the host. */
export interface FirewallHost {
  readonly nft: NftTool;
  readonly elements: Nftables;
  readonly conntrack: Conntrack;
  readonly sysctl: Sysctl;
  readonly links: Rtnetlink;
  readonly log: Log;
}

const DOING = "change the elements of table tsnet";

/** The rules of this host's network namespace. */
export class NftablesFirewall implements Firewall {
  readonly #host: FirewallHost;
  readonly #lock = new KeyedLock();
  /** What the rules are for, as far as they were ever asked for. */
  #networks: readonly Network[] = [];
  #endpoints = new Map<string, GuardedEndpoint>();
  /** Whether what is there and not wanted may be wanted by somebody who cannot be named. */
  #isPartial = false;
  /** The tables as they were listed after they were made here; unknown for those of an earlier life. */
  #skeleton: string | undefined;

  constructor(host: FirewallHost) {
    this.#host = host;
  }

  async check(network: Network): Promise<void> {
    await this.#host.nft.listChains(); // no nft, no permission, no nf_tables: says so before anything is made
    const isForwarded = network.isHostOnSwitch && !network.isInternal;
    if (isForwarded || (await isBridgeNetfilterOn(this.#host.sysctl))) refuseLegacyRules();
  }

  async apply(state: FirewallState): Promise<boolean> {
    return this.#lock.run("rules", async () => {
      if (state.isPartial === true && state.networks.length === 0) return false;
      [this.#networks, this.#isPartial] = [state.networks, state.isPartial === true];
      this.#endpoints = new Map(state.endpoints.map((guarded) => [guarded.endpoint.endpointId, guarded]));
      return this.#applyAll();
    });
  }

  goesByLinks(): boolean {
    return this.#networks.length > 0 && hasLegacyRules();
  }

  async ensureEndpoint(guarded: GuardedEndpoint, former: readonly PublishedPort[] = []): Promise<void> {
    await this.#lock.run("rules", async () => {
      this.#endpoints.set(guarded.endpoint.endpointId, guarded);
      await this.#exchange(portElements({ ...guarded, ports: former }), endpointElements(guarded));
    });
    await forgetFlows(this.#host.conntrack, guarded, without(former, guarded.ports));
    await forgetUntranslatedFlows(this.#host, without(guarded.ports, former));
  }

  async removeEndpoint(guarded: GuardedEndpoint): Promise<void> {
    await this.#lock.run("rules", async () => {
      this.#endpoints.delete(guarded.endpoint.endpointId);
      await this.#exchange(endpointElements(guarded), new Elements());
    });
    await forgetFlows(this.#host.conntrack, guarded, guarded.ports);
  }

  /** Changes the elements of one endpoint without looking; where they were not as expected, everything is looked at. */
  async #exchange(former: Elements, wanted: Elements): Promise<void> {
    const changes = changesFor((set) => former.of(set), wanted);
    if (changes.length === 0) return;
    try {
      await this.#host.elements.apply(DOING, changes);
    } catch (failure) {
      if (!isErrno(failure, "ENOENT", "EEXIST")) throw failure;
      await this.#applyAll();
    }
  }

  async #applyAll(): Promise<boolean> {
    const { nft } = this.#host;
    await ensureForwarding(this.#networks, this.#host);
    const chains = await nft.listChains();
    const isWanted = this.#networks.length > 0;
    const foreign = await forwardRuleCommands(nft, chains, isWanted);
    if (foreign.length > 0) await nft.applyCommands(foreign);
    const hasChanged = isWanted ? await this.#ensureTables(chains) : await this.#removeTables();
    return hasChanged || foreign.length > 0;
  }

  async #removeTables(): Promise<boolean> {
    let hasRemoved = false;
    for (const table of TABLES) {
      const isThere = this.#host.elements.deleteTable(table).then(
        () => true,
        (failure: unknown) => {
          if (isErrno(failure, "ENOENT")) return false;
          throw failure;
        },
      );
      hasRemoved = (await isThere) || hasRemoved;
    }
    return hasRemoved;
  }

  async #ensureTables(chains: readonly NftObject[]): Promise<boolean> {
    const { nft } = this.#host;
    const isOwned = await this.#ownTables();
    const isWhole = TABLES.every(({ family }) => hasTable(chains, family)) && (await this.#hasSkeleton());
    if (!isWhole) {
      await this.#makeSkeleton(isOwned);
      if (!(await this.#hasSkeleton())) throw lyingTool();
    }
    const wanted = networkElements(this.#networks, await listEngineBridges(nft, chains));
    for (const guarded of this.#endpoints.values()) wanted.addAll(endpointElements(guarded));
    const changes = await this.#differences(wanted);
    if (changes.length === 0) return !isWhole;
    await this.#host.elements.apply(DOING, changes);
    if ((await this.#differences(wanted)).length > 0) throw lyingTool();
    return true;
  }

  async #ownTables(): Promise<boolean> {
    try {
      return await this.#host.elements.own(TABLES);
    } catch (failure) {
      if (!isErrno(failure, "EPERM")) throw failure;
      throw inContext("the tables tsnet belong to another program, perhaps to another tsnet", failure);
    }
  }

  /** Puts the skeleton in the place of whatever the tables hold, in one transaction of `nft`. */
  async #makeSkeleton(isOwned: boolean): Promise<void> {
    const { nft, elements } = this.#host;
    this.#skeleton = undefined;
    if (!isOwned) return nft.applyText(`${TABLES.map(replacingCommands).join("")}${SKELETON}`);
    const lists = TABLES.map(async (at) => emptyingCommands(at, await nft.listSkeleton(at.family, at.table)));
    const emptying = (await Promise.all(lists)).join("");
    await elements.release();
    await nft.applyText(`${emptying}${SKELETON}`);
    await this.#ownTables();
  }

  async #differences(wanted: Elements): Promise<SetChange[]> {
    const present = new Map<string, Awaited<ReturnType<Nftables["listSet"]>>>();
    for (const { family, set } of SETS) present.set(set, await this.#host.elements.listSet(family, "tsnet", set));
    const changes = changesFor((set) => present.get(set) ?? [], wanted);
    if (!this.#isPartial) return changes;
    return changes.filter(({ add }) => add.length > 0).map((change) => ({ ...change, remove: [] }));
  }

  /** Whether both tables hold what was made: the very same if we know it, else as much. */
  async #hasSkeleton(): Promise<boolean> {
    const { nft } = this.#host;
    const tables = await Promise.all(TABLES.map(({ family, table }) => nft.listSkeleton(family, table)));
    const parts = tables.map((objects) => objects.filter(isPart));
    const isMade = parts.every(
      (objects, n) =>
        objects.some(({ set }) => fieldsOf(set)["name"] === SKELETON_SET) && objects.length === SKELETON_SIZES[n],
    );
    if (!isMade) return false;
    const listed = JSON.stringify(parts);
    this.#skeleton ??= listed;
    return this.#skeleton === listed;
  }
}

/**
 * What must be done to get from what is there to what is wanted.
 *
 * @param present - by set.
 */
function changesFor(
  present: (set: (typeof SETS)[number]["set"]) => readonly SetChange["add"][number][],
  wanted: Elements,
): SetChange[] {
  return SETS.flatMap(({ family, set }) => {
    const there = present(set);
    const add = wanted.missingIn(there, set);
    const remove = wanted.strangersAmong(there, set);
    return add.length + remove.length === 0 ? [] : [{ family, table: "tsnet", set, remove, add }];
  });
}

async function isBridgeNetfilterOn(sysctl: Sysctl): Promise<boolean> {
  return (await sysctl.read("bridge/bridge-nf-call-iptables")) === "1";
}

function hasTable(chains: readonly NftObject[], wanted: string): boolean {
  return chains.some(({ chain }) => {
    const { family, table } = fieldsOf(chain);
    return family === wanted && table === "tsnet";
  });
}

/** All but the table itself, of which `nft` says who owns it. */
function isPart(object: NftObject): boolean {
  return ["set", "map", "chain", "rule"].some((kind) => kind in object);
}

function lyingTool(): TsnetError {
  return new TsnetError("host", "nft reported success, but the tables tsnet do not hold what was asked for");
}

function without(ports: readonly PublishedPort[], others: readonly PublishedPort[]): readonly PublishedPort[] {
  const known = new Set(others.map((port) => JSON.stringify(port)));
  return ports.filter((port) => !known.has(JSON.stringify(port)));
}
