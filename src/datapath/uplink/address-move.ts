// A NIC goes into a switch, and what the host is on it goes to the host's own link of that switch (`parent-address=move`):
// addresses, routes, neighbours, MAC address. And the way back, by itself when the gateways do not answer any more, and
// after a crash at any point. What moves, and why no connection breaks: `host/l3-move.ts`. The switch is the caller's.
//
//   there   ask gateways, record, make the link ready, addresses -> enslave -> routes -> addresses off the NIC, ask gateways
//   back    addresses to the NIC -> routes -> release -> addresses off the switch's link, its settings
//
// The NIC is in the switch before the routes lead there: the other way round, packets have no way out meanwhile.
import { formatAddress, parseAddress } from "../../cidr.ts";
import { TsnetError, messageOf } from "../../errors.ts";
import type { LinkRef } from "../../host/l3-address.ts";
import { type L3Config, type L3Snapshot, gatewaysOf } from "../../host/l3-config.ts";
import { L3Move } from "../../host/l3-move.ts";
import type { Link } from "../../host/rtnetlink-link.ts";
import {
  type LinkSettings,
  type LinkSettingsHost,
  applySettings,
  loosen,
  readSettings,
  readySwitchLink,
} from "./switch-link.ts";

/** Gateways that answer do so in milliseconds; one that does not is given up by the kernel after 3 s of asking. */
const BEFORE_DEADLINE_MS = 3_500;

/** After 3 s at the known MAC address everybody is asked for it: a gateway may have changed over. */
const AFTER_DEADLINE_MS = 5_000;

/** The kernel needs less than a millisecond, at most a second when it sees carriers change all the time. */
const CARRIER_LIMIT_MS = 1_500;

/** The machine. */
export interface AddressMoveHost extends LinkSettingsHost {
  readonly l3: L3Config;
}

/** Everything needed to go back or on, as plain data. It is stored before the first change. */
export interface AddressMove {
  /** `moved` once the gateways answered by the switch; only from then on the move is to be kept. */
  readonly stage: "begun" | "moved";
  /** What goes over. */
  readonly nic: L3Snapshot;
  readonly nicSettings: LinkSettings;
  /** What the switch's link had of its own before, and keeps. */
  readonly switchLink: L3Snapshot;
  readonly switchSettings: LinkSettings;
  /** Addresses of the gateways that answered before. */
  readonly gateways: readonly string[];
}

/** What has been done last. */
export type AddressMoveStep =
  | "recorded"
  | "ready"
  | "prepared"
  | "enslaved"
  | "switched"
  | "finished"
  | "asked"
  | "settled"
  | "back prepared"
  | "back switched"
  | "released"
  | "back finished";

/** What the switch and the records do. */
export interface AddressMoveCalls {
  /** Puts the NIC into the switch, its port open when the promise settles. May come twice. */
  readonly enslave: () => Promise<void>;
  /** Takes the NIC out of the switch. That it is not in it is success. */
  readonly release: () => Promise<void>;
  /** Makes the record durable. */
  readonly store: (move: AddressMove) => Promise<void>;
  /** Told after every step, for the log. */
  readonly progress?: (step: AddressMoveStep) => Promise<void> | void;
}

/**
 * Moves what the host is on a NIC to a switch's link.
 *
 * @returns the record, as it was stored last.
 * @throws TsnetError `unsupported` when something names the NIC and cannot move, before any change; `host` when a gateway
 * does not answer by the switch or a change was refused: then everything is as before, or the message says what is not.
 */
export async function moveAddresses(
  host: AddressMoveHost,
  nicName: string,
  switchLinkName: string,
  calls: AddressMoveCalls,
): Promise<AddressMove> {
  const begun = await planned(host, nicName, switchLinkName);
  await calls.store(begun);
  await calls.progress?.("recorded");
  try {
    await carryOver(host, begun, calls);
    await requireGateways(host, begun, switchLinkName);
    await calls.progress?.("asked");
    const moved = { ...begun, stage: "moved" } as const;
    await calls.store(moved);
    await calls.progress?.("settled");
    return moved;
  } catch (cause) {
    throw await afterWayBack(host, begun, calls, cause);
  }
}

/**
 * Gives the NIC back what was moved, and takes it out of the switch. May come twice. Without the NIC there is nothing to
 * give back to: its record is obsolete.
 *
 * @throws TsnetError `host`.
 */
