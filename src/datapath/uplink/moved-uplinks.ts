// The uplinks whose addresses are the switch's (`parent-address=move`), whichever kind of switch it is: moved when the first
// network asks for it, made whole again when the NIC or the switch was made anew, given back with the last network. How one
// move is done stands in `address-move.ts`.
import type { IfName, Network } from "../../cnm/network.ts";
import { TsnetError } from "../../errors.ts";
import { L3Move } from "../../host/l3-move.ts";
import type { Link } from "../../host/rtnetlink-link.ts";
import type { Log } from "../../log.ts";
import {
  type AddressMove,
  type AddressMoveCalls,
  type AddressMoveHost,
  moveAddresses,
  resumeMove,
  returnAddresses,
} from "./address-move.ts";
import { applySettings, loosen, readSettings } from "./switch-link.ts";
import type { UplinkRecords } from "./uplink-records.ts";

/** After a move that failed the host was off the network for seconds: it is left alone for a while. */
const PAUSE_MS = 60_000;

/** Of `addr_gen_mode`. */
const GENERATES_NONE = "1";

/** A move, and the links between which it was made whole last: other ones know nothing of it. */
interface MovedUplink {
  readonly move: AddressMove;
  readonly nicIndex: number;
  readonly switchIndex: number;
  /** The NIC's `addr_gen_mode` (ip-sysctl.rst), which is changed on the way back; absent without IPv6. */
  readonly addressGeneration?: string;
}

/** What a switch does with an uplink. */
export interface UplinkPort extends Pick<AddressMoveCalls, "enslave" | "release"> {
  /** Whether it is a port of the switch now. */
  readonly isEnslaved: boolean;
}

/** Whether what the host was on an uplink is on the switch's link. @param networks - all networks of the switch. */
export function hasMovedAddresses(networks: readonly Pick<Network, "uplink">[]): boolean {
  return networks.some(({ uplink }) => uplink?.isAddressMoved === true);
}

/** All of one host. Calls for one uplink come one after the other. */
export class MovedUplinks {
  readonly #host: AddressMoveHost;
  readonly #records: UplinkRecords;
  readonly #log: Pick<Log, "info" | "warn">;
  readonly #failures = new Map<IfName, { readonly error: unknown; readonly until: number }>();

