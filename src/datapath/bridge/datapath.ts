// The Linux bridge as a datapath. One file a promise: `check.ts` says what cannot be had, `network.ts` makes and removes
// bridges with their `settings.ts`, `vlan-link.ts`, `uplink.ts` and `tunnel.ts`, `endpoint.ts` their ports; `vlan.ts` says who has which VLAN.
import type { Datapath, FoundSwitch, Inventory, PresentSettings } from "../../cnm/datapath.ts";
import type { Endpoint } from "../../cnm/endpoint.ts";
import type { IfName, Network } from "../../cnm/network.ts";
import { formatAddress } from "../../cidr.ts";
import { changesHost } from "../../host/changes.ts";
import { readMark } from "../mark.ts";
import { checkNetwork } from "./check.ts";
import type { MovedUplinks } from "../uplink/moved-uplinks.ts";
import { announce } from "../announcement.ts";
import { type HostOfPairs, removePair } from "../veth-pair.ts";
import { attach, ensureHairpin, reattach } from "./endpoint.ts";
import { ensureNetwork, removeNetwork, removeStrayBridges, requireBridge } from "./network.ts";
import { readSettings, restoreSettings } from "./settings.ts";
import { openTunnelLinks } from "./tunnel.ts";

/** The host as this folder needs it. */
export interface BridgeHost extends HostOfPairs {
  readonly moved: MovedUplinks;
}

/** Bridges and veth pairs of one host. */
export class BridgeDatapath implements Datapath {
  readonly kind = "bridge";
  readonly #host: BridgeHost;

  constructor(host: BridgeHost) {
    this.#host = host;
  }

  async inspectSwitch(name: IfName): Promise<FoundSwitch> {
    const link = await this.#host.links.findLink(name);
    if (link === undefined) return { state: "absent" };
    requireBridge(link);
    const networkId = readMark("network", link);
    if (networkId !== undefined) return { state: "ours", networkId };
    const addresses = await this.#host.links.listAddresses(link.index);
    const isLinkLocal = (text: string) => text.startsWith("fe80:");
    const texts = addresses.map(({ address, prefixLength }) => `${formatAddress(address)}/${prefixLength}`);
    return { state: "foreign", addresses: texts.filter((text) => !isLinkLocal(text)) };
  }

  async check(network: Network, others: readonly Network[]): Promise<void> {
    await checkNetwork(this.#host, network, others);
  }

  async ensureNetwork(network: Network, others: readonly Network[]): Promise<boolean> {
    return changesHost(() => ensureNetwork(this.#host, network, others));
  }

  async readSettings(network: Network): Promise<PresentSettings> {
    return readSettings(this.#host, network);
  }

  async restoreSettings(network: Network, settings: PresentSettings): Promise<void> {
    await restoreSettings(this.#host, network, settings);
  }

  async removeNetwork(network: Network, others: readonly Network[]): Promise<void> {
    await removeNetwork(this.#host, network, others);
  }

  async removeStraySwitch(networkId: string, inUse: ReadonlySet<IfName>): Promise<void> {
    await removeStrayBridges(this.#host, networkId, inUse);
  }

  async attach(network: Network, endpoint: Endpoint, others: readonly Network[]): Promise<IfName> {
    await attach(this.#host, network, endpoint, others);
    return endpoint.sandboxIfName;
  }

  async reattach(network: Network, endpoint: Endpoint, isHairpin?: boolean): Promise<boolean> {
    return changesHost(() => reattach(this.#host, network, endpoint, isHairpin));
  }

  async ensureHairpin(endpoint: Pick<Endpoint, "endpointId" | "hostIfName">, isOn: boolean): Promise<void> {
    await ensureHairpin(this.#host, endpoint, isOn);
  }

  async announce(network: Network, endpoint: Endpoint): Promise<void> {
    const links = await openTunnelLinks(this.#host, network);
    announce(network, endpoint, links);
    for (const { index } of links) await this.#host.links.deleteFdbEntry(index, endpoint.mac); // where it was before
  }

  async detach(endpoint: Pick<Endpoint, "endpointId" | "hostIfName">): Promise<void> {
    await removePair(this.#host, endpoint);
  }

  async inventory(): Promise<Inventory> {
    const marked = (await this.#host.links.listLinks()).map((link) => ({
      ifName: link.name as IfName, // the kernel's own word
      networkId: link.kind === "bridge" || link.kind === "vlan" || link.tunnel ? readMark("network", link) : undefined,
      endpointId: readMark("endpoint", link),
    }));
    return {
      switches: marked.flatMap(({ ifName, networkId }) => (networkId === undefined ? [] : [{ networkId, ifName }])),
      ports: marked.flatMap(({ ifName, endpointId }) => (endpointId === undefined ? [] : [{ endpointId, ifName }])),
    };
  }
}
