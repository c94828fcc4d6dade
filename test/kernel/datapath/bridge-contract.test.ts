import { afterAll, beforeAll } from "vitest";
import { describeDatapath, describeSwitching } from "../../contract/datapath.ts";
import { type BridgeHost, bridgeHost } from "../../support/bridge-host.ts";
import { endpoint } from "../../support/cnm-builder.ts";
import { sendAndSee } from "../../support/counted-frames.ts";

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

describeSwitching("bridge", async () => {
  await host.clear();
  const { namespace } = host;
  const set = (name: string, settings: string) =>
    namespace.exec(["bridge", "link", "set", "dev", name, ...settings.split(" ")]);
  const macOf = (name: string) => [1, 2, 3].map((n) => endpoint(n)).find(({ hostIfName }) => hostIfName === name)?.mac;
  return {
    ...host,
    canHairpin: true,
    send: (...frame) => sendAndSee(namespace, ...frame),
    async openPort(name) {
      await set(name, "isolated off learning on flood on locked off");
      await namespace.exec(["bridge", "fdb", "del", macOf(name) ?? "", "dev", name, "master"]);
    },
    closePort: async (name) => void (await set(name, "isolated on learning off flood off locked on")),
  };
});
