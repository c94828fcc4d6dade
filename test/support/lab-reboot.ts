// A power cut for a lab host: everything that lives in memory is gone, everything on disk stays.
import type { LabNamespace } from "./lab-namespace.ts";

/**
 * Kills every process, unmounts what they mounted, deletes all links but loopback and the cables, flushes addresses,
 * firewalls and policy rules, and empties /run. Nothing is started again.
 *
 * @param cables - names of links that stay: a network card survives a reboot, its addresses do not.
 */
export async function cutPower(namespace: LabNamespace, cables: readonly string[]): Promise<void> {
  await namespace.killEverything();
  await namespace.exec(["bash", "--norc", "-euc", SCRIPT, "reboot", namespace.folder, ...cables]);
}

const SCRIPT = `
data=$1/data; shift
# network namespaces, container roots and plugin roots stay mounted when their users are killed
while read -r _ _ _ _ where _; do
  case $where in "$data"/*|/run/*) printf '%s\\n' "$where" ;; esac
done </proc/self/mountinfo | sort -ru | while read -r where; do umount -l "$where" 2>/dev/null || true; done
umount -l /run; mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/docker /run/openvswitch /run/lock /run/netns
for path in /sys/class/net/*; do
  link=\${path##*/}
  case " lo $* " in *" $link "*) ip address flush dev "$link"; continue ;; esac
  ip link delete "$link" 2>/dev/null || true
done
ip link set lo down; ip link set lo up
nft flush ruleset
for family in ip ip6; do
  while read -r table; do
    legacy=\${family}tables-legacy
    $legacy -t "$table" -F; $legacy -t "$table" -X
    $legacy -t "$table" -S | while read -r flag chain _; do [ "$flag" != -P ] || $legacy -t "$table" -P "$chain" ACCEPT; done
  done <"/proc/self/net/\${family}_tables_names"
done
for family in -4 -6; do
  while read -r preference _; do
    case $preference in 0:|32766:|32767:) ;; *) ip $family rule delete preference "\${preference%:}" ;; esac
  done < <(ip $family rule)
done
sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
`;
