// What the operator's command asks of the daemon besides what it reads, in tsnet's own words. The engine never does.
import type { AttachmentDriver } from "./attachment.ts";
import { AttachmentVerbs } from "./attachment-verbs.ts";
import { ChangeEndpoint } from "./change-endpoint.ts";
import { ChangeNetwork } from "./change-network.ts";
import type { ChangeVerbs } from "./change-requests.ts";
import { planOnly } from "./dry-run.ts";
import type { CnmParts } from "./parts.ts";

/** The verbs of the operator. Every method rejects with a TsnetError. */
export interface OperatorDriver extends ChangeVerbs {
  readonly attachments: AttachmentDriver;
}

/** The verbs on one host. */
export function operatorOn(parts: CnmParts): OperatorDriver {
  const [network, endpoint] = [new ChangeNetwork(parts), new ChangeEndpoint(parts)];
  return {
    attachments: new AttachmentVerbs(parts),
    setNetwork: (request, signal) => network.set(request, signal),
    setEndpoint: (request, signal) => endpoint.set(request, signal),
    plan: async (request) => ({ steps: await planOnly(request, parts) }),
  };
}
