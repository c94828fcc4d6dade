// `GET /pools`: what tsnet has given out as an IPAM driver:
// `curl --unix-socket /run/docker/plugins/tsnet.sock http://tsnet/pools`.
import type { IpamDriver, IpamStatus } from "../ipam/requests.ts";
import { VERSION } from "../version.ts";
import type { Read } from "./read-route.ts";

/**
 * The body of the answer, as JSON:
 *
 *     { "version": "0.1.0", "isComplete": true,
 *       "pools": [
 *         { "id": "10.1.2.0/24+9f3a61c2", "addressSpace": "tsnet", "segment": "", "subnet": "10.1.2.0/24",
 *           "range": "10.1.2.128/25", "used": 2, "free": "126",
 *           "addresses": [{ "address": "10.1.2.1", "use": "gateway" }, { "address": "10.1.2.129", "use": "endpoint" }] }] }
 *
 * What the fields mean is said of `IpamStatus` and `PoolStatus` in `ipam/requests.ts`.
 */
export interface PoolsReply extends IpamStatus {
  readonly version: string;
}

/** Pools and their addresses. */
export function poolsRead(ipam: Pick<IpamDriver, "describe">): Read {
  const run = (): PoolsReply => ({ version: VERSION, ...ipam.describe() });
  return { name: "pools", path: "/pools", run };
}
