// What a user may set of a switch, on Open vSwitch in userspace.
import { type SettingsLab, describeSwitchSettings } from "../../contract/switch-settings.ts";
import { SWITCH, UPLINK, makeWire } from "../../support/bridge-vlan-lab.ts";
import { NetNamespace } from "../../support/namespace.ts";
import { ovsDatapathHost } from "../../support/ovs-datapath-host.ts";

/** In `other_config` (ovs-vswitchd.conf.db(5), tables Bridge and Port). */
const OF_BRIDGE = ["stp-priority", "stp-forward-delay", "stp-hello-time", "stp-max-age", "mac-aging-time"];
const OF_UPLINK = ["stp-path-cost", "stp-port-priority"];

describeSwitchSettings("Open vSwitch in userspace", async (): Promise<SettingsLab> => {
  await using stack = new AsyncDisposableStack();
  const host = stack.use(await ovsDatapathHost());
  const neighbour = stack.use(await NetNamespace.create("neighbour"));
  await makeWire(host.namespace, neighbour);
  const moved = stack.move();
  return {
    host,
    neighbour,
    leastAgeing: 15,
    askForMembers: async () => {}, // it needs no router
    settings: async () => {
      const read = (...words: string[]) => host.ovs.vsctl("--if-exists", "get", ...words);
      const config = async (table: string, name: string, keys: readonly string[]) =>
        Promise.all(keys.map(async (key) => [key, await read(table, name, `other_config:${key}`)] as const));
      return Object.fromEntries([
        ["stp", await read("bridge", SWITCH, "stp_enable")],
        ["mcast-snooping", await read("bridge", SWITCH, "mcast_snooping_enable")],
        ...(await config("bridge", SWITCH, OF_BRIDGE)),
        ...(await config("port", UPLINK, OF_UPLINK)),
      ]);
    },
    setByHand: () => {
      const ofBridge = ["other_config:mac-aging-time=77", "other_config:stp-priority=99"];
      const ofUplink = ["other_config:stp-path-cost=55"];
      return host.ovs.vsctl("set", "bridge", SWITCH, ...ofBridge, "--", "set", "port", UPLINK, ...ofUplink);
    },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
});
