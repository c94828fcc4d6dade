// Who learns of what the reconciler does on its own: what somebody else had changed, and what failed. It is told and not
// asked, so that nothing waits for it; `api/metrics.ts` counts.
import type { ErrorCode } from "../errors.ts";

/**
 * What was done without being asked for.
 *
 * - `rules`: the host's rules were put back.
 * - `network`: a switch, or what belongs to it: settings, addresses of the host, its uplink, its tunnel.
 * - `endpoint`: a port was put back into its switch, or back to its settings.
 * - `forgotten-endpoint`, `forgotten-network`, `forgotten-address`: the engine has them no more, and never said so.
 */
export type Repair =
  | "rules"
  | "network"
  | "endpoint"
  | "forgotten-endpoint"
  | "forgotten-network"
  | "forgotten-address";

/** Of what something was repaired; without both it is the host. */
export interface RepairObject {
  readonly networkId?: string;
  readonly endpointId?: string;
}

/** May not throw. */
export interface RepairWatch {
  noteRepair(what: Repair, object?: RepairObject): void;
  /** Something could not be repaired or removed; it will be tried again. */
  noteFault(code: ErrorCode, message?: string): void;
}

/** Nobody wants to know. */
export const UNWATCHED: RepairWatch = { noteRepair() {}, noteFault() {} };

/** Several want to know. */
export function tellAll(...watches: readonly RepairWatch[]): RepairWatch {
  return {
    noteRepair: (what, object) => watches.forEach((watch) => watch.noteRepair(what, object)),
    noteFault: (code, message) => watches.forEach((watch) => watch.noteFault(code, message)),
  };
}
