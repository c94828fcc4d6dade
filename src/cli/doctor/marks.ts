// The marks by which tsnet's own things are known, as the README lists them.
import type { HostLink } from "../host-links.ts";

/** On what tsnet's forward chain lets pass (`nat/table-inet.ts`). */
export const ADMITTED_MARK = 0x2000_0000;

/** The id in a link's alias; undefined if it carries no mark of that purpose. */
export function markOf(
  purpose: "network" | "endpoint",
  { ifalias = "" }: Pick<HostLink, "ifalias">,
): string | undefined {
  const prefix = `tsnet:${purpose}:`;
  return ifalias.startsWith(prefix) ? ifalias.slice(prefix.length) : undefined;
}

/** Whether tsnet made the link. */
export function isOurs(link: Pick<HostLink, "ifalias">): boolean {
  return (markOf("network", link) ?? markOf("endpoint", link)) !== undefined;
}
