// Tunnel links of every kind, on a kernel that has them all.
import { expect, it } from "vitest";
import { parseAddress } from "../../../src/cidr.ts";
import { isErrno } from "../../../src/host/netlink.ts";
import { Rtnetlink } from "../../../src/host/rtnetlink.ts";
import { NetNamespace } from "../../support/namespace.ts";
import { TUNNEL_CASES, describeTunnels } from "../../support/tunnel-links.ts";

describeTunnels(TUNNEL_CASES);

it("the kernel refuses the last VNI to Geneve alone, with no word of another link", async () => {
  await using ns = await NetNamespace.create();
  using rtnetlink = ns.enter(() => Rtnetlink.open());
  const spec = { name: "tun0", mtu: 1400, group: 71, isUp: false };
  const [vni, port, remote] = [0xffffff, 6081, parseAddress("192.0.2.9")];

  const failure = await rtnetlink
    .addTunnel({ ...spec, tunnel: { kind: "geneve", vni, remote, port } })
    .catch((thrown: unknown) => thrown);

  expect(failure).toMatchObject({ code: "host" });
  expect(isErrno(failure, "ERANGE")).toBe(true);
});
