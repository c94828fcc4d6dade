// The flows of all switches: one connection a switch, kept open, and made again when it has ended: that is how a restart of
// `ovs-vswitchd` is noticed, which begins without flows. All that the switch shall have is put back at once then; until that,
// a switch of tsnet's own is closed.
import type { Endpoint } from "../../cnm/endpoint.ts";
import type { Network } from "../../cnm/network.ts";
import { TsnetError, inContext } from "../../errors.ts";
import { select } from "../../host/ovsdb-operations.ts";
import type { Ovsdb } from "../../host/ovsdb.ts";
import type { Rtnetlink } from "../../host/rtnetlink.ts";
import { KeyedLock } from "../../keyed-lock.ts";
import { endpointCookie, learnedCookie } from "./flows-cookie.ts";
import type { Management } from "./management.ts";
import { endpointOf } from "./marks.ts";
import { SwitchFlows } from "./switch-flows.ts";
import { type PortState, SwitchMembers } from "./switch-members.ts";

/** Pause before a connection is tried again: doubled from the one to the other. */
const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 1_000;

/** Pause before an announcement is made again: in userspace the first one may only have asked for the peer's MAC address. */
const REPEAT_MS = 500;

/** What is needed besides. */
export interface OpenFlowHost {
  readonly ovsdb: Ovsdb;
  readonly links: Rtnetlink;
  readonly management: Management;
  /** Open vSwitch is back, and flows with it; what else there is may be missing. May not throw. */
  readonly onRestored: () => void;
}

/** Frames, and the names of the ports by which they leave. */
interface Announcement {
  readonly names: readonly string[];
  readonly frames: readonly Buffer[];
}

interface Switch {
  readonly members: SwitchMembers;
  flows?: SwitchFlows;
  retry?: NodeJS.Timeout;
  retryMs: number;
}

/** Keeps flows on switches be as their members say. Calls for one switch run one after the other. */
export class OpenFlowSwitches implements Disposable {
  readonly #host: OpenFlowHost;
  readonly #switches = new Map<string, Switch>();
  readonly #locks = new KeyedLock();
  #isClosed = false;

  constructor(host: OpenFlowHost) {
    this.#host = host;
  }

