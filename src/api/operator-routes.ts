// The verbs of the operator's command (`cli/`), beside those of the engine and answered as they are: which message each one
// reads, which method of the driver it is, what it answers.
import type { OperatorDriver } from "../cnm/operator.ts";
import { changeVerbs } from "./change-messages.ts";
import type { Verb } from "./verb.ts";

/** All verbs of the operator. */
export function operatorVerbs(operator: OperatorDriver): readonly Verb[] {
  return [...changeVerbs(operator)];
}
