// A whole chain of CNI plugins: ADD in order, each with the result of the one before; CHECK in order and DEL in reverse, all with the
// result of the whole.
//
// Source: CNI SPEC.md 1.1.0, section 3 (execution of network configurations).
import { TsnetError, inContext, messageOf } from "../../errors.ts";
import { CNI_VERSIONS, type CniVersion, type NetworkConf, type PluginConf, executionConf } from "./conf.ts";
import type { JsonObject } from "./json.ts";
import { type Attachment, type CniCommand, callPlugin, readVersions } from "./plugin.ts";
import { type CniResult, parseResult } from "./result.ts";

/** The first version with CHECK, and with the result handed to DEL. */
const FIRST_WITH_CHECK = CNI_VERSIONS.indexOf("0.4.0");

/** What is said to the plugins of one network for one container. */
export interface Chain {
  readonly conf: NetworkConf;
  readonly cniVersion: CniVersion;
  /** What the operator said, by capability. */
  readonly capabilities: JsonObject;
  readonly attachment: Attachment;
}

/**
 * The newest version that the configuration permits and every plugin knows. Asks them all, and changes nothing.
 *
 * @throws TsnetError `not-found` for a missing plugin, `unsupported` that names the versions of a plugin.
 */
export async function chooseVersion(conf: NetworkConf, path: string, timeoutMs: number): Promise<CniVersion> {
  const types = [...new Set(conf.plugins.map(({ type }) => type))];
  const known = await Promise.all(
    types.map(async (type) => [type, await readVersions(type, path, timeoutMs)] as const),
  );
  const chosen = conf.versions.findLast((version) => known.every(([, versions]) => versions.includes(version)));
  if (chosen !== undefined) return chosen;
  const newest = conf.versions.at(-1) ?? "";
  const why = known
    .filter(([, versions]) => !versions.includes(newest))
    .map(([type, versions]) => `plugin ${type} knows ${versions.join(", ")}`);
  const wanted = `network ${conf.name} wants cniVersion ${conf.versions.join(" or ")}`;
  throw new TsnetError("unsupported", `${wanted}, but ${why.join("; ")}`);
}

/** Whether the version has CHECK. */
export function hasCheck(version: CniVersion): boolean {
  return CNI_VERSIONS.indexOf(version) >= FIRST_WITH_CHECK;
}

/**
 * @param report - gets the result of every plugin as soon as it is there, of the last one as well.
 * @throws TsnetError of the first one that fails; what was done before stays.
 */
export async function addChain(chain: Chain, report: (result: CniResult) => void): Promise<void> {
  let previous: CniResult | undefined;
  for (const step of stepsOf(chain)) {
    const result = parseResult(await call("ADD", step, previous));
    if (typeof result === "string") throw new TsnetError("host", `${step.name} failed at ADD: ${result}`);
    report(result);
    previous = result;
  }
}

/** @throws TsnetError of the first plugin that finds a fault. */
export async function checkChain(chain: Chain, result: CniResult): Promise<void> {
  for (const step of stepsOf(chain)) await call("CHECK", step, result);
}

/**
 * @param result - of ADD, as far as that came; plugins find by it what they made.
 * @throws TsnetError of the first plugin that fails, as the specification wants: what those before it did still stands.
 */
export async function delChain(chain: Chain, result: CniResult | undefined): Promise<void> {
  for (const step of stepsOf(chain).toReversed()) await del(step, result);
}

/** The same, but every plugin has its turn. @returns what could not be taken back. */
export async function takeBackChain(chain: Chain, result: CniResult | undefined): Promise<readonly string[]> {
  const failures: string[] = [];
  for (const step of stepsOf(chain).toReversed()) {
    await del(step, result).catch((failure: unknown) => failures.push(messageOf(failure)));
  }
  return failures;
}

interface Step {
  readonly chain: Chain;
  readonly plugin: PluginConf;
  /** For messages. */
  readonly name: string;
}

function stepsOf(chain: Chain): readonly Step[] {
  const { plugins } = chain.conf;
  return plugins.map((plugin, at) => {
    const place = plugins.length > 1 ? ` (${at + 1} of ${plugins.length})` : "";
    return { chain, plugin, name: `CNI plugin ${plugin.type}${place}` };
  });
}

async function del(step: Step, result: CniResult | undefined): Promise<void> {
  await call("DEL", step, hasCheck(step.chain.cniVersion) ? result : undefined);
}

async function call(command: CniCommand, { chain, plugin, name }: Step, previous?: CniResult): Promise<string> {
  const { conf, cniVersion, capabilities, attachment } = chain;
  try {
    return await callPlugin(
      command,
      plugin.type,
      executionConf(conf, plugin, cniVersion, capabilities, previous),
      attachment,
    );
  } catch (failure) {
    throw inContext(`${name} failed at ${command}`, failure);
  }
}
