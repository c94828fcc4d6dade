// What a command of the operator's works with, without a daemon, an engine and a host: answers that a test gives, and what was
// printed and asked for.
import type { CnmStatus } from "../../src/cnm/requests.ts";
import type { DockerContainer, DockerPlace, DockerView } from "../../src/cli/docker.ts";
import { Console } from "../../src/cli/console.ts";
import { HostTools } from "../../src/cli/host-tools.ts";
import type { Tools } from "../../src/cli/tools.ts";
import { TsnetError } from "../../src/errors.ts";

/** The usual engine of these tests. */
export const ENGINE = "4WNA:77VC /var/lib/docker";

/** What the others say. */
export interface FakeWorld {
  readonly networks?: CnmStatus["networks"];
  readonly containers?: readonly DockerContainer[];
  readonly docker?: Partial<DockerView>;
  /** Which engine answers. Default: `ENGINE`. */
  readonly engine?: string;
  /** Of the daemon's verbs; default: an empty object. */
  readonly answer?: (verb: string) => unknown;
}

/** The tools, and what came of them. */
export interface FakeTools {
  readonly tools: Tools;
  /** Standard output. */
  readonly lines: string[];
  /** Standard error. */
  readonly notes: string[];
  /** `Operator.Detach` and its message. */
  readonly calls: { readonly verb: string; readonly message: object }[];
}

/** One set of tools. */
export function fakeTools({
  networks = [],
  containers = [],
  docker = {},
  engine = ENGINE,
  answer,
}: FakeWorld): FakeTools {
  const [lines, notes]: [string[], string[]] = [[], []];
  const calls: FakeTools["calls"] = [];
  const write = (to: string[]) => (text: string) => to.push(text.trimEnd());
  const view: DockerView = { networks: [], places: containers.map(placeOf), ...docker };
  const findContainer = async (name: string) => {
    const found = containers.find(({ id, name: called }) => name === called || name === id);
    if (found === undefined) throw new TsnetError("not-found", `Docker has no container ${name}`);
    return found;
  };
  const findEngine = async () => engine;
  const daemon = {
    read: async () => ({ version: "", networks, isComplete: true }),
    call: async (verb: string, message: object) => {
      calls.push({ verb, message });
      return answer?.(verb) ?? {};
    },
  } as unknown as Tools["daemon"]; // the same two methods, for the one path and the few verbs of these tests
  const console = new Console({ write: write(lines) }, { write: write(notes) }, {});
  return {
    tools: { console, daemon, readDocker: async () => view, findContainer, findEngine, host: new HostTools() },
    lines,
    notes,
    calls,
  };
}

/** Docker has put it on no network. */
function placeOf({ id, name }: DockerContainer): DockerPlace {
  return { networkId: "none", endpointId: "", container: { id, name }, addresses: [] };
}

/** A container. */
export function fakeContainer(name: string, more: Partial<DockerContainer> = {}): DockerContainer {
  return { id: name.padEnd(64, "0"), name, isRunning: true, pid: process.pid, isOnHost: false, ...more };
}
