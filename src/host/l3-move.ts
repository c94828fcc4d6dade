// Gives one link what another is at layer three, in three phases of which none leaves the host without its addresses:
// `prepare` gives the target the addresses as well, `switchOver` puts routes over the target in the place of those over
// the source, `finish` takes from the source what it had. Each change is made in one system call, and each phase may be
// repeated, also by another process after any interruption.
//
// Why this order keeps connections: Linux has addresses per host, not per link (RFC 1122 section 3.3.4.2, weak model). It
// takes packets to them on every link, and a route replaced in its place is never missing (fib_table_insert() in
// net/ipv4/fib_trie.c, fib6_add_rt2node() in net/ipv6/ip6_fib.c).
import { TsnetError } from "../errors.ts";
import { type LinkRef, addressKey, addressRemoval, addressRequests } from "./l3-address.ts";
import { type L3Config, type L3Snapshot, RTM, changeAll, gatewaysOf } from "./l3-config.ts";
import { gatewayKey, isWorthMoving, neighbourKey, neighbourParts, neighbourRemoval } from "./l3-neighbour.ts";
import { hasGateway, hopIdentities, isOverLink, routeIdentity, routeKey, routeParts } from "./l3-route.ts";
import { AF_INET } from "./libc.ts";
import { NLM_F } from "./netlink.ts";
import type { Change } from "./netlink-sequence.ts";

/** As the last of its place (include/uapi/linux/netlink.h). */
const NLM_F_APPEND = 0x800;

/** What is not there any more, or there already. */
const DONE_BEFORE = ["EEXIST"] as const;
const GONE_BEFORE = ["ESRCH", "ENOENT", "EADDRNOTAVAIL", "ENODEV"] as const;

/** From where to where. */
export interface L3Ends {
  /** Undefined if that link is gone: then only the target is worked on. */
  readonly source: LinkRef | undefined;
  readonly target: LinkRef;
  /** What the source had before the snapshot came to it, and keeps. */
  readonly kept?: L3Snapshot;
}

/** One snapshot on its way from one link to another. */
export class L3Move {
  readonly #config: L3Config;
  readonly #snapshot: L3Snapshot;
  readonly #ends: L3Ends;
  #prepared: readonly Change[] = [];

