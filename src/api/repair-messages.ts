// The body of `Operator.Repair` and of its answer, and the way from them to `cnm/repair.ts` and back.
import { type Static, Type } from "typebox";
import type { RepairDriver, RepairRequest, RepairResult } from "../cnm/repair.ts";
import { Cidr, NonEmptyText, absentable } from "./fields.ts";
import { type Verb, statefulVerb } from "./verb.ts";

/** Addresses that may be released in one call: no more than `/pools` lists. */
const MAX_ADDRESSES = 20_000;

/** What the operator's command has seen to be nobody's. */
const RepairMessage = Type.Object({
  Addresses: absentable(
    Type.Array(Type.Object({ AddressSpace: NonEmptyText, Subnet: Cidr, Address: NonEmptyText }), {
      maxItems: MAX_ADDRESSES,
    }),
  ),
});

/** The same as a type. */
export type RepairBody = Static<typeof RepairMessage>;

/** Lines for the operator. */
export interface RepairReply {
  readonly Done: readonly string[];
  readonly Left: readonly string[];
}

/** Reads `Operator.Repair`. */
function parseRepair({ Addresses }: RepairBody): RepairRequest {
  const addresses = (Addresses ?? []).map(({ AddressSpace, Subnet, Address }) => ({
    addressSpace: AddressSpace,
    subnet: Subnet,
    address: Address,
  }));
  return Object.freeze({ addresses });
}

/** Writes its answer. */
function formatRepaired({ done, left }: RepairResult): RepairReply {
  return { Done: done, Left: left };
}

/** The verb of `tsnet doctor --fix`. */
export function repairVerbs(repair: RepairDriver): readonly Verb[] {
  return [
    statefulVerb("Operator.Repair", RepairMessage, async (message: RepairBody) =>
      formatRepaired(await repair.run(parseRepair(message))),
    ),
  ];
}
