// What is looked at in more than one place: who reaches whom, and how large packets are.
import { expect } from "vitest";
import type { FrameSocket } from "../../support/frame-capture.ts";
import { ETHERTYPE, checksum, ethernet, ipv4, udpPacket } from "../../support/frames.ts";
import type { TestContainer } from "../../support/system-container.ts";
import { OPEN } from "../../support/system-host.ts";
import { type TunnelHosts, UNDERLAY_MTU } from "../../support/tunnel-hosts.ts";
import { waitUntil } from "../../support/wait-until.ts";
import { outerPackets } from "../../support/outer-packets.ts";

const EMSGSIZE = 90;
const DONT_FRAGMENT = 0x4000;
const HEADERS = 20 + 8;

/** A container with the number of its host. */
export interface Placed {
  readonly n: number;
  readonly container: TestContainer;
}

/** Waits until a ping and a connection get through over both families: the first packets to a new place may get lost. */
export async function reaches(stand: TunnelHosts, from: TestContainer, to: TestContainer): Promise<true> {
  for (const family of [4, 6] as const) {
    const address = await to.address(family);
    await waitUntil(
      `${address} to be open`,
      async () => {
        const { ping, tcp } = await stand.host(1).tryReach(from, address);
        return ping && tcp;
      },
      { limitMs: 20_000 },
    );
    await expect.poll(() => stand.host(1).tryReach(from, address), { timeout: 20_000 }).toEqual(OPEN);
  }
  return true;
}

/** The MTU that the container sees, whose packets of that size pass whole, and none larger. */
export async function expectExactMtu(stand: TunnelHosts, from: Placed, to: Placed, mtu: number): Promise<void> {
  for (const { container } of [from, to]) {
    expect(await container.execInside("cat", "/sys/class/net/eth0/mtu")).toBe(String(mtu));
  }
  for (const family of [4, 6] as const) {
    using wire = stand.listen();
    const payload = String(mtu - (family === 4 ? 20 : 40) - 8);
    await from.container.exec(["busybox", "ping", "-c1", "-W10", "-s", payload, await to.container.address(family)]);

    const packets = outerPackets(wire.heard());
    expect(packets.filter(({ isFragment }) => isFragment)).toEqual([]);
    expect(packets.filter(({ size }) => size === UNDERLAY_MTU).length).toBe(2); // there and back
  }
  using own = await stand.ear(from.n, from.container);
  using far = await stand.ear(to.n, to.container);
  const whole = await unbreakable(from, to, mtu);
  own.send(whole);
  await far.waitFor("the largest packet", whole);
  await expectRefused(own, await unbreakable(from, to, mtu + 1));
}

async function expectRefused(own: FrameSocket, frame: Buffer): Promise<void> {
  await expect(async () => own.send(frame)).rejects.toThrow(`errno ${EMSGSIZE}`);
}

/** A datagram that nobody may break up. @param bytes - of the packet. */
async function unbreakable({ container }: Placed, to: Placed, bytes: number): Promise<Buffer> {
  const [from, target] = [await container.interface("eth0"), await to.container.interface("eth0")];
  const addresses = { from: await container.address(), to: await to.container.address() };
  const data = Buffer.alloc(bytes - HEADERS, "whole;");
  const packet = ipv4(udpPacket({ ...addresses, fromPort: 9, toPort: 9, data }));
  packet.writeUInt16BE(DONT_FRAGMENT, 6);
  packet.writeUInt16BE(0, 10);
  packet.writeUInt16BE(checksum(packet.subarray(0, 20)), 10);
  return ethernet({ to: target.mac, from: from.mac, type: ETHERTYPE.ipv4, payload: packet });
}
