import { afterAll, beforeAll } from "vitest";
import { describeDatapath, describeSwitching } from "../../contract/datapath.ts";
import { TABLE } from "../../../src/datapath/ovs/flows-pipeline.ts";
import { endpointCookie, vlanCookie } from "../../../src/datapath/ovs/flows-cookie.ts";
import { endpoint, network } from "../../support/cnm-builder.ts";
import { type OvsDatapathHost, ovsDatapathHost } from "../../support/ovs-datapath-host.ts";
import { managementOf } from "../../support/ovs-flows.ts";
import { packetsFrom, sendAndSee } from "./frames.ts";

let host: OvsDatapathHost;

beforeAll(async () => {
  host = await ovsDatapathHost();
});

afterAll(async () => {
  await host[Symbol.asyncDispose]();
});

describeDatapath("ovs in userspace", async () => {
  await host.clear();
  return host;
});

describeSwitching("ovs in userspace", async () => {
  await host.clear();
  const { namespace, ovs } = host;
  const { switchName } = network();
  const attached = [1, 2, 3].map((n) => endpoint(n));
  const change = (command: string, flow: string) =>
    namespace.exec(["ovs-ofctl", "-O", "OpenFlow14", command, managementOf(ovs, switchName), flow]);
  const numberOf = (name: string) => ovs.vsctl("get", "interface", name, "ofport");
  const forget = async (name: string) => {
    const id = attached.find(({ hostIfName }) => hostIfName === name)?.endpointId ?? "";
    const cookie = `0x${endpointCookie(id).toString(16)}`;
    await change("del-flows", `cookie=${cookie}/-1`);
    return cookie;
  };
  return {
    ...host,
    canHairpin: false,
    send(freeEnd, source, destination) {
      const sender = attached.find(({ sandboxIfName }) => sandboxIfName === freeEnd);
      const kinds = packetsFrom(sender?.address?.split("/")[0] ?? "");
      return sendAndSee(namespace, freeEnd, source, destination, kinds);
    },
    async openPort(name) {
      await ovs.vsctl("set", "port", name, "protected=false");
      const cookie = await forget(name);
      await change("add-flow", `cookie=${cookie},priority=1000,in_port=${await numberOf(name)},actions=NORMAL`);
    },
    async closePort(name) {
      await forget(name);
      const others = attached.filter(({ hostIfName }) => hostIfName !== name);
      const outputs = await Promise.all(others.map(async ({ hostIfName }) => `output:${await numberOf(hostIfName)}`));
      const where = `cookie=0x${vlanCookie(0).toString(16)},table=${TABLE.deliver},priority=50,reg0=0,reg3=0`;
      await change("add-flow", `${where},actions=${outputs.join(",")}`);
    },
  };
});
