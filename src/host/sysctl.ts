// Kernel settings below /proc/sys/net: read first, written only when they differ, since /proc/sys is read-only in most
// containers and a value that is right already needs no permission. Follows sysctl(8) and proc_sys(5).
import { readFile, writeFile } from "node:fs/promises";
import { TsnetError, messageOf } from "../errors.ts";
import { noteChange } from "./changes.ts";

/** One component of a path: what interface names and setting names consist of, and never `.` or `..`. */
const COMPONENT = /^(?!\.{1,2}$)[A-Za-z0-9_.:@-]{1,64}$/;

/** What the reasons mean to an operator. */
const REASONS: Readonly<Record<string, string>> = {
  EROFS: "it is on a read-only file system",
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  EINVAL: "the kernel refuses the value",
};

/** The settings of the network namespace in which this process runs. Paths look like `ipv4/conf/eth0/rp_filter`. */
export class Sysctl {
  readonly #root: string;

  /** @param root - the folder that stands for `/proc/sys/net`, another one in tests. */
  constructor(root = "/proc/sys/net") {
    this.#root = root;
  }

  /**
   * The value of a setting without the line end, or undefined if this kernel or namespace has no such setting.
   *
   * @throws TsnetError `host` if it exists and cannot be read, `internal` for a path that could leave the root.
   */
  async read(path: string): Promise<string | undefined> {
    try {
      return (await readFile(this.#fileOf(path), "utf8")).trim();
    } catch (failure) {
      if (failure instanceof TsnetError) throw failure;
      const code = codeOf(failure);
      if (code === "ENOENT" || code === "ENOTDIR") return undefined;
      throw new TsnetError("host", `cannot read sysctl ${dotted(path)}: ${reasonOf(failure)}`, { cause: failure });
    }
  }

  /**
   * Makes a setting have this value.
   *
   * @throws TsnetError `host` if it differs and cannot be written, with the command for the host; also if there is no
   * such setting. `internal` for a path that could leave the root.
   */
  async ensure(path: string, value: string): Promise<"unchanged" | "written"> {
    const present = await this.read(path);
    if (present === value) return "unchanged";
    if (present === undefined) throw new TsnetError("host", `sysctl ${dotted(path)} does not exist on this host`);
    try {
      await writeFile(this.#fileOf(path), value, { flag: "r+" });
      noteChange();
      return "written";
    } catch (failure) {
      const what = `cannot set sysctl ${dotted(path)} to ${value}, it is ${present}: ${reasonOf(failure)}`;
      const help = `run on the host: sysctl -w ${dotted(path)}=${value}`;
      throw new TsnetError("host", `${what}; ${help}`, { cause: failure });
    }
  }

  #fileOf(path: string): string {
    if (path.split("/").every((component) => COMPONENT.test(component))) return `${this.#root}/${path}`;
    throw new TsnetError("internal", `${JSON.stringify(path)} is no sysctl path`);
  }
}

/** As sysctl(8) writes it: dots between the components, and slashes for dots inside one. */
function dotted(path: string): string {
  return `net/${path}`.replace(/[./]/g, (separator) => (separator === "/" ? "." : "/"));
}

function reasonOf(failure: unknown): string {
  return REASONS[codeOf(failure)] ?? messageOf(failure);
}

function codeOf(failure: unknown): string {
  return failure instanceof Error && "code" in failure ? String(failure.code) : "";
}
