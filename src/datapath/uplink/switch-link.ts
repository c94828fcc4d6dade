// The host's own link to a switch takes over what a NIC is below its addresses: MAC address, MTU and the settings of
// IPv4 and IPv6. The NIC keeps its own; what the switch's link had before is recorded and comes back.
// What the settings mean: Documentation/networking/ip-sysctl.rst.
import type { Rtnetlink } from "../../host/rtnetlink.ts";
import type { Ipv4Conf } from "../../host/rtnetlink-link-settings.ts";
import type { Link } from "../../host/rtnetlink-link.ts";
import type { Sysctl } from "../../host/sysctl.ts";

/** Takes packets from a link also when their answers would leave by another: the greater of `all` and the link counts. */
const LOOSE_RP_FILTER = 2;

/** IPv6's settings have no netlink message. `forwarding` is not among them: setting it would purge advertised routes. */
const IPV6_SETTINGS = ["disable_ipv6", "accept_ra", "autoconf"] as const;

/** What is read and set. */
export interface LinkSettingsHost {
  readonly links: Rtnetlink;
  readonly sysctl: Sysctl;
}

/** A link below its addresses. Plain data. */
export interface LinkSettings {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  readonly isUp: boolean;
  readonly ipv4: Ipv4Conf;
  /** By sysctl name; without those that this kernel does not have. */
  readonly ipv6: Readonly<Record<string, string>>;
}

/** How a link is set. @throws TsnetError `host`. */
export async function readSettings({ links, sysctl }: LinkSettingsHost, link: Link): Promise<LinkSettings> {
  const { name, mac, mtu, isUp } = link;
  const values = await Promise.all(
    IPV6_SETTINGS.map(async (setting) => [setting, await sysctl.read(`ipv6/conf/${name}/${setting}`)] as const),
  );
  const ipv6 = Object.fromEntries(
    values.filter((entry): entry is readonly [(typeof entry)[0], string] => entry[1] !== undefined),
  );
  return { name, mac, mtu, isUp, ipv4: await links.ipv4Conf(link.index), ipv6 };
}

/**
 * Makes a link ready to take over from a NIC: its MAC address and MTU, up, and taking packets whatever way their answers
 * go. Advertisements of routers are not listened to until `applySettings`.
 *
 * @throws TsnetError `host`.
 */
export async function readySwitchLink(host: LinkSettingsHost, link: Link, wanted: LinkSettings): Promise<void> {
  const mac = link.mac === wanted.mac ? {} : { mac: wanted.mac };
  const mtu = link.mtu === wanted.mtu ? {} : { mtu: wanted.mtu };
  await setIpv6(host, link.name, {
    ...only(wanted.ipv6, "disable_ipv6"),
    ...(wanted.ipv6["accept_ra"] && { accept_ra: "0" }),
  });
  await loosen(host, link);
  await host.links.setLink(link.index, { ...mac, ...mtu, isUp: true });
}

/** Makes a link take packets whatever way their answers go, while routes are on their way. @throws TsnetError `host`. */
export async function loosen({ links }: LinkSettingsHost, link: Link): Promise<void> {
  await links.setIpv4Conf(link.index, { rpFilter: LOOSE_RP_FILTER });
}

/** Sets a link as it is said, all but whether it is up. @throws TsnetError `host`. */
export async function applySettings(host: LinkSettingsHost, link: Link, wanted: LinkSettings): Promise<void> {
  const mac = link.mac === wanted.mac ? {} : { mac: wanted.mac };
  const mtu = link.mtu === wanted.mtu ? {} : { mtu: wanted.mtu };
  if (link.mac !== wanted.mac || link.mtu !== wanted.mtu) await host.links.setLink(link.index, { ...mac, ...mtu });
  const present = await host.links.ipv4Conf(link.index);
  const names = Object.keys(present) as (keyof Ipv4Conf)[]; // the names of the type, all of them
  const changed = names.filter((name) => present[name] !== wanted.ipv4[name]);
  if (changed.length > 0) {
    await host.links.setIpv4Conf(link.index, Object.fromEntries(changed.map((name) => [name, wanted.ipv4[name]])));
  }
  await setIpv6(host, link.name, wanted.ipv6);
}

async function setIpv6({ sysctl }: LinkSettingsHost, name: string, values: Readonly<Record<string, string>>) {
  for (const [setting, value] of Object.entries(values)) {
    const path = `ipv6/conf/${name}/${setting}`;
    if ((await sysctl.read(path)) !== undefined) await sysctl.ensure(path, value);
  }
}

function only(values: Readonly<Record<string, string>>, name: string): Record<string, string> {
  const value = values[name];
  return value === undefined ? {} : { [name]: value };
}
