// The sets and maps of our tables by name (`table-inet.ts` and `table-bridge.ts` say what they mean), and elements sorted by them.
import type { SetElement } from "../host/nftables.ts";

const INET_SETS = [
  "bridged",
  "private",
  "hostless",
  "sealed",
  "pools4",
  "pools6",
  "open4",
  "open6",
  "masq4",
  "masq6",
  "gateways4",
  "gateways6",
  "adopted",
  "overheard",
  "apart",
  "vnis",
  "peers4",
  "peers6",
  "keys",
  "keyless",
  "ends4",
  "ends6",
  "at4",
  "at6",
  "any4",
  "any6",
  "published4",
  "published6",
  "offered4",
  "offered6",
  "relayed",
  "relayed4",
  "relayed6",
] as const;

const BRIDGE_SETS = [
  "unguarded",
  "access",
  "trunk",
  "uplinks",
  "native",
  "untagged",
  "tunnels",
  "reserved4",
  "reserved6",
  "own",
  "any",
  "own4",
  "own6",
  "nd",
  "nd_target",
  "nd_mac",
] as const;

/** A set or map of one of our tables; the two tables have no name in common. */
export type SetName = (typeof INET_SETS)[number] | (typeof BRIDGE_SETS)[number];

/** Every set with the family of its table. */
export const SETS: readonly { readonly family: "inet" | "bridge"; readonly set: SetName }[] = [
  ...INET_SETS.map((set) => ({ family: "inet", set }) as const),
  ...BRIDGE_SETS.map((set) => ({ family: "bridge", set }) as const),
];

/** Elements by set, each once. */
export class Elements {
  readonly #sets = new Map<SetName, Map<string, SetElement>>();

  /** Adds one element; `parts` are those of its key. */
  add(set: SetName, parts: readonly Buffer[], more: Omit<SetElement, "key"> = {}): void {
    const element = { key: Buffer.concat(parts), ...more };
    const elements = this.#sets.get(set) ?? new Map<string, SetElement>();
    elements.set(identityOf(element), element);
    this.#sets.set(set, elements);
  }

  /** Adds all of another collection. */
  addAll(other: Elements): void {
    for (const [set, elements] of other.#sets) {
      const own = this.#sets.get(set) ?? new Map<string, SetElement>();
      for (const [identity, element] of elements) own.set(identity, element);
      this.#sets.set(set, own);
    }
  }

  /** The elements of one set. */
  of(set: SetName): readonly SetElement[] {
    return [...(this.#sets.get(set)?.values() ?? [])];
  }

  /** Those of `present`, elements of one set, that this collection does not have. */
  strangersAmong(present: readonly SetElement[], set: SetName): readonly SetElement[] {
    const wanted = this.#sets.get(set);
    return present.filter((element) => wanted?.has(identityOf(element)) !== true);
  }

  /** The elements of one set that are not among `present`. */
  missingIn(present: readonly SetElement[], set: SetName): readonly SetElement[] {
    const there = new Set(present.map(identityOf));
    return [...(this.#sets.get(set) ?? [])].flatMap(([identity, element]) => (there.has(identity) ? [] : [element]));
  }
}

/** Two elements are the same if key, end of the interval and data are. */
function identityOf({ key, keyEnd, data }: SetElement): string {
  return [key, keyEnd, data].map((part) => part?.toString("hex") ?? "").join(".");
}
