// The links of this host by their names, as the CNM verbs ask about them.
import type { HostLinks } from "../cnm/datapath.ts";
import type { IfName } from "../cnm/network.ts";
import type { Rtnetlink } from "../host/rtnetlink.ts";

/** The host's links, by rtnetlink. */
export class NamedLinks implements HostLinks {
  readonly #links: Pick<Rtnetlink, "findLink">;

  constructor(links: Pick<Rtnetlink, "findLink">) {
    this.#links = links;
  }

  async isNameTaken(name: IfName): Promise<boolean> {
    return (await this.#links.findLink(name)) !== undefined;
  }

  async mtuOf(name: IfName): Promise<number | undefined> {
    return (await this.#links.findLink(name))?.mtu;
  }
}
