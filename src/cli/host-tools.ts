// The host as the operator's command sees it: the output of its tools, in the host's network namespace or in a container's.
// The command looks from outside on purpose, at what is there and not at what the daemon has written down.
import { TsnetError } from "../errors.ts";
import { run } from "../host/run.ts";

/** Runs tools in one network namespace. */
export class HostTools {
  /** Path of the namespace, as `/proc/PID/ns/net`; absent for the caller's own. */
  readonly namespace: string | undefined;

  constructor(namespace?: string) {
    this.namespace = namespace;
  }

  /** The same tools in another namespace. @param path - absolute. */
  inside(path: string): HostTools {
    return new HostTools(path);
  }

  /** @returns standard output. @throws TsnetError `host`, see `run`. */
  async text(command: string, ...args: readonly string[]): Promise<string> {
    if (this.namespace === undefined) return run(command, args);
    return run("nsenter", [`--net=${this.namespace}`, "--", command, ...args]);
  }

  /**
   * What a tool prints with its option for JSON, which is among `args`.
   *
   * @throws TsnetError `host` if it fails, or prints something else.
   */
  async json<Answer>(command: string, ...args: readonly string[]): Promise<Answer> {
    const text = await this.text(command, ...args);
    try {
      return JSON.parse(text === "" ? "[]" : text) as Answer; // the form that the tool's manual gives
    } catch (cause) {
      throw new TsnetError("host", `${[command, ...args].join(" ")}: prints no JSON`, { cause });
    }
  }
}
