// Attackers that are more than a frame: they flood, they listen, they have a stack of their own and the right to change it.
// Each is seen to succeed where nothing holds it off. A bridge takes part in a spanning tree in the machine's first network
// namespace only (net/llc/llc_input.c): that a container becomes its root cannot be shown here.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Network } from "../../../src/cnm/network.ts";
import { EffectWatch } from "../../support/attack-effects.ts";
import { AttackLab, GUARDED, UNGUARDED, sceneOn } from "../../support/attack-lab.ts";
import { BridgeBeliefs } from "../../support/attack-switch.ts";
import { NOBODY_MAC, type Station, datagramFrame, uniqueBytes } from "../../support/attacks.ts";
import { FrameSocket } from "../../support/frame-capture.ts";
import { BROADCAST_MAC, addressBytes, ethernet, macBytes } from "../../support/frames.ts";
import { canPing, shell } from "../../support/packet-lab.ts";
import { waitUntil } from "../../support/wait-until.ts";

let stage: AttackLab;
beforeAll(async () => {
  stage = await AttackLab.up([GUARDED, UNGUARDED]);
});
afterAll(async () => await stage?.[Symbol.asyncDispose]());

/** Each on its link, hearing everything. */
function socketsOn(network: Network) {
  const stack = new DisposableStack();
  const open = ({ namespace }: { readonly namespace: { readonly path: string } }) =>
    stack.use(FrameSocket.open(namespace, "eth0"));
  const [attacker, victim, peer] = stage.on(network);
  return {
    attacker: open(attacker),
    victim: open(victim),
    peer: open(peer),
    [Symbol.dispose]: () => stack.dispose(),
  };
}

/** A datagram of IPv4. @param to - its address may be at another MAC address. */
function datagram(from: Station, to: Station, data = uniqueBytes(), mac = to.mac): Buffer {
  return ethernet(datagramFrame({ from: from.mac, to: mac }, [from[4], to[4]], { data }));
}

/** A frame whose source address is replaced by the n-th of many. */
function fromMany(frame: Buffer, n: number): Buffer {
  const copy = Buffer.from(frame);
  macBytes("06:00:00:00:00:00").copy(copy, 6);
  copy.writeUInt16BE(n, 10);
  return copy;
}

