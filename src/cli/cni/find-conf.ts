// Where the configuration of a CNI network is found: in a file that is named, or in the folder of configurations by the network's name.
import { readFileSync, readdirSync, statSync } from "node:fs";
import { extname, join } from "node:path";
import { TsnetError, messageOf } from "../../errors.ts";
import { type NetworkConf, isNetworkName, parseConf } from "./conf.ts";

/** Where every runtime looks. */
export const CONF_FOLDER = "/etc/cni/net.d";

const EXTENSIONS = [".conf", ".conflist", ".json"];
const LIMIT_BYTES = 1024 * 1024;

/**
 * @param text - path of a file, or name of a network.
 * @throws TsnetError `not-found`, `invalid`.
 */
export function findConf(text: string, folder: string): NetworkConf {
  return isPath(text) ? readConf(text) : findNamed(text, folder);
}

/** The name of the network that is meant, which need not have a configuration any more if it is named itself. */
export function findNetworkName(text: string): string {
  if (isPath(text)) return readConf(text).name;
  if (!isNetworkName(text)) throw new TsnetError("invalid", `${JSON.stringify(text)} is no name of a CNI network`);
  return text;
}

function isPath(text: string): boolean {
  return text.includes("/") || EXTENSIONS.includes(extname(text));
}

function readConf(path: string): NetworkConf {
  try {
    const { size } = statSync(path);
    if (size > LIMIT_BYTES) throw new TsnetError("invalid", `${path} has ${size} bytes, permitted are ${LIMIT_BYTES}`);
    return parseConf(readFileSync(path, "utf8"), path);
  } catch (cause) {
    if (cause instanceof TsnetError) throw cause;
    throw new TsnetError("not-found", `the CNI configuration cannot be read: ${messageOf(cause)}`, { cause });
  }
}

/** The first one of that name in the order of the files' names, as other runtimes choose. */
function findNamed(name: string, folder: string): NetworkConf {
  const names: string[] = [];
  const faults: string[] = [];
  for (const file of filesIn(folder)) {
    try {
      const conf = readConf(join(folder, file));
      if (conf.name === name) return conf;
      names.push(conf.name);
    } catch (failure) {
      faults.push(messageOf(failure)); // it may be the one that is looked for
    }
  }
  const known = names.length === 0 ? "it has none" : `it has ${names.join(", ")}`;
  const what = [`${folder} has no CNI network ${JSON.stringify(name)}; ${known}`, ...faults].join("; ");
  throw new TsnetError("not-found", `${what}; a path with a / names a file`);
}

function filesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
      .filter((file) => EXTENSIONS.includes(extname(file)))
      .sort();
  } catch {
    return []; // there is no such folder
  }
}
