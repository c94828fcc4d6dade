// A real dockerd inside a lab's namespace: its flags, start and end. It lives as on a real host (default exec-root
// /run/docker, default socket) but for the data, which lie in the lab's folder, and a second socket there for the tests.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import Docker from "dockerode";
import type { Engine } from "./engines.ts";
import type { LabNamespace, LabProcess } from "./lab-namespace.ts";
import { waitUntil } from "./wait-until.ts";

const START_LIMIT_MS = 60_000;
/** With many containers it takes a while. */
const STOP_LIMIT_MS = 100_000;

/** How the daemon of a lab shall run. */
export interface DockerdOptions {
  readonly engine: Engine;
  /** Added to the lab's own. */
  readonly flags: readonly string[];
  readonly isLiveRestore: boolean;
}

/** The Docker daemon of one lab. It may be started and ended many times; its data stay. */
export class LabDockerd {
  /** The API socket, reachable from outside the lab as well. */
  readonly socketPath: string;
  readonly api: Docker;
  readonly #namespace: LabNamespace;
  readonly #options: DockerdOptions;
  #process: LabProcess | undefined;

  constructor(namespace: LabNamespace, options: DockerdOptions) {
    this.#namespace = namespace;
    this.#options = options;
    this.socketPath = join(namespace.folder, "docker.sock");
    this.api = new Docker({ socketPath: this.socketPath });
    writeFileSync(join(namespace.folder, "daemon.json"), "{}\n"); // the machine's own /etc/docker/daemon.json is not ours
  }

  /** Pid inside the lab. @throws Error while it does not run. */
  get pid(): number {
    return this.#running().pid;
  }

  /** Starts it and waits until its API answers. @throws Error with the end of its log when it does not. */
  async start(): Promise<void> {
    if (this.#process !== undefined) throw new Error(`dockerd of ${this.#namespace.name} runs already`);
    const process = await this.#namespace.spawn("dockerd", [this.#options.engine.dockerd, ...this.#flags()]);
    this.#process = process;
    let hasEnded = false;
    void process.ended.then(() => (hasEnded = true));
    try {
      await waitUntil("dockerd to answer", async () => hasEnded || (await this.api.ping()) !== undefined, {
        limitMs: START_LIMIT_MS,
        intervalMs: 20,
      });
      if (hasEnded) throw new Error("dockerd ended at once");
    } catch (cause) {
      this.#process = undefined;
      throw new Error(`dockerd of ${this.#namespace.name} did not start:\n${tail(process.log())}`, { cause });
    }
  }

  /** Asks it to end, as an init system does, and waits. @throws Error when it does not within 100 seconds. */
  async stop(signal: "TERM" | "INT" = "TERM"): Promise<void> {
    await this.#end(signal);
  }

  /** `kill -9`: its containerd, the shims and the containers live on. */
  async kill(): Promise<void> {
    await this.#end("KILL");
  }

  /** Says that it was ended by other means, such as a power cut. */
  async forget(): Promise<void> {
    await this.#process?.ended;
    this.#process = undefined;
  }

  async #end(signal: string): Promise<void> {
    const process = this.#running();
    await this.#namespace.exec(["kill", `-${signal}`, String(process.pid)]);
    let hasEnded = false;
    void process.ended.then(() => (hasEnded = true));
    await waitUntil(`dockerd to end on SIG${signal}`, () => hasEnded, { limitMs: STOP_LIMIT_MS, intervalMs: 10 });
    this.#process = undefined;
  }

  #running(): LabProcess {
    if (this.#process === undefined) throw new Error(`dockerd of ${this.#namespace.name} does not run`);
    return this.#process;
  }

  #flags(): string[] {
    const { folder, name } = this.#namespace;
    const flags = {
      "--data-root": join(folder, "data"),
      "--config-file": join(folder, "daemon.json"),
      "--pidfile": "/run/docker.pid",
      "--exec-opt": "native.cgroupdriver=cgroupfs",
      "--cgroup-parent": `/${name}`,
    };
    return [
      ...Object.entries(flags).flat(),
      ...[`unix://${this.socketPath}`, "unix:///run/docker.sock"].flatMap((socket) => ["--host", socket]),
      ...(this.#options.isLiveRestore ? ["--live-restore"] : []),
      ...this.#options.flags,
    ];
  }
}

function tail(log: string): string {
  return log.trimEnd().split("\n").slice(-15).join("\n");
}
