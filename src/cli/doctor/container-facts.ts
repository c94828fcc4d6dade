// What containers have inside: the links in their network namespaces. tsnet's records say what they should have.
import { globSync } from "node:fs";
import { TsnetError } from "../../errors.ts";
import { type NamedEndpoint, type NamedNetwork, containersOn } from "../catalog.ts";
import type { Tools } from "../tools.ts";
import { type HostLink, readLinks } from "../host-links.ts";

/** A running container on one of tsnet's networks. */
export interface ContainerView {
  readonly name: string;
  readonly network: NamedNetwork;
  readonly endpoint: NamedEndpoint;
  /** All of them, those of other networks too. */
  readonly links: readonly HostLink[];
}

/** Namespaces looked into at once. */
const AT_ONCE = 8;

/** Looks into all of them. One that ends meanwhile is left out. @throws TsnetError `host`, `unavailable`. */
export async function readContainers(
  tools: Pick<Tools, "findContainer" | "host">,
  networks: readonly NamedNetwork[],
): Promise<readonly ContainerView[]> {
  const containers = containersOn(networks);
  const views: ContainerView[] = [];
  for (let at = 0; at < containers.length; at += AT_ONCE) {
    const some = containers.slice(at, at + AT_ONCE).map(async ({ id, name, places }) => {
      const links = await linksIn(tools, id);
      return links === undefined ? [] : places.map((place) => ({ name, ...place, links }));
    });
    views.push(...(await Promise.all(some)).flat());
  }
  return views;
}

async function linksIn({ findContainer, host }: Pick<Tools, "findContainer" | "host">, id: string) {
  const found = await findContainer(id).catch((failure: unknown) => {
    if (failure instanceof TsnetError && failure.code === "not-found") return undefined;
    throw failure;
  });
  if (found === undefined || !found.isRunning) return undefined;
  const namespace = `/proc/${found.pid}/ns/net`;
  return readLinks(host.inside(namespace)).catch((failure: unknown) => {
    if (globSync(namespace).length === 0) return undefined;
    throw failure;
  });
}