  constructor(config: L3Config, snapshot: L3Snapshot, ends: L3Ends) {
    [this.#config, this.#snapshot, this.#ends] = [config, snapshot, ends];
  }

  /** Gives the target the addresses, and works out the rest. @throws TsnetError `host`. */
  async prepare(): Promise<void> {
    const { target } = this.#ends;
    await changeAll(`give link ${target.name} the addresses`, await this.#addressChanges());
    this.#prepared = [...(await this.#neighbourChanges()), ...(await this.#routeChanges())];
  }

  /** Puts the routes over the target, with the neighbours that they lead to. Only after `prepare`. @throws TsnetError `host`. */
  async switchOver(): Promise<void> {
    await changeAll(`lead routes over link ${this.#ends.target.name}`, this.#prepared, ...DONE_BEFORE);
  }

  /** Takes it all from the source, once the target has it. @throws TsnetError `host`, also if the target lacks something. */
  async finish(): Promise<void> {
    const { source, target } = this.#ends;
    await this.#requireTarget();
    if (source === undefined || source.index === target.index) return;
    const kept = new Set(this.#ends.kept?.addresses.map((hex) => addressKey(bytes(hex))));
    const wanted = new Set(this.#addresses.map(addressKey));
    const addresses = (await this.#config.addresses(source.index)).filter((payload) => wanted.has(addressKey(payload)));
    const unwanted = addresses.filter((payload) => !kept.has(addressKey(payload))).toReversed(); // secondary ones first
    const changes = unwanted.map((payload) =>
      change(`take an address from link ${source.name}`, RTM.DELADDR, addressRemoval(payload, source)),
    );
    const rest = [...changes, ...(await this.#routeRemovals(source)), ...(await this.#neighbourRemovals(source))];
    await changeAll(`take what went to link ${target.name} from link ${source.name}`, rest, ...GONE_BEFORE);
  }

  get #addresses(): Buffer[] {
    return this.#snapshot.addresses.map(bytes);
  }

  get #routes(): Buffer[] {
    return this.#snapshot.routes.map(bytes);
  }

  /** With the lifetimes that count now: those on the source, else those that the target has already. */
  async #addressChanges(): Promise<Change[]> {
    const { source, target } = this.#ends;
    const [here, there] = [source?.index ?? 0, target.index].map((index) => this.#config.addresses(index));
    const current = new Map(
      [...((await there) ?? []), ...((await here) ?? [])].map((each) => [addressKey(each), each]),
    );
    // A new IPv4 address comes to the end of a link's list, a new IPv6 address to the beginning of its scope's.
    const isIpv4 = (payload: Buffer) => payload.readUInt8(0) === AF_INET;
    const others = this.#addresses.filter((payload) => !isIpv4(payload));
    return [...this.#addresses.filter(isIpv4), ...others.toReversed()].flatMap((payload) =>
      addressRequests(payload, this.#snapshot.link, target, current.get(addressKey(payload))).map((parts) =>
        change(`add an address to link ${target.name}`, RTM.NEWADDR, parts, NLM_F.CREATE | NLM_F.REPLACE),
      ),
    );
  }

  /** The first route of its place is replaced there; of another one the copy comes to the end, which keeps their order. */
  async #routeChanges(): Promise<Change[]> {
    const { source, target } = this.#ends;
    const present = await this.#config.routes();
    const identities = new Set(present.map((payload) => routeIdentity(payload, target.index)));
    const missing = this.#routes.filter(
      (payload) => !identities.has(routeIdentity(payload, this.#snapshot.link.index)),
    );
    const direct = missing.filter((payload) => !hasGateway(payload));
    return [...direct, ...missing.filter(hasGateway)].map((payload) => {
      const first = present.find((other) => routeKey(other) === routeKey(payload));
      const hops = new Set(hopIdentities(payload, this.#snapshot.link.index));
      const isReplaced = first && hopIdentities(first, source?.index ?? 0).every((hop) => hops.has(hop));
      const flags = NLM_F.CREATE | (isReplaced ? NLM_F.REPLACE : NLM_F_APPEND);
      const parts = routeParts(payload, this.#snapshot.link.index, target.index);
      return change(`add a route over link ${target.name}`, RTM.NEWROUTE, parts, flags);
    });
  }

  async #neighbourChanges(): Promise<Change[]> {
    const { source, target } = this.#ends;
    const gateways = this.#gatewayKeys();
    const learned = (await this.#config.neighbours(source?.index ?? 0)).filter((entry) =>
      isWorthMoving(entry, gateways.has(neighbourKey(entry))),
    );
    return [...this.#snapshot.neighbours.map(bytes), ...learned].map((payload) => {
      const parts = neighbourParts(payload, target.index);
      return change(`add a neighbour on link ${target.name}`, RTM.NEWNEIGH, parts, NLM_F.CREATE | NLM_F.REPLACE);
    });
  }

  async #routeRemovals(source: LinkRef): Promise<Change[]> {
    const wanted = new Set(this.#routes.map((payload) => routeIdentity(payload, this.#snapshot.link.index)));
    for (const hex of this.#ends.kept?.routes ?? []) wanted.delete(routeIdentity(bytes(hex), source.index));
    const present = (await this.#config.routes()).filter((payload) => isOverLink(payload, source.index));
    return present
      .filter((payload) => wanted.has(routeIdentity(payload, source.index)))
      .map((payload) => {
        const parts = routeParts(payload, source.index, source.index, false);
        return change(`take a route from link ${source.name}`, RTM.DELROUTE, parts);
      });
  }

  /** What the source knows of the gateways could be wrong by the time it gets its addresses back. */
  async #neighbourRemovals(source: LinkRef): Promise<Change[]> {
    const wanted = new Set([
      ...this.#gatewayKeys(),
      ...this.#snapshot.neighbours.map((hex) => neighbourKey(bytes(hex))),
    ]);
    for (const hex of this.#ends.kept?.neighbours ?? []) wanted.delete(neighbourKey(bytes(hex)));
    const present = await this.#config.neighbours(source.index);
    return present
      .filter((entry) => wanted.has(neighbourKey(entry)))
      .map((entry) =>
        change(`forget a neighbour on link ${source.name}`, RTM.DELNEIGH, neighbourRemoval(entry, source.index)),
      );
  }

  async #requireTarget(): Promise<void> {
    const { target } = this.#ends;
    const addresses = new Set((await this.#config.addresses(target.index)).map(addressKey));
    const routes = new Set((await this.#config.routes()).map((payload) => routeIdentity(payload, target.index)));
    const lacking = [
      ...this.#addresses.filter((payload) => !addresses.has(addressKey(payload))).map(() => "an address"),
      ...this.#routes
        .filter((payload) => !routes.has(routeIdentity(payload, this.#snapshot.link.index)))
        .map(() => "a route"),
    ];
    if (lacking.length === 0) return;
    throw new TsnetError("host", `link ${target.name} lacks ${lacking.join(", ")} that was just added`);
  }

  #gatewayKeys(): Set<string> {
    return new Set(gatewaysOf(this.#snapshot).map(gatewayKey));
  }
}

function change(doing: string, type: number, parts: readonly Buffer[], flags = 0): Change {
  return { doing, type, flags, parts };
}

function bytes(hex: string): Buffer {
  return Buffer.from(hex, "hex");
}
