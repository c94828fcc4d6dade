// What the operator's command asks of the daemon besides what it reads, in tsnet's own words. The engine never does.
import type { RepairDriver } from "./repair.ts";

/** The verbs of the operator. Every method rejects with a TsnetError. */
export interface OperatorDriver {
  readonly repair: RepairDriver;
}
