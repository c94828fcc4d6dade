// Open vSwitch as a datapath. One file a promise: `network.ts` makes and removes bridges with the host's links and uplinks,
// `endpoint.ts` the ports of endpoints. What shall be is rows of Open vSwitch's database; links are by rtnetlink.
import { formatAddress } from "../../cidr.ts";
import type { Datapath, FoundSwitch, Inventory, PresentSettings } from "../../cnm/datapath.ts";
import type { Endpoint } from "../../cnm/endpoint.ts";
import type { IfName, Network } from "../../cnm/network.ts";
import { TsnetError } from "../../errors.ts";
import { changesHost } from "../../host/changes.ts";
import { select } from "../../host/ovsdb-operations.ts";
import { Ovsdb } from "../../host/ovsdb.ts";
import type { HostOfPairs } from "../veth-pair.ts";
import type { MovedUplinks } from "../uplink/moved-uplinks.ts";
import { check } from "./check.ts";
import { attach, detach, reattach } from "./endpoint.ts";
import { requireNoLink } from "./internal-link.ts";
import { Management } from "./management.ts";
import { endpointOf, networkOf } from "./marks.ts";
import { ensureNetwork, removeNetwork, removeStrayBridges } from "./network.ts";
import { OpenFlowSwitches } from "./openflow-switches.ts";
import { findRows } from "./rows.ts";
import { readSettings, restoreSettings } from "./settings.ts";
import { announce } from "./tunnel.ts";

/** The host as this folder needs it. */
export interface OvsHost extends HostOfPairs {
  readonly moved: MovedUplinks;
  readonly ovsdb: Ovsdb;
  readonly flows: OpenFlowSwitches;
}

/** Where Open vSwitch is, and whom to tell. */
export interface OvsOptions {
  /** `unix:PATH` or `tcp:HOST:PORT`, as TSNET_OVSDB has it. */
  readonly ovsdb: string;
  /** Open vSwitch, or what is there, has changed: look again. May not throw. */
  readonly onChanged?: () => void;
}

/** Bridges of Open vSwitch and veth pairs of one host. */
export class OvsDatapath implements Datapath {
  readonly kind = "ovs";
  readonly #host: OvsHost;

  /** Connects when it is first used. @throws TsnetError `invalid` for an address that is none. */
  constructor(host: HostOfPairs & Pick<OvsHost, "moved">, { ovsdb: address, onChanged = () => {} }: OvsOptions) {
    const { links, sysctl, pairs, moved } = host;
    const ovsdb = new Ovsdb(address, { onConnected: onChanged, onChanged });
    const management = new Management(ovsdb, address);
    const flows = new OpenFlowSwitches({ ovsdb, links, management, onRestored: onChanged });
    this.#host = { links, sysctl, pairs, moved, ovsdb, flows };
  }

  /** Ends the connections. What is there stays as it is. */
  close(): void {
    this.#host.flows.close();
    this.#host.ovsdb.close();
  }

  async inspectSwitch(name: IfName): Promise<FoundSwitch> {
    const { ovsdb, links } = this.#host;
    const { bridge } = await findRows(ovsdb, `look up bridge ${name}`, name, []);
    if (bridge === undefined) {
      await requireNoLink(this.#host, name);
      return { state: "absent" };
    }
    const networkId = networkOf(bridge);
    if (networkId !== undefined) return { state: "ours", networkId };
    const link = await links.findLink(name);
    const addresses = link === undefined ? [] : await links.listAddresses(link.index);
    const ofHost = addresses.filter(({ scope }) => scope === "global");
    const texts = ofHost.map(({ address, prefixLength }) => `${formatAddress(address)}/${prefixLength}`);
    return { state: "foreign", addresses: texts };
  }

  async check(network: Network, others: readonly Network[]): Promise<void> {
    await check(this.#host, network, others);
  }

  async ensureNetwork(network: Network, others: readonly Network[]): Promise<boolean> {
    return changesHost(() => ensureNetwork(this.#host, network, others));
  }

  async readSettings(network: Network): Promise<PresentSettings> {
    return readSettings(this.#host.ovsdb, network);
  }

  async restoreSettings(network: Network, settings: PresentSettings): Promise<void> {
    await restoreSettings(this.#host.ovsdb, network, settings);
  }

  async removeNetwork(network: Network, others: readonly Network[]): Promise<void> {
    await removeNetwork(this.#host, network, others);
  }

  /** Without Open vSwitch there is nothing to remove, and no record that would have it tried again. */
  async removeStraySwitch(networkId: string, inUse: ReadonlySet<IfName>): Promise<void> {
    await unlessAway(removeStrayBridges(this.#host, networkId, inUse));
  }

  async attach(network: Network, endpoint: Endpoint, others: readonly Network[]): Promise<IfName> {
    await attach(this.#host, network, endpoint, others);
    return endpoint.sandboxIfName;
  }

  async reattach(network: Network, endpoint: Endpoint): Promise<boolean> {
    return changesHost(() => reattach(this.#host, network, endpoint));
  }

  /**
   * Nothing to do: no frame leaves by the port by which it came. What an endpoint sends to its own published port is routed by
   * the host and comes back by the host's link, since no rules of the host's see frames that Open vSwitch switches.
   */
  async ensureHairpin(): Promise<void> {}

  async announce(network: Network, endpoint: Endpoint): Promise<void> {
    await announce(this.#host, network, endpoint);
  }

  async detach(endpoint: Pick<Endpoint, "endpointId" | "hostIfName">): Promise<void> {
    await detach(this.#host, endpoint);
  }

  async inventory(): Promise<Inventory> {
    const [bridges, ports] = await this.#host.ovsdb.transact("list what is tsnet's", [
      select("Bridge", [], ["name", "external_ids"]),
      select("Port", [], ["name", "external_ids"]),
    ]);
    const named = ({ name }: { readonly name: string }) => name as IfName; // a link's name, by Open vSwitch's own rules
    return {
      switches: bridges.flatMap((row) => {
        const networkId = networkOf(row);
        return networkId === undefined ? [] : [{ networkId, ifName: named(row) }];
      }),
      ports: ports.flatMap((row) => {
        const endpointId = endpointOf(row);
        return endpointId === undefined ? [] : [{ endpointId, ifName: named(row) }];
      }),
    };
  }
}

async function unlessAway(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (failure) {
    if (!(failure instanceof TsnetError) || failure.code !== "unavailable") throw failure;
  }
}
