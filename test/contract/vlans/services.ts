// What reaches the host itself: a service that listens on all of its addresses, asked in every way that a frame can.
import { randomBytes } from "node:crypto";
import { DatagramListener } from "../../support/frame-capture.ts";
import { BROADCAST_MAC, ETHERTYPE, ethernet, ipv4, udpPacket } from "../../support/frames.ts";
import { ALL_SYSTEMS, dot1q } from "../../support/vlan-probe.ts";
import type { VlanStage } from "../../support/vlan-stage.ts";

const PORT = 7009;
const ALL = "255.255.255.255";
/** Tunnels have addresses of another form. */
const ETHERNET = /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/;

/** Who asks. */
export interface Asking {
  readonly from: string;
  readonly tags: readonly number[];
  /** Addresses of the host. */
  readonly targets: readonly string[];
}

/**
 * Asks with every MAC address of the host's links and those for all, for each target and for all, from the sender's own
 * address, from one in the target's subnet, and from none (as a DHCP client does).
 *
 * @returns what the questions said that reached the service: `10.1.1.99 to 10.1.1.1 at 02:...`.
 */
export async function reachService(stage: VlanStage, { from, tags, targets }: Asking): Promise<readonly string[]> {
  using service = DatagramListener.open(stage.host.namespace, PORT);
  const sender = stage.station(from);
  const asked = new Map<string, Buffer>();
  const macs = [BROADCAST_MAC, ALL_SYSTEMS, ...new Set((await stage.macsOfHost()).values())];
  for (const to of macs.filter((mac) => ETHERNET.test(mac) && mac !== "00:00:00:00:00:00")) {
    for (const target of [...targets, ALL]) {
      const near = target === ALL ? "0.0.0.0" : target.replace(/\d+$/, "99");
      for (const source of [sender.address, near]) {
        const data = randomBytes(16);
        const datagram = { from: source, to: target, fromPort: PORT, toPort: PORT, data };
        const head = { to, from: sender.mac, type: ETHERTYPE.ipv4, tags: tags.map(dot1q) };
        sender.socket.send(ethernet({ ...head, payload: ipv4(udpPacket(datagram)) }));
        asked.set(`${source} to ${target} at ${to}`, data);
      }
    }
  }
  await stage.settle(sender);
  return [...asked].flatMap(([what, data]) => (service.count(data) > 0 ? [what] : []));
}
