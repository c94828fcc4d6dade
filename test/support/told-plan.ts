// What a plan of tsnet tells, as the facts that can be looked up on a host (`planned-host.ts`). A step that is not known fails.

/** What a network brings to a host, in words that both sides can have. Names that follow from ids end in `…`. */
export interface Effects {
  /** New ones: `bridge sw0, mtu 1500`. */
  readonly switches: readonly string[];
  /** `ageing=60`. */
  readonly settings: readonly string[];
  /** What links of the host carry more than before: `eth1 in sw0: 10,20-22 tagged`. */
  readonly uplinks: readonly string[];
  /** Whose addresses are elsewhere now: `eth2 to sw0`. */
  readonly moved: readonly string[];
  /** `vxlan from 192.0.2.1 to 192.0.2.2`. */
  readonly tunnels: readonly string[];
  /** New ones into a network: `tsg… in VLAN 100`. */
  readonly hostLinks: readonly string[];
  /** `sw0 10.80.0.1/24`. */
  readonly addresses: readonly string[];
  /** Subnets. */
  readonly forwarded: readonly string[];
  readonly sealed: readonly string[];
  readonly masqueraded: readonly string[];
  readonly container: Guest;
}

/** Of a container that joins. */
export interface Guest {
  /** `eth0`. */
  readonly link: string;
  readonly mtu: number;
  /** `vlan 10, trunk 20-22`; `no VLAN`. */
  readonly vlans: string;
  readonly hasDefaultRoute: boolean;
  /** `10.0.0.0/9 via 10.80.0.254`. */
  readonly routes: readonly string[];
  /** Absent where it cannot be looked up. */
  readonly isGuarded?: boolean;
  readonly isPrivate: boolean;
  /** Whether it reaches the others by routes to the host. */
  readonly isByHost: boolean;
  /** Where its ports are published unless the user says another address; absent for all addresses. */
  readonly publishedOn?: string;
}

type Found = { -readonly [Key in keyof Omit<Effects, "container">]: string[] };

/** The steps that tell of the switch and of the host, each with what it adds. */
const STEPS: readonly (readonly [RegExp, (found: Found, words: readonly string[]) => void])[] = [
  [
    /^make (bridge|Open vSwitch bridge) (\S+) with mtu (\d+)$/,
    (to, [k, name, mtu]) => void to.switches.push(`${k} ${name}, mtu ${mtu}`),
  ],
  [/^use (?:.*), which is there$/, () => {}],
  [/^set (.*) on \S+$/, (to, [list = ""]) => void to.settings.push(...list.split(", "))],
  [
    /^make (\S+) a port of (\S+) that carries (.*)$/,
    (to, [name, at, what]) => void to.uplinks.push(`${name} in ${at}: ${what}`),
  ],
  [
    /^have (\S+), a port of (\S+), carry (.*) as well$/,
    (to, [name, at, what]) => void to.uplinks.push(`${name} in ${at}: ${what}`),
  ],
  [/^move the addresses and routes of (\S+) to (\S+)$/, (to, [name, at]) => void to.moved.push(`${name} to ${at}`)],
  [
    /^join it by (\w+).*, from (\S+) with (.*)$/,
    (to, [kind, local, peers = ""]) => {
      for (const peer of peers.split(", ")) to.tunnels.push(`${kind} from ${local} to ${peer}`);
    },
  ],
  [
    /^make the host's link (\S+)( in VLAN \d+)?$/,
    (to, [name, where = ""]) => void to.hostLinks.push(`${name}${where}`),
  ],
  [
    /^give (\S+) the address (.*)$/,
    (to, [name, list = ""]) => {
      for (const address of list.split(", ")) to.addresses.push(`${name} ${address}`);
    },
  ],
  [/^give the host no (?:other )?address there \(mode (?:l2|isolated)\)$/, () => {}],
  [/^forward for (.*)$/, (to, [list = ""]) => void to.forwarded.push(...list.split(", "))],
  [/^let nothing pass between (.*) and the world$/, (to, [list = ""]) => void to.sealed.push(...list.split(", "))],
  [/^masquerade what leaves (.*)$/, (to, [list = ""]) => void to.masqueraded.push(...list.split(", "))],
];

/** Those that tell of a container. */
const OF_GUEST: readonly (readonly [RegExp, (words: readonly string[]) => Partial<Guest>])[] = [
  [
    /^give each container a link (\S+) with (.*), mtu (\d+)( and a default route)?$/,
    ([link = "", vlans = "", mtu, route]) => ({ link, vlans, mtu: Number(mtu), hasDefaultRoute: route !== undefined }),
  ],
  [/^give it the routes? (.*)$/, ([list = ""]) => ({ routes: list.split(", ") })],
  [/^let it send from its own MAC and addresses only$/, () => ({ isGuarded: true })],
  [/^keep it from the other containers but for published ports$/, () => ({ isPrivate: true })],
  [/^give it routes to these by way of the host$/, () => ({ isByHost: true })],
  [/^publish its ports on (\S+) unless another address is named$/, ([publishedOn = ""]) => ({ publishedOn })],
];

/** @throws Error for a step that tells nothing known. */
export function toldBy(steps: readonly string[]): Effects {
  const found: Found = {
    switches: [],
    settings: [],
    uplinks: [],
    moved: [],
    tunnels: [],
    hostLinks: [],
    addresses: [],
    forwarded: [],
    sealed: [],
    masqueraded: [],
  };
  let container: Guest = {
    link: "",
    mtu: 0,
    vlans: "",
    hasDefaultRoute: false,
    routes: [],
    isGuarded: false,
    isPrivate: false,
    isByHost: false,
  };
  for (const step of steps.map(masked)) {
    const ofGuest = OF_GUEST.map(([pattern, read]) => [pattern.exec(step), read] as const).find(([match]) => match);
    const known = STEPS.map(([pattern, add]) => [pattern.exec(step), add] as const).find(([match]) => match);
    if (ofGuest?.[0]) container = { ...container, ...ofGuest[1](ofGuest[0].slice(1)) };
    else if (known?.[0]) known[1](found, known[0].slice(1));
    else throw new Error(`a plan says: ${step}`);
  }
  return sorted({ ...found, container });
}

/** Names that follow from ids, without them. */
export function masked(text: string): string {
  return text.replaceAll(/\b(tsn-|ts[gxv])[0-9a-f]{11,12}\b/g, "$1…");
}

/** In an order that hangs on nothing. */
export function sorted(effects: Effects): Effects {
  const lists = Object.entries(effects).map(([key, value]) => [
    key,
    Array.isArray(value) ? (value as readonly string[]).toSorted() : value,
  ]);
  return Object.fromEntries(lists); // the same keys
}
