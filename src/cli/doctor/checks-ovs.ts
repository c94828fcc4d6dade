// Open vSwitch: whether it runs, and what it says of its ports.
import { command } from "./shell-command.ts";
import { check } from "./check.ts";

const START = "systemctl restart openvswitch-switch";

/** See the top of this file. */
export const OVS_CHECKS = [
  check({
    id: "ovs-away",
    severity: "error",
    meaning: "the database of Open vSwitch does not answer, and networks are on it: nothing can be made there",
    needs: ["tsnet", "ovs", "lacking"],
    look: ({ ovs: { fault }, lacking }) => {
      requirePrograms(lacking, "ovs-vsctl");
      return fault === undefined ? [] : [{ object: "ovsdb-server", detail: fault, mend: START }];
    },
  }),
  check({
    id: "ovs-silent",
    severity: "error",
    meaning: "a switch of Open vSwitch does not answer: ovs-vswitchd does not run, or has not made it",
    needs: ["tsnet", "ovs", "lacking"],
    look: ({ ovs: { silent }, lacking }) => {
      requirePrograms(lacking, "ovs-ofctl");
      return silent.map((object) => ({ object, mend: START }));
    },
  }),
  check({
    id: "ovs-switch-missing",
    severity: "error",
    meaning: "a network's switch is not in the database of Open vSwitch, and tsnet does not make it",
    needs: ["ovs", "tsnet"],
    look: ({ ovs, tsnet }) => {
      const there = new Set(ovs.bridges.map(({ name }) => name));
      const missing = tsnet.networks.filter((network) => network.backend === "ovs" && !there.has(network.switch));
      if (ovs.fault !== undefined) return [];
      return missing.map(({ name, switch: object }) => {
        return { object, detail: `network ${name}`, mend: command`ovs-vsctl add-br ${object}` };
      });
    },
  }),
  check({
    id: "ovs-port-error",
    severity: "error",
    meaning: "Open vSwitch cannot make a port that is in its database",
    needs: ["ovs"],
    look: ({ ovs: { interfaces } }) =>
      interfaces
        .filter(({ error }) => error !== "")
        .map(({ name, error }) => ({ object: name, detail: error, mend: command`ovs-vsctl del-port ${name}` })),
  }),
];

/** @throws Error if nothing can be said without them. */
function requirePrograms(lacking: readonly string[], program: string): void {
  if (lacking.includes(program)) throw new Error(`${program} is not on this host`);
}
