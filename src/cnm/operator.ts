// What the operator's command asks of the daemon besides what it reads, in tsnet's own words. The engine never does.
import type { AttachmentDriver } from "./attachment.ts";
import type { ChangeVerbs } from "./change-requests.ts";
import type { RepairDriver } from "./repair.ts";

/** The verbs of the operator. Every method rejects with a TsnetError. */
export interface OperatorDriver {
  readonly attachments: AttachmentDriver;
  readonly changes: ChangeVerbs;
  readonly repair: RepairDriver;
}
