// Whether a link is a station of a wireless network. sysfs tells: cfg80211 puts `phy80211` into the folder of its links,
// older drivers have `wireless` there (net/wireless/core.c, net/core/net-sysfs.c).
import { stat } from "node:fs/promises";

/** @param ifName - a checked name. @param root - the folder that stands for `/sys/class/net`, another one in tests. */
export async function isWireless(ifName: string, root = "/sys/class/net"): Promise<boolean> {
  const signs = ["phy80211", "wireless"].map(async (sign) =>
    stat(`${root}/${ifName}/${sign}`).then(
      () => true,
      () => false,
    ),
  );
  return (await Promise.all(signs)).includes(true);
}