describe.each([
  ["without antispoof", UNGUARDED, true],
  ["with antispoof", GUARDED, false],
] as const)("%s", (_title, network, isOpen) => {
  const scene = sceneOn(network);
  const { attacker, victim, peer } = scene;

  it(`${isOpen ? "hardly a" : "each"} packet reaches a peer while the attacker uses its MAC address [S04]`, async () => {
    using sockets = socketsOn(network);
    const traces = Array.from({ length: 300 }, uniqueBytes);
    const last = uniqueBytes();

    for (const data of traces) {
      sockets.attacker.send(datagram(peer, victim, uniqueBytes(), BROADCAST_MAC));
      sockets.victim.send(datagram(victim, peer, data));
    }
    sockets.peer.send(datagram(peer, victim));
    sockets.victim.send(datagram(victim, peer, last));
    await sockets.peer.waitFor("the last packet", last);
    const isHeard = (trace: Buffer) => sockets.peer.count(trace) + sockets.attacker.count(trace) > 0;
    await waitUntil("each packet to arrive somewhere", () => traces.every(isHeard));

    const heardBy = (socket: FrameSocket) => traces.filter((trace) => socket.count(trace) > 0).length;
    const [byPeer, byAttacker] = [heardBy(sockets.peer), heardBy(sockets.attacker)];
    if (!isOpen) return expect([byPeer, byAttacker]).toEqual([300, 0]);
    expect(byPeer + byAttacker).toBe(300);
    expect(byPeer).toBeLessThan(10); // the peer's own kernel says something now and then: then it is sought there again
  });

  it.each([victim.mac, BROADCAST_MAC, "01:80:c2:00:00:0e"])(
    `5,000 MAC addresses ${isOpen ? "fill" : "add nothing to"} the table of the switch, to %s [S05]`,
    async (to) => {
      using sockets = socketsOn(network);
      using bridge = new BridgeBeliefs(stage.lab.host, network.switchName);
      const frame = datagram(attacker, victim, uniqueBytes(), to);
      const first = to === victim.mac ? 0 : to === BROADCAST_MAC ? 5000 : 10_000;
      const before = (await bridge.table()).length;

      for (let n = first; n < first + 5000; n++) sockets.attacker.send(fromMany(frame, n));

      const added = async () => (await bridge.table()).length - before;
      if (!isOpen) return expect(await added(), "entries that were added").toBe(0);
      await expect.poll(added, { timeout: 10_000 }).toBeGreaterThanOrEqual(5000);
    },
  );

  it(`a listener hears ${isOpen ? "all" : "none"} of 50 frames to a MAC address that nobody has [S06]`, async () => {
    using sockets = socketsOn(network);
    const traces = Array.from({ length: 50 }, uniqueBytes);
    const last = uniqueBytes();

    for (const data of traces) sockets.victim.send(datagram(victim, peer, data, NOBODY_MAC));
    sockets.victim.send(datagram(victim, attacker, last));
    await sockets.attacker.waitFor("a frame to the listener itself", last);
    for (const trace of isOpen ? traces : []) await sockets.attacker.waitFor("a frame to nobody", trace);

    expect(traces.filter((trace) => sockets.attacker.count(trace) > 0).length).toBe(isOpen ? 50 : 0);
  });

  it(`a DHCP client ${isOpen ? "takes a lease from" : "does not hear of"} a server in a container [S08]`, async () => {
    const [{ namespace: server }, { namespace: client }] = stage.on(network);
    const path = `/tmp/tsnet-udhcpd-${process.pid}`;
    const pool = attacker[4].replace(/\d+$/, "20");
    await shell(server, [
      `printf 'interface eth0\nstart ${pool}0\nend ${pool}9\nmax_leases 5\nlease_file ${path}.leases\n' >${path}`,
      `touch ${path}.leases`,
    ]);
    server.spawn(["sh", "-c", `exec busybox udhcpd -f -a 1 ${path} 2>/dev/null`]);
    const isListening = async () => (await server.exec(["ss", "-Hlnu", "sport = :67"])) !== "";
    await waitUntil("the server to listen", isListening);
    const tries = isOpen ? "10" : "3";
    const ask = ["busybox", "udhcpc", "-f", "-n", "-q", "-t", tries, "-T", "1", "-i", "eth0", "-s", "/bin/true"];

    const hasLease = await client.exec(ask).then(
      () => true,
      () => false,
    );

    await shell(server, [`rm -f ${path} ${path}.leases`]);
    expect(hasLease).toBe(isOpen);
  });

  describe("an attacker with CAP_NET_ADMIN", () => {
    it(`${isOpen ? "gets" : "does not get"} what is for the gateway by taking its address [S22]`, async () => {
      using watch = new EffectWatch(stage.planFor(network));
      const effect = { kind: "misled", at: "victim", address: scene.gateway[4], mac: attacker.mac } as const;
      const [{ namespace }] = stage.on(network);
      await watch.reset(effect);

      await shell(namespace, [
        `ip address add ${scene.gateway[4]}/32 dev eth0`,
        `busybox arping -U -c 2 -I eth0 ${scene.gateway[4]} >/dev/null || true`,
        `ip address del ${scene.gateway[4]}/32 dev eth0`,
      ]);

      await expect.poll(() => canPing(namespace, victim[4])).toBe(true); // by now all of it has arrived, and it may still speak
      expect(await watch.shows(effect)).toBe(isOpen);
      await watch.reset(effect);
    });

    it(`${isOpen ? "speaks" : "does not speak"} from a peer's MAC address [S22]`, async () => {
      using sockets = socketsOn(network);
      const [{ namespace }] = stage.on(network);
      const isForged = (frame: Buffer) =>
        frame.subarray(6, 12).equals(macBytes(peer.mac)) && frame.includes(addressBytes(attacker[4]));
      await shell(namespace, [`ip link set eth0 address ${peer.mac}`]);

      await canPing(namespace, victim[4]);

      await shell(namespace, [`ip link set eth0 address ${attacker.mac}`]);
      await expect.poll(() => canPing(namespace, victim[4])).toBe(true);
      expect(sockets.victim.heard().some(isForged)).toBe(isOpen);
    });

    it(`${isOpen ? "speaks" : "does not speak"} from a macvlan link of its own [S22]`, async () => {
      const [{ namespace }] = stage.on(network);
      await shell(namespace, [
        "ip link add mac0 link eth0 type macvlan mode bridge",
        `ip address add ${attacker[4].replace(/\d+$/, "60")}/24 dev mac0`,
        "ip link set mac0 up",
      ]);

      const ask = ["busybox", "ping", "-c", "1", "-W", isOpen ? "10" : "1", "-I", "mac0", victim[4]];
      const hasAnswer = await namespace.exec(ask).then(
        () => true,
        () => false,
      );

      await shell(namespace, ["ip link delete mac0"]);
      expect(hasAnswer).toBe(isOpen);
    });
  });
});
