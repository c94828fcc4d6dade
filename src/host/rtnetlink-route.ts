// Routes as rtnetlink says them, read only: enough to tell which subnets this host already uses.
// Follows rtnetlink(7) and include/uapi/linux/rtnetlink.h (struct rtmsg, RTA_*, RTN_*, RT_TABLE_*).
import type { Address, Family, Subnet } from "../cidr.ts";
import { parseAttributes } from "./netlink.ts";
import { addressOf, familyOf, kernelFamily } from "./rtnetlink-address.ts";
import { type LinkRequests, RTM } from "./rtnetlink-requests.ts";

const RTA = { DST: 1, OIF: 4, GATEWAY: 5, TABLE: 15 } as const;
const HEADER_LENGTH = 12;

/** What is listed: where packets go by the main table, and the host's own addresses out of the local table. */
export const ROUTE_SELECTIONS = [
  { tableId: 254, type: "unicast" },
  { tableId: 255, type: "local" },
] as const;

/** RTN_* of the types that are listed. */
const ROUTE_TYPE = { unicast: 1, local: 2 } as const;

type RouteSelection = (typeof ROUTE_SELECTIONS)[number];

/** One route. */
export interface Route {
  readonly family: Family;
  /** Prefix length 0 for a default route. */
  readonly subnet: Subnet;
  /** 254 is the main table, 255 the local one. */
  readonly tableId: number;
  readonly type: RouteSelection["type"];
  /** RT_SCOPE_*: 0 by a gateway or global, 253 on the link itself, 254 on this host. */
  readonly scope: number;
  /** The link by which packets leave; absent for a route over several. */
  readonly oifIndex?: number;
  readonly gateway?: Address;
}

/** A `struct rtmsg` that asks for the routes of one table and type. Older kernels answer with more: `parseRoute` filters. */
export function routeHeader(family: Family, { tableId, type }: RouteSelection): Buffer {
  const header = Buffer.alloc(HEADER_LENGTH);
  header.writeUInt8(kernelFamily(family), 0);
  header.writeUInt8(tableId, 4);
  header.writeUInt8(ROUTE_TYPE[type], 7);
  return header;
}

/** Reads the payload of an RTM_NEWROUTE message. @returns undefined for a route that was not asked for. */
export function parseRoute(payload: Buffer, asked: RouteSelection): Route | undefined {
  const family = familyOf(payload.readUInt8(0));
  const attributes = parseAttributes(payload.subarray(HEADER_LENGTH));
  const tableId = attributes.get(RTA.TABLE)?.readUInt32LE() ?? payload.readUInt8(4);
  const isAsked = tableId === asked.tableId && payload.readUInt8(7) === ROUTE_TYPE[asked.type];
  if (family === undefined || !isAsked) return undefined;
  const destination = attributes.get(RTA.DST);
  const first = destination === undefined ? 0n : addressOf(family, destination).value;
  const oif = attributes.get(RTA.OIF);
  const gateway = attributes.get(RTA.GATEWAY);
  return {
    family,
    subnet: { family, first, prefixLength: payload.readUInt8(1) },
    tableId,
    type: asked.type,
    scope: payload.readUInt8(6),
    ...(oif && { oifIndex: oif.readUInt32LE() }),
    ...(gateway && { gateway: addressOf(family, gateway) }),
  };
}

/** Unicast routes of the main table and local routes of the local table, IPv4 and IPv6. */
export async function listRoutes(requests: LinkRequests): Promise<Route[]> {
  const routes: Route[] = [];
  for (const family of [4, 6] as const satisfies Family[]) {
    for (const asked of ROUTE_SELECTIONS) {
      const request = { type: RTM.GETROUTE, parts: [routeHeader(family, asked)] };
      // ENOENT: the table was never used. EOPNOTSUPP: a kernel without IPv6.
      const payloads = await requests.dump(`list IPv${family} routes`, request, ["ENOENT", "EOPNOTSUPP"]);
      routes.push(...payloads.flatMap((payload) => parseRoute(payload, asked) ?? []));
    }
  }
  return routes;
}
