// `tsnet detach CONTAINER NETWORK`: takes off what `tsnet attach` put on, also of a container that is no more.
import type { AttachmentOwner } from "../cnm/attachment.ts";
import { TsnetError, codeOf } from "../errors.ts";
import { type Target, requireNetwork } from "./attach.ts";
import { type NamedEndpoint, type NamedNetwork, callEndpoint } from "./catalog.ts";
import { findNamespaceOwner } from "./container-namespace.ts";
import type { DockerContainer } from "./docker.ts";
import { type OwnerChoice, callChoice, isOwner } from "./namespace-owner.ts";
import { type CommonOptions, type Tools, readEverything } from "./tools.ts";

/** One who is not attached is no failure: a note says so. @throws TsnetError `conflict` for one whom Docker connected. */
export async function detach(
  tools: Tools,
  { choice, network: called }: Target,
  { json = false }: CommonOptions,
): Promise<void> {
  const network = requireNetwork(called, await readEverything(tools));
  const endpoint = await findAttachment(tools, network, choice);
  if (endpoint === undefined) refuseConnected(network, choice);
  const isDetached = endpoint !== undefined && (await detachEndpoint(tools, network, endpoint));
  const who = endpoint === undefined ? callChoice(choice) : callEndpoint(endpoint);
  const addresses = endpoint?.addresses ?? [];
  if (json) return tools.console.json({ container: who, network: network.name, wasAttached: isDetached, addresses });
  if (!isDetached) return tools.console.note(`${who} is not attached to ${network.name}: nothing was changed`);
  tools.console.line(
    `${who} is off ${network.name}${addresses.length === 0 ? "" : `, ${addresses.join(", ")} is free`}`,
  );
}

/** @returns false if it went meanwhile. */
export async function detachEndpoint(
  { console, daemon }: Tools,
  network: NamedNetwork,
  { id }: Pick<NamedEndpoint, "id">,
): Promise<boolean> {
  const detaching = daemon.call("Operator.Detach", { NetworkID: network.id, EndpointID: id });
  const { WasAttached } = await console.waitFor("tsnet", detaching);
  return WasAttached;
}

/** Of the container of that name as Docker knows it, or the one in whose network that is; else by what is recorded. */
async function findAttachment(
  tools: Tools,
  network: NamedNetwork,
  choice: OwnerChoice,
): Promise<NamedEndpoint | undefined> {
  const attached = network.endpoints.flatMap((endpoint) =>
    endpoint.attachment === undefined ? [] : [{ endpoint, owner: endpoint.attachment.owner }],
  );
  const known = await findKnown(tools, choice);
  const own = attached.find(({ owner }) => owner.kind === "container" && owner.id === known?.id);
  if (own !== undefined) return own.endpoint;
  const called = attached.filter(({ owner }) => isOwner(owner, choice));
  const found = known === undefined ? called : await filterGone(tools, called);
  if (found.length < 2) return found[0]?.endpoint;
  const ids = found.map(({ owner }) => owner.id.slice(0, 12)).join(", ");
  throw new TsnetError("conflict", `${callChoice(choice)} may be one of several: ${ids}`);
}

/** As Docker knows it now. @returns undefined also where Docker does not answer: what is recorded is enough to detach. */
async function findKnown(tools: Tools, { container }: OwnerChoice): Promise<DockerContainer | undefined> {
  if (container === undefined) return undefined;
  const known = await tools.findContainer(container).catch(() => undefined);
  return known && findNamespaceOwner(tools, known).catch(() => known);
}

/** A name that another container has now means a former one only where that is gone, and has left its attachment. */
async function filterGone<One extends { readonly owner: AttachmentOwner }>(
  { findContainer }: Tools,
  all: readonly One[],
): Promise<readonly One[]> {
  const gone: One[] = [];
  for (const one of all) {
    const isThere = await findContainer(one.owner.id).then(
      () => true,
      (failure: unknown) => {
        if (codeOf(failure) === "not-found") return false;
        throw failure;
      },
    );
    if (!isThere) gone.push(one);
  }
  return gone;
}

function refuseConnected(network: NamedNetwork, { container }: OwnerChoice): void {
  const isDockers = network.endpoints.some(
    (endpoint) =>
      endpoint.attachment === undefined && container !== undefined && endpoint.container?.name === container,
  );
  if (!isDockers) return;
  const advice = `\`docker network disconnect ${network.name} ${container}\` takes it off`;
  throw new TsnetError("conflict", `Docker has connected ${container} to ${network.name}; ${advice}`);
}
