import { afterAll, beforeAll } from "vitest";
import { describeDatapath } from "../../contract/datapath.ts";
import { type OvsDatapathHost, ovsDatapathHost } from "../../support/ovs-datapath-host.ts";

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
