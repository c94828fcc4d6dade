// What ip(8) and ovs-vsctl(8) would print of a host that is made up.
const [BRIDGES, PORTS, INTERFACES] = [
  "Bridge|name,ports,external_ids",
  "Port|_uuid,name,interfaces,tag,trunks,vlan_mode,external_ids",
  "Interface|_uuid,name,type,options,ofport,admin_state",
] as const;

/** One link. */
export interface LinkParts {
  readonly kind?: string;
  readonly master?: string;
  readonly link?: string;
  readonly ifalias?: string;
  /** CIDR. */
  readonly address?: string;
  readonly isDown?: boolean;
  /** Of a bridge. */
  readonly hasVlans?: boolean;
  readonly id?: number;
  readonly remote?: string;
  readonly okey?: string;
}

/** As `ip -json -details address` has it. */
export function hostLink(ifname: string, parts: LinkParts = {}): object {
  const { kind, master, link, ifalias, address, isDown = false, hasVlans = false, id, remote, okey } = parts;
  const [local, prefixlen] = address?.split("/") ?? [];
  const linkLocal = { family: "inet6", local: "fe80::1", prefixlen: 64, scope: "link" };
  const isSixth = remote?.includes(":") === true;
  return {
    ifname,
    link,
    master,
    ifalias,
    flags: isDown ? ["BROADCAST"] : ["BROADCAST", "UP", "LOWER_UP"],
    linkinfo: {
      info_kind: kind,
      info_data: { vlan_filtering: hasVlans ? 1 : 0, id, [isSixth ? "remote6" : "remote"]: remote, okey },
    },
    addr_info: [linkLocal, ...(local === undefined ? [] : [{ local, prefixlen: Number(prefixlen), scope: "global" }])],
  };
}

/** One port of Open vSwitch. */
export interface OvsPortParts {
  readonly type?: string;
  readonly options?: Readonly<Record<string, string>>;
  readonly tag?: number;
  readonly trunks?: readonly number[];
  readonly mode?: string;
  readonly marks?: Readonly<Record<string, string>>;
}

/** Bridges by name. */
export type OvsRows = Readonly<
  Record<
    string,
    { readonly marks?: Readonly<Record<string, string>>; readonly ports: Readonly<Record<string, OvsPortParts>> }
  >
>;

/** The command lines that are answered. */
const OVS_LISTS: readonly string[] = [BRIDGES, PORTS, INTERFACES].map((text) => {
  const [table = "", columns = ""] = text.split("|");
  return `ovs-vsctl --timeout=5 --format=json --columns=${columns} list ${table}`;
});

/** What they print. The n-th port of all has the number n in flows. */
export function ovsPrints(rows: OvsRows): Readonly<Record<string, object>> {
  const bridges = Object.entries(rows);
  const ports = bridges.flatMap(([bridge, { ports: own }]) =>
    Object.entries(own).map(([name, parts]) => ({ bridge, name, parts })),
  );
  const idOf = (kind: string, bridge: string, name: string) => ["uuid", `${kind}-${bridge}-${name}`];
  const map = (entries: object = {}) => ["map", Object.entries(entries)];
  const tables = [
    {
      headings: ["name", "ports", "external_ids"],
      data: bridges.map(([bridge, { ports: own, marks }]) => {
        const ids = Object.keys(own).map((name) => idOf("port", bridge, name));
        return [bridge, ids.length === 1 ? ids[0] : ["set", ids], map(marks)];
      }),
    },
    {
      headings: ["_uuid", "name", "interfaces", "tag", "trunks", "vlan_mode", "external_ids"],
      data: ports.map(({ bridge, name, parts }) => [
        idOf("port", bridge, name),
        name,
        idOf("interface", bridge, name),
        parts.tag ?? ["set", []],
        ["set", parts.trunks ?? []],
        parts.mode ?? ["set", []],
        map(parts.marks),
      ]),
    },
    {
      headings: ["_uuid", "name", "type", "options", "ofport", "admin_state"],
      data: ports.map(({ bridge, name, parts }, at) => [
        idOf("interface", bridge, name),
        name,
        parts.type ?? "",
        map(parts.options),
        at + 1,
        "up",
      ]),
    },
  ];
  return Object.fromEntries(OVS_LISTS.map((line, at) => [line, tables[at] ?? {}]));
}
