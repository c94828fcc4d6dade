// One call of one CNI plugin: parameters in the environment, configuration on standard input, result or error on standard output.
//
// Source: CNI SPEC.md 1.0.0, section 2 (execution protocol).
import { accessSync, constants, statSync } from "node:fs";
import { join } from "node:path";
import { TsnetError } from "../../errors.ts";
import { run } from "../../host/run.ts";
import { type JsonObject, parseObject } from "./json.ts";
import { explainError } from "./result.ts";

/** Where the plugins are: the specification's usual place, and that of Debian's package. */
export const PLUGIN_PATH = "/opt/cni/bin:/usr/lib/cni";

/** A plugin may ask a DHCP server or a controller far away. */
export const PLUGIN_TIMEOUT_MS = 60_000;

/** What all plugins of a chain are told in their environment. */
export interface Attachment {
  readonly containerId: string;
  /** Path of the network namespace; empty when it is gone. */
  readonly netns: string;
  readonly ifName: string;
  /** `KEY=VALUE;KEY=VALUE`. */
  readonly args: string;
  /** Folders with plugins, a colon between two. */
  readonly path: string;
  /** Of one call; then the plugin is killed with all that it started. */
  readonly timeoutMs: number;
}

export type CniCommand = "ADD" | "CHECK" | "DEL";

/**
 * The plugin's file.
 *
 * @throws TsnetError `not-found` that names the folders.
 */
export function findPlugin(type: string, path: string): string {
  const found = path
    .split(":")
    .map((folder) => join(folder, type))
    .find(isExecutable);
  if (found !== undefined) return found;
  const advice = "Debian has it in the package containernetworking-plugins; --cni-path names other folders";
  throw new TsnetError("not-found", `there is no CNI plugin ${type} in ${path}; ${advice}`);
}

/**
 * @param conf - what the plugin is told on standard input.
 * @returns what it printed.
 * @throws TsnetError `host` with the plugin's own code, message and details; `not-found`.
 */
export async function callPlugin(
  command: CniCommand,
  type: string,
  conf: JsonObject,
  { containerId, netns, ifName, args, path, timeoutMs }: Attachment,
): Promise<string> {
  const env = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: containerId,
    CNI_NETNS: netns,
    CNI_IFNAME: ifName,
    CNI_ARGS: args,
    CNI_PATH: path,
  };
  const options = { input: JSON.stringify(conf), env, timeoutMs, explain: explainError };
  return run(findPlugin(type, path), [], options);
}

/** The versions of the specification that a plugin knows. @throws TsnetError `host` if it does not say. */
export async function readVersions(type: string, path: string, timeoutMs: number): Promise<readonly string[]> {
  const input = JSON.stringify({ cniVersion: "1.0.0" });
  const env = { CNI_COMMAND: "VERSION", CNI_PATH: path };
  const file = findPlugin(type, path);
  const text = await run(file, [], { input, env, timeoutMs, explain: explainError });
  const versions = parseObject(text)?.["supportedVersions"];
  if (Array.isArray(versions)) return versions.map(String);
  throw new TsnetError("host", `${file} does not say which versions of CNI it knows`);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
