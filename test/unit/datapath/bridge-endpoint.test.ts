// Ports on kernels older than the one that the tests run on: what they do not know is not in a port's description.
import { describe, expect, it } from "vitest";
import { reattach } from "../../../src/datapath/bridge/endpoint.ts";
import type { BridgePort } from "../../../src/host/rtnetlink-bridge-port.ts";
import type { BridgeHost } from "../../../src/datapath/bridge/datapath.ts";
import { Sysctl } from "../../../src/host/sysctl.ts";
import { endpoint, network } from "../../support/cnm-builder.ts";

const CLOSED = { isHairpin: false, isIsolated: false, isLearning: false, isFlooding: false };

/** A host with one port in one bridge. @returns it with the changes that are made. */
function hostWith(bridgePort: BridgePort) {
  const alias = `tsnet:endpoint:${endpoint().endpointId}`;
  const port = { index: 2, kind: "veth", alias, isUp: true, mtu: 1500, masterIndex: 1, bridgePort };
  const changes: object[] = [];
  const links = {
    findLink: async (name: string) => (name === endpoint().hostIfName ? port : { index: 1, mac: "02:00:00:00:00:01" }),
    ensureFdbEntry: async () => {},
    setLink: async (_index: number, change: object) => void changes.push(change),
  };
  return { host: { links, sysctl: new Sysctl() } as unknown as BridgeHost, changes }; // what reattach calls of it
}

describe("reattach", () => {
  it("changes nothing about a guarded port that knows no locking (before Linux 5.18) and no multicast routers", async () => {
    const { host, changes } = hostWith(CLOSED);

    await reattach(host, network(), endpoint());

    expect(changes).toEqual([]);
  });

  it("locks a port that can be locked", async () => {
    const { host, changes } = hostWith({ ...CLOSED, isLocked: false });

    await reattach(host, network(), endpoint());

    expect(changes).toMatchObject([{ bridgePort: { isLocked: true } }]);
  });
});
