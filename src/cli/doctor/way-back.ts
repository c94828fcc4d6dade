// The ways back to containers, asked of the kernel where it takes for forged what came another way.
import { isIPv4 } from "node:net";
import type { NamedNetwork } from "../catalog.ts";
import type { HostLink } from "../host-links.ts";
import type { HostTools } from "../host-tools.ts";
import type { WayBack } from "../reverse-path.ts";
import { bare } from "../words.ts";
import { hostLinksOf, hostSubnets } from "./network-links.ts";

/** A container on such a network. */
export interface ContainerWay extends WayBack {
  readonly network: string;
}

/** Routes asked for at once. */
const AT_ONCE = 8;

/** @param strict - the links whose filter is. */
export async function readWaysBack(
  host: HostTools,
  networks: readonly NamedNetwork[],
  links: readonly HostLink[],
  strict: ReadonlySet<string>,
): Promise<readonly ContainerWay[]> {
  const concerned = networks.filter((network) => hostSubnets(network).length > 0);
  const asked = concerned.flatMap((network) =>
    hostLinksOf(network, networks, links)
      .filter((link) => strict.has(link))
      .flatMap((link) => sourcesOn(network).map((source) => ({ network: network.name, link, source }))),
  );
  const ways: ContainerWay[] = [];
  for (let at = 0; at < asked.length; at += AT_ONCE)
    ways.push(...(await Promise.all(asked.slice(at, at + AT_ONCE).map((one) => follow(host, one)))));
  return ways;
}

function sourcesOn({ endpoints }: NamedNetwork): readonly string[] {
  const joined = endpoints.filter(({ state }) => state === "joined");
  return joined.flatMap(({ addresses }) => addresses.map(bare)).filter((address) => isIPv4(address));
}

async function follow(host: HostTools, asked: ContainerWay): Promise<ContainerWay> {
  const query = host.json<readonly { readonly dev?: string }[]>("ip", "-json", "route", "get", asked.source);
  const [route] = await query.catch(() => []);
  return route?.dev === undefined ? asked : { ...asked, back: route.dev };
}
