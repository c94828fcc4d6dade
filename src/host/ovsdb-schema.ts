// The tables of Open vSwitch's database and their columns, as far as tsnet reads or writes them, and the types that follow
// from it. A column that a version of Open vSwitch does not have is refused by name when it is used, not before.
// Source: ovs-vswitchd.conf.db(5), the tables by their names.
import { type Column, boolean, integer, optional, reference, setOf, string, stringMap } from "./ovsdb-values.ts";

/** The database's own name for itself. */
export const DATABASE = "Open_vSwitch";

/** What every row has (RFC 7047, section 3.2). */
const ROW = { _uuid: reference } as const;

type VlanMode = "trunk" | "access" | "native-tagged" | "native-untagged" | "dot1q-tunnel";

/** The columns of each table. */
export const TABLES = {
  /** One row, made by `ovs-vsctl init`. */
  Open_vSwitch: {
    ...ROW,
    bridges: setOf(reference),
    /** The sequence number up to which `ovs-vswitchd` has taken over what clients asked for with `next_cfg`. */
    cur_cfg: integer,
    next_cfg: integer,
    ovs_version: optional(string),
    datapath_types: setOf(string),
    iface_types: setOf(string),
    external_ids: stringMap,
    other_config: stringMap,
  },
  Bridge: {
    ...ROW,
    name: string,
    ports: setOf(reference),
    /** Empty or `system` for the kernel's, `netdev` for the one in userspace. */
    datapath_type: string,
    datapath_id: optional(string),
    controller: setOf(reference),
    fail_mode: optional<string, "standalone" | "secure">(string),
    flood_vlans: setOf(integer),
    stp_enable: boolean,
    rstp_enable: boolean,
    mcast_snooping_enable: boolean,
    external_ids: stringMap,
    other_config: stringMap,
    status: stringMap,
  },
  Port: {
    ...ROW,
    name: string,
    interfaces: setOf(reference),
    /** 802.1Q, 1 to 4094. A port with neither tag nor trunks carries every VLAN. */
    tag: optional(integer),
    trunks: setOf(integer),
    vlan_mode: optional<string, VlanMode>(string),
    protected: boolean,
    qos: optional(reference),
    external_ids: stringMap,
    other_config: stringMap,
  },
  Interface: {
    ...ROW,
    name: string,
    /** Empty or `system` for a link of the host, `internal`, `vxlan`, `gre`, `geneve`, ... */
    type: string,
    options: stringMap,
    /** OpenFlow port number; -1 when the link could not be opened, absent when `ovs-vswitchd` has not looked at it. */
    ofport: optional(integer),
    ofport_request: optional(integer),
    /** Why the link could not be opened. Stays empty when an open link goes away: then only `ifindex` tells. */
    error: optional(string),
    /** Of the host's link, 0 when it has gone; 0 or absent for tunnels. */
    ifindex: optional(integer),
    mac: optional(string),
    mac_in_use: optional(string),
    mtu: optional(integer),
    mtu_request: optional(integer),
    admin_state: optional(string),
    link_state: optional(string),
    /** Of what arrives from the link: kilobit per second, 0 for no limit; kilobit. */
    ingress_policing_rate: integer,
    ingress_policing_burst: integer,
    external_ids: stringMap,
    other_config: stringMap,
  },
  /** Where a bridge speaks OpenFlow: `ptcp:PORT:HOST` lets clients come there and makes none the bridge's master. */
  Controller: {
    ...ROW,
    target: string,
    connection_mode: optional<string, "in-band" | "out-of-band">(string),
    external_ids: stringMap,
  },
  QoS: { ...ROW, type: string, other_config: stringMap, external_ids: stringMap },
} as const;

/** A table that tsnet knows. */
export type Table = keyof typeof TABLES;

type Columns<T extends Table> = (typeof TABLES)[T];

/** A column of a table, `_uuid` included. */
export type ColumnName<T extends Table> = keyof Columns<T> & string;

/** A column that may be written. */
export type WritableColumn<T extends Table> = Exclude<ColumnName<T>, "_uuid">;

/** What a column holds when it is read. */
export type Read<T extends Table, C extends ColumnName<T>> = Columns<T>[C] extends Column<infer R, never> ? R : never;

/** What may be written into a column. */
export type Written<T extends Table, C extends ColumnName<T>> =
  Columns<T>[C] extends Column<unknown, infer W> ? W : never;

/** Some columns of a row as the database has them. */
export type Row<T extends Table, C extends ColumnName<T> = ColumnName<T>> = { readonly [K in C]: Read<T, K> };

/** Values for some columns of a row. `undefined` is the empty value of an optional column. */
export type Values<T extends Table> = { readonly [K in WritableColumn<T>]?: Written<T, K> };
