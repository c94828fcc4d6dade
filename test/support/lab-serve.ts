// `tsnet serve` inside a lab, as an operator without a managed plugin runs it: the built `dist/tsnet.js`, run by Node 24.
import { existsSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import type { LabNamespace, LabProcess } from "./lab-namespace.ts";
import { waitUntil } from "./wait-until.ts";

const REPO = join(import.meta.dirname, "../..");
/** Node 24, which the project brings along. */
export const NODE = join(REPO, "node_modules/.bin/node");
const DAEMON = join(REPO, "dist/tsnet.js");
/** Where it listens, as seen inside. */
export const SOCKET = "/run/docker/plugins/tsnet.sock";
const LISTEN_LIMIT_MS = 15_000;
const STOP_LIMIT_MS = 20_000;

/** A running (or ended) `tsnet serve`. It ends with its lab at the latest. */
export class ServeHandle {
  /** The records: outlives every restart of the daemon and of the lab's "machine". */
  readonly stateDir: string;
  /** The daemon's log, of all its lives. */
  readonly logPath: string;
  readonly #namespace: LabNamespace;
  readonly #argv: readonly string[];
  #env: Readonly<Record<string, string>>;
  #process: LabProcess;
  #hasEnded = false;

  private constructor(namespace: LabNamespace, { env, argv }: Launch, process: LabProcess) {
    this.#namespace = namespace;
    this.#argv = argv;
    this.#env = env;
    this.#process = process;
    this.#follow();
    this.stateDir = stateDirOf(namespace);
    this.logPath = process.logPath;
  }

  /**
   * Starts the daemon and waits until its socket listens.
   *
   * @param argv - another way to start it.
   * @throws Error with the end of its log.
   */
  static async start(
    namespace: LabNamespace,
    env: Readonly<Record<string, string>> = {},
    argv: readonly string[] = asShipped(),
  ): Promise<ServeHandle> {
    const how = { env, argv };
    return new ServeHandle(namespace, how, await launch(namespace, how));
  }

  /** Pid inside the lab. */
  get pid(): number {
    return this.#process.pid;
  }

  /** Settles with the exit code when the daemon ends. */
  get ended(): Promise<number> {
    return this.#process.ended;
  }

  /** Whether it runs no more. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  log(): string {
    return this.#process.log();
  }

  /** SIGTERM, and waits for the end. @returns the exit code. */
  async stop(): Promise<number> {
    return await this.#end("TERM");
  }

  /** SIGKILL: no chance to tidy up. */
  async kill9(): Promise<void> {
    await this.#end("KILL");
  }

  /** Starts it again after `stop`, `kill9` or a reboot. @param env - replaces the former settings when given. */
  async startAgain(env = this.#env): Promise<void> {
    this.#env = env;
    this.#process = await launch(this.#namespace, { env, argv: this.#argv });
    this.#follow();
  }

  #follow(): void {
    const { ended } = this.#process;
    this.#hasEnded = false;
    void ended.then(() => (this.#hasEnded ||= this.#process.ended === ended));
  }

  /** `stop` and `startAgain`. */
  async restart(env = this.#env): Promise<void> {
    await this.stop();
    await this.startAgain(env);
  }

  async #end(signal: string): Promise<number> {
    await this.#namespace.exec(["kill", `-${signal}`, String(this.pid)]);
    let code: number | undefined;
    void this.ended.then((ended) => (code = ended));
    return await waitUntil(`tsnet serve to end on SIG${signal}`, () => code, {
      limitMs: STOP_LIMIT_MS,
      intervalMs: 10,
    });
  }
}

function stateDirOf(namespace: LabNamespace): string {
  return join(namespace.folder, "state");
}

interface Launch {
  readonly env: Readonly<Record<string, string>>;
  readonly argv: readonly string[];
}

async function launch(namespace: LabNamespace, { env, argv }: Launch): Promise<LabProcess> {
  const settings = { TSNET_STATE_DIR: stateDirOf(namespace), ...env };
  const process = await namespace.spawn("serve", argv, settings);
  const socket = namespace.outside(env["TSNET_SOCKET"] ?? SOCKET);
  let hasEnded = false;
  void process.ended.then(() => (hasEnded = true));
  try {
    await waitUntil("tsnet serve to listen", async () => hasEnded || (await isListening(socket)), {
      limitMs: LISTEN_LIMIT_MS,
      intervalMs: 10,
    });
    if (hasEnded) throw new Error(`tsnet serve ended at once with code ${await process.ended}`);
    return process;
  } catch (cause) {
    throw new Error(`tsnet serve did not start:\n${process.log().split("\n").slice(-15).join("\n")}`, { cause });
  }
}

function isListening(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(path);
  socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
  return promise.finally(() => socket.destroy());
}

/** As the script's first line says, by Node 24. */
function asShipped(): readonly string[] {
  if (!existsSync(DAEMON)) throw new Error(`${DAEMON} is missing: run \`npm run build\` first`);
  const [, line = ""] = /^#!\/usr\/bin\/env -S (.*)$/m.exec(readFileSync(DAEMON, "utf8")) ?? [];
  const words = line.split(" ").map((word) => (word === "node" ? NODE : word));
  return ["/usr/bin/env", ...words, DAEMON, "serve"];
}
