// What `tsnet cni add` did, so that CHECK and DEL can be told the same, also when the container or the configuration is gone:
//
//   STATE_DIR/lock                               held while one command changes something
//   STATE_DIR/CONTAINER_ID/NETWORK:IFNAME.json   one attachment; written before the first plugin runs
//
// Only root reads it. A file takes the place of another by a rename, so that a crash leaves either of them whole.
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { TsnetError } from "../../errors.ts";
import type { CniVersion, NetworkConf } from "./conf.ts";
import type { HostProcess } from "./host-process.ts";
import { type JsonObject, parseObject } from "./json.ts";
import type { CniResult } from "./result.ts";

/** Where they are if no other folder is named. */
export const STATE_FOLDER = "/var/lib/tsnet-cni";

const FORMAT = 1;
const CONTAINER_ID = /^[0-9a-f]{64}$/;
const SUFFIX = ".json";

/** One container on one network by one interface. */
export interface CniRecord {
  readonly format: typeof FORMAT;
  /** `adding`: the plugins may have done a part of it. */
  readonly state: "adding" | "added";
  readonly container: { readonly id: string; readonly name: string };
  /** Whose network namespace it was. */
  readonly process: HostProcess;
  readonly conf: NetworkConf;
  readonly cniVersion: CniVersion;
  readonly ifName: string;
  readonly args: string;
  readonly capabilities: JsonObject;
  /** Folders with plugins. */
  readonly path: string;
  /** Of the last plugin that came to its end; absent before the first one does. */
  readonly result?: CniResult;
}

/** What tells an attachment from all others. */
export type RecordKey = Pick<CniRecord, "container" | "conf" | "ifName">;

/** All of them. */
export class CniRecords {
  readonly folder: string;

  /** @throws TsnetError `host` if others than root and the caller can change what is there. */
  constructor(folder: string) {
    this.folder = folder;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const { uid, mode } = statSync(folder);
    if ((uid === 0 || uid === process.getuid?.()) && (mode & 0o022) === 0) return;
    const advice = "it must be root's, and no other may write there";
    throw new TsnetError("host", `records of CNI cannot be kept in ${folder}, which others can change: ${advice}`);
  }

  /** By container, network and interface. @throws TsnetError `host` for a file that is none of them. */
  list(): readonly CniRecord[] {
    const containers = readdirSync(this.folder).filter((name) => CONTAINER_ID.test(name));
    const files = containers.flatMap((id) => {
      const names = readdirSync(join(this.folder, id)).filter((name) => name.endsWith(SUFFIX));
      return names.map((name) => join(this.folder, id, name));
    });
    return files.sort().map(readRecord);
  }

  /** In the place of the one with the same key; on the disk when it returns. */
  write(record: CniRecord): void {
    const file = this.#fileOf(record);
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(`${file}.new`, `${JSON.stringify(record, undefined, 2)}\n`, { mode: 0o600, flush: true });
    renameSync(`${file}.new`, file);
    syncFolder(dirname(file));
    syncFolder(this.folder);
  }

  /** Absence is no failure. */
  remove(key: RecordKey): void {
    const file = this.#fileOf(key);
    rmSync(file, { force: true });
    rmSync(`${file}.new`, { force: true });
    try {
      rmdirSync(dirname(file));
    } catch {
      // it has others, or is gone
    }
    syncFolder(this.folder);
  }

  /** All three parts were checked for what a name may have when they came in; the id is checked here, for it is Docker's. */
  #fileOf({ container, conf, ifName }: RecordKey): string {
    if (!CONTAINER_ID.test(container.id)) {
      throw new TsnetError("invalid", `${JSON.stringify(container.id)} is no id of a container`);
    }
    return join(this.folder, container.id, `${conf.name}:${ifName}${SUFFIX}`);
  }
}

function readRecord(file: string): CniRecord {
  const record = parseObject(readFileSync(file, "utf8"));
  if (record?.["format"] === FORMAT) return record as unknown as CniRecord; // tsnet wrote it, and nobody else can
  const advice = "remove it if nothing of it is left on the host";
  throw new TsnetError("host", `${file} is no record of this tsnet: damaged, or of a newer one; ${advice}`);
}

function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  fsyncSync(folder);
  closeSync(folder);
}
