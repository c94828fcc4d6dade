// A test host: a real Docker Engine in a network, mount and pid namespace of its own, so that no test ever touches the
// machine's network, Docker or plugins. What the pieces do stands in `lab-namespace.ts`, `lab-dockerd.ts`, `lab-serve.ts`,
// `neighbour.ts`; this file puts them together.
//
//   await using lab = await LabHost.up();
//   await using neighbour = await lab.addNeighbour();
//   await lab.docker("run", "-d", "--name", "one", TEST_IMAGE);
import { existsSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import type Docker from "dockerode";
import { execa } from "execa";
import { type Engine, type EngineVersion, provideEngine, selectedEngine } from "./engines.ts";
import { provideImageTar } from "./image.ts";
import { cgroupNamesOf, removeCgroups } from "./lab-cgroups.ts";
import { LabDockerd } from "./lab-dockerd.ts";
import { type ExecOptions, LabNamespace } from "./lab-namespace.ts";
import { cutPower } from "./lab-reboot.ts";
import { ServeHandle } from "./lab-serve.ts";
import { type CableEnd, ECHO_PORT, Neighbour, cable, configure, setDefaultRoutes } from "./neighbour.ts";

const DOCKER_TIMEOUT_MS = 90_000;
const ECHO_CLIENT = join(import.meta.dirname, "echo-client.ts");
/** An engine beside it may keep the machine busy for seconds. */
const ECHO_LIMIT_MS = 10_000;
const PLUGIN_FOLDER = join(import.meta.dirname, "../../build/plugin");

/** How a lab host shall be. */
export interface LabOptions {
  /** Default: what `TSNET_ENGINE` says, else 20.10. */
  readonly engine?: EngineVersion;
  readonly daemonFlags?: readonly string[];
  readonly isLiveRestore?: boolean;
  /** For people who look at process lists; need not be unique. */
  readonly name?: string;
  /** It and its neighbours outlive this process; `kill -9` of `lab.namespace.keeperPid` ends it. */
  readonly isKept?: boolean;
}

/** The engine's own client: call it with arguments for standard output; `api` is its HTTP interface. */
export type DockerClient = ((...args: string[]) => Promise<string>) & { readonly api: Docker };

/** One test host. Disposing of it ends and removes all of it. */
export class LabHost implements AsyncDisposable {
  readonly engine: Engine;
  readonly namespace: LabNamespace;
  readonly dockerd: LabDockerd;
  /** Runs the client and resolves to its standard output; rejects with its standard error. */
  readonly docker: DockerClient;
  readonly #cables: CableEnd[] = [];
  #gateways: readonly string[] = [];

  private constructor(engine: Engine, namespace: LabNamespace, options: LabOptions) {
    this.engine = engine;
    this.namespace = namespace;
    const { daemonFlags: flags = [], isLiveRestore = false } = options;
    this.dockerd = new LabDockerd(namespace, { engine, flags, isLiveRestore });
    this.docker = Object.assign((...args: string[]) => this.#client([engine.docker, ...args]), {
      api: this.dockerd.api,
    });
  }

  /** Makes a host with a running engine and the test image. @throws Error with the engine's log when it does not start. */
  static async up(options: LabOptions = {}): Promise<LabHost> {
    const engine = await provideEngine(options.engine ?? selectedEngine());
    const { name = "host", isKept = false } = options;
    const namespace = await LabNamespace.up(name, { path: engine.path, isKept });
    const lab = new LabHost(engine, namespace, options);
    try {
      lab.#prepareClient();
      await lab.dockerd.start();
      await lab.#loadImage();
      return lab;
    } catch (failure) {
      await lab[Symbol.asyncDispose]();
      throw failure;
    }
  }

  /** Temp folder with the engine's data, logs, sockets and tsnet's state. */
  get folder(): string {
    return this.namespace.folder;
  }

  /** What a client of this engine needs in its environment, inside or outside the lab. */
  get clientEnv(): Readonly<Record<string, string>> {
    return { DOCKER_HOST: `unix://${this.dockerd.socketPath}`, DOCKER_CONFIG: join(this.folder, "client") };
  }

  /** Runs a command inside; `docker` there speaks to this lab's engine. @returns its standard output. */
  async exec(argv: readonly string[], options: ExecOptions = {}): Promise<string> {
    return await this.namespace.exec(argv, { ...options, env: { ...this.clientEnv, ...options.env } });
  }

  /** Runs this engine's compose in a folder that holds a compose file. @returns its standard output. */
  async compose(folder: string, ...args: string[]): Promise<string> {
    return await this.#client([...this.engine.compose, ...args], folder);
  }

  /** Starts `tsnet serve` inside. @param env - settings such as `TSNET_POOLS`; the state directory is set already. */
  async startServe(env: Readonly<Record<string, string>> = {}): Promise<ServeHandle> {
    return await ServeHandle.start(this.namespace, env);
  }

  /** Creates the managed plugin from `build/plugin` (`npm run plugin:build`), sets it and enables it. */
  async installPlugin(
    settings: readonly string[] = [],
    reference = "tsnet-plugin",
    folder = PLUGIN_FOLDER,
  ): Promise<void> {
    if (!existsSync(join(folder, "config.json")))
      throw new Error(`no plugin in ${folder}: run \`npm run plugin:build\``);
    await this.docker("plugin", "create", reference, folder);
    if (settings.length > 0) await this.docker("plugin", "set", reference, ...settings);
    await this.docker("plugin", "enable", reference);
  }

  /** A power cut; see `lab-reboot.ts`. The cables have their addresses again; dockerd and tsnet are down. */
  async simulateReboot(): Promise<void> {
    await cutPower(
      this.namespace,
      this.#cables.map((end) => end.ifName),
    );
    await this.dockerd.forget();
    removeCgroups(cgroupNamesOf(this.folder));
    for (const end of this.#cables) await configure(end);
    await setDefaultRoutes(this.namespace, this.#gateways);
  }

  /** Puts a remote host next to this one (192.0.2.1, 2001:db8:1::1) and makes it the default route. Once per lab. */
  async addNeighbour(name = "neighbour"): Promise<Neighbour> {
    const near = { at: this.namespace, ifName: "lan0", addresses: ["192.0.2.10/24", "2001:db8:1::10/64"] };
    const far = { ifName: "lan0", addresses: ["192.0.2.1/24", "2001:db8:1::1/64"] };
    const neighbour = await Neighbour.up(name, near, far);
    this.#cables.push(near);
    this.#gateways = [neighbour.address, neighbour.addressIpv6];
    await setDefaultRoutes(this.namespace, this.#gateways);
    return neighbour;
  }

  /**
   * Asks a neighbour's echo from a container's network namespace, or from the host.
   *
   * @param container - name or id; absent: the host itself.
   * @returns the source address that arrived there. @throws Error when no answer came.
   */
  async askEcho(protocol: "tcp" | "udp", address: string, container?: string): Promise<string> {
    const ask = [process.execPath, ECHO_CLIENT, protocol, address, String(ECHO_PORT), String(ECHO_LIMIT_MS)];
    if (container === undefined) return await this.exec(ask);
    const pid = await this.docker("inspect", "--format", "{{.State.Pid}}", container);
    return await this.exec(["nsenter", "-t", pid, "-n", "--", ...ask]);
  }

  /** Joins this host with another one by a direct cable. */
  async cable(mine: Omit<CableEnd, "at">, other: LabHost, theirs: Omit<CableEnd, "at">): Promise<void> {
    const [near, far] = [
      { ...mine, at: this.namespace },
      { ...theirs, at: other.namespace },
    ];
    await cable(near, far);
    this.#cables.push(near);
    other.#cables.push(far);
  }

  /** Takes everything down. @throws Error with what could not be removed. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.namespace[Symbol.asyncDispose]();
  }

  async #client(argv: readonly string[], cwd = this.folder): Promise<string> {
    const [command = "", ...args] = argv;
    const env = { PATH: this.engine.path, HOME: this.folder, LC_ALL: "C.UTF-8", ...this.clientEnv };
    const settings = { env, extendEnv: false, cwd, stdin: "ignore", timeout: DOCKER_TIMEOUT_MS } as const;
    const { stdout } = await execa(command, args, settings);
    return stdout.trim();
  }

  #prepareClient(): void {
    mkdirSync(join(this.folder, "client"));
    if (this.engine.cliPlugins !== undefined)
      symlinkSync(this.engine.cliPlugins, join(this.folder, "client/cli-plugins"));
  }

  async #loadImage(): Promise<void> {
    await this.docker("load", "--input", await provideImageTar());
  }
}
