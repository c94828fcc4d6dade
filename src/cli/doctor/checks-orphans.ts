// What carries tsnet's mark and is of nothing that tsnet has a record of.
import { shortId } from "../catalog.ts";
import { markOf } from "../host-links.ts";
import { check, requireWhole } from "./check.ts";
import type { FactValues } from "./facts.ts";
import type { OvsRow } from "./ovs-facts.ts";

const FIX = "tsnet doctor --fix";

/** See the top of this file. */
export const ORPHAN_CHECKS = [
  check({
    id: "link-orphaned",
    severity: "warning",
    meaning: "a link was made for an endpoint of which tsnet has no record",
    isOurs: true,
    needs: ["tsnet", "links"],
    look: ({ tsnet, links }) => {
      const known = endpointIds(tsnet);
      return links.flatMap((link) => sayOrphan(link.ifname, "endpoint", markOf("endpoint", link), known));
    },
  }),
  check({
    id: "switch-orphaned",
    severity: "warning",
    meaning: "a switch, or a link beside it, was made for a network of which tsnet has no record",
    isOurs: true,
    needs: ["tsnet", "links"],
    look: ({ tsnet, links }) => {
      const [known, inUse] = [networkIds(tsnet), new Set(tsnet.networks.map((network) => network.switch))];
      return links
        .filter(({ ifname, master = "" }) => !inUse.has(ifname) && !inUse.has(master))
        .flatMap((link) => sayOrphan(link.ifname, "network", markOf("network", link), known));
    },
  }),
  check({
    id: "ovs-orphaned",
    severity: "warning",
    meaning: "a bridge or port of Open vSwitch was made for something of which tsnet has no record",
    isOurs: true,
    needs: ["tsnet", "ovs"],
    look: ({ tsnet, ovs }) => {
      const inUse = new Set(tsnet.networks.map((network) => network.switch));
      const bridges = ovs.bridges.filter(({ name }) => !inUse.has(name));
      const ofNetwork = ({ external_ids }: OvsRow) => external_ids["tsnet-network"];
      const ofEndpoint = ({ external_ids }: OvsRow) => external_ids["tsnet-endpoint"];
      return [
        ...bridges.flatMap((row) => sayOrphan(row.name, "network", ofNetwork(row), networkIds(tsnet))),
        ...ovs.ports.flatMap((row) => sayOrphan(row.name, "endpoint", ofEndpoint(row), endpointIds(tsnet))),
      ];
    },
  }),
];

function sayOrphan(object: string, noun: string, id: string | undefined, known: ReadonlySet<string>) {
  return id === undefined || known.has(id) ? [] : [{ object, detail: `${noun} ${shortId(id)}`, mend: FIX }];
}

function networkIds({ networks, damage }: FactValues["tsnet"]): ReadonlySet<string> {
  requireWhole(damage);
  return new Set(networks.map(({ id }) => id));
}

function endpointIds({ networks, damage }: FactValues["tsnet"]): ReadonlySet<string> {
  requireWhole(damage);
  return new Set(networks.flatMap(({ endpoints }) => endpoints.map(({ id }) => id)));
}
