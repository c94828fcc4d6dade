// The links of a tunnel on a Linux bridge, as the kernel has them: their settings, and what is in their way.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { tunnelLinkName } from "../../../src/cnm/names.ts";
import type { Network, Tunnel } from "../../../src/cnm/network.ts";
import { LINK_GROUP } from "../../../src/link-group.ts";
import { DatagramListener } from "../../support/frame-capture.ts";
import { shell } from "../../support/packet-lab.ts";
import { LINUX_BRIDGE, NIC, kernelWords } from "../../support/tunnel-host.ts";
import { type TunnelKindOf, TunnelStand, UNDERLAY_MTU } from "../../support/tunnel-stand.ts";
import { waitUntil } from "../../support/wait-until.ts";
import { pingOnce } from "./carriage.ts";

interface IpLink {
  readonly ifname: string;
  readonly mtu: number;
  readonly master?: string;
  readonly operstate: string;
  readonly addr_info: readonly object[];
  readonly linkinfo?: { readonly info_slave_data?: { readonly isolated?: boolean } };
}

/** @param name - of the kind: `vxlan over IPv6`. */
export function describeBridgeLinks(name: string, kind: TunnelKindOf): void {
  describe(`links of tunnels: Linux bridge, ${name}`, () => {
    let stand: TunnelStand;

    beforeAll(async () => {
      stand = await TunnelStand.up(2, LINUX_BRIDGE);
    });

    afterEach(async () => {
      await stand.clear();
    });

    afterAll(async () => {
      await stand[Symbol.asyncDispose]();
    });

    const tunnelOf = ({ tunnel }: Network): Tunnel => {
      if (tunnel === undefined) throw new Error("a network with a tunnel");
      return tunnel;
    };
    /** To the first peer, or to all. */
    const linkOf = (network: Network) => {
      const tunnel = tunnelOf(network);
      return tunnelLinkName(network.switchName, tunnel, tunnel.kind === "vxlan" ? "" : tunnel.peers[0]);
    };
    const seen = async (ifname: string) => {
      const links = await stand.host(1).ns.json<readonly IpLink[]>(["ip", "-json", "-details", "address"]);
      return links.find((link) => link.ifname === ifname);
    };

    it.each(["anew", "of one that was left half-made"])(
      "are isolated ports with the network's MTU and no address, made %s",
      async (how) => {
        const network = stand.network(1, kind);
        const ifname = linkOf(network);
        if (how !== "anew") {
          const made = `ip link add ${ifname} group ${LINK_GROUP} type ${kernelWords(tunnelOf(network))}`;
          await shell(stand.host(1).ns, [made]);
        }

        await stand.makeOn(1, network);

        const link = await seen(ifname);
        expect(link).toMatchObject({ mtu: network.mtu, master: network.switchName, addr_info: [] });
        expect(link?.operstate).not.toBe("DOWN");
        expect(link?.linkinfo?.info_slave_data?.isolated).toBe(true);
      },
    );

    const { port } = kind;
    if (port === undefined) return;

    it("carry the network's largest packets also when the way there has become narrower [F109]", async () => {
      await stand.make(kind);
      const [one, two] = [await stand.attach(1, stand.network(1, kind)), await stand.attach(2, stand.network(2, kind))];
      const { mtu } = stand.network(1, kind);

      for (const underlay of [UNDERLAY_MTU - 100, UNDERLAY_MTU]) {
        for (const host of [1, 2]) {
          await shell(stand.host(host).ns, [`ip link set ${NIC} mtu ${underlay}`]);
          await stand.look(host);
        }
        for (const [from, to] of [[one, two] as const, [two, one] as const]) {
          // The first may be answered by the kernel that it is too large.
          await waitUntil(`${mtu} bytes through ${underlay}`, () => pingOnce(from, to.address[4], mtu));
          await waitUntil(`${mtu} bytes of IPv6 through ${underlay}`, () => pingOnce(from, to.address[6], mtu));
        }
      }
    });

    it("are refused as long as a program has their UDP port, which the message says [F71]", async () => {
      const network = stand.network(1, kind);
      {
        using _program = DatagramListener.open(stand.host(1).ns, port);
        await expect(stand.makeOn(1, network)).rejects.toMatchObject({
          code: "conflict",
          message: expect.stringMatching(`option port: UDP port ${port} of this host is in use by .*: another port`),
        });
      }

      await stand.makeOn(1, network);
      expect(await seen(linkOf(network))).toMatchObject({ master: network.switchName });
    });

    it("are refused beside a link that has all that comes to their UDP port, as Open vSwitch's has [F71]", async () => {
      const network = stand.network(1, kind);
      const whole = `ip link add whole up type ${kind.kind} external dstport ${port}`;
      await shell(stand.host(1).ns, [whole]);

      await expect(stand.makeOn(1, network)).rejects.toMatchObject({
        code: "conflict",
        message: expect.stringContaining(`UDP port ${port} `),
      });
      await stand.unmakeOn(1, network);
      await shell(stand.host(1).ns, ["ip link delete whole"]);
    });
  });
}
