import { OTHER_IPAM } from "../../support/cnm-rig.ts";
import { describe, expect, it } from "vitest";
import type { NetworkMode } from "../../../src/cnm/network.ts";
import { CnmLocks } from "../../../src/cnm/parts.ts";
import { Publishing } from "../../../src/cnm/publishing.ts";
import { Registry } from "../../../src/cnm/registry.ts";
import { endpoint, endpointId, network } from "../../support/cnm-builder.ts";
import { FakeDatapath } from "../../support/fake-datapath.ts";
import { FakeFirewall } from "../../support/fake-firewall.ts";
import { FakePortHolder } from "../../support/fake-port-holder.ts";
import { MemoryStore } from "../../support/memory-store.ts";

const PORT = { protocol: "tcp", hostAddress: "", hostPort: 8080, containerPort: 80 } as const;

/** An endpoint with a published port in its record, as a daemon finds it that was started anew. */
async function recorded(mode: NetworkMode, state: "joined" | "removing" = "joined") {
  const registry = new Registry(new MemoryStore());
  await registry.putNetwork(network(1, { mode }), "ready");
  await registry.putEndpoint({ endpoint: endpoint(), state, sandboxKey: "/key", ports: [PORT] });
  const ports = new FakePortHolder();
  const [datapath, firewall, locks] = [new FakeDatapath(), new FakeFirewall(), new CnmLocks()];
  const datapaths = { bridge: datapath, ovs: new FakeDatapath("ovs") };
  const releaseAddresses = async () => {};
  const ipam = { pools: OTHER_IPAM, releaseAddresses };
  const publishing = new Publishing({ registry, ports, datapaths, links: datapath, firewall, locks, ...ipam });
  return { publishing, ports };
}

describe("ports that are recorded and not held", () => {
  it("are found and held with the numbers that they had", async () => {
    const { publishing, ports } = await recorded("nat");

    expect(publishing.findUnheld(endpointId())?.ports).toEqual([PORT]);
    await publishing.holdAgain(endpointId());

    expect(ports.heldBy(endpointId())).toEqual([PORT]);
    expect(publishing.findUnheld(endpointId())).toBeUndefined();
  });

  it("are held once", async () => {
    const { publishing, ports } = await recorded("nat");

    await publishing.holdAgain(endpointId());
    await publishing.holdAgain(endpointId());

    expect(ports.calls).toEqual(["hold"]);
  });

  it.each([
    ["of mode routed, which needs none of the host", "routed", "joined", endpointId(1)],
    ["of an endpoint that is being removed", "nat", "removing", endpointId(1)],
    ["of an endpoint that is not known", "nat", "joined", endpointId(2)],
  ] as const)("are not looked for: those %s", async (_what, mode, state, id) => {
    const { publishing, ports } = await recorded(mode, state);

    expect(publishing.findUnheld(id)).toBeUndefined();
    await publishing.holdAgain(id);

    expect(ports.calls).toEqual([]);
  });
});
