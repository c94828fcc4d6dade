// The verbs of the operator's command (`cli/`), beside those of the engine and answered as they are. What each one reads and
// answers is in the file of its messages.
import type { OperatorDriver } from "../cnm/operator.ts";
import { attachmentVerbs } from "./attachment-messages.ts";
import { changeVerbs } from "./change-messages.ts";
import { repairVerbs } from "./repair-messages.ts";
import type { Verb } from "./verb.ts";

/** All verbs of the operator. */
export function operatorVerbs(operator: OperatorDriver): readonly Verb[] {
  return [...attachmentVerbs(operator.attachments), ...changeVerbs(operator.changes), ...repairVerbs(operator.repair)];
}
