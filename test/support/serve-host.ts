// A host without an engine: the real `tsnet serve` in a namespace of its own, with an Open vSwitch beside it if that is
// wanted, an engine's double that calls it, and a census of everything that either may leave behind.
import { readdirSync, readlinkSync } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { type Census, diffCensus, takeAtRest } from "./census.ts";
import { type EngineEndpoint, EngineDouble } from "./engine-double.ts";
import { LabNamespace } from "./lab-namespace.ts";
import { LabOvs } from "./lab-ovs.ts";
import { NODE, ServeHandle } from "./lab-serve.ts";
import { takeSystemCensus } from "./system-census.ts";
import { WARN, readLog } from "./system-log.ts";
import { PATIENCE, waitUntil } from "./wait-until.ts";

const ECHO_SERVER = join(import.meta.dirname, "echo-server.ts");
const ECHO_PORT = 7007;
/** A connection takes a second when its first packet comes to nothing, and a busy machine may take some. */
const ASK_LIMIT_S = 10 * PATIENCE;
/** Of a container, where published ports lead. */
const CONTAINER_PORT = 80;

/** How it shall be. */
export interface ServeHostOptions {
  /** With Open vSwitch in userspace. */
  readonly backend?: "bridge" | "ovs";
  /** Settings of the daemon. */
  readonly env?: Readonly<Record<string, string>>;
  /** Another way to start the daemon than the built one. */
  readonly argv?: readonly string[];
}

/** A link as ip(8) lists it. */
export interface ShownLink {
  readonly ifname: string;
  readonly flags: readonly string[];
  readonly master?: string;
  readonly ifalias?: string;
  readonly group: string;
}

/** One host; disposing of it ends and removes all of it. */
export class ServeHost implements AsyncDisposable {
  readonly namespace: LabNamespace;
  readonly serve: ServeHandle;
  readonly engine: EngineDouble;
  readonly #ovs: LabOvs | undefined;

