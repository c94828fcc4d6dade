// The marks by which tsnet's own things are known, as the README lists them.
import { type HostLink, markOf } from "../host-links.ts";

/** On what tsnet's forward chain lets pass (`nat/table-inet.ts`). */
export const ADMITTED_MARK = 0x2000_0000;

/** Whether tsnet made the link. */
export function isOurs(link: Pick<HostLink, "ifalias">): boolean {
  return (markOf("network", link) ?? markOf("endpoint", link)) !== undefined;
}
