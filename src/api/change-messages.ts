// The verbs behind `tsnet set` and `tsnet plan`: their bodies, in the engine's spelling, and the way from them to
// `cnm/change-requests.ts`. What they answer is said there.
import { type Static, Type } from "typebox";
import type { ChangeVerbs } from "../cnm/change-requests.ts";
import {
  Cidr,
  CidrOrEmpty,
  EndpointIdText,
  NetworkIdText,
  StringMap,
  absentable,
  presentText,
  toMap,
} from "./fields.ts";
import { type Verb, statefulVerb } from "./verb.ts";

/** Of a network that might be. */
const MAX_SUBNETS = 64;

const Options = absentable(StringMap);
const SetNetworkMessage = Type.Object({ NetworkID: NetworkIdText, Options });
const SetEndpointMessage = Type.Object({ NetworkID: NetworkIdText, EndpointID: EndpointIdText, Options });
const PlanMessage = Type.Object({
  Options,
  Internal: Type.Optional(Type.Boolean()),
  IPv6: Type.Optional(Type.Boolean()),
  Subnets: absentable(
    Type.Array(Type.Object({ Pool: Cidr, Gateway: Type.Optional(CidrOrEmpty) }), { maxItems: MAX_SUBNETS }),
  ),
});

/** `Operator.SetNetwork`. */
export type SetNetworkMessage = Static<typeof SetNetworkMessage>;
/** `Operator.SetEndpoint`. */
export type SetEndpointMessage = Static<typeof SetEndpointMessage>;
/** `Operator.Plan`. */
export type PlanMessage = Static<typeof PlanMessage>;

/** The verbs of `tsnet set` and `tsnet plan`. */
export function changeVerbs(changes: ChangeVerbs): readonly Verb[] {
  return [
    statefulVerb("Operator.SetNetwork", SetNetworkMessage, (message: SetNetworkMessage, signal) =>
      changes.setNetwork({ networkId: message.NetworkID, options: toMap(message.Options) }, signal),
    ),
    statefulVerb("Operator.SetEndpoint", SetEndpointMessage, (message: SetEndpointMessage, signal) => {
      const { NetworkID: networkId, EndpointID: endpointId } = message;
      return changes.setEndpoint({ networkId, endpointId, options: toMap(message.Options) }, signal);
    }),
    statefulVerb("Operator.Plan", PlanMessage, (message: PlanMessage) => {
      const pools = (message.Subnets ?? []).map(({ Pool: subnet, Gateway }) => {
        const gateway = presentText(Gateway);
        return { subnet, ...(gateway !== undefined && { gateway }) };
      });
      const { Internal: isInternal = false, IPv6: hasIpv6 = false } = message;
      return changes.plan({ options: toMap(message.Options), isInternal, hasIpv6, pools });
    }),
  ];
}