  constructor(host: AddressMoveHost, records: UplinkRecords, log: Pick<Log, "info" | "warn">) {
    [this.#host, this.#records, this.#log] = [host, records, log];
  }

  /**
   * Makes the uplink be a port of the switch, and what the host is on it be on the switch's link. A NIC that is not there is
   * waited for: the host keeps its addresses meanwhile.
   *
   * @throws TsnetError as `moveAddresses`, the same again for a while.
   */
  async ensure(parent: IfName, switchLinkName: IfName, port: UplinkPort): Promise<void> {
    const nic = await this.#host.links.findLink(parent);
    if (nic === undefined) return;
    let [record, { isEnslaved }] = [this.#find(parent), port];
    const isOfElsewhere = record !== undefined && record.move.switchLink.link.name !== switchLinkName;
    if (record !== undefined && (record.move.stage === "begun" || isOfElsewhere)) {
      await this.#takeBack(parent, record, port.release);
      [record, isEnslaved] = [undefined, false];
    }
    if (record === undefined) return this.#move(parent, switchLinkName, { ...port, isEnslaved });
    const { index } = await this.#host.links.requireLink(switchLinkName);
    if (isEnslaved && record.nicIndex === nic.index && record.switchIndex === index) return port.enslave();
    if (isEnslaved && record.nicIndex !== nic.index) await port.release(); // the port is that of a NIC that has gone
    await resumeMove(this.#host, record.move, port);
    await this.#put(parent, record.move);
    this.#log.info({ parent, link: switchLinkName }, "addresses of the uplink are on the switch again");
  }

  /** Gives the NIC back what it was, and takes it out of the switch. @throws TsnetError `host`; then it may come again. */
  async giveBack(parent: IfName, release: () => Promise<void>): Promise<void> {
    this.#failures.delete(parent);
    const record = this.#find(parent);
    if (record === undefined) return release();
    await this.#takeBack(parent, record, release);
  }

  /**
   * For when the record was lost: gives what the host is on a switch's link to the NIC that is the switch's port, and takes
   * that out.
   */
  async rescue(switchLink: Link, nic: Link, release: () => Promise<void>): Promise<void> {
    const { l3 } = this.#host;
    this.#log.warn({ link: switchLink.name, parent: nic.name }, "addresses without a record are given to the uplink");
    const settings = await readSettings(this.#host, switchLink);
    await applySettings(this.#host, nic, { ...settings, mac: nic.mac, mtu: nic.mtu });
    const back = new L3Move(l3, await l3.snapshot(switchLink), { source: switchLink, target: nic });
    await loosen(this.#host, switchLink);
    await back.prepare();
    await back.switchOver();
    await release();
    await back.finish();
  }

  async #move(parent: IfName, switchLinkName: IfName, port: UplinkPort): Promise<void> {
    const failed = this.#failures.get(parent);
    if (failed !== undefined && performance.now() < failed.until) throw failed.error;
    try {
      if (port.isEnslaved) await port.release(); // of an earlier boot: gateways are asked as they are without the switch
      await moveAddresses(this.#host, parent, switchLinkName, { ...port, store: (move) => this.#put(parent, move) });
    } catch (error) {
      this.#failures.set(parent, { error, until: performance.now() + PAUSE_MS });
      throw error;
    }
    this.#failures.delete(parent);
    this.#log.info({ parent, link: switchLinkName }, "addresses of the uplink were moved to the switch");
  }

  /** A NIC without IPv6 in between is given all its addresses, and makes none of its own, which would have to be tested. */
  async #takeBack(parent: IfName, record: MovedUplink, release: () => Promise<void>): Promise<void> {
    const { move, addressGeneration } = record;
    const nic = await this.#host.links.findLink(parent);
    const generation = nic && addressGeneration && generationPath(parent);
    if (nic !== undefined) {
      if (generation) await this.#host.sysctl.ensure(generation, GENERATES_NONE);
      await applySettings(this.#host, nic, { ...move.nicSettings, mac: nic.mac, mtu: nic.mtu });
    }
    await returnAddresses(this.#host, move, { release });
    if (generation) await this.#host.sysctl.ensure(generation, addressGeneration);
    await this.#records.remove(parent);
    this.#log.info({ parent, link: move.switchLink.link.name }, "addresses were given back to the uplink");
  }

  async #put(parent: IfName, move: AddressMove): Promise<void> {
    const [nic, link] = await Promise.all(
      [parent, move.switchLink.link.name].map((name) => this.#host.links.requireLink(name)),
    );
    const addressGeneration = await this.#host.sysctl.read(generationPath(parent));
    await this.#records.put(parent, { move, nicIndex: nic?.index, switchIndex: link?.index, addressGeneration });
  }

  #find(parent: IfName): MovedUplink | undefined {
    const body = this.#records.find(parent);
    if (typeof body !== "object" || body === null || !("move" in body)) return undefined;
    return body as MovedUplink; // written by #put
  }
}

function generationPath(linkName: string): string {
  return `ipv6/conf/${linkName}/addr_gen_mode`;
}

/** The NIC among a switch's ports from which its link has the MAC address. @throws TsnetError `conflict` if there is none. */
export function originOf(switchLink: Link, ports: readonly Link[]): Link {
  const origin = ports.find(({ mac }) => mac === switchLink.mac);
  if (origin !== undefined) return origin;
  const what = `link ${switchLink.name} has addresses of the host that were moved there, and no port has its MAC address`;
  throw new TsnetError("conflict", `${what}: tsnet does not know to which link they belong; move them by hand first`);
}

/** Refuses a spanning tree: it keeps a port closed for seconds, and the host off the network. @throws TsnetError `conflict`. */
export function refuseSpanningTree(networks: readonly Network[], isOnAlready = false): void {
  const isOn = isOnAlready || networks.some(({ switchSettings }) => switchSettings.stp === true);
  if (!isOn || !hasMovedAddresses(networks)) return;
  const why = "the spanning tree would keep the host off its network for twice the forward delay";
  throw new TsnetError("conflict", `parent-address=move and stp=true cannot be had on one switch: ${why}`);
}