export async function returnAddresses(
  host: AddressMoveHost,
  move: AddressMove,
  calls: Pick<AddressMoveCalls, "release" | "progress">,
): Promise<void> {
  const { nic, switchLink } = await presentLinks(host, move);
  const back = nic && new L3Move(host.l3, move.nic, { source: switchLink, target: nic, kept: move.switchLink });
  if (switchLink) await loosen(host, switchLink);
  await back?.prepare();
  await calls.progress?.("back prepared");
  await back?.switchOver();
  await calls.progress?.("back switched");
  await calls.release();
  await calls.progress?.("released");
  await back?.finish();
  await calls.progress?.("back finished");
  if (switchLink) await applySettings(host, await host.links.requireLink(switchLink.name), move.switchSettings);
}

/**
 * After a crash, or when the switch was made anew: a move that was completed is made complete again, one that was not goes
 * back. Whatever happened in between is looked at, not assumed.
 *
 * @returns where the addresses are now.
 * @throws TsnetError `host`.
 */
export async function resumeMove(
  host: AddressMoveHost,
  move: AddressMove,
  calls: Omit<AddressMoveCalls, "store">,
): Promise<"moved" | "back"> {
  const { nic, switchLink } = await presentLinks(host, move);
  if (move.stage === "moved" && nic !== undefined && switchLink !== undefined) {
    await carryOver(host, move, calls);
    return "moved";
  }
  await returnAddresses(host, move, calls);
  return "back";
}

async function planned(host: AddressMoveHost, nicName: string, switchLinkName: string): Promise<AddressMove> {
  const [nic, switchLink] = await Promise.all([
    host.links.requireLink(nicName),
    host.links.requireLink(switchLinkName),
  ]);
  const hindrances = await host.l3.hindrances(nic);
  if (hindrances.length > 0) {
    const what = `cannot move the addresses of ${nicName} to ${switchLinkName}`;
    const remedy = `only rules and routes that do not name the link in this way can be kept working`;
    throw new TsnetError("unsupported", `${what}: there is ${hindrances.join(", ")}; ${remedy}`);
  }
  const snapshot = await host.l3.snapshot(nic);
  const answering = await host.l3.answering(nic, gatewaysOf(snapshot), BEFORE_DEADLINE_MS);
  return {
    stage: "begun",
    nic: snapshot,
    nicSettings: await readSettings(host, nic),
    switchLink: await host.l3.snapshot(switchLink),
    switchSettings: await readSettings(host, switchLink),
    gateways: answering.map(formatAddress),
  };
}

async function carryOver(
  host: AddressMoveHost,
  move: AddressMove,
  calls: Pick<AddressMoveCalls, "enslave" | "progress">,
): Promise<void> {
  const nic = await host.links.requireLink(move.nic.link.name);
  const target = await host.links.requireLink(move.switchLink.link.name);
  const there = new L3Move(host.l3, move.nic, { source: nic, target });
  await readySwitchLink(host, target, move.nicSettings);
  await calls.progress?.("ready");
  await there.prepare();
  await calls.progress?.("prepared");
  await calls.enslave();
  await host.l3.becomesOperational(target, CARRIER_LIMIT_MS); // if not, the gateways will tell
  await calls.progress?.("enslaved");
  await there.switchOver();
  await calls.progress?.("switched");
  await there.finish();
  await applySettings(host, await host.links.requireLink(target.name), move.nicSettings);
  await calls.progress?.("finished");
}

async function requireGateways(host: AddressMoveHost, move: AddressMove, linkName: string): Promise<void> {
  const link = await host.links.requireLink(linkName);
  const gateways = move.gateways.map(parseAddress);
  const answering = new Set((await host.l3.answering(link, gateways, AFTER_DEADLINE_MS)).map(formatAddress));
  const silent = move.gateways.filter((gateway) => !answering.has(gateway));
  if (silent.length === 0) return;
  const whose = silent.length === 1 ? `gateway ${silent[0]} of` : `gateways ${silent.join(", ")} of`;
  throw new TsnetError("host", `${whose} ${move.nic.link.name} did not answer by ${linkName}, but had before`);
}

async function afterWayBack(
  host: AddressMoveHost,
  move: AddressMove,
  calls: AddressMoveCalls,
  cause: unknown,
): Promise<TsnetError> {
  const { name } = move.nic.link;
  const code = cause instanceof TsnetError ? cause.code : "internal";
  try {
    await returnAddresses(host, move, calls);
    return new TsnetError(code, `${messageOf(cause)}; ${name} is as before`, { cause });
  } catch (failure) {
    return new TsnetError(code, `${messageOf(cause)}; besides, ${name} is not as before: ${messageOf(failure)}`, {
      cause,
    });
  }
}

async function presentLinks(
  { links }: AddressMoveHost,
  move: AddressMove,
): Promise<{ readonly nic: Link | undefined; readonly switchLink: Link | undefined }> {
  const [nic, switchLink] = await Promise.all(
    [move.nic.link, move.switchLink.link].map(({ name }: LinkRef) => links.findLink(name)),
  );
  return { nic, switchLink };
}
