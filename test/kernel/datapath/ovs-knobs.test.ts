// What a user may set of a switch, on Open vSwitch in userspace.
import { type SettingsLab, describeSwitchSettings } from "../../contract/switch-settings.ts";
import { makeWire } from "../../support/bridge-vlan-lab.ts";
import { NetNamespace } from "../../support/namespace.ts";
import { ovsDatapathHost } from "../../support/ovs-datapath-host.ts";

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
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
});
