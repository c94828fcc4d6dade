// A lab host with tsnet on it, as the managed plugin or as `tsnet serve`, and what the system tests ask of it: containers
// and networks that go with their block, what gets through from where, what tsnet logged, what it left on the host.
import { readFileSync, readdirSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { ExecaError } from "execa";
import type { Backend } from "../../src/cnm/network.ts";
import { type Census, diffCensus, takeAtRest } from "./census.ts";
import { TEST_IMAGE } from "./image.ts";
import { LabHost, type LabOptions } from "./lab-host.ts";
import { LabOvs } from "./lab-ovs.ts";
import type { ServeHandle } from "./lab-serve.ts";
import type { Neighbour } from "./neighbour.ts";
import { takeSystemCensus } from "./system-census.ts";
import { type Place, TestContainer } from "./system-container.ts";
import { Flow } from "./system-flow.ts";
import { type LogLine, WARN, readLog } from "./system-log.ts";
import { waitUntil } from "./wait-until.ts";

/** The two ways in which tsnet runs. */
export const VARIANTS = ["managed plugin", "tsnet serve"] as const;

export type Variant = (typeof VARIANTS)[number];

export const PLUGIN = "tsnet-plugin";

/** What tryReach found. */
export interface Reach {
  readonly ping: boolean;
  /** A connection to port 80. */
  readonly tcp: boolean;
}

/** Both get through. */
export const OPEN: Reach = { ping: true, tcp: true };

/** Nothing gets through. */
export const CLOSED: Reach = { ping: false, tcp: false };

/** A network that goes with the block that holds it. */
export interface TestNetwork extends AsyncDisposable {
  readonly name: string;
}

export interface SystemOptions extends LabOptions {
  /** Settings of tsnet, `TSNET_POOLS`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Of the networks that tests make there. With `ovs` the host has an Open vSwitch. Default: bridge. */
  readonly backend?: Backend;
  /** Without a neighbour and the cable `lan0` to it. */
  readonly isAlone?: boolean;
}

/** One host. Disposing of it takes down the lab and the neighbour. */
export class SystemHost implements Place, AsyncDisposable {
  readonly variant: Variant;
  readonly lab: LabHost;
  readonly backend: Backend;
  readonly #neighbour: Neighbour | undefined;
  readonly #refusals: string[] = [];
  #ovs: LabOvs | undefined;
  #serve: ServeHandle | undefined;

  private constructor(variant: Variant, lab: LabHost, backend: Backend, neighbour: Neighbour | undefined) {
    this.variant = variant;
    this.lab = lab;
    this.backend = backend;
    this.#neighbour = neighbour;
  }

  /** A host with a running engine, a neighbour, tsnet, and a page on port 80 of the host itself. */
  static async up(variant: Variant, options: SystemOptions = {}): Promise<SystemHost> {
    const { settings = {}, isAlone = false, backend = "bridge", ...labOptions } = options;
    const lab = await LabHost.up({ name: variant.replace(" ", "-"), ...labOptions });
    try {
      const host = new SystemHost(variant, lab, backend, isAlone ? undefined : await lab.addNeighbour());
      await host.#servePage();
      if (backend === "ovs") await host.#startOvs();
      await host.#startTsnet(settings);
      return host;
    } catch (failure) {
      await lab[Symbol.asyncDispose]();
      throw failure;
    }
  }

  /** `docker ...`: standard output. */
  docker = async (...args: string[]): Promise<string> => await this.lab.docker(...args);

  /** Runs a command on the host. */
  async exec(argv: readonly string[]): Promise<string> {
    return await this.lab.exec(argv);
  }

  /** 192.0.2.1, 2001:db8:1::1: the default router. It has no route to any container. */
  get neighbour(): Neighbour {
    if (this.#neighbour === undefined) throw new Error("this host stands alone");
    return this.#neighbour;
  }

  /** With the backend `ovs`. */
  get ovs(): LabOvs {
    if (this.#ovs === undefined) throw new Error("this host has no Open vSwitch");
    return this.#ovs;
  }

  /** Options of `docker network create -d tsnet` that every network of this host has. */
  get backendOptions(): readonly string[] {
    return this.backend === "bridge" ? [] : ["-o", `backend=${this.backend}`];
  }

  /** The daemon, in the variant `tsnet serve`. */
  get serve(): ServeHandle {
    if (this.#serve === undefined) throw new Error("tsnet runs as the managed plugin here");
    return this.#serve;
  }

  /** Where the records lie, as seen from outside the lab. */
  get stateDir(): string {
    if (this.variant === "tsnet serve") return this.serve.stateDir;
    const plugins = join(this.lab.folder, "data/plugins");
    const id = readdirSync(plugins).find((name) => /^[0-9a-f]{64}$/.test(name)) ?? "";
    return this.lab.namespace.outside(join(plugins, id, "propagated-mount"));
  }

  /** `docker network create` with driver and IPAM driver tsnet; later options win. */
  async network(name: string, ...options: string[]): Promise<TestNetwork> {
    const drivers = options.includes("--ipam-driver") ? [] : ["--ipam-driver", "tsnet"];
    await this.docker("network", "create", "-d", "tsnet", ...drivers, ...this.backendOptions, ...options, name);
    return this.existingNetwork(name);
  }

  /** A network that was made otherwise and shall go with its block. */
  existingNetwork(name: string): TestNetwork {
    return { name, [Symbol.asyncDispose]: async () => void (await this.docker("network", "rm", name)) };
  }

  /** `docker run -d`: a container with a page on port 80, which is there by then. */
  async run(name: string, network: TestNetwork, ...options: string[]): Promise<TestContainer> {
    const server = ["httpd", "-f", "-p", "80", "-h", "/www"];
    await this.docker("run", "-d", "--name", name, "--network", network.name, ...options, TEST_IMAGE, ...server);
    await waitUntil(`the page of ${name}`, async () => await this.#hasPage(name));
    return new TestContainer(this, name);
  }

  /** Runs a `docker` command that must fail. @returns the engine's message. */
  async refusalOf(...args: string[]): Promise<string> {
    const output = await this.docker(...args).catch((failure: unknown) => failure);
    if (!(output instanceof ExecaError)) throw new Error(`docker ${args.join(" ")} was not refused`, { cause: output });
    const message = String(output.stderr);
    this.#refusals.push(message);
    return message;
  }

  /** Whether a ping and a TCP connection to port 80 get through. @param address - of either family. */
  async tryReach(from: Place, address: string): Promise<Reach> {
    const [ping, tcp] = await Promise.all([
      succeeds(from.exec(["busybox", "ping", "-c1", "-W2", address])),
      succeeds(from.exec(["timeout", "2", "bash", "--norc", "-c", "exec 3<>/dev/tcp/$0/80", address])),
    ]);
    return { ping, tcp };
  }

  /** A ping that never stops, from a container. */
  async startFlow(from: TestContainer, address: string): Promise<Flow> {
    return await Flow.start(this.lab.namespace, await from.pid(), address);
  }

  /** Links, addresses, rules, routes, files, processes and records. */
  async census(): Promise<Census> {
    return await takeSystemCensus(this.lab.namespace, this.stateDir);
  }

  /** The same twice in a row: what was under way, or has just ended, is done. */
  async restingCensus(): Promise<Census> {
    return await takeAtRest(() => this.census());
  }

  /** What differs from an earlier census. @param sections - all but what other programs change when not given. */
  async changesSince(before: Census, sections?: readonly string[]): Promise<readonly string[]> {
    return diffCensus(before, await this.census(), sections);
  }

  /** Every line that tsnet wrote, in all its lives. */
  log(): readonly LogLine[] {
    return readLog(join(this.lab.folder, this.variant === "tsnet serve" ? "serve.log" : "dockerd.log"));
  }

  /** What was logged as a warning or an error and was not the answer to a command that a test saw refused. */
  complaints(): readonly string[] {
    const isAnnounced = ({ error }: LogLine) =>
      error !== undefined && this.#refusals.some((text) => text.includes(error));
    const complaints = this.log().filter((line) => line.level >= WARN && !isAnnounced(line));
    return complaints.map((line) => JSON.stringify(line));
  }

  /** Removes every container, and every network but the engine's own. */
  async removeEverything(): Promise<void> {
    const containers = linesOf(await this.docker("ps", "-aq"));
    if (containers.length > 0) await this.docker("rm", "-f", ...containers);
    const networks = linesOf(await this.docker("network", "ls", "-q", "--filter", "type=custom"));
    if (networks.length > 0) await this.docker("network", "rm", ...networks);
  }

  /** Ends tsnet without a chance to tidy up. In the plugin the engine starts it again at once. */
  async kill9(): Promise<void> {
    if (this.variant === "tsnet serve") return await this.serve.kill9();
    await this.exec(["kill", "-KILL", String(await this.#pluginPid())]);
  }

  /** Ends tsnet in good order: SIGTERM, or `docker plugin disable -f`. */
  async stop(): Promise<void> {
    if (this.variant === "tsnet serve") await this.serve.stop();
    else await this.docker("plugin", "disable", "-f", PLUGIN);
  }

  /** The opposite of `stop`. @returns when what is on the host is as the records say. */
  async start(): Promise<void> {
    const recoveries = () => this.log().filter(({ msg }) => msg === "recovered").length;
    const before = recoveries();
    if (this.variant === "tsnet serve") await this.serve.startAgain();
    else await this.docker("plugin", "enable", PLUGIN);
    await waitUntil("tsnet to have recovered", async () => recoveries() > before, { limitMs: 30_000 });
  }

  /** Cuts the power and starts the host again; the daemon sees a new boot. */
  async reboot(): Promise<void> {
    await this.lab.simulateReboot();
    await this.#servePage();
    if (this.variant === "tsnet serve") {
      await this.#renewBootId();
      await this.serve.startAgain();
    }
    await this.lab.dockerd.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#neighbour?.[Symbol.asyncDispose]();
    await this.lab[Symbol.asyncDispose]();
  }

  /** Whether somebody listens on port 80 in the container: the engine answers as soon as its process begins. */
  async #hasPage(name: string): Promise<boolean> {
    const { State } = await this.lab.dockerd.api.getContainer(name).inspect();
    const sockets = join(this.lab.namespace.outside("/proc"), String(State.Pid), "net"); // proc_pid_net(5): 0A listens
    return ["tcp", "tcp6"].some((table) => /:0050 \S+ 0A /.test(readFileSync(join(sockets, table), "utf8")));
  }

  async #pluginPid(): Promise<number> {
    return Number(await this.exec(["pgrep", "-of", "tsnet.js serve --plugin-socket"]));
  }

  /** The kernel did not start anew, so its boot id is still the old one: hides it behind another. */
  async #renewBootId(): Promise<void> {
    const path = join(this.lab.folder, "boot_id");
    await writeFile(path, `${randomUUID()}\n`);
    await this.exec(["mount", "--bind", path, "/proc/sys/kernel/random/boot_id"]);
  }

  /** The managed plugin does not see the database's socket. */
  async #startOvs(): Promise<void> {
    this.#ovs = await LabOvs.start(this.lab.namespace);
    if (this.variant === "managed plugin") await this.#ovs.vsctl("set-manager", "ptcp:6640:127.0.0.1");
  }

  async #startTsnet(settings: Readonly<Record<string, string>>): Promise<void> {
    if (this.variant === "tsnet serve") this.#serve = await this.lab.startServe(settings);
    else
      await this.lab.installPlugin(
        Object.entries(settings).map(([key, value]) => `${key}=${value}`),
        PLUGIN,
      );
  }

  async #servePage(): Promise<void> {
    const folder = join(this.lab.folder, "www");
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "index.html"), "the host itself\n");
    await this.lab.namespace.spawn("page", ["busybox", "httpd", "-f", "-p", "80", "-h", folder]);
  }
}

async function succeeds(command: Promise<string>): Promise<boolean> {
  return await command.then(
    () => true,
    () => false,
  );
}

function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}
