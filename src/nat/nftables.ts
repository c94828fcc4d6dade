// The firewall by nftables: our own table (ruleset.ts), one rule in a foreign chain (foreign-chains.ts), forwarding
// (forwarding.ts). Everything is compared with what is there first, so that a second call changes nothing; what was
// made is read back.
import type { Firewall } from "../cnm/firewall.ts";
import type { Network } from "../cnm/network.ts";
import { TsnetError } from "../errors.ts";
import type { NftObject, NftTool } from "../host/nft-tool.ts";
import type { Rtnetlink } from "../host/rtnetlink.ts";
import type { Sysctl } from "../host/sysctl.ts";
import { KeyedLock } from "../keyed-lock.ts";
import type { Log } from "../log.ts";
import { forwardRuleCommands, refuseLegacyRules } from "./foreign-chains.ts";
import { ensureForwarding } from "./forwarding.ts";
import * as ruleset from "./ruleset.ts";

/** What the firewall needs of the host. */
export interface FirewallHost {
  readonly nft: NftTool;
  readonly sysctl: Sysctl;
  readonly links: Rtnetlink;
  readonly log: Log;
}

/** The rules of this host's network namespace. */
export class NftablesFirewall implements Firewall {
  readonly #host: FirewallHost;
  readonly #lock = new KeyedLock();

  constructor(host: FirewallHost) {
    this.#host = host;
  }

  async check(network: Network): Promise<void> {
    await this.#host.nft.listChains(); // no nft, no permission, no nf_tables: says so before anything is made
    const isForwarded = network.isHostOnSwitch && !network.isInternal;
    if (isForwarded || (await isBridgeNetfilterOn(this.#host.sysctl))) refuseLegacyRules();
  }

  async apply(networks: readonly Network[]): Promise<boolean> {
    return this.#lock.run("rules", () => this.#apply(networks));
  }

  async #apply(networks: readonly Network[]): Promise<boolean> {
    const { nft } = this.#host;
    await ensureForwarding(networks, this.#host);
    const chains = await nft.listChains();
    const foreign = await forwardRuleCommands(nft, chains, networks.length > 0);
    const isThere = chains.some(({ chain }) => isOfOurTable(chain));
    if (networks.length === 0) {
      const commands = [...foreign, ...(isThere ? ruleset.REMOVE_TABLE : [])];
      if (commands.length > 0) await nft.applyCommands(commands);
      return commands.length > 0;
    }
    const wanted = ruleset.elementsFor(networks);
    const present = isThere ? await nft.listTable(ruleset.TABLE.family, ruleset.TABLE.table) : [];
    const isWhole = hasSkeleton(present);
    if (isWhole && hasElements(present, wanted) && foreign.length === 0) return false;
    if (!isWhole) await nft.applyText(ruleset.SKELETON);
    await nft.applyCommands([...ruleset.replaceElements(wanted), ...foreign]);
    const made = await nft.listTable(ruleset.TABLE.family, ruleset.TABLE.table);
    if (!hasSkeleton(made) || !hasElements(made, wanted)) {
      throw new TsnetError("host", "nft reported success, but table inet tsnet does not hold what was asked for");
    }
    return true;
  }
}

async function isBridgeNetfilterOn(sysctl: Sysctl): Promise<boolean> {
  return (await sysctl.read("bridge/bridge-nf-call-iptables")) === "1";
}

function isOfOurTable(chain: unknown): boolean {
  const { family, table } = fieldsOf(chain);
  return family === ruleset.TABLE.family && table === ruleset.TABLE.table;
}

function hasSkeleton(table: readonly NftObject[]): boolean {
  const rules = table.filter(({ rule }) => rule !== undefined).length;
  return rules === ruleset.SKELETON_RULES && table.some(({ set }) => fieldsOf(set)["name"] === ruleset.SKELETON_SET);
}

function hasElements(table: readonly NftObject[], wanted: ReadonlyMap<string, readonly ruleset.Element[]>): boolean {
  const canonical = (elements: readonly unknown[]) => JSON.stringify(elements.map((e) => JSON.stringify(e)).toSorted());
  return [...wanted].every(([name, elements]) => {
    const set = table.find((object) => fieldsOf(object["set"])["name"] === name);
    const present = fieldsOf(set?.["set"])["elem"] ?? [];
    return Array.isArray(present) && canonical(present) === canonical(elements);
  });
}

function fieldsOf(value: unknown): NftObject {
  return typeof value === "object" && value !== null ? (value as NftObject) : {}; // a look at JSON of unknown form
}
