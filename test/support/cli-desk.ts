// What the operator's command works with, made up: a daemon and an engine that say always the same, tools of the host that print
// what a test gives them, and standard output and standard error to be read again.
import type { HealthReply } from "../../src/api/health-route.ts";
import type { PoolsReply } from "../../src/api/pools-read.ts";
import type { StatusReply } from "../../src/api/status-read.ts";
import { Console } from "../../src/cli/console.ts";
import type { DockerView } from "../../src/cli/docker.ts";
import { HostTools } from "../../src/cli/host-tools.ts";
import type { Tools } from "../../src/cli/tools.ts";
import type { EndpointStatus, NetworkStatus } from "../../src/cnm/requests.ts";
import { TsnetError } from "../../src/errors.ts";
import type { PoolStatus } from "../../src/ipam/requests.ts";
import { VERSION } from "../../src/version.ts";
import { endpointId, networkId } from "./cnm-builder.ts";

/** A stream that keeps what is written to it. */
export class MemoryOutput {
  text = "";
  readonly isTTY: boolean;
  readonly columns: number;

  /** @param columns - 0 where there is no terminal. */
  constructor(isTTY = false, columns = 0) {
    this.isTTY = isTTY;
    this.columns = columns;
  }

  write(text: string): void {
    this.text += text;
  }
}

/** What the two of them say. */
export interface Scene {
  readonly networks?: readonly NetworkStatus[];
  readonly damage?: readonly string[];
  readonly isComplete?: boolean;
  readonly pools?: readonly PoolStatus[];
  readonly docker?: Partial<DockerView>;
  /** What a tool prints, by its command line; all others are not there. */
  readonly prints?: Readonly<Record<string, unknown>>;
}

/** The tools of one command, and what it printed. */
export interface Desk extends Tools {
  readonly out: MemoryOutput;
  readonly notes: MemoryOutput;
}

/** A desk in such a scene. */
export function deskIn(scene: Scene): Desk {
  const { networks = [], damage, isComplete = true, pools = [], docker = {} } = scene;
  const replies: { readonly "/status": StatusReply; readonly "/pools": PoolsReply; readonly "/healthz": HealthReply } =
    {
      "/healthz": { version: VERSION, status: "ok" },
      "/status": { version: VERSION, networks, isComplete, ...(damage !== undefined && { damage }) },
      "/pools": { version: VERSION, pools, isComplete },
    };
  const [out, notes] = [new MemoryOutput(), new MemoryOutput()];
  return {
    out,
    notes,
    console: new Console(out, notes, {}),
    daemon: {
      read: async (path) => replies[path],
      call: async () => Promise.reject(new Error("not expected here")),
      follow: () => {
        throw new Error("not expected here");
      },
    },
    readDocker: async () => ({ networks: [], places: [], ...docker }),
    findContainer: async () => Promise.reject(new Error("not expected here")),
    findEngine: async () => Promise.reject(new Error("not expected here")),
    host: new PrintedTools(scene.prints ?? {}),
  };
}

/** Tools of a host that are not run. */
class PrintedTools extends HostTools {
  readonly #prints: Readonly<Record<string, unknown>>;

  constructor(prints: Readonly<Record<string, unknown>>) {
    super();
    this.#prints = prints;
  }

  override async text(command: string, ...args: readonly string[]): Promise<string> {
    const line = [command, ...args].join(" ");
    const printed = this.#prints[line];
    if (printed === undefined) throw new TsnetError("host", `${line}: not found`);
    return typeof printed === "string" ? printed : JSON.stringify(printed);
  }
}

/** A network as the daemon says it: mode nat on a bridge of its own. */
export function networkStatus(n = 1, more: Partial<NetworkStatus> = {}): NetworkStatus {
  return {
    id: networkId(n),
    state: "ready",
    mode: "nat",
    isInternal: false,
    backend: "bridge",
    switch: `tsn-${n}`,
    mtu: 1500,
    ifPrefix: "eth",
    subnets: [`10.1.${n}.0/24`],
    icc: true,
    antispoof: true,
    endpoints: [],
    ...more,
  };
}

/** An endpoint on it, in a container. */
export function endpointStatus(n = 1, on = 1, more: Partial<EndpointStatus> = {}): EndpointStatus {
  return {
    id: endpointId(n),
    state: "joined",
    addresses: [`10.1.${on}.${n + 1}/24`],
    mac: `02:42:0a:01:0${on}:0${n + 1}`,
    mtu: 1500,
    hostLink: `tsv${n}`,
    ports: [],
    ...more,
  };
}

/** Networks of tsnet by their names, and containers by what endpoints they have. */
export function dockerWith(
  names: Readonly<Record<string, number>>,
  containers: Readonly<Record<string, readonly number[]>> = {},
): DockerView {
  const networks = Object.entries(names).map(([name, n]) => {
    return { id: networkId(n), name, ipamDriver: "tsnet", subnets: [`10.1.${n}.0/24`] };
  });
  const places = Object.entries(containers).flatMap(([name, endpoints], at) => {
    const container = { id: containerId(at + 1), name };
    return endpoints.map((n) => ({ networkId: "", endpointId: endpointId(n), container, addresses: [] }));
  });
  return { networks, places };
}

/** The id of the nth container of `dockerWith`. */
export function containerId(n: number): string {
  return `c${n}`.padEnd(64, "c");
}
