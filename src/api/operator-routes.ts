// The verbs of the operator's command (`cli/`), beside those of the engine and answered as they are: which message each one
// reads, which method of the driver it is, what it answers.
import type { OperatorDriver } from "../cnm/operator.ts";
import {
  type AttachAnswer,
  type AttachBody,
  AttachMessage,
  type DetachAnswer,
  type DetachBody,
  DetachMessage,
  formatAttached,
  parseAttach,
} from "./attachment-messages.ts";
import { changeVerbs } from "./change-messages.ts";
import { type Verb, statefulVerb } from "./verb.ts";

/** All verbs of the operator. */
export function operatorVerbs({ attachments, changes }: OperatorDriver): readonly Verb[] {
  return [
    statefulVerb("Operator.Attach", AttachMessage, async (message: AttachBody, signal): Promise<AttachAnswer> =>
      formatAttached(await attachments.attach(parseAttach(message), signal)),
    ),
    statefulVerb("Operator.Detach", DetachMessage, async (message: DetachBody): Promise<DetachAnswer> => {
      const ref = { networkId: message.NetworkID, endpointId: message.EndpointID };
      return { WasAttached: await attachments.detach(ref) };
    }),
    ...changeVerbs(changes),
  ];
}
