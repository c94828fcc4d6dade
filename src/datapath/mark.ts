// How tsnet knows its own links again: by their alias, which says what the link was made for, and until the alias is
// there by the link group, which the kernel sets in the moment of creation.
import { TsnetError } from "../errors.ts";
import { LINK_GROUP } from "../link-group.ts";

/** What a link was made for. */
export type Purpose = "network" | "endpoint";

/** The alias of a link: `tsnet:network:ID` or `tsnet:endpoint:ID`. */
export function formatMark(purpose: Purpose, id: string): string {
  return `tsnet:${purpose}:${id}`;
}

/** The id in a link's alias, or undefined if the link carries no mark of that purpose. */
export function readMark(purpose: Purpose, link: { readonly alias?: string }): string | undefined {
  const prefix = formatMark(purpose, "");
  return link.alias?.startsWith(prefix) ? link.alias.slice(prefix.length) : undefined;
}

/** Whether a link was made by tsnet and not marked yet: a crash came between the two. */
export function isHalfMade(link: { readonly alias?: string; readonly group: number }): boolean {
  return link.group === LINK_GROUP && (link.alias ?? "") === "";
}

/** Whether tsnet made a link for a network, marked or not yet. */
export function isOfNetwork(link: { readonly alias?: string; readonly group: number }): boolean {
  return readMark("network", link) !== undefined || isHalfMade(link);
}

/** For a name of tsnet's own that another link has. */
export function nameTaken({ name }: { readonly name: string }): TsnetError {
  return new TsnetError("conflict", `link ${name} exists and was not made by tsnet, which needs the name`);
}
