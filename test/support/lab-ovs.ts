// An Open vSwitch in a lab, where Debian's package has it: the database's socket in /run/openvswitch, and what `ovs-vsctl
// set-manager` asks for besides. Tests judge by `ovs-vsctl` and `ovs-ofctl`; `ovs-appctl` finds the daemons as on any host.
import { join } from "node:path";
import type { LabNamespace, LabProcess } from "./lab-namespace.ts";
import { waitUntil } from "./wait-until.ts";

const RUN = "/run/openvswitch";
const SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema";

/** It ends with its lab. */
export class LabOvs {
  readonly #lab: LabNamespace;
  readonly #database: string;
  #vswitchd: LabProcess | undefined;

  private constructor(lab: LabNamespace) {
    this.#lab = lab;
    this.#database = join(lab.folder, "ovs.db"); // on the disk, as /etc/openvswitch/conf.db is
  }

  /** Starts both daemons, with an empty database. */
  static async start(lab: LabNamespace): Promise<LabOvs> {
    const ovs = new LabOvs(lab);
    await lab.exec(["mkdir", "-p", RUN]);
    await lab.exec(["ovsdb-tool", "create", ovs.#database, SCHEMA]);
    const remotes = [`--remote=punix:${RUN}/db.sock`, "--remote=db:Open_vSwitch,Open_vSwitch,manager_options"];
    await ovs.#spawn("ovsdb-server", ovs.#database, ...remotes);
    await waitUntil("ovsdb-server to answer", async () => (await ovs.vsctl("--no-wait", "init")) === "");
    await ovs.startVswitchd();
    return ovs;
  }

  /** Of ovs-vswitchd, as seen from outside the lab. */
  get controlPath(): string {
    return this.#lab.outside(`${RUN}/ovs-vswitchd.${this.#vswitchd?.pid}.ctl`);
  }

  /** `ovs-vsctl`, which waits for ovs-vswitchd unless told `--no-wait`. */
  async vsctl(...args: readonly string[]): Promise<string> {
    return await this.#lab.exec(["ovs-vsctl", "--timeout=20", ...args]);
  }

  /** What `ovs-ofctl` lists of a bridge's flows, without what counts, sorted. */
  async flows(bridge: string): Promise<string[]> {
    const listed = await this.#lab.exec(["ovs-ofctl", "-O", "OpenFlow14", "--no-stats", "dump-flows", bridge]);
    return listed
      .split("\n")
      .filter((line) => line.includes("actions="))
      .sort();
  }

  /** Starts `ovs-vswitchd` and waits until it has taken over what the database says. */
  async startVswitchd(): Promise<void> {
    this.#vswitchd = await this.#spawn("ovs-vswitchd", `unix:${RUN}/db.sock`);
    await this.vsctl("init");
  }

  /** Ends `ovs-vswitchd` without a chance to tidy up: its flows are lost. */
  async killVswitchd(): Promise<void> {
    await this.#lab.exec(["kill", "-KILL", String(this.#vswitchd?.pid)]);
    await this.#vswitchd?.ended;
  }

  async #spawn(program: string, ...args: readonly string[]): Promise<LabProcess> {
    return await this.#lab.spawn(program, [program, ...args, "--pidfile", "-vconsole:warn"]);
  }
}
