// The managed plugin of a lab, seen from outside: its process, its files, and what it wrote into the engine's log.
import { readFileSync, readdirSync } from "node:fs";
import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { LabHost } from "./lab-host.ts";
import { waitUntil } from "./wait-until.ts";

const PLUGIN_FOLDER = join(import.meta.dirname, "../../build/plugin");

/** Lines of `/proc/PID/status` by their names: `CapEff` to `0000000000001400`. */
export type ProcessStatus = Readonly<Record<string, string>>;

/** One installed plugin. */
export class LabPlugin {
  readonly reference: string;
  readonly #lab: LabHost;
  readonly #id: string;

  private constructor(lab: LabHost, reference: string, id: string) {
    this.#lab = lab;
    this.reference = reference;
    this.#id = id;
  }

  /**
   * Makes a plugin that is not enabled yet, from a copy of `build/plugin`, so that a build at the same time does no harm.
   *
   * @param version - what it shall say its version is; default: the true one.
   */
  static async create(lab: LabHost, reference = "tsnet-plugin", version?: string): Promise<LabPlugin> {
    const copy = join(lab.folder, "plugin-copy");
    try {
      await cp(PLUGIN_FOLDER, copy, { recursive: true, verbatimSymlinks: true });
      if (version !== undefined) await forgeVersion(join(copy, "rootfs/usr/lib/tsnet/tsnet.js"), version);
      await lab.docker("plugin", "create", reference, copy);
    } finally {
      await rm(copy, { recursive: true, force: true });
    }
    return await LabPlugin.find(lab, reference);
  }

  /** @throws Error when the engine has no such plugin. */
  static async find(lab: LabHost, reference = "tsnet-plugin"): Promise<LabPlugin> {
    return new LabPlugin(lab, reference, await lab.docker("plugin", "inspect", "--format", "{{.Id}}", reference));
  }

  /** The engine's folder of it, on the machine's own file system. */
  get folder(): string {
    return join(this.#lab.folder, "data/plugins", this.#id);
  }

  get rootfs(): string {
    return join(this.folder, "rootfs");
  }

  /** Where the records are, for `takeCensus`. */
  get stateDir(): string {
    return join(this.folder, "propagated-mount");
  }

  /** What it wrote, oldest first: each line as it left tsnet, or as the engine shows it when it is no JSON. */
  log(): string[] {
    const path = join(this.#lab.folder, "dockerd.log");
    return readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => line.includes(`plugin=${this.#id}`))
      .map((line) => /msg="((?:[^"\\]|\\.)*)"/.exec(line)?.[1]?.replaceAll('\\"', '"') ?? line);
  }

  /** Pid inside the lab of the running daemon. @throws Error unless there is exactly one. */
  pid(): number {
    const found = this.#pids().filter((pid) => this.#read(`${pid}/cmdline`).includes("/usr/lib/tsnet/tsnet.js\0serve"));
    // A command that the daemon starts looks like the daemon for a moment, between fork(2) and execve(2). It may have
    // ended since, and then has no parent any more.
    const parents = found.filter((pid) => {
      const { PPid: parent } = this.status(pid);
      return parent !== undefined && !found.includes(Number(parent));
    });
    const [pid] = parents;
    if (pid === undefined || parents.length > 1) throw new Error(`${found.length} daemons of ${this.reference} run`);
    return pid;
  }

  /** Enables it, again if need be: after a start that failed, engines end the next one too for some seconds. */
  async enable(): Promise<void> {
    const limits = { limitMs: 60_000, intervalMs: 500 };
    await waitUntil(`${this.reference} to be enabled`, () => this.#enableOnce(), limits).catch((cause: unknown) => {
      throw new Error(`${this.reference} does not come up:\n${this.log().slice(-5).join("\n")}`, { cause });
    });
  }

  /** The processes that the daemon has started and that live in this moment. @param pid - of the daemon. */
  children(pid: number): number[] {
    return this.#read(`${pid}/task/${pid}/children`)
      .split(" ")
      .flatMap((text) => (text === "" ? [] : Number(text)));
  }

  /** Empty when the process has ended. */
  status(pid: number): ProcessStatus {
    const lines = this.#read(`${pid}/status`).split("\n");
    return Object.fromEntries(lines.map((line) => line.split(":\t").map((text) => text.trim())));
  }

  /** Milliseconds since 1970 at which the process began, to 10 ms (proc_pid_stat(5), field 22). */
  startedAt(pid: number): number {
    const stat = this.#read(`${pid}/stat`);
    const ticks = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
    const uptimeS = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
    return Date.now() - uptimeS * 1000 + ticks * 10;
  }

  async #enableOnce(): Promise<boolean> {
    const isEnabled = await this.#lab.docker("plugin", "inspect", "--format", "{{.Enabled}}", this.reference);
    if (isEnabled !== "true") await this.#lab.docker("plugin", "enable", this.reference);
    return this.pid() > 0;
  }

  #pids(): number[] {
    return readdirSync(this.#lab.namespace.outside("/proc")).flatMap((name) =>
      /^\d+$/.test(name) ? Number(name) : [],
    );
  }

  #read(path: string): string {
    try {
      return readFileSync(join(this.#lab.namespace.outside("/proc"), path), "utf8");
    } catch {
      return ""; // it has ended
    }
  }
}

/** Writes another version into the bundled script, where `version.ts` reads it. */
async function forgeVersion(script: string, version: string): Promise<void> {
  const text = await readFile(script, "utf8");
  const forged = text.replace(/(name: "tsnet",\s+version: )"[^"]+"/, `$1"${version}"`);
  if (forged === text) throw new Error(`${script} has no version to be replaced`);
  await writeFile(script, forged);
}
