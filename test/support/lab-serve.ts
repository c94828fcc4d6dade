// `tsnet serve` inside a lab, as an operator without a managed plugin runs it: the built `dist/tsnet.js`, run by Node 24.
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import type { LabNamespace, LabProcess } from "./lab-namespace.ts";
import { waitUntil } from "./wait-until.ts";

const REPO = join(import.meta.dirname, "../..");
const NODE = join(REPO, "node_modules/.bin/node");
const DAEMON = join(REPO, "dist/tsnet.js");
const SOCKET = "/run/docker/plugins/tsnet.sock";
const LISTEN_LIMIT_MS = 15_000;
const STOP_LIMIT_MS = 20_000;

/** A running (or ended) `tsnet serve`. It ends with its lab at the latest. */
export class ServeHandle {
  /** The records: outlives every restart of the daemon and of the lab's "machine". */
  readonly stateDir: string;
  /** The daemon's log, of all its lives. */
  readonly logPath: string;
  readonly #namespace: LabNamespace;
  #env: Readonly<Record<string, string>>;
  #process: LabProcess;

  private constructor(namespace: LabNamespace, env: Readonly<Record<string, string>>, process: LabProcess) {
    this.#namespace = namespace;
    this.#env = env;
    this.#process = process;
    this.stateDir = stateDirOf(namespace);
    this.logPath = process.logPath;
  }

  /** Starts the daemon and waits until its socket listens. @throws Error with the end of its log. */
  static async start(namespace: LabNamespace, env: Readonly<Record<string, string>> = {}): Promise<ServeHandle> {
    return new ServeHandle(namespace, env, await launch(namespace, env));
  }

  /** Pid inside the lab. */
  get pid(): number {
    return this.#process.pid;
  }

  /** Settles with the exit code when the daemon ends. */
  get ended(): Promise<number> {
    return this.#process.ended;
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
    this.#process = await launch(this.#namespace, env);
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

async function launch(namespace: LabNamespace, env: Readonly<Record<string, string>>): Promise<LabProcess> {
  if (!existsSync(DAEMON)) throw new Error(`${DAEMON} is missing: run \`npm run build\` first`);
  const settings = { TSNET_STATE_DIR: stateDirOf(namespace), ...env };
  const process = await namespace.spawn("serve", [NODE, DAEMON, "serve"], settings);
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
