import { afterAll, beforeAll } from "vitest";
import { describeDatapath } from "../../contract/datapath.ts";
import { type BridgeHost, bridgeHost } from "../../support/bridge-host.ts";

let host: BridgeHost;

beforeAll(async () => {
  host = await bridgeHost();
});

afterAll(async () => {
  await host[Symbol.asyncDispose]();
});

describeDatapath("bridge", async () => {
  await host.clear();
  return host;
});
