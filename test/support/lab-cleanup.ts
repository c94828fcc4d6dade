// What the labs of this process must take down even when nobody disposes of them: on SIGINT, SIGTERM and exit. Synchronous,
// because an `exit` listener may not wait. Against SIGKILL of this process the keepers' parent-death signal helps (see
// `lab-namespace.ts`); the folder that then stays behind is swept by the next lab (`lab-folder.ts`).
import { constants } from "node:os";

const cleanups = new Set<() => void>();
let isInstalled = false;

/** Runs `cleanup` when this process ends, however it ends short of SIGKILL. @returns what takes it off the list again. */
export function onProcessEnd(cleanup: () => void): () => void {
  install();
  cleanups.add(cleanup);
  return () => void cleanups.delete(cleanup);
}

function install(): void {
  if (isInstalled) return;
  isInstalled = true;
  process.on("exit", runAll);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      runAll();
      process.exit(128 + constants.signals[signal]);
    });
  }
}

function runAll(): void {
  for (const cleanup of cleanups) {
    cleanups.delete(cleanup);
    try {
      cleanup();
    } catch (failure) {
      console.error("clean-up at exit:", failure);
    }
  }
}
