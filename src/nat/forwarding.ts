// The kernel's forwarding switches, which are the host's: switched on when a network needs them, and never off again,
// as the engine itself does.
import type { Network } from "../cnm/network.ts";
import type { Rtnetlink } from "../host/rtnetlink.ts";
import type { Sysctl } from "../host/sysctl.ts";
import type { Log } from "../log.ts";

/** Switches forwarding on for the families that these networks use. @throws TsnetError `host` with the command to type. */
export async function ensureForwarding(
  networks: readonly Network[],
  { sysctl, links, log }: { sysctl: Sysctl; links: Rtnetlink; log: Log },
): Promise<void> {
  const forwarded = networks.filter((network) => network.isHostOnSwitch && !network.isInternal);
  const subnets = forwarded.flatMap(({ pools }) => pools.map(({ subnet }) => subnet));
  if (subnets.some((subnet) => !subnet.includes(":"))) {
    const result = await sysctl.ensure("ipv4/ip_forward", "1");
    if (result === "written") log.info({ sysctl: "net.ipv4.ip_forward", value: 1 }, "host setting changed");
  }
  if (subnets.some((subnet) => subnet.includes(":")) && (await sysctl.read("ipv6/conf/all/forwarding")) !== "1") {
    await keepRouterAdvertisements(sysctl, links, log);
    await sysctl.ensure("ipv6/conf/all/forwarding", "1");
    log.info({ sysctl: "net.ipv6.conf.all.forwarding", value: 1 }, "host setting changed");
  }
}

/** A forwarding host ignores router advertisements unless accept_ra is 2 (ip-sysctl.rst): it would lose its own default route. */
async function keepRouterAdvertisements(sysctl: Sysctl, links: Rtnetlink, log: Log): Promise<void> {
  for (const { name } of await links.listLinks()) {
    const path = `ipv6/conf/${name}/accept_ra`;
    if (name === "lo" || !/^[A-Za-z0-9_.:@-]+$/.test(name) || (await sysctl.read(path)) !== "1") continue;
    await sysctl.ensure(path, "2");
    log.info({ sysctl: `net.ipv6.conf.${name}.accept_ra`, value: 2 }, "host setting changed");
  }
}
