// The verbs behind `tsnet set` and `tsnet plan`: their bodies, in the engine's spelling, and the way from them to
// `cnm/change-requests.ts`. What they answer is said there.
import { type Static, Type } from "typebox";
import type { ChangeVerbs } from "../cnm/change-requests.ts";
import { Cidr, CidrOrEmpty, EndpointIdText, NetworkIdText, StringMap, presentText, toMap } from "./fields.ts";
import { type Verb, statefulVerb } from "./verb.ts";

/** Of a network that might be. */
const MAX_SUBNETS = 64;

const SetNetworkMessage = Type.Object({ NetworkID: NetworkIdText, Options: StringMap });
const SetEndpointMessage = Type.Object({ NetworkID: NetworkIdText, EndpointID: EndpointIdText, Options: StringMap });
const PlanMessage = Type.Object({
  Options: StringMap,
  Internal: Type.Boolean(),
  IPv6: Type.Boolean(),
  Subnets: Type.Array(Type.Object({ Pool: Cidr, Gateway: Type.Optional(CidrOrEmpty) }), { maxItems: MAX_SUBNETS }),
});

/** `Operator.SetNetwork`. */
export type SetNetworkMessage = Static<typeof SetNetworkMessage>;
/** `Operator.SetEndpoint`. */
export type SetEndpointMessage = Static<typeof SetEndpointMessage>;
/** `Operator.Plan`. */
export type PlanMessage = Static<typeof PlanMessage>;

/** The verbs of `tsnet set` and `tsnet plan`. */
export function changeVerbs(operator: ChangeVerbs): readonly Verb[] {
  return [
    statefulVerb("Operator.SetNetwork", SetNetworkMessage, (message: SetNetworkMessage, signal) =>
      operator.setNetwork({ networkId: message.NetworkID, options: toMap(message.Options) }, signal),
    ),
    statefulVerb("Operator.SetEndpoint", SetEndpointMessage, (message: SetEndpointMessage, signal) => {
      const { NetworkID: networkId, EndpointID: endpointId, Options } = message;
      return operator.setEndpoint({ networkId, endpointId, options: toMap(Options) }, signal);
    }),
    statefulVerb("Operator.Plan", PlanMessage, (message: PlanMessage) => {
      const pools = message.Subnets.map(({ Pool: subnet, Gateway }) => {
        const gateway = presentText(Gateway);
        return { subnet, ...(gateway !== undefined && { gateway }) };
      });
      return operator.plan({
        options: toMap(message.Options),
        isInternal: message.Internal,
        hasIpv6: message.IPv6,
        pools,
      });
    }),
  ];
}
