// The network's gateway has one address on every host: what of it must not pass, and what is not believed.
import { describe, expect, it } from "vitest";
import { FrameSocket } from "../../support/frame-capture.ts";
import { addressBytes, macBytes } from "../../support/frames.ts";
import { gatewayClaims } from "../../support/gateway-claims.ts";
import { canPing, shell } from "../../support/packet-lab.ts";
import { GATEWAY, type TunnelContainer, reaches } from "../../support/tunnel-stand.ts";
import type { TunnelSuite } from "../tunnels.ts";
import { datagram, threeContainers } from "./three.ts";

/** Its own host keeps a guarded container from saying what it is not. */
const UNGUARDED = { isGuarded: false } as const;

const WHOSE = ["tsnet's own", "a user's"] as const;

/** Makes the switches of the network, if they are a user's. @returns what such a network has. */
async function onSwitchOf({ stand, kind }: TunnelSuite, whose: (typeof WHOSE)[number]) {
  const isSwitchOurs = whose === "tsnet's own";
  if (!isSwitchOurs) for (const host of stand.hosts) await host.plantSwitch(stand.network(1, kind).switchName);
  return { ...UNGUARDED, isSwitchOurs };
}

/** What a container takes for the gateway's MAC address. */
async function gatewayMac({ ns }: TunnelContainer, family: 4 | 6): Promise<string | undefined> {
  const shown = await ns.json<readonly { lladdr?: string }[]>(["ip", "-json", "neigh", "show", GATEWAY[family]]);
  return shown[0]?.lladdr;
}

export function describeGateways(suite: TunnelSuite): void {
  const { kind } = suite;

  describe("the gateway", () => {
    it("is its own host's for each container: neither questions nor announcements of it are on the wire", async () => {
      const { stand } = suite;
      using wire = stand.listen();
      const [one, two, three] = await threeContainers(suite);
      const hostLink = stand.network(1, kind).hostLink;
      using ear = FrameSocket.open(one.ns, "eth0");

      for (const container of [one, two, three]) {
        await shell(container.ns, ["ip -4 neigh flush all; ip -6 neigh flush all"]);
        for (const address of Object.values(GATEWAY)) expect(await reaches(container, address)).toBe(true);
      }
      const announce = ["busybox", "arping", "-c", "1", "-U", "-I", hostLink, GATEWAY[4]];
      await stand
        .host(1)
        .ns.exec(announce)
        .catch(() => {}); // it waits for no answer, and says so
      await reaches(one, two.address[4]);

      expect(ear.count(addressBytes(GATEWAY[4]))).toBeGreaterThan(0);
      const ofGateways = [1, 2, 3].map((n) => macBytes(stand.network(n, kind).switchMac));
      for (const bytes of [...ofGateways, ...Object.values(GATEWAY).map(addressBytes)])
        expect(wire.count(bytes)).toBe(0);
    });

    it.each(WHOSE)("is claimed by nobody from another host, on a switch of %s", async (whose) => {
      const [one, two] = await threeContainers(suite, await onSwitchOf(suite, whose));
      for (const address of [two.address[4], ...Object.values(GATEWAY)]) await reaches(one, address);
      const [before4, before6] = [await gatewayMac(one, 4), await gatewayMac(one, 6)];
      using ear = FrameSocket.open(one.ns, "eth0");
      using claimant = FrameSocket.open(two.ns, "eth0");
      const claims = Object.values(gatewayClaims(GATEWAY)).flat();
      const others = Object.values(gatewayClaims({ 4: "10.1.1.99", 6: "fd00:1:1::99" })).flat();

      for (const frames of [claims, others]) claimant.send(...frames);
      for (const frame of others) await ear.waitFor("what is said of another address", frame);

      expect(claims.filter((frame) => ear.count(frame) > 0)).toEqual([]);
      expect([await gatewayMac(one, 4), await gatewayMac(one, 6)]).toEqual([before4, before6]);
      expect(before4).toMatch(/^[0-9a-f:]{17}$/);
      for (const from of [one, two])
        for (const to of Object.values(GATEWAY)) expect(await reaches(from, to)).toBe(true);
    });
  });

  describe("a host", () => {
    it.each(WHOSE)(
      "does not reach containers of another one through the tunnel, nor they it, on a switch of %s",
      async (whose) => {
        const { stand } = suite;
        const more = await onSwitchOf(suite, whose);
        const [one, two] = await threeContainers(suite, more);
        await reaches(one, two.address[4]);
        const { ns } = stand.host(1);
        const { hostLink } = stand.network(1, kind, more);
        const [shown] = await ns.json<readonly { address: string }[]>(["ip", "-json", "link", "show", hostLink]);
        using ear = FrameSocket.open(ns, hostLink);
        using own = FrameSocket.open(two.ns, "eth0");

        expect(await canPing(ns, two.address[4])).toBe(false);
        expect(await canPing(ns, two.address[6])).toBe(false);
        own.send(datagram(two, "to the other host;", shown?.address), datagram(two, "to all;"));
        await reaches(one, two.address[4]);

        expect(ear.count(Buffer.from("to the other host;"))).toBe(0);
        expect(await reaches(one, GATEWAY[4])).toBe(true);
      },
    );
  });
}
