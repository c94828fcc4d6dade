// Reads RequestPool: options, subnet and range, all checked before anything changes and all faults in one message.
import { type Family, type Subnet, contains, formatSubnet, parseSubnet } from "../cidr.ts";
import { TsnetError, messageOf } from "../errors.ts";
import type { RequestPool } from "./requests.ts";
import { findReservation } from "./reserved-subnets.ts";
import { automaticSpan } from "../usable-addresses.ts";

/** A RequestPool that was found to be right. */
export interface PoolPlan {
  readonly family: Family;
  /** Pools of one segment do not overlap. Empty for the default segment. */
  readonly segment: string;
  /** Undefined: to be chosen from the default pools. */
  readonly subnet: Subnet | undefined;
  readonly range: Subnet | undefined;
}

const SEGMENT_PATTERN = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$/;

/** @throws TsnetError `invalid` that lists every fault of the request. */
export function planPool(request: RequestPool): PoolPlan {
  const family = request.isIpv6 ? 6 : 4;
  const faults = optionFaults(request.options);
  const parse = (text: string | undefined): Subnet | undefined => {
    try {
      return text === undefined ? undefined : parseSubnet(text);
    } catch (fault) {
      faults.push(messageOf(fault));
    }
  };
  const subnet = parse(request.subnet);
  const range = parse(request.range);
  if (subnet) faults.push(...subnetFaults(subnet, family));
  if (request.range !== undefined && request.subnet === undefined) {
    faults.push(`range ${request.range} needs a subnet that it lies in`);
  }
  if (subnet && range) faults.push(...rangeFaults(range, subnet));
  if (faults.length > 0) throw new TsnetError("invalid", faults.join("; "));
  return { family, segment: request.options.get("segment") ?? "", subnet, range };
}

function optionFaults(options: ReadonlyMap<string, string>): string[] {
  const faults: string[] = [];
  for (const [key, value] of options) {
    // The engine's own keys, such as com.docker.network.ipam.serial of swarm.
    if (key.startsWith("com.docker.network.")) continue;
    if (key !== "segment") {
      faults.push(`unknown ipam option ${quote(key)}; did you mean segment, the only one there is`);
    } else if (!SEGMENT_PATTERN.test(value)) {
      faults.push(
        `segment ${quote(value)} is no name of 1 to 32 letters, digits, _ . - that starts with letter or digit`,
      );
    }
  }
  return faults;
}

function subnetFaults(subnet: Subnet, family: Family): string[] {
  const reservation = findReservation(subnet);
  const faults = reservation === undefined ? [] : [`subnet ${reservation}`];
  if (subnet.family !== family) {
    faults.push(`subnet ${formatSubnet(subnet)} is IPv${subnet.family}, but an IPv${family} pool is asked for`);
  }
  return faults;
}

function rangeFaults(range: Subnet, subnet: Subnet): string[] {
  const isWithin =
    range.prefixLength >= subnet.prefixLength && contains(subnet, { family: range.family, value: range.first });
  if (!isWithin) return [`range ${formatSubnet(range)} is not within subnet ${formatSubnet(subnet)}`];
  const { first, last } = automaticSpan(subnet, range);
  if (last < first) return [`range ${formatSubnet(range)} has no usable address in subnet ${formatSubnet(subnet)}`];
  return [];
}

function quote(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}...` : text);
}