  private constructor(namespace: LabNamespace, serve: ServeHandle, ovs: LabOvs | undefined) {
    [this.namespace, this.serve, this.#ovs] = [namespace, serve, ovs];
    this.engine = new EngineDouble(namespace);
  }

  /** @param name - for people who look at process lists. */
  static async up(name: string, { backend = "bridge", env = {}, argv }: ServeHostOptions = {}): Promise<ServeHost> {
    const namespace = await LabNamespace.up(name);
    try {
      const ovs = backend === "ovs" ? await LabOvs.start(namespace) : undefined;
      const scratch = join(namespace.folder, "scratch");
      await mkdir(scratch);
      const echo = await namespace.spawn("echo", [NODE, ECHO_SERVER, String(ECHO_PORT)]);
      const serve = await ServeHandle.start(namespace, { TMPDIR: scratch, ...env }, argv);
      await waitUntil("the host's echo to listen", () => echo.log().includes("tcp"));
      return new ServeHost(namespace, serve, ovs);
    } catch (failure) {
      await namespace[Symbol.asyncDispose]();
      throw failure;
    }
  }

  get ovs(): LabOvs {
    if (this.#ovs === undefined) throw new Error("this host has no Open vSwitch");
    return this.#ovs;
  }

  /** Runs a command on the host. */
  async exec(...argv: readonly string[]): Promise<string> {
    return await this.namespace.exec(argv);
  }

  /** The daemon again, after it was killed or has killed itself. */
  async returns(): Promise<void> {
    await this.serve.ended;
    await this.serve.startAgain();
  }

  /** How often the daemon has said that it has recovered, in all its lives. */
  recoveries(): number {
    return readLog(this.serve.logPath).filter(({ msg }) => msg === "recovered").length;
  }

  /** Starts a server in the container where its published ports lead. It ends with the container's namespace or the host. */
  async listenIn({ sandbox, address }: EngineEndpoint): Promise<void> {
    const server = [NODE, ECHO_SERVER, String(CONTAINER_PORT)];
    await this.namespace.spawn(`echo-${sandbox}`, ["ip", "netns", "exec", sandbox, ...server]);
    const [target = ""] = address.split("/");
    await waitUntil("the container's server to answer", () => this.#ask(["ip", "netns", "exec", sandbox], target, 80));
  }

  /** Whether the container reaches the host at the network's gateway. */
  async reachesGateway({ sandbox, network }: EngineEndpoint): Promise<boolean> {
    return await this.#ask(["ip", "netns", "exec", sandbox], network.gateway, ECHO_PORT);
  }

  /** Whether a port of the host leads to somebody who answers. */
  async reachesPort(port: number): Promise<boolean> {
    return await this.#ask([], "127.0.0.1", port);
  }

  async #ask(enter: readonly string[], address: string, port: number): Promise<boolean> {
    const talk = `exec 3<>/dev/tcp/${address}/${port} && read -r line <&3 && [ -n "$line" ]`;
    const asked = this.namespace.exec([...enter, "timeout", String(ASK_LIMIT_S), "bash", "--norc", "-c", talk]);
    return await asked.then(
      () => true,
      () => false,
    );
  }

  async links(): Promise<readonly ShownLink[]> {
    return JSON.parse(await this.exec("ip", "-json", "link")) as ShownLink[]; // ip-link(8)
  }

  /** Links, addresses, routes, rules, files, processes and records, with the forwarding table, Open vSwitch, and open files. */
  async census(): Promise<Census> {
    const [system, fdb, scratch] = [
      await takeSystemCensus(this.namespace, this.serve.stateDir),
      await this.exec("bridge", "fdb", "show"),
      await readdir(join(this.namespace.folder, "scratch")),
    ];
    const forwarding = fdb.split("\n").filter((line) => line.includes("static") || line.includes("permanent"));
    const ovs = this.#ovs === undefined ? {} : await ovsCensus(this.#ovs);
    return { ...system, fdb: forwarding.sort(), scratch, "open files": this.#openFiles(), ...ovs };
  }

  /** The census of a daemon at rest, the same twice in a row: what is under way, or has just ended, has files open. */
  async restingCensus(): Promise<Census> {
    return await takeAtRest(() => this.census());
  }

  /** What differs from an earlier census, one line each. */
  async changesSince(before: Census, sections?: readonly string[]): Promise<string[]> {
    return diffCensus(before, await this.census(), sections);
  }

  /** Warnings and errors in the daemon's log, of all its lives. @param isExpected - what is left out. */
  complaints(isExpected: (line: string) => boolean = () => false): string[] {
    const lines = readLog(this.serve.logPath).filter(({ level }) => level >= WARN);
    return lines.map((line) => JSON.stringify(line)).filter((line) => !isExpected(line));
  }

  /** How many the daemon has, by kind: `socket: 9`. Connections of callers are not counted: they come and go. */
  #openFiles(): string[] {
    const folder = this.namespace.outside(`/proc/${this.serve.pid}/fd`);
    const count = new Map<string, number>();
    for (const fd of readdirSync(folder)) {
      const kind = kindOf(join(folder, fd));
      if (kind !== undefined && kind !== "socket") count.set(kind, (count.get(kind) ?? 0) + 1);
    }
    return Array.from(count, ([kind, number]) => `${kind}: ${number}`).sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.namespace[Symbol.asyncDispose]();
  }
}

/** Undefined for one that was closed meanwhile. */
function kindOf(link: string): string | undefined {
  try {
    return readlinkSync(link).replace(/:?\[\d+\]$/, "");
  } catch {
    return undefined;
  }
}

/** Rows that tsnet makes, and the flows of every bridge without what counts. */
async function ovsCensus(ovs: LabOvs): Promise<Census> {
  const columns = "--columns=name,tag,trunks,vlan_mode,other_config,external_ids,protected";
  const ports = await ovs.vsctl("--format=csv", "--no-headings", columns, "list", "Port");
  const bridges = (await ovs.vsctl("list-br")).split("\n").filter(Boolean);
  const flows: string[] = [];
  for (const bridge of bridges) flows.push(...(await ovs.flows(bridge)).map((flow) => `${bridge}: ${flow.trim()}`));
  return { "ovs ports": ports.split("\n").filter(Boolean).sort(), "ovs bridges": bridges, "ovs flows": flows };
}
