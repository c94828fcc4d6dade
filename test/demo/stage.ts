// Where the demo plays: a lab host with a machine beyond it, and the verbs with which the checks use them. Every command
// that a user would type is shown before it runs.
import type { Census } from "../support/census.ts";
import { takeSystemCensus } from "../support/system-census.ts";
import { TEST_IMAGE } from "../support/image.ts";
import type { LabHost } from "../support/lab-host.ts";
import { LabPlugin } from "../support/lab-plugin.ts";
import type { Neighbour } from "../support/neighbour.ts";
import type { Screen } from "./screen.ts";

/** The lab host itself, as the origin of a ping. */
export const HOST = "host";

/** The address from which the lab host speaks to the outside. */
export const HOST_ADDRESS = "192.0.2.10";

/** What a container is called and where it is. */
export interface Place {
  readonly address: string;
  readonly mac: string;
}

/** A command that ended with an error, as execa describes it. */
interface Failure {
  readonly stdout: string;
  readonly stderr: string;
}

export class Stage {
  readonly lab: LabHost;
  /** A machine beyond the lab host, which knows nothing of containers. */
  readonly outside: Neighbour;
  readonly #screen: Screen;
  #before: Census | undefined;

  constructor(lab: LabHost, outside: Neighbour, screen: Screen) {
    this.lab = lab;
    this.outside = outside;
    this.#screen = screen;
  }

  /** Shows and runs a command of the user's. @returns its standard output. */
  async docker(...args: string[]): Promise<string> {
    this.#screen.command(["docker", ...args]);
    return await this.lab.docker(...args);
  }

  /** @throws Error with what the plugin said last: the engine only says that nobody listens. */
  async enablePlugin(): Promise<void> {
    await this.docker("plugin", "enable", "tsnet-plugin").catch(async (cause: unknown) => {
      const plugin = await LabPlugin.find(this.lab);
      throw new Error(`it does not listen; it says:\n${plugin.log().at(-1) ?? "nothing"}`, { cause });
    });
  }

  /** Makes a network with both drivers of tsnet. */
  async createNetwork(name: string, ...options: string[]): Promise<void> {
    await this.docker("network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", ...options, name);
  }

  /** Starts a container that waits. */
  async run(name: string, network: string, ...options: string[]): Promise<void> {
    await this.docker("run", "-d", "--name", name, "--network", network, ...options, TEST_IMAGE);
  }

  /**
   * Pings once.
   *
   * @param from - a container, or `HOST`.
   * @returns the time to the answer in milliseconds. @throws Error when there is no answer.
   */
  async ping(from: string, target: string, ...options: string[]): Promise<number> {
    const ping = ["ping", ...options, "-c1", "-W1", target];
    const run = from === HOST ? this.onHost(["busybox", ...ping]) : this.docker("exec", from, ...ping);
    const output = await run.catch((failure: Failure) => {
      throw new Error(`${from} gets no answer from ${target}: ${lastLine(failure)}`);
    });
    return Number(/time=([\d.]+) ms/.exec(output)?.[1]);
  }

  /** @throws Error when there is an answer, or when ping failed for another reason than that there is none. */
  async pingInVain(from: string, target: string): Promise<void> {
    const answer = await this.ping(from, target).catch((failure: Error) => failure);
    if (!(answer instanceof Error)) throw new Error(`${from} reaches ${target}, in ${answer} ms`);
    if (!/100% packet loss|unreachable/i.test(answer.message)) throw answer;
  }

  /** Fetches a page from the machine beyond the host. @throws Error when there is none within 3 seconds. */
  async fetchFromOutside(url: string): Promise<string> {
    const fetch = ["curl", "-sS", "--max-time", "3", url];
    this.#screen.command(["outside:", ...fetch]);
    return await this.outside.exec(fetch).catch((failure: Failure) => {
      throw new Error(`the machine outside gets nothing from ${url}: ${lastLine(failure)}`);
    });
  }

  /** @throws Error when there is an answer. The machine beyond the host is given the route that would lead there. */
  async fetchInVain(url: string): Promise<void> {
    const { hostname } = new URL(url);
    await this.outside.routeTo(`${hostname}/32`, HOST_ADDRESS);
    const page = await this.fetchFromOutside(url).catch(() => undefined);
    if (page !== undefined) throw new Error(`the machine outside reaches ${url}`);
  }

  async placeOf(container: string): Promise<Place> {
    const template = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.MacAddress}}{{end}}";
    const [address = "", mac = ""] = (await this.lab.docker("inspect", "--format", template, container)).split(" ");
    return { address, mac };
  }

  async gatewayOf(network: string): Promise<string> {
    const template = "{{range .IPAM.Config}}{{println .Gateway}}{{end}}";
    const gateways = await this.lab.docker("network", "inspect", "--format", template, network);
    return gateways.split("\n")[0] ?? "";
  }

  /**
   * Counts what is on the host now, for `census` to compare. The host forwards already: this switch tsnet leaves on, and the
   * kernel adds routes of its own when it is turned.
   */
  async remember(): Promise<void> {
    await this.lab.exec(["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
    this.#before = await this.census();
  }

  get before(): Census {
    if (this.#before === undefined) throw new Error("the plugin was never enabled");
    return this.#before;
  }

  async census(): Promise<Census> {
    const plugin = await LabPlugin.find(this.lab);
    return await takeSystemCensus(this.lab.namespace, plugin.stateDir);
  }

  /** Shows and runs a command on the host. @returns its standard output. */
  async onHost(argv: readonly string[]): Promise<string> {
    this.#screen.command(argv);
    return await this.lab.exec(argv);
  }
}

function lastLine({ stdout, stderr }: Failure): string {
  const lines = `${stdout}\n${stderr}`.split("\n").filter((line) => line.trim() !== "");
  return lines.find((line) => line.includes("packet loss")) ?? lines.at(-1) ?? "";
}
