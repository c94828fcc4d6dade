// The host's tools, settings and routes, as far as they meet what tsnet's networks carry.
import { command } from "./shell-command.ts";
import { overlaps, parseSubnet } from "../../cidr.ts";
import type { NamedNetwork } from "../catalog.ts";
import { type Spotted, check } from "./check.ts";
import type { FactValues } from "./facts.ts";
import { installing } from "./host-programs.ts";
import { isOurs } from "./marks.ts";
import { forwardedSubnets, hostSubnets } from "./network-links.ts";
import { sayForged } from "../reverse-path.ts";

/** Connections of the host, of those that it can follow, from which on it is soon too late. */
const NEARLY = 0.9;

/** See the top of this file. */
export const HOST_CHECKS = [
  check({
    id: "program-missing",
    severity: "error",
    meaning: "a program that tsnet's commands call is not on this host",
    needs: ["lacking", "files"],
    look: ({ lacking, files: { programs } }) =>
      lacking.map((object) => ({ object, mend: installing(object, programs) })),
  }),
  check({
    id: "forwarding-off",
    severity: "error",
    meaning: "the kernel forwards no IPv4 packets: containers reach nothing but their own network and this host",
    needs: ["tsnet", "files"],
    look: (facts) => forwardingOff(facts, "ipv4.ip_forward", false),
  }),
  check({
    id: "forwarding6-off",
    severity: "error",
    meaning: "the kernel forwards no IPv6 packets: containers reach nothing but their own network and this host",
    needs: ["tsnet", "files"],
    look: (facts) => forwardingOff(facts, "ipv6.conf.all.forwarding", true),
  }),
  check({
    id: "rp-filter-strict",
    severity: "error",
    meaning: "the kernel takes what a container sends for forged, and drops it: the way back to it is another one",
    needs: ["waysBack"],
    look: ({ waysBack }) =>
      waysBack.flatMap((way) => {
        const forged = sayForged(way);
        const detail = `${forged?.why}; network ${way.network}`;
        return forged === undefined ? [] : [{ object: way.source, detail, mend: forged.fix }];
      }),
  }),
  check({
    id: "conntrack-full",
    severity: "warning",
    meaning: "the kernel follows nearly as many connections as it can: soon new ones are dropped",
    needs: ["files"],
    look: ({ files: { settings } }) => {
      const [count = 0, most = Infinity] = ["count", "max"].map((name) =>
        settings.get(`netfilter.nf_conntrack_${name}`),
      );
      const detail = `${count} of ${most}`;
      const mend = command`sysctl -w net.netfilter.nf_conntrack_max=${most * 2}`;
      return count < most * NEARLY ? [] : [{ object: "net.netfilter.nf_conntrack_max", detail, mend }];
    },
  }),
  check({
    id: "kernel-lacks",
    severity: "error",
    meaning: "this kernel cannot do what a network needs, so the network is not brought back after a reboot",
    needs: ["missing"],
    look: ({ missing }) =>
      missing.map((object) => ({ object, mend: "start a kernel that has it, or use backend=ovs" })),
  }),
  check({
    id: "subnet-overlaps-route",
    severity: "warning",
    meaning: "a network has addresses to which this host has another route, as of a VPN: one hides the other",
    needs: ["tsnet", "links", "routes"],
    look: ({ tsnet, links, routes }) => {
      const own = new Set([...links.filter(isOurs).map(({ ifname }) => ifname), ...switchesOf(tsnet.networks)]);
      const others = routes.filter(({ dst, dev }) => dst !== "default" && dev !== undefined && !own.has(dev));
      return tsnet.networks.flatMap((network) =>
        hostSubnets(network).flatMap((subnet) =>
          others.flatMap(({ dst, dev = "" }) => {
            const mend = "remove the route, or make the network again with another --subnet";
            const detail = `${subnet} and the route to ${dst} by ${dev}`;
            return overlaps(parseSubnet(subnet), subnetOf(dst)) ? [{ object: network.name, detail, mend }] : [];
          }),
        ),
      );
    },
  }),
];

function switchesOf(networks: readonly NamedNetwork[]): readonly string[] {
  return networks.map((network) => network.switch);
}

function subnetOf(dst: string) {
  return parseSubnet(dst.includes("/") ? dst : `${dst}/${dst.includes(":") ? 128 : 32}`);
}

function forwardingOff(
  { tsnet, files: { settings } }: Pick<FactValues, "tsnet" | "files">,
  setting: string,
  isIpv6: boolean,
): readonly Spotted[] {
  const concerned = tsnet.networks.filter((network) => forwardedSubnets(network, isIpv6 ? 6 : 4).length > 0);
  if (concerned.length === 0 || settings.get(setting) !== 0) return [];
  const detail = `network ${concerned.map(({ name }) => name).join(", ")}`;
  return [{ object: `net.${setting}`, detail, mend: command`sysctl -w net.${setting}=1` }];
}
