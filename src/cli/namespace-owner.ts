// Whose network namespace is meant: a container's, a file's (`--netns`) or a process's (`--pid`), and where it is on this host.
import { createHash } from "node:crypto";
import { readlinkSync, realpathSync, statSync, statfsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { AttachmentOwner } from "../cnm/attachment.ts";
import type { EndpointId } from "../cnm/endpoint.ts";
import { TsnetError } from "../errors.ts";
import { shortId } from "./catalog.ts";
import { findNamespaceOwner } from "./container-namespace.ts";
import type { DockerContainer } from "./docker.ts";
import type { Tools } from "./tools.ts";

/** What the user named: exactly one of them. */
export interface OwnerChoice {
  readonly container?: string;
  readonly netns?: string;
  readonly pid?: string;
}

/** An owner whose namespace is there. */
export interface FoundOwner extends AttachmentOwner {
  /** Of the namespace; absolute. */
  readonly path: string;
  /** What the same owner has each time it comes back. */
  readonly identity: string;
  /** Of the namespace, as the kernel tells it from others. */
  readonly namespace: string;
}

/** The file system in which namespaces are (linux/magic.h, NSFS_MAGIC). */
const NSFS_MAGIC = 0x6e73_6673;

/**
 * @throws TsnetError `not-found`, also for what ends meanwhile, `conflict` for a container that does not run, `invalid` for what
 * is no namespace, `unsupported` for the host's own.
 */
export async function findOwner(tools: Tools, choice: OwnerChoice): Promise<FoundOwner> {
  checkChoice(choice);
  const { container, netns, pid } = choice;
  if (container !== undefined) return findContainerOwner(tools, await tools.findContainer(container));
  const owner = netns !== undefined ? ownerOfFile(netns) : ownerOfProcess(pid ?? "");
  return withNamespace(owner);
}

/** Whether it is written as it may be; who is there is another question. @throws TsnetError `invalid`. */
export function checkChoice({ netns, pid }: OwnerChoice): void {
  if (netns !== undefined && !netns.startsWith("/")) {
    const permitted = "permitted: such as /run/netns/blue";
    throw new TsnetError("invalid", `--netns ${JSON.stringify(netns)}: no absolute path; ${permitted}`);
  }
  if (pid !== undefined && !/^[1-9][0-9]{0,9}$/.test(pid))
    throw new TsnetError("invalid", `--pid ${JSON.stringify(pid)}: no number of a process`);
}

/** The same of a container that has been looked up. */
export async function findContainerOwner(tools: Tools, named: DockerContainer): Promise<FoundOwner> {
  const { id, name, pid, isRunning } = named.isRunning ? await findNamespaceOwner(tools, named) : named;
  if (!isRunning) {
    const advice = `\`docker start ${name}\` comes first`;
    throw new TsnetError("conflict", `container ${name} does not run, so it has no network namespace; ${advice}`);
  }
  const owner = withNamespace({ kind: "container", id, name, path: `/proc/${pid}/ns/net`, identity: id });
  return { ...owner, engine: await tools.findEngine() };
}

/** Whether the namespace is there still. */
export function isThere({ path, namespace }: FoundOwner): boolean {
  return idOf(path) === namespace;
}

/** Says of one whose namespace was there that it is not. */
export function goneError({ kind, name, path }: Omit<FoundOwner, "namespace">, cause?: unknown): TsnetError {
  const why = kind === "container" ? ": it has ended just now, or its engine runs on another host" : "";
  return new TsnetError("not-found", `the network namespace of ${name}, ${path}, is not there${why}`, { cause });
}

function withNamespace(owner: Omit<FoundOwner, "namespace">): FoundOwner {
  const namespace = idOf(owner.path);
  if (namespace === undefined) throw goneError(owner);
  if (namespace !== idOf("/proc/self/ns/net")) return { ...owner, namespace };
  const advice = "networks are attached to namespaces of their own";
  throw new TsnetError("unsupported", `${owner.name} is in the host's own network namespace; ${advice}`);
}

function ownerOfFile(path: string): Omit<FoundOwner, "namespace"> {
  const fault = (why: string) => new TsnetError("invalid", `--netns ${JSON.stringify(path)}: ${why}`);
  const found = statFile(path);
  if (found === undefined) throw fault("there is no such file");
  if (found !== NSFS_MAGIC) throw fault("no network namespace; `ip netns add blue` makes /run/netns/blue");
  const real = realPathOf(path);
  return { kind: "netns", id: real, name: real, path: real, identity: `netns ${real}` };
}

/** Of a file that may be gone, and its directory with it. Those below /proc are links to what has no path. */
function realPathOf(path: string): string {
  if (path.startsWith("/proc/")) return path;
  return tryRealPath(path) ?? join(tryRealPath(dirname(path)) ?? dirname(path), basename(path));
}

function tryRealPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

function statFile(path: string): number | undefined {
  try {
    return statfsSync(path).type;
  } catch {
    return undefined;
  }
}

function ownerOfProcess(text: string): Omit<FoundOwner, "namespace"> {
  const fault = (why: string) => new TsnetError("invalid", `--pid ${JSON.stringify(text)}: ${why}`);
  const path = `/proc/${text}/ns/net`;
  try {
    const namespace = readlinkSync(path);
    return { kind: "pid", id: text, name: `pid ${text}`, path, identity: `pid ${text} ${namespace}` };
  } catch {
    throw fault("there is no such process");
  }
}

function idOf(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  return found && `${found.dev} ${found.ino}`;
}

/** The id of the owner's endpoint on that network: the same each time, so that one who attaches twice does it once. */
export function endpointIdOf(networkId: string, { kind, identity }: Pick<FoundOwner, "kind" | "identity">): EndpointId {
  const digest = createHash("sha256").update(["tsnet attach", networkId, kind, identity].join("\0")).digest("hex");
  return digest as EndpointId; // 64 hex digits
}

/** How the user's choice is called where there is nothing of that name any more. */
export function callChoice({ container, netns, pid }: OwnerChoice): string {
  return container ?? netns ?? `pid ${pid}`;
}

/** Whether an attachment is of the one whom the user named; of a container by name, id, or its first digits at least. */
export function isOwner({ kind, id, name }: AttachmentOwner, choice: OwnerChoice): boolean {
  if (choice.pid !== undefined) return kind === "pid" && id === choice.pid;
  if (choice.netns !== undefined) return kind === "netns" && id === realPathOf(choice.netns);
  if (kind !== "container" || choice.container === undefined) return false;
  const isPart = choice.container.length >= shortId(id).length && id.startsWith(choice.container);
  return name === choice.container || isPart;
}
