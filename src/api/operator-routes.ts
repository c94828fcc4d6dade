// The verbs of the operator's command (`cli/`), beside those of the engine and answered as they are: which message each one
// reads, which method of the driver it is, what it answers.
import type { OperatorDriver } from "../cnm/operator.ts";
import { type RepairBody, RepairMessage, formatRepaired, parseRepair } from "./repair-messages.ts";
import { type Verb, statefulVerb } from "./verb.ts";

/** All verbs of the operator. */
export function operatorVerbs({ repair }: OperatorDriver): readonly Verb[] {
  return [
    statefulVerb("Operator.Repair", RepairMessage, async (message: RepairBody) =>
      formatRepaired(await repair.run(parseRepair(message))),
    ),
  ];
}
