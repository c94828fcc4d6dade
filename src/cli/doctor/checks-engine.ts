// What the engine has and what tsnet has, compared: networks, endpoints, pools, addresses.
import { command } from "./shell-command.ts";
import { type NamedEndpoint, callEndpoint, shortId } from "../catalog.ts";
import type { EngineView } from "../docker.ts";
import { bare } from "../words.ts";
import { check, requireWhole } from "./check.ts";
import type { FactValues } from "./facts.ts";

/** As users call the driver: `tsnet`, `tsnet-plugin:latest`, `author/tsnet:1.0`. */
const DRIVER = /^(?:.*\/)?tsnet(?:-plugin)?(?::[^/]*)?$/;

/** An address that tsnet gave out and nobody has. */
export interface LeakedAddress {
  readonly addressSpace: string;
  /** CIDR. */
  readonly subnet: string;
  /** Bare. */
  readonly address: string;
  readonly poolId: string;
}

/** See the top of this file. */
export const ENGINE_CHECKS = [
  check({
    id: "network-unknown-to-tsnet",
    severity: "error",
    meaning: "Docker has a network of driver tsnet of which tsnet has no record: no container starts on it",
    needs: ["tsnet", "engine"],
    look: ({ tsnet, engine }) => {
      const known = new Set<string>(tsnet.networks.map(({ id }) => id));
      const lost = engine.networks.filter(({ driver, id }) => DRIVER.test(driver) && !known.has(id));
      return lost.map(({ name }) => ({ object: name, mend: command`docker network rm ${name}` }));
    },
  }),
  check({
    id: "network-unknown-to-docker",
    severity: "warning",
    meaning: "tsnet has a network that Docker has no more: its subnet and its switch stay in use",
    needs: ["tsnet", "engine"],
    look: ({ tsnet, engine }) => {
      const known = new Set(engine.networks.map(({ id }) => id));
      const lost = tsnet.networks.filter(({ id, state }) => !known.has(id) && state === "ready");
      return lost.map(({ id, subnets }) => ({
        object: shortId(id),
        detail: subnets.join(", "),
        mend: tell("NetworkDriver.DeleteNetwork", { NetworkID: id }),
      }));
    },
  }),
  check({
    id: "network-unfinished",
    severity: "warning",
    meaning: "a network was being made or removed, and that did not come to its end",
    needs: ["tsnet"],
    look: ({ tsnet }) =>
      tsnet.networks.flatMap(({ name, state, endpoints }) => {
        const detaching = state === "removing" ? detachingFrom(name, endpoints) : "";
        const mend = detaching || "remove its containers, then the network: `docker network rm`";
        const detail = `it is ${state}, with ${endpoints.length} of its endpoints`;
        return state === "ready" ? [] : [{ object: name, detail, mend }];
      }),
  }),
  check({
    id: "endpoint-unused",
    severity: "warning",
    meaning: "no container has an endpoint of tsnet, and its link never went into one: its address stays in use",
    needs: ["tsnet", "engine", "links"],
    look: ({ tsnet, links }) => {
      const here = new Set(links.flatMap((link) => (link.link_netnsid === undefined ? [link.ifname] : [])));
      return tsnet.networks.flatMap(({ id: NetworkID, name, endpoints }) =>
        endpoints
          .filter(({ state, container, hostLink }) => state === "joined" && !container && here.has(hostLink))
          .map(({ id, addresses }) => ({
            object: `${name} ${shortId(id)}`,
            detail: addresses.join(", "),
            mend: tell("NetworkDriver.DeleteEndpoint", { NetworkID, EndpointID: id }),
          })),
      );
    },
  }),
  check({
    id: "pool-unused",
    severity: "warning",
    meaning: "tsnet keeps a subnet for a network that Docker does not have",
    needs: ["pools", "engine"],
    look: ({ pools: { pools }, engine }) => {
      const used = new Set(engine.networks.flatMap(({ subnets }) => subnets));
      const unused = pools.filter(({ subnet }) => !used.has(subnet));
      return unused.map(({ id, subnet }) => ({ object: subnet, mend: tell("IpamDriver.ReleasePool", { PoolID: id }) }));
    },
  }),
  check({
    id: "address-leaked",
    severity: "warning",
    meaning: "tsnet keeps an address for a container, and no container has it",
    isOurs: true,
    needs: ["pools", "tsnet", "engine"],
    look: (facts) =>
      leakedAddresses(facts).map(({ address, subnet }) => ({
        object: address,
        detail: `of ${subnet}`,
        mend: "tsnet doctor --fix",
      })),
  }),
];

/**
 * Of networks that both have. What is the network's own, or asked for by a container that does not run now, is not leaked.
 *
 * @throws Error if records are damaged.
 */
export function leakedAddresses({
  pools: { pools },
  tsnet,
  engine,
}: Pick<FactValues, "pools" | "tsnet" | "engine">): readonly LeakedAddress[] {
  requireWhole(tsnet.damage);
  const ours = tsnet.networks.flatMap(({ endpoints }) => endpoints.flatMap(({ addresses }) => addresses.map(bare)));
  const held = new Set([...ours, ...heldIn(engine)]);
  const known = new Set(tsnet.networks.flatMap(({ subnets }) => subnets));
  return pools
    .filter(({ subnet }) => known.has(subnet))
    .flatMap(({ id, addressSpace, subnet, addresses }) =>
      addresses
        .filter(({ address, use }) => use === "endpoint" && !held.has(address))
        .map(({ address }) => ({ addressSpace, subnet, address, poolId: id })),
    );
}

function heldIn({ networks, places }: EngineView): readonly string[] {
  const ofNetworks = networks.flatMap(({ auxAddresses }) => auxAddresses);
  return [...ofNetworks, ...places.flatMap(({ addresses, fixedAddresses }) => [...addresses, ...fixedAddresses])];
}

/** What to type to take all off that are attached: with the last of them goes a network that Docker does not know any more. */
function detachingFrom(network: string, endpoints: readonly NamedEndpoint[]): string {
  const commands = endpoints.flatMap((endpoint) => {
    const { kind, id } = endpoint.attachment?.owner ?? {};
    if (kind === undefined || id === undefined) return [];
    if (kind === "container") return [command`tsnet detach ${callEndpoint(endpoint)} ${network}`];
    return [command`tsnet detach --${kind} ${id} ${network}`];
  });
  return commands.join(" && ");
}

/** What to type to have the daemon do what the engine did not ask for. */
function tell(verb: string, message: object): string {
  const socket = "/run/docker/plugins/tsnet.sock";
  return command`curl -s --unix-socket ${socket} -d ${JSON.stringify(message)} http://tsnet/${verb}`;
}
