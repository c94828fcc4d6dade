// The link of a user's own switch, beside the host's link of an untagged network there. Both hear the same, and the kernel
// answers ARP for its addresses on every link (ip-sysctl.rst, arp_ignore): packets for the gateway would come by the wrong one.
// So that link answers for its own addresses alone, until no such network is left; how it was, stands in its row meanwhile.
import type { Network } from "../../cnm/network.ts";
import { mutate } from "../../host/ovsdb-operations.ts";
import { ARP_IGNORE, ensureIpv4 } from "../host-link.ts";
import type { OvsHost } from "./datapath.ts";
import type { FoundPort } from "./rows.ts";

/** What the link's setting was before. */
const BEFORE = "tsnet-arp-ignore";

/** @param found - the switch's own port; absent where it has none. */
export async function quietOwnLink(host: OvsHost, network: Network, found: FoundPort | undefined): Promise<void> {
  const row = found?.interface;
  if (row === undefined || !hasSecondLink(network)) return;
  const link = await host.links.findLink(network.switchName);
  if (link === undefined) return;
  const { arpIgnore } = await host.links.ipv4Conf(link.index);
  if (arpIgnore !== ARP_IGNORE.any) return;
  if (row.external_ids[BEFORE] === undefined) {
    const marks = { [BEFORE]: String(arpIgnore) };
    await host.ovsdb.transact(`look at link ${link.name}`, [
      mutate("Interface", [["_uuid", "==", row._uuid]], [["external_ids", "insert", marks]]),
    ]);
  }
  await ensureIpv4(host, link.index, { arpIgnore: ARP_IGNORE.ofTheLink });
}

/** Makes it as it was, when no network needs it otherwise. @param others - of the switch. */
export async function releaseOwnLink(
  host: OvsHost,
  { switchName }: Network,
  others: readonly Network[],
  found: FoundPort | undefined,
): Promise<void> {
  const row = found?.interface;
  const before = row?.external_ids[BEFORE];
  if (row === undefined || before === undefined || others.some(hasSecondLink)) return;
  const link = await host.links.findLink(switchName);
  if (link !== undefined) await ensureIpv4(host, link.index, { arpIgnore: Number(before) });
  await host.ovsdb.transact(`release link ${switchName}`, [
    mutate("Interface", [["_uuid", "==", row._uuid]], [["external_ids", "delete", [BEFORE]]]),
  ]);
}

/** Whether the host hears the network's frames by the switch's own link as well. */
function hasSecondLink({ isSwitchOurs, isHostOnSwitch, vlans }: Network): boolean {
  return !isSwitchOurs && isHostOnSwitch && vlans.vlan === undefined;
}
