// What the contract of datapaths needs of a host. It is looked at from outside, never by the datapath's own getters.
import type { Datapath } from "../../../src/cnm/datapath.ts";
import type { Backend } from "../../../src/cnm/network.ts";

/** One link as it is seen from outside. */
export interface SeenLink {
  /** Another link under the same name has another one. */
  readonly identity: number;
  readonly isSwitch: boolean;
  readonly mac?: string;
  readonly mtu?: number;
  readonly isUp: boolean;
  /** Of a port. */
  readonly switchName?: string;
  /** `10.1.1.1/24`, link-local ones left out, sorted. */
  readonly addresses: readonly string[];
}

/** A host to which the datapath has access, seen and disturbed from outside. */
export interface DatapathHost {
  /** For the networks of the tests. */
  readonly backend: Backend;
  readonly datapath: Datapath;
  /** All links by name. */
  see(): Promise<ReadonlyMap<string, SeenLink>>;
  /** Puts there a switch that is not tsnet's. */
  plantSwitch(name: string, addresses?: readonly string[]): Promise<void>;
  /** Puts there a link that is no switch; nor tsnet's. */
  plantLink(name: string): Promise<void>;
  /** Removes the mark of a link, as if a crash had come before it. */
  unmark(name: string): Promise<void>;
  deleteLink(name: string): Promise<void>;
  takeAddress(name: string, address: string): Promise<void>;
  setDown(name: string): Promise<void>;
  /** Takes a port out of its switch. */
  release(name: string): Promise<void>;
}

/** A host at which frames can be sent and seen. */
export interface SwitchingHost extends Pick<DatapathHost, "backend" | "datapath" | "deleteLink" | "release"> {
  /**
   * Sends one frame out of a free end, with these MAC addresses.
   *
   * @returns where it came out: names of free ends, and of the host's links for the host itself, sorted.
   */
  send(freeEnd: string, source: string, destination: string): Promise<readonly string[]>;
  /** Whether a port can send a frame back to where it came from. */
  readonly canHairpin: boolean;
  /** Takes all protection off a port, and what the switch knows of the endpoint's MAC, as somebody with a tool could. */
  openPort(name: string): Promise<void>;
  /** Keeps away from a port, likewise, all frames that no address of a known endpoint brings there. */
  closePort(name: string): Promise<void>;
}
