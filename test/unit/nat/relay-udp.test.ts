import { describe, expect, it } from "vitest";
import { listenUdp } from "../../../src/nat/relay-udp.ts";
import type { Relay, RelayGate } from "../../../src/nat/relay.ts";
import { UdpPeer, closing, gate, planTo } from "../../support/relay-peers.ts";
import { waitUntil } from "../../support/wait-until.ts";

async function relayTo(port: number, through: RelayGate = gate()): Promise<Relay & AsyncDisposable> {
  return closing(await listenUdp(planTo(port), through));
}

/** A container that answers with the port it was asked from, which tells the relay's clients apart. */
const tellPort = (_text: string, { port }: { readonly port: number }) => String(port);

/** Sends one datagram and waits for the answer. */
async function ask(peer: UdpPeer, relay: Relay, text = "?"): Promise<string | undefined> {
  const before = peer.received.length;
  peer.send(text, relay.hostPort);
  await waitUntil("an answer", () => peer.received.length > before);
  return peer.texts.at(-1);
}

describe("the udp relay", () => {
  it("gives two clients their own answers, from the port that they wrote to", async () => {
    await using container = await UdpPeer.start((text) => `answer to ${text}`);
    await using relay = await relayTo(container.port);
    await using a = await UdpPeer.start();
    await using b = await UdpPeer.start();

    for (let i = 0; i < 20; i++) {
      a.send(`a${i}`, relay.hostPort);
      b.send(`b${i}`, relay.hostPort);
    }

    await waitUntil("all answers", () => a.texts.length === 20 && b.texts.length === 20);
    expect(a.texts).toEqual(Array.from({ length: 20 }, (_, i) => `answer to a${i}`));
    expect(b.texts).toEqual(Array.from({ length: 20 }, (_, i) => `answer to b${i}`));
    expect(a.received.every(({ from }) => from.port === relay.hostPort)).toBe(true);
  });

  it("carries an empty datagram and the largest one", async () => {
    const largest = "x".repeat(65_507);
    await using container = await UdpPeer.start((text) => text);
    await using relay = await relayTo(container.port);
    await using peer = await UdpPeer.start();

    expect(await ask(peer, relay, "")).toBe("");
    expect(await ask(peer, relay, largest)).toBe(largest);
  });

  it("keeps a client's socket while nobody listens in the container, and serves it when somebody does", async () => {
    await using peer = await UdpPeer.start();
    const container = await UdpPeer.start(tellPort);
    await using relay = await relayTo(container.port);
    await using other = await UdpPeer.start(tellPort);
    await using otherRelay = await relayTo(other.port);
    const before = await ask(peer, relay);
    await container[Symbol.asyncDispose]();
    for (let i = 0; i < 5; i++) peer.send("nobody there", relay.hostPort);
    await ask(peer, otherRelay); // the refusals have arrived by now

    await using _again = await UdpPeer.start(tellPort, { port: container.port });

    expect(await ask(peer, relay)).toBe(before);
  });

  it("does not take somebody else's datagrams for the container's", async () => {
    await using container = await UdpPeer.start(tellPort);
    await using relay = await relayTo(container.port);
    await using peer = await UdpPeer.start();
    await using stranger = await UdpPeer.start();
    const port = Number(await ask(peer, relay));

    stranger.send("forged", port);
    await ask(peer, relay);

    expect(peer.texts).toEqual([String(port), String(port)]);
  });

  it("forgets a client that is silent for long", async () => {
    await using container = await UdpPeer.start(tellPort);
    await using relay = await relayTo(container.port, gate({ idleMs: 300, total: 1 }));
    await using peer = await UdpPeer.start();
    const before = await ask(peer, relay);

    await waitUntil("another socket", async () => (await ask(peer, relay)) !== before, { intervalMs: 700 });
  });

  it.each([
    ["of a port", { perSocket: 2 }],
    ["of all ports", { total: 2 }],
  ])("forgets the least recently heard client when there are more than the limit %s", async (_whose, limits) => {
    await using container = await UdpPeer.start(tellPort);
    await using relay = await relayTo(container.port, gate(limits));
    await using a = await UdpPeer.start();
    await using b = await UdpPeer.start();
    await using c = await UdpPeer.start();
    const first = { a: await ask(a, relay), b: await ask(b, relay) };
    await ask(a, relay);

    await ask(c, relay);

    expect(await ask(a, relay)).toBe(first.a);
    expect(await ask(b, relay)).not.toBe(first.b);
  });

  it("ignores new clients while other relays have all places", async () => {
    const narrow = gate({ total: 1 });
    await using container = await UdpPeer.start(tellPort);
    await using one = await relayTo(container.port, narrow);
    await using two = await relayTo(container.port, narrow);
    await using peer = await UdpPeer.start();
    await ask(peer, one);
    await using late = await UdpPeer.start();

    late.send("too many", two.hostPort);
    await ask(peer, one);
    await one.close();
    expect(await ask(late, two)).toBeDefined();

    expect(container.texts).toEqual(["?", "?", "?"]);
  });

  it("says nothing to a refused source and passes nothing on", async () => {
    await using container = await UdpPeer.start(tellPort);
    await using refusing = await relayTo(container.port, gate({}, ["127.0.0.1"]));
    await using open = await relayTo(container.port);
    await using peer = await UdpPeer.start();

    peer.send("refused", refusing.hostPort);
    await ask(peer, open, "served");

    expect(container.texts).toEqual(["served"]);
    expect(peer.received).toHaveLength(1);
  });

  it("frees its port and its clients' sockets when it is closed, also before those are connected", async () => {
    const narrow = gate({ total: 1 });
    await using container = await UdpPeer.start(tellPort);
    await using peer = await UdpPeer.start();
    for (let round = 0; round < 10; round++) {
      const relay = await relayTo(container.port, narrow);
      peer.send("?", relay.hostPort);
      if (round % 2 === 0) await ask(peer, relay);

      await relay.close();

      await using again = closing(await listenUdp({ ...planTo(1), hostPort: relay.hostPort }, gate()));
      expect(again.hostPort).toBe(relay.hostPort);
      expect(narrow.enter()).toBe(true);
      narrow.leave();
    }
  });
});
