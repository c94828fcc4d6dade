// An Open vSwitch of a test's own: ovsdb-server and ovs-vswitchd in a network namespace, with the userspace datapath unless the
// kernel's is asked for, all their files in a temp folder. Tests judge by `ovs-vsctl` and `ovsdb-client`.
import type { ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NetNamespace } from "./namespace.ts";
import { PATIENCE, waitUntil } from "./wait-until.ts";

const SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema";

/** As `datapath_type` says it: userspace, or the kernel module `openvswitch`, which must be loaded. */
export type OvsDatapath = "netdev" | "system";

/** The links that belong to the datapath itself: a tap device, or the kernel's. */
export const LINKS_OF_DATAPATH: readonly string[] = ["ovs-netdev", "ovs-system"];

/** For `await using`: ends the processes and removes namespace and folder. */
export class OvsHost implements AsyncDisposable {
  readonly ns: NetNamespace;
  readonly datapath: OvsDatapath;
  readonly #folder: string;
  #vswitchd: ChildProcess | undefined;

  private constructor(ns: NetNamespace, folder: string, datapath: OvsDatapath) {
    this.ns = ns;
    this.#folder = folder;
    this.datapath = datapath;
  }

  /** Nothing runs yet; the database is there, initialized when ovsdb-server first starts. */
  static async create(datapath: OvsDatapath = "netdev"): Promise<OvsHost> {
    const folder = await mkdtemp(join(tmpdir(), "tsnet-ovs-"));
    const host = new OvsHost(await NetNamespace.create("ovs"), folder, datapath);
    return host.#unlessFailing(() => host.ns.exec(["ovsdb-tool", "create", host.#path("conf.db"), SCHEMA]));
  }

  /** With both daemons running, and a bridge `br0`. */
  static async running(datapath: OvsDatapath = "netdev"): Promise<OvsHost> {
    const host = await OvsHost.create(datapath);
    return host.#unlessFailing(async () => {
      await host.startDatabase();
      await host.startVswitchd();
      await host.vsctl("add-br", "br0", "--", "set", "bridge", "br0", `datapath_type=${datapath}`);
    });
  }

  /** As TSNET_OVSDB has it. */
  get address(): string {
    return `unix:${this.#path("db.sock")}`;
  }

  /** Waits until it answers. As Debian starts it: it also listens where `ovs-vsctl set-manager` says. */
  async startDatabase(): Promise<ChildProcess> {
    const remotes = [`--remote=p${this.address}`, "--remote=db:Open_vSwitch,Open_vSwitch,manager_options"];
    const child = this.#spawn("ovsdb-server", this.#path("conf.db"), ...remotes);
    const answers = async () => (await this.vsctl("--no-wait", "init")) === "";
    await waitUntil("ovsdb-server to answer", answers);
    return child;
  }

  /** An empty one takes its place: ovsdb-server must not run. */
  async forgetDatabase(): Promise<void> {
    await rm(this.#path("conf.db"));
    await this.ns.exec(["ovsdb-tool", "create", this.#path("conf.db"), SCHEMA]);
  }

  /** Waits until it has taken over what the database says. */
  async startVswitchd(): Promise<ChildProcess> {
    const child = this.#spawn(
      "ovs-vswitchd",
      this.address,
      ...(this.datapath === "netdev" ? ["--disable-system"] : []),
    );
    await this.vsctl("init");
    this.#vswitchd = child;
    return child;
  }

  /** Ends it as `systemctl` does, and waits until it has ended: it takes its control socket away last. */
  async stopVswitchd(): Promise<void> {
    const ended = this.#vswitchd && new Promise((resolve) => this.#vswitchd?.once("exit", resolve));
    await this.appctl("exit");
    await ended;
  }

  /** Runs ovs-vsctl, which waits for ovs-vswitchd unless told `--no-wait`. @returns its output without the last line end. */
  async vsctl(...args: readonly string[]): Promise<string> {
    return (await this.ns.exec(["ovs-vsctl", `--db=${this.address}`, `--timeout=${10 * PATIENCE}`, ...args])).trimEnd();
  }

  /** Asks ovs-vswitchd itself: ovs-appctl(8). */
  async appctl(...args: readonly string[]): Promise<string> {
    return await this.ns.exec(["ovs-appctl", "-t", this.#path("ovs-vswitchd.ctl"), ...args]);
  }

  /** Waits until frames like those that have passed before go by the flows and the ports that are there now. */
  async settle(): Promise<void> {
    await this.appctl("revalidator/wait");
  }

  /** What `ovsdb-client monitor` prints from now on, as it comes. */
  async monitor(table: string, columns: string): Promise<ChangeLog> {
    const flags = ["--format=json", "--no-headings", "monitor", this.address, "Open_vSwitch", table, columns];
    const quietly = 'exec ovsdb-client "$@" 2>/dev/null'; // it would say so when ovsdb-server ends before it
    const child = this.ns.spawn(["sh", "-c", quietly, "sh", ...flags]);
    const log: ChangeLog = [];
    let text = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      for (const line of lines.filter(Boolean)) log.push(...(JSON.parse(line) as { data: ChangeLog }).data);
    });
    await waitUntil("ovsdb-client to watch", () => log.length > 0);
    log.length = 0;
    return log;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.ns[Symbol.asyncDispose]();
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** @returns this host; when the step fails, nothing of it is left. */
  async #unlessFailing(step: () => Promise<unknown>): Promise<this> {
    try {
      await step();
      return this;
    } catch (failure) {
      await this[Symbol.asyncDispose]();
      throw failure;
    }
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }

  #spawn(program: string, ...args: readonly string[]): ChildProcess {
    const places = ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR"].map((name) => `${name}=${this.#folder}`);
    const control = `--unixctl=${this.#path(`${program}.ctl`)}`;
    return this.ns.spawn(["env", ...places, program, ...args, control, "-vconsole:off"]);
  }
}

/** Rows that changed: the row's UUID, what happened to it, and the columns asked for. */
export type ChangeLog = unknown[][];

/** Ends a daemon and waits until it has ended. */
export async function end(child: ChildProcess, name: "SIGKILL" | "SIGTERM"): Promise<void> {
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill(name);
  await ended;
}
