// What the addresses of tsnet need to know about this machine: which subnets it already reaches. The routing table itself is
// read in `host/`.
import type { Subnet } from "../cidr.ts";

/** The routes of this host. */
export interface HostRoutes {
  /** Destinations of all routes, both families; default routes (prefix length 0) may be among them and are not counted. */
  subnets(): Promise<readonly Subnet[]>;
}
