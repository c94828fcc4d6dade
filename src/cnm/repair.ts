// Mends what is tsnet's own when the operator asks for it: everything is put back as at a start, what carries our mark and is in no
// record goes, and addresses that nobody has are released. What is not ours, or may be somebody's, stays.
import { TsnetError, messageOf } from "../errors.ts";
import type { Datapath, Inventory } from "./datapath.ts";
import { ADDRESS_GRACE_MS, claimedIn } from "./lost-addresses.ts";
import type { EndpointId } from "./endpoint.ts";
import type { NetworkId } from "./network.ts";
import type { CnmParts } from "./parts.ts";
import { short } from "./registry.ts";
import { Removal } from "./removal.ts";

/** An address that no container has, as the engine says. */
export interface UnheldAddress {
  readonly addressSpace: string;
  /** CIDR. */
  readonly subnet: string;
  /** Bare. */
  readonly address: string;
}

export interface RepairRequest {
  readonly addresses: readonly UnheldAddress[];
}

/** Lines for the operator. */
export interface RepairResult {
  readonly done: readonly string[];
  /** What was not mended, and why. */
  readonly left: readonly string[];
}

/** The verb. */
export interface RepairDriver {
  /** Puts back what is tsnet's, and removes what carries its mark and is of nothing that it has a record of. */
  run(request: RepairRequest): Promise<RepairResult>;
}

/** What is needed besides what the verbs have. */
export interface RepairParts extends CnmParts {
  /** Looks at the host and puts back what it can. */
  readonly lookAtHost: () => Promise<void>;
  /** For how long an endpoint's address has been given out; undefined if it is not. */
  readonly heldForMs: (addressSpace: string, subnet: string, address: string) => number | undefined;
}

/** See the top of this file. */
export class Repair implements RepairDriver {
  readonly #parts: RepairParts;
  readonly #removal: Removal;

  constructor(parts: RepairParts) {
    this.#parts = parts;
    this.#removal = new Removal(parts);
  }

  /** @throws TsnetError `host` if what is there cannot be listed. */
  async run({ addresses }: RepairRequest): Promise<RepairResult> {
    const { registry, datapaths } = this.#parts;
    await this.#parts.lookAtHost();
    if (registry.damage.isAbsenceUnproven) {
      return {
        done: [],
        left: ["nothing was removed: records are damaged, and what seems to be nobody's may be in them"],
      };
    }
    const [done, left]: [string[], string[]] = [[], []];
    for (const datapath of Object.values(datapaths)) {
      const [strays, away] = [await this.#strays(datapath), await this.#parts.links.namesAway()];
      const faults = await this.#remove(
        datapath,
        [...strays.values()].filter(({ ifName }) => !away.has(ifName)),
      );
      const after = await this.#strays(datapath);
      for (const name of strays.keys()) if (!after.has(name)) done.push(`${name} removed`);
      for (const name of after.keys()) left.push(`${name} was not removed: ${whyLeft(away.has(name), faults)}`);
    }
    for (const unheld of addresses) {
      const refusal = await this.#release(unheld);
      if (refusal === undefined) done.push(`address ${unheld.address} of ${unheld.subnet} released`);
      else left.push(`address ${unheld.address} of ${unheld.subnet} was not released: ${refusal}`);
    }
    return { done, left };
  }

  /** What is in no record, by its name. A kind of switch that is away has nothing that could be removed. */
  async #strays(datapath: Datapath): Promise<ReadonlyMap<string, Stray>> {
    const { registry } = this.#parts;
    const found = await datapath.inventory().catch((failure: unknown): Inventory => {
      if (failure instanceof TsnetError && failure.code === "unavailable") return { switches: [], ports: [] };
      throw failure;
    });
    const inUse: ReadonlySet<string> = registry.switchesInUse();
    const isKnown = (id: string) => registry.findNetwork(id as NetworkId) !== undefined; // compared, no more
    const ports = found.ports.filter(({ endpointId }) => registry.findEndpoint(endpointId as EndpointId) === undefined);
    const switches = found.switches.filter(({ networkId, ifName }) => !isKnown(networkId) && !inUse.has(ifName));
    return new Map([...ports, ...switches].map((stray) => [stray.ifName, stray]));
  }

  /** Ports first: a switch with ports of endpoints is in use. @returns what failed. */
  async #remove(datapath: Datapath, strays: readonly Stray[]): Promise<readonly string[]> {
    const faults: string[] = [];
    for (const stray of strays) {
      const removal = "endpointId" in stray ? this.#removePort(datapath, stray) : this.#removeSwitch(stray.networkId);
      await removal.catch((failure: unknown) => void faults.push(messageOf(failure)));
    }
    return faults;
  }

  async #removePort(datapath: Datapath, { endpointId, ifName }: Inventory["ports"][number]): Promise<void> {
    const { registry, locks } = this.#parts;
    const id = endpointId as EndpointId; // compared, no more
    await locks.endpoint({ endpointId: id }, async () => {
      if (registry.findEndpoint(id) === undefined) await datapath.detach({ endpointId: id, hostIfName: ifName });
    });
  }

  async #removeSwitch(id: string): Promise<void> {
    const { registry, locks } = this.#parts;
    await locks.networks(async () => {
      if (registry.findNetwork(id as NetworkId) === undefined) await this.#removal.unknownNetwork(id as NetworkId); // compared
    });
  }

  /** @returns why it was not released; undefined if it was. */
  async #release({ addressSpace, subnet, address }: UnheldAddress): Promise<string | undefined> {
    const { registry, heldForMs, pools } = this.#parts;
    const [network, ...others] = registry.networksWith(addressSpace, subnet);
    if (network === undefined || others.length > 0) return "which network it is of cannot be told";
    const claimed = claimedIn(network, registry);
    if (claimed === undefined) return `the record of network ${short(network.id)} does not say what is its own`;
    if (claimed.has(address)) return "an endpoint has it, or the network itself";
    const age = heldForMs(addressSpace, subnet, address);
    if (age === undefined) return "it is not in use";
    if (age < ADDRESS_GRACE_MS)
      return `it was given out ${Math.round(age / 1000)} s ago, so a container may be about to start`;
    try {
      await pools.releaseAddress(addressSpace, subnet, address);
      return undefined;
    } catch (failure) {
      return messageOf(failure);
    }
  }
}

type Stray = Inventory["ports"][number] | Inventory["switches"][number];

function whyLeft(isAway: boolean, faults: readonly string[]): string {
  if (isAway) return "its other end is in a container, whose connections go on; `ip link del` ends them";
  return faults.join(", ") || "it is in use, or not what tsnet makes";
}