  /** Makes all flows of a switch be there. @param networks - all networks of the switch. @throws TsnetError. */
  async ensureSwitch(switchName: string, networks: readonly Network[]): Promise<void> {
    await this.#locks.run(switchName, async () => {
      const found = this.#obtain(switchName, networks);
      found.members.setNetworks(networks);
      await this.#ensureAll(switchName, found);
    });
  }

  /** Makes the flows of one endpoint be there. Its port is in the switch. @throws TsnetError. */
  async putEndpoint(network: Network, endpoint: Endpoint): Promise<void> {
    const { switchName } = network;
    await this.#locks.run(switchName, async () => {
      const found = this.#obtain(switchName, [network]);
      const vlans = found.members.putEndpoint(network, endpoint);
      await this.#putEndpoint(switchName, found, endpoint.endpointId, vlans);
    });
  }

  /**
   * Deletes the flows of one endpoint. Where the switch cannot be reached, or is not there, they are not there either.
   *
   * @param switchName - where its port is, as far as that is known.
   */
  async removeEndpoint(endpointId: string, switchName: string | undefined): Promise<void> {
    const home = [...this.#switches].find(([, { members }]) => members.hasEndpoint(endpointId))?.[0] ?? switchName;
    if (home === undefined) return;
    await this.#locks.run(home, async () => {
      const found = this.#switches.get(home);
      const vlans = found?.members.removeEndpoint(endpointId) ?? [];
      try {
        if (found !== undefined) return await this.#putEndpoint(home, found, endpointId, vlans);
        using flows = await SwitchFlows.open(await this.#host.management.addressOf(home), false, () => {});
        await flows.deleteOwner(endpointCookie(endpointId));
      } catch (failure) {
        if (!(failure instanceof TsnetError) || failure.code !== "unavailable") throw failure;
      }
    });
  }

  /**
   * Sends frames out of ports that are there, past all flows, and once more a moment later. An endpoint that is not guarded is
   * no longer sought where its MAC address was before.
   */
  async announce({ switchName }: Network, { endpointId }: Endpoint, { names, frames }: Announcement): Promise<void> {
    const found = this.#switches.get(switchName);
    if (found === undefined || names.length === 0) return;
    const send = () =>
      this.#locks.run(switchName, async () => {
        const { flows, members } = found;
        if (flows?.isOpen !== true) return; // then nothing has been learned either
        for (const vlan of members.openVlansOf(endpointId)) await flows.deleteOwner(learnedCookie(vlan));
        const states = await this.#statesOf(switchName, names, []);
        const ports = [...states.values()].map(({ ofport }) => ofport);
        if (ports.length > 0) await flows.sendFrames(frames, ports);
      });
    await send();
    setTimeout(() => void send().catch(() => {}), REPEAT_MS).unref();
  }

  /** Ends the connection to a switch that tsnet has nothing more to do with. @param isThere - then its flows are deleted. */
  async forget(switchName: string, isThere: boolean): Promise<void> {
    await this.#locks.run(switchName, async () => {
      const found = this.#switches.get(switchName);
      this.#switches.delete(switchName);
      clearTimeout(found?.retry);
      try {
        if (!isThere) return;
        if (found !== undefined) await (await this.#connect(switchName, found)).deleteAll();
        await this.#host.management.release(switchName);
      } finally {
        found?.flows?.[Symbol.dispose]();
      }
    });
  }

  /** Ends all connections. The flows stay. */
  close(): void {
    this.#isClosed = true;
    for (const { retry, flows } of this.#switches.values()) {
      clearTimeout(retry);
      flows?.[Symbol.dispose]();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #obtain(switchName: string, [network]: readonly Network[]): Switch {
    const known = this.#switches.get(switchName);
    const isOurs = network?.isSwitchOurs === true;
    if (known?.members.isOurs === isOurs) return known;
    const made: Switch = { members: new SwitchMembers(isOurs), retryMs: RETRY_MIN_MS };
    this.#switches.set(switchName, made);
    return made;
  }

  async #ensureAll(switchName: string, found: Switch): Promise<void> {
    const flows = await this.#connect(switchName, found);
    const { members } = found;
    const wanted = members.allFlows(await this.#statesOf(switchName, members.portNames(), members.gatewayNames()));
    if (await flows.isComplete(wanted)) return;
    await flows.put(wanted);
    if (await flows.isComplete(wanted)) return;
    await flows.deleteOthers(new Set([...wanted.keys(), ...(await this.#ownersInDatabase(switchName))]));
  }

  async #putEndpoint(switchName: string, found: Switch, endpointId: string, vlans: readonly number[]): Promise<void> {
    if (found.flows?.isOpen !== true) return this.#ensureAll(switchName, found);
    const { members, flows } = found;
    const states = await this.#statesOf(switchName, members.portNamesFor(endpointId, vlans), []);
    await flows.put(members.flowsOf(endpointId, vlans, states));
    if (!members.hasEndpoint(endpointId)) for (const vlan of vlans) await flows.deleteOwner(learnedCookie(vlan));
  }

  async #connect(switchName: string, found: Switch): Promise<SwitchFlows> {
    if (found.flows?.isOpen === true) return found.flows;
    const doing = `connect to the flows of bridge ${switchName}`;
    try {
      const address = await this.#host.management.addressOf(switchName);
      const onEnd = () => this.#restore(switchName, found);
      found.flows = await SwitchFlows.open(address, found.members.isOurs, onEnd);
      clearTimeout(found.retry); // who connects makes all flows be there
      found.retryMs = RETRY_MIN_MS;
      return found.flows;
    } catch (failure) {
      throw inContext(doing, failure);
    }
  }

  /** Tries until it succeeds, or the switch is forgotten. */
  #restore(switchName: string, found: Switch): void {
    const isForgotten = () => this.#isClosed || this.#switches.get(switchName) !== found;
    if (isForgotten()) return;
    clearTimeout(found.retry);
    const attempt = () =>
      this.#locks.run(switchName, async () => {
        if (isForgotten()) return;
        await this.#ensureAll(switchName, found);
        this.#host.onRestored();
      });
    found.retry = setTimeout(() => void attempt().catch(() => this.#restore(switchName, found)), found.retryMs).unref();
    found.retryMs = Math.min(2 * found.retryMs, RETRY_MAX_MS);
  }

  /** Numbers are good when `ovs-vswitchd` has taken over what the database says: it may have begun a moment ago. */
  async #statesOf(
    switchName: string,
    names: readonly string[],
    gateways: readonly string[],
  ): Promise<ReadonlyMap<string, PortState>> {
    const doing = `look up the ports of bridge ${switchName}`;
    if (names.length > 0) await this.#host.ovsdb.waitForVswitchd(doing);
    const states = new Map<string, PortState>();
    for (const { name, ofport } of await this.#host.ovsdb.interfaceStates(doing, names)) {
      if (ofport !== undefined && ofport >= 0) states.set(name, { ofport });
    }
    for (const name of gateways) {
      const [state, link] = [states.get(name), await this.#host.links.findLink(name)];
      if (state !== undefined && link !== undefined) states.set(name, { ...state, mac: link.mac });
    }
    return states;
  }

  /** Endpoints that were not named yet, as when tsnet has just begun: their flows stay. */
  async #ownersInDatabase(switchName: string): Promise<readonly bigint[]> {
    const doing = `list the ports of bridge ${switchName}`;
    const [bridges, ports] = await this.#host.ovsdb.transact(doing, [
      select("Bridge", [["name", "==", switchName]], ["ports"]),
      select("Port", [], ["_uuid", "external_ids"]),
    ]);
    const own = new Set(bridges.flatMap((row) => row.ports));
    return ports.flatMap((row) => {
      const endpointId = own.has(row._uuid) ? endpointOf(row) : undefined;
      return endpointId === undefined ? [] : [endpointCookie(endpointId)];
    });
  }
}
