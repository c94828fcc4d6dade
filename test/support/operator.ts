// The operator's command `tsnet` on a lab host, as it is built, in an environment like that of a login over ssh.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ExecaError } from "execa";
import type { LabHost } from "./lab-host.ts";
import type { LabProcess } from "./lab-namespace.ts";
import { NODE } from "./lab-serve.ts";

/** Of the operator, as it is built. */
export const COMMAND = join(import.meta.dirname, "../../dist/tsnet.js");

/** How a command ended. */
export interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `tsnet …` to its end. @param env - besides what the lab's engine needs. @param command - the program. */
export async function runTsnet(
  lab: LabHost,
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
  command: string = COMMAND,
): Promise<Outcome> {
  const errors = join(lab.folder, "tsnet-command.err");
  const argv = ["sh", "-c", 'exec "$@" 2>"$0"', errors, NODE, command, ...words];
  const ended = await lab.exec(argv, { env }).catch((failure: unknown) => failure);
  const stderr = readFileSync(errors, "utf8");
  if (typeof ended === "string") return { exitCode: 0, stdout: ended, stderr };
  if (!(ended instanceof ExecaError) || ended.exitCode === undefined) throw ended;
  return { exitCode: ended.exitCode, stdout: String(ended.stdout), stderr };
}

/** Starts a `tsnet …` that goes on until it is told to end, or its lab is taken down. What it prints is in its log. */
export async function startTsnet(
  lab: LabHost,
  label: string,
  words: readonly string[],
  env: Readonly<Record<string, string>> = lab.clientEnv,
): Promise<LabProcess> {
  return await lab.namespace.spawn(label, [NODE, COMMAND, ...words], env);
}

/** The same with `--json`. @throws Error with what it said when it failed. */
export async function readTsnet<Answer>(lab: LabHost, ...words: readonly string[]): Promise<Answer> {
  const { exitCode, stdout, stderr } = await runTsnet(lab, [...words, "--json"]);
  if (exitCode !== 0) throw new Error(`tsnet ${words.join(" ")}: exit code ${exitCode}: ${stderr}`);
  return JSON.parse(stdout) as Answer; // what the command's source says it prints
}
