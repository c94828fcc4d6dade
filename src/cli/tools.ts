// What every command works with, and what most of them begin with.
import { type NamedNetwork, nameNetworks } from "./catalog.ts";
import type { Console } from "./console.ts";
import type { DaemonClient } from "./daemon-client.ts";
import type { DockerContainer, DockerView } from "./docker.ts";
import type { HostTools } from "./host-tools.ts";

/** One command's. */
export interface Tools {
  readonly console: Console;
  readonly daemon: Pick<DaemonClient, "read" | "call" | "follow">;
  readonly readDocker: () => Promise<DockerView>;
  readonly findContainer: (name: string) => Promise<DockerContainer>;
  /** Which engine answers; see `docker.ts`. */
  readonly findEngine: () => Promise<string>;
  /** In the command's own network namespace, the host's. */
  readonly host: HostTools;
}

/** Options that every command has. */
export interface CommonOptions {
  readonly json?: boolean;
}

/** What tsnet has and what Docker has. */
export interface Everything {
  readonly networks: readonly NamedNetwork[];
  readonly docker: DockerView;
}

/** Reads both. What is to be known of the whole of it is noted. */
export async function readEverything({ console, daemon, readDocker }: Tools): Promise<Everything> {
  const [status, docker] = await console.waitFor("tsnet", Promise.all([daemon.read("/status"), readDocker()]));
  if (docker.fault !== undefined) console.note(docker.fault);
  for (const line of status.damage ?? []) console.note(line);
  if (!status.isComplete) console.note("there is more than fits one answer: this is not all");
  return { networks: nameNetworks(status.networks, docker), docker };
}
