// `docker run --network container:NAME`: a container that lives in the network namespace of another one.
import type { DockerContainer } from "./docker.ts";
import type { Tools } from "./tools.ts";

/** The container in whose network namespace that one lives. If it is another one, a note says so. */
export async function findNamespaceOwner(
  { findContainer, console }: Pick<Tools, "findContainer" | "console">,
  container: DockerContainer,
): Promise<DockerContainer> {
  let owner = container;
  while (owner.sharedWith !== undefined) owner = await findContainer(owner.sharedWith.id);
  if (owner.id !== container.id)
    console.note(`${container.name} shares the network of ${owner.name}: this is about ${owner.name}`);
  return owner;
}
