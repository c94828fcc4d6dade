// A process of this host, so that it is known again: a number alone is given out anew after the process has ended.
//
// Source: proc_pid_stat(5), field 22.
import { readFileSync } from "node:fs";
import { TsnetError } from "../../errors.ts";

/** One process. */
export interface HostProcess {
  readonly pid: number;
  /** In ticks of the kernel's clock since the host started. */
  readonly startTime: string;
}

/** @throws TsnetError `not-found` if it has ended. */
export function requireProcess(pid: number): HostProcess {
  const startTime = startTimeOf(pid);
  if (startTime === undefined) throw new TsnetError("not-found", `process ${pid} has ended`);
  return { pid, startTime };
}

/** Whether it still runs. */
export function isRunning({ pid, startTime }: HostProcess): boolean {
  return startTimeOf(pid) === startTime;
}

/** Path of its network namespace. */
export function netnsOf({ pid }: HostProcess): string {
  return `/proc/${pid}/ns/net`;
}

/** The fields behind the command's name, which may have spaces and parentheses itself. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}
