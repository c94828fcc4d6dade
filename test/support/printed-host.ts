// The host's tools as the operator's command runs them, made up: they print what a test says.
import { HostTools } from "../../src/cli/host-tools.ts";
import { TsnetError } from "../../src/errors.ts";

/** @param prints - what is printed as JSON, by command line; with all other ones the tool fails. */
export class PrintedHost extends HostTools {
  readonly #prints: Readonly<Record<string, unknown>>;

  constructor(prints: Readonly<Record<string, unknown>>) {
    super();
    this.#prints = prints;
  }

  /** A namespace in which no tool is. */
  override inside(): HostTools {
    return new PrintedHost({});
  }

  override async text(command: string, ...args: readonly string[]): Promise<string> {
    const line = [command, ...args].join(" ");
    if (!(line in this.#prints)) throw new TsnetError("host", `${line}: No such file or directory`);
    return JSON.stringify(this.#prints[line]);
  }
}
