// The datapath and the firewall of tsnet working in a private namespace, as objects of the test. The calls are carried to a
// process in the namespace (`host-agent-main.ts`), which ends with it.
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Datapath } from "../../src/cnm/datapath.ts";
import type { Firewall } from "../../src/cnm/firewall.ts";
import type { PortHolder } from "../../src/cnm/ports.ts";
import { type ErrorCode, TsnetError } from "../../src/errors.ts";
import type { NetNamespace } from "./namespace.ts";

interface Reply {
  readonly id: number;
  readonly result?: unknown;
  readonly code?: ErrorCode;
  readonly message?: string;
}

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** tsnet's hands on the host that a namespace stands for. */
export interface HostAgent {
  readonly datapath: Datapath;
  readonly firewall: Firewall;
  /** As `PortHolder`, but every method answers later. */
  readonly ports: {
    [Method in keyof PortHolder]: (
      ...args: Parameters<PortHolder[Method]>
    ) => Promise<Awaited<ReturnType<PortHolder[Method]>>>;
  };
  /** Ends it without a chance to tidy up. */
  kill(): Promise<void>;
  /** What was logged so far: level, message and fields. */
  logged(): Promise<readonly object[]>;
}

/** How the host shall be. */
export interface AgentOptions {
  /** /proc/sys is mounted read-only, as in most containers. */
  readonly isSysctlReadOnly?: boolean;
  /** A Linux before 6.9, where tables of nftables have no lasting owner: anybody can change ours. */
  readonly isKernelOld?: boolean;
  /** Its datapath is Open vSwitch, with the database there. */
  readonly ovsdb?: string;
  /** Shell lines that are run before it starts, in a mount namespace of its own. */
  readonly prepare?: readonly string[];
  /** A folder for the records of uplinks; without it they end with the agent. */
  readonly state?: string;
}

const READ_ONLY_SYSCTL = "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys";

/** Starts the process in the namespace. */
export async function startHostAgent(namespace: NetNamespace, options: AgentOptions = {}): Promise<HostAgent> {
  const command = [process.execPath, "--no-warnings", join(import.meta.dirname, "host-agent-main.ts")];
  if (options.isKernelOld === true) command.push("--old-kernel");
  if (options.ovsdb !== undefined) command.push(`--ovsdb=${options.ovsdb}`);
  if (options.state !== undefined) command.push(`--state=${options.state}`);
  const prepare = [...(options.isSysctlReadOnly === true ? [READ_ONLY_SYSCTL] : []), ...(options.prepare ?? [])];
  const child = namespace.spawn(["sh", "-ec", [...prepare, 'exec "$@"'].join("\n"), "sh", ...command]);
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error("the agent has no pipes");
  const waiting = new Map<number, Waiting>();
  const ready = new Promise<unknown>((resolve, reject) => waiting.set(0, { resolve, reject }));
  createInterface({ input: stdout }).on("line", (line) => settle(JSON.parse(line) as Reply, waiting));
  child.once("exit", () => {
    for (const { reject } of waiting.values()) reject(new Error("the agent has ended"));
  });
  await ready;
  let calls = 0;
  const call = (part: string, method: string, args: readonly unknown[]) =>
    new Promise<unknown>((resolve, reject) => {
      waiting.set(++calls, { resolve, reject });
      stdin.write(`${JSON.stringify({ id: calls, part, method, args: args.map(portable) })}\n`);
    });
  const remote = (part: string, fixed: object) =>
    new Proxy(fixed, {
      get: (target, name) =>
        Reflect.get(target, name) ?? ((...args: readonly unknown[]) => call(part, String(name), args)),
    });
  return {
    datapath: remote("datapath", { kind: options.ovsdb === undefined ? "bridge" : "ovs" }) as Datapath, // every method is carried over
    firewall: remote("firewall", {}) as Firewall, // likewise
    ports: remote("ports", {}) as HostAgent["ports"], // likewise
    kill: async () => {
      const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
      child.kill("SIGKILL");
      await ended;
    },
    logged: async () => (await call("logged", "all", [])) as readonly object[],
  };
}

function settle({ id, result, code, message }: Reply, waiting: Map<number, Waiting>): void {
  const call = waiting.get(id);
  waiting.delete(id);
  if (code === undefined) call?.resolve(result);
  else call?.reject(new TsnetError(code, message ?? ""));
}

function portable(arg: unknown): unknown {
  return arg instanceof Set ? { isSet: true, elements: [...arg] } : arg;
}
