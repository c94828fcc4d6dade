// How an attack shows: in the tables of victim and host, as ip(8) lists them, and in what the switch believes. What is heard
// is left to `attack-range.ts`.
import { BridgeBeliefs, OvsBeliefs, type OvsBridge, type SwitchBeliefs } from "./attack-switch.ts";
import type { Addresses, Effect, Scene } from "./attacks.ts";
import { ROGUE_PREFIX } from "./attacks-ipv6.ts";
import { IpConsole } from "./ip-console.ts";

/** Somewhere with a network of its own: `NetNamespace` is one. */
export interface Stand {
  /** A file that stands for its network namespace. */
  readonly path: string;
}

/** Whose tables they are. */
export interface Watched {
  readonly scene: Scene;
  readonly victim: Stand;
  readonly host: Stand;
  /** The host's link in the network under attack: its switch, if that is a Linux bridge. */
  readonly hostLink: string;
  /** The attacker's port of the switch. */
  readonly attackerPort: string;
  /** The switch, if it is none. */
  readonly ovs?: OvsBridge;
}

type Visible = Exclude<Effect, { readonly kind: "heard" }>;

/** Looks at the tables. For `using`. */
export class EffectWatch implements Disposable {
  readonly #watched: Watched;
  readonly #stack = new DisposableStack();
  readonly #at: Readonly<Record<"victim" | "host", { readonly ip: IpConsole; readonly ip6: IpConsole }>>;
  readonly #switch: SwitchBeliefs;

  constructor(watched: Watched) {
    const open = (stand: Stand, tool: string) => this.#stack.use(IpConsole.open(stand, tool));
    const both = (stand: Stand) => ({ ip: open(stand, "ip"), ip6: open(stand, "ip -6") });
    this.#watched = watched;
    this.#at = { victim: both(watched.victim), host: both(watched.host) };
    const { host, hostLink, ovs } = watched;
    this.#switch = this.#stack.use(ovs === undefined ? new BridgeBeliefs(host, hostLink) : new OvsBeliefs(ovs));
  }

  /** Whether it shows now. */
  async shows(effect: Visible): Promise<boolean> {
    const { attackerPort, scene } = this.#watched;
    const { attacker } = scene;
    const { victim } = this.#at;
    switch (effect.kind) {
      case "misled": {
        const { ip } = this.#at[effect.at];
        const [entry] = await ip.ask<{ lladdr?: string }>(`neigh show ${this.#entryOf(effect)}`);
        return entry?.lladdr === effect.mac;
      }
      case "router": {
        const routes = await this.#at[effect.at].ip6.ask<Route>("route show");
        return routes.some(({ gateway, dst }) => gateway === attacker.linkLocal || dst.startsWith(ROGUE_PREFIX));
      }
      case "redirected": {
        const [route] = await victim.ip.ask<Route>(`route get ${effect.destination}`);
        return route?.gateway === attacker[4] || route?.gateway === attacker.linkLocal;
      }
      case "denied": {
        const [link] = await victim.ip6.ask<IpLink>("address show dev eth0");
        return (link?.addr_info ?? []).some(({ local, dadfailed }) => local === effect.address && dadfailed === true);
      }
      case "moved":
        return await this.#switch.hasAt(effect.mac, attackerPort);
      case "multicastRouter":
        return await this.#switch.hasRouterAt(attackerPort);
    }
  }

  /** Makes the tables be as they were before any attack. */
  async reset(effect: Visible): Promise<void> {
    const { attackerPort } = this.#watched;
    const { victim } = this.#at;
    switch (effect.kind) {
      case "misled":
        await this.#at[effect.at].ip.tell(
          `neigh replace ${this.#entryOf(effect)} lladdr ${this.#macOf(effect.address)} nud stale`,
        );
        break;
      case "router":
        await this.#at[effect.at].ip6.tell(
          "route flush proto ra",
          `route flush root ${ROGUE_PREFIX}/64`,
          "address flush dynamic",
        );
        break;
      case "redirected":
        await Promise.all([victim.ip.tell("route flush cache"), victim.ip6.tell("route flush cache")]);
        break;
      case "denied": {
        const address = `${effect.address}/64 dev eth0`;
        await victim.ip6.tell(`address del ${address}`, `address add ${address}`);
        break;
      }
      case "multicastRouter":
        await this.#switch.forgetRouter(attackerPort);
        break;
      case "moved": // the peer's own next frame does it
    }
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }

  #entryOf({ at, address }: Extract<Visible, { readonly kind: "misled" }>): string {
    return `${address} dev ${at === "host" ? this.#watched.hostLink : "eth0"}`;
  }

  #macOf(address: string): string {
    const { attacker, victim, peer, gateway } = this.#watched.scene;
    const stations = [attacker, victim, peer, gateway];
    const owner = stations.find((each) => [each[4], each[6], each.linkLocal].includes(address));
    if (owner === undefined) throw new Error(`nobody has ${address}`);
    return owner.mac;
  }
}

/**
 * Shell lines that make victim and host as easy to mislead as a stack of our days can be: they believe routers and
 * redirects, take fragments of neighbour discovery, and replace neighbours at once.
 *
 * @param beyond - what the victim reaches by its gateway.
 */
export function gullible({ scene, hostLink, attackerPort }: Watched, beyond: Addresses, hasIpv6 = true) {
  const { attacker, gateway } = scene;
  const set = (settings: readonly string[]) => settings.map((setting) => `sysctl -qw ${setting}`);
  const believing = [
    "disable_ipv6=0",
    "accept_ra=2",
    "accept_redirects=1",
    "suppress_frag_ndisc=0",
    "router_solicitations=0",
  ];
  const v4 = {
    victim: [
      ...set(["net.ipv4.neigh.eth0.locktime=0", "net.ipv4.conf.all.accept_redirects=1"]),
      `ip neigh replace ${attacker[4]} lladdr ${attacker.mac} dev eth0 nud permanent`,
      `ip route replace ${beyond[4]} via ${gateway[4]}`,
    ],
    host: set([`net.ipv4.neigh.${hostLink}.locktime=0`]),
  };
  if (!hasIpv6) return v4;
  return {
    victim: [
      ...v4.victim,
      ...set(believing.map((setting) => `net.ipv6.conf.eth0.${setting}`)),
      `ip -6 route replace ${beyond[6]} via ${gateway.linkLocal} dev eth0`,
    ],
    host: [...v4.host, ...set([hostLink, attackerPort].map((link) => `net.ipv6.conf.${link}.accept_ra=2`))],
  };
}

interface Route {
  readonly dst: string;
  readonly gateway?: string;
}

interface IpLink {
  readonly addr_info?: readonly { readonly local: string; readonly dadfailed?: boolean }[];
}
