// The bodies of `Operator.Attach` and `Operator.Detach` and of their answers, and the way from them to `cnm/attachment.ts` and
// back. Texts that are "" and lists that are null or missing stand for what was not asked for.
import { type Static, Type } from "typebox";
import type { Attach, Attached, AttachmentDriver, AttachmentOwner } from "../cnm/attachment.ts";
import {
  AddressOrEmpty,
  EndpointIdText,
  MAX_OPTIONS,
  MacOrEmpty,
  NetworkIdText,
  NonEmptyText,
  OwnerKindText,
  StringMap,
  Text,
  absentable,
  presentText,
  toMap,
} from "./fields.ts";
import { type Verb, statefulVerb } from "./verb.ts";

const ids = { NetworkID: NetworkIdText, EndpointID: EndpointIdText };
const flag = Type.Optional(Type.Boolean());

/** `Operator.Attach`. */
const AttachMessage = Type.Object({
  ...ids,
  OwnerKind: OwnerKindText,
  OwnerID: NonEmptyText,
  OwnerName: NonEmptyText,
  OwnerEngine: Type.Optional(Text),
  Interface: NonEmptyText,
  Address: Type.Optional(AddressOrEmpty),
  AddressIPv6: Type.Optional(AddressOrEmpty),
  MacAddress: Type.Optional(MacOrEmpty),
  Options: absentable(StringMap),
  DefaultRoute: flag,
  Routes: absentable(Type.Array(Text, { maxItems: MAX_OPTIONS })),
  Once: flag,
  Again: flag,
  Lost: flag,
});

/** `Operator.Detach`. */
const DetachMessage = Type.Object(ids);

/** `Operator.Attach`. */
export type AttachBody = Static<typeof AttachMessage>;
/** `Operator.Detach`. */
export type DetachBody = Static<typeof DetachMessage>;

/** The answer to `Operator.Attach`; what the fields mean is said of `Attached`. */
export interface AttachAnswer {
  readonly WasAttached: boolean;
  readonly Link: string;
  readonly HostLink: string;
  readonly Interface: string;
  readonly MacAddress: string;
  readonly MTU: number;
  readonly Addresses: readonly string[];
  readonly Gateways: readonly string[];
  readonly Routes: readonly { readonly Destination: string; readonly NextHop?: string }[];
}

/** The answer to `Operator.Detach`. */
export interface DetachAnswer {
  /** False if there was nothing to detach. */
  readonly WasAttached: boolean;
}

function parseOwner({ OwnerKind, OwnerID, OwnerName, OwnerEngine }: AttachBody): AttachmentOwner {
  const engine = presentText(OwnerEngine);
  return Object.freeze({ kind: OwnerKind, id: OwnerID, name: OwnerName, ...(engine !== undefined && { engine }) });
}

/** Reads `Operator.Attach`. */
function parseAttach(message: AttachBody): Attach {
  const address = presentText(message.Address);
  const addressIpv6 = presentText(message.AddressIPv6);
  const mac = presentText(message.MacAddress);
  return Object.freeze({
    networkId: message.NetworkID,
    endpointId: message.EndpointID,
    owner: parseOwner(message),
    ifName: message.Interface,
    ...(address !== undefined && { address }),
    ...(addressIpv6 !== undefined && { addressIpv6 }),
    ...(mac !== undefined && { mac }),
    options: toMap(message.Options),
    hasDefaultRoute: message.DefaultRoute ?? false,
    routes: message.Routes ?? [],
    isOnce: message.Once ?? false,
    isAgain: message.Again ?? false,
    isLost: message.Lost ?? false,
  });
}

/** Writes the answer to `Operator.Attach`. */
function formatAttached(attached: Attached): AttachAnswer {
  const { wasAttached, linkName, hostLink, ifName, mac, mtu, addresses, gateways, routes } = attached;
  return {
    WasAttached: wasAttached,
    Link: linkName,
    HostLink: hostLink,
    Interface: ifName,
    MacAddress: mac,
    MTU: mtu,
    Addresses: addresses,
    Gateways: gateways,
    Routes: routes.map(({ destination, via }) => ({
      Destination: destination,
      ...(via !== undefined && { NextHop: via }),
    })),
  };
}

/** The verbs of `tsnet attach` and `tsnet detach`. */
export function attachmentVerbs(attachments: AttachmentDriver): readonly Verb[] {
  return [
    statefulVerb("Operator.Attach", AttachMessage, async (message: AttachBody, signal): Promise<AttachAnswer> =>
      formatAttached(await attachments.attach(parseAttach(message), signal)),
    ),
    statefulVerb("Operator.Detach", DetachMessage, async (message: DetachBody): Promise<DetachAnswer> => {
      const ref = { networkId: message.NetworkID, endpointId: message.EndpointID };
      return { WasAttached: await attachments.detach(ref) };
    }),
  ];
}
