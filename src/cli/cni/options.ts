// The options of `tsnet cni`, checked before anything is done.
import { isAbsolute } from "node:path";
import { TsnetError } from "../../errors.ts";
import type { CommonOptions } from "../tools.ts";
import { type JsonObject, isObject, parseObject } from "./json.ts";

/** As they are typed. */
export interface CniOptions extends CommonOptions {
  readonly ifname?: string;
  /** Folder of the records. */
  readonly stateDir: string;
}

/** Those of `add` besides. */
export interface AddOptions extends CniOptions {
  /** `KEY=VALUE;KEY=VALUE`. */
  readonly args?: string;
  /** Each `KEY=JSON`, or an object of them. */
  readonly cap?: readonly string[];
  /** Folders, a colon between two. */
  readonly cniPath: string;
  /** Where networks are found by name. */
  readonly confDir: string;
}

/** Those of `add`, read. */
export interface AddWishes extends Omit<AddOptions, "cap"> {
  /** By name. */
  readonly capabilities: JsonObject;
}

const IF_NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,14}$/;
const ARGS = /^[A-Za-z0-9_]+=[^;\s]*(;[A-Za-z0-9_]+=[^;\s]*)*$/;
const CAPABILITY = /^([A-Za-z][A-Za-z0-9_.-]*)=(.*)$/s;

/** @throws TsnetError `invalid` that names every bad option, or the first bad capability. */
export function readAddOptions({ cap, ...options }: AddOptions): AddWishes {
  const { ifname, args, cniPath } = options;
  const folders = cniPath.split(":").filter((folder) => !isAbsolute(folder));
  const faults = [
    ...faultsOfIfName(ifname),
    ...(args === undefined || ARGS.test(args)
      ? []
      : [`--args ${JSON.stringify(args)}: permitted is KEY=VALUE;KEY=VALUE without spaces`]),
    ...folders.map(
      (folder) => `--cni-path ${JSON.stringify(folder)}: permitted are absolute paths, a colon between two`,
    ),
  ];
  if (faults.length > 0) throw new TsnetError("invalid", faults.join("; "));
  return { ...options, capabilities: parseCapabilities(cap) };
}

/** @throws TsnetError `invalid`. */
export function checkIfName(ifname: string | undefined): void {
  const [fault] = faultsOfIfName(ifname);
  if (fault !== undefined) throw new TsnetError("invalid", fault);
}

/** What stands behind all `--cap`. */
function parseCapabilities(texts: readonly string[] = []): JsonObject {
  return Object.assign({}, ...texts.map(parseCapability)) as JsonObject; // objects make an object
}

function faultsOfIfName(ifname: string | undefined): readonly string[] {
  if (ifname === undefined || IF_NAME.test(ifname)) return [];
  return [`--ifname ${JSON.stringify(ifname)}: permitted are 1 to 15 letters, digits, _, . and -, a letter first`];
}

function parseCapability(text: string): JsonObject {
  const object = parseObject(text);
  if (object !== undefined) return object;
  const [, key, json = ""] = CAPABILITY.exec(text) ?? [];
  const parsed = parseObject(`{"value":${json}}`);
  if (key !== undefined && isObject(parsed) && Object.keys(parsed).length === 1) return { [key]: parsed["value"] };
  throw new TsnetError(
    "invalid",
    `--cap ${JSON.stringify(text)}: permitted is CAPABILITY=JSON, or a JSON object of them`,
  );
}
