// The contract of datapaths on Open vSwitch, whichever datapath that has itself: how its ports are opened and closed by hand.
import { afterAll, beforeAll } from "vitest";
import { TABLE } from "../../src/datapath/ovs/flows-pipeline.ts";
import { endpointCookie, vlanCookie } from "../../src/datapath/ovs/flows-cookie.ts";
import { packetsFrom, sendAndSee } from "../support/counted-frames.ts";
import { endpoint, network } from "../support/cnm-builder.ts";
import { type OvsDatapathHost, ovsDatapathHost } from "../support/ovs-datapath-host.ts";
import { managementOf } from "../support/ovs-flows.ts";
import type { OvsDatapath } from "../support/ovs-host.ts";
import { describeDatapath, describeSwitching } from "./datapath.ts";

/** Runs both parts of it on one host. */
export function describeOvsDatapath(name: string, datapath: OvsDatapath): void {
  let host: OvsDatapathHost;

  beforeAll(async () => {
    host = await ovsDatapathHost(datapath);
  });

  afterAll(async () => {
    await host[Symbol.asyncDispose]();
  });

  describeDatapath(name, async () => {
    await host.clear();
    return host;
  });

  describeSwitching(name, async () => {
    await host.clear();
    const { namespace, ovs } = host;
    const { switchName } = network();
    const attached = [1, 2, 3].map((n) => endpoint(n));
    const change = (command: string, flow: string) =>
      namespace.exec(["ovs-ofctl", "-O", "OpenFlow14", command, managementOf(ovs, switchName), flow]);
    const numberOf = (port: string) => ovs.vsctl("get", "interface", port, "ofport");
    const forget = async (port: string) => {
      const id = attached.find(({ hostIfName }) => hostIfName === port)?.endpointId ?? "";
      const cookie = `0x${endpointCookie(id).toString(16)}`;
      await change("del-flows", `cookie=${cookie}/-1`);
      return cookie;
    };
    return {
      ...host,
      canHairpin: false,
      async send(freeEnd, source, destination) {
        const sender = attached.find(({ sandboxIfName }) => sandboxIfName === freeEnd);
        const kinds = packetsFrom(sender?.address?.split("/")[0] ?? "");
        await ovs.settle();
        return await sendAndSee(namespace, freeEnd, source, destination, kinds);
      },
      async openPort(port) {
        await ovs.vsctl("set", "port", port, "protected=false");
        const cookie = await forget(port);
        await change("add-flow", `cookie=${cookie},priority=1000,in_port=${await numberOf(port)},actions=NORMAL`);
      },
      async closePort(port) {
        await forget(port);
        const others = attached.filter(({ hostIfName }) => hostIfName !== port);
        const outputs = await Promise.all(others.map(async ({ hostIfName }) => `output:${await numberOf(hostIfName)}`));
        const where = `cookie=0x${vlanCookie(0).toString(16)},table=${TABLE.deliver},priority=50,reg0=0,reg3=0`;
        await change("add-flow", `${where},actions=${outputs.join(",")}`);
      },
    };
  });
}
