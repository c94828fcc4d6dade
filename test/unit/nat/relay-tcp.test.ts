import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { type Socket, Socket as NetSocket, connect, createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { StreamRelay } from "../../../src/nat/relay-stream.ts";
import { listenTcp } from "../../../src/nat/relay-tcp.ts";
import type { Relay, RelayGate } from "../../../src/nat/relay.ts";
import { Listener, client, closing, endOf, gate, planTo, readAll } from "../../support/relay-peers.ts";
import { waitUntil } from "../../support/wait-until.ts";

const TEN_MEGABYTES = 10_000_000;

async function relayTo(port: number, through: RelayGate = gate()): Promise<Relay & AsyncDisposable> {
  return closing(await listenTcp(planTo(port), through));
}

/** A relay whose connections to the container are made by the test. */
async function relayThrough(toContainer: () => Socket, through: RelayGate = gate()): Promise<Relay & AsyncDisposable> {
  const server = createServer({ allowHalfOpen: true });
  const listenOptions = { host: "127.0.0.1", port: 0 };
  return closing(
    await StreamRelay.listen(planTo(1), through, {
      protocol: "tcp",
      hasHalfClose: true,
      server,
      listenOptions,
      connect: toContainer,
    }),
  );
}

function hashOf(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Answers with one line and ends. */
const greet = (socket: Socket) => void socket.end("hello");

describe("the tcp relay", () => {
  it("carries 10 MB each way unchanged, the answer after the client has ended its own direction", async () => {
    const [question, answer] = [randomBytes(TEN_MEGABYTES), randomBytes(TEN_MEGABYTES)];
    const heard = Promise.withResolvers<string>();
    await using container = await Listener.start((socket) => {
      void readAll(socket).then((bytes) => {
        heard.resolve(hashOf(bytes));
        socket.end(answer);
      });
    });
    await using relay = await relayTo(container.port);
    await using asker = await client(relay.hostPort);

    asker.end(question);

    expect(hashOf(await readAll(asker))).toBe(hashOf(answer));
    expect(await heard.promise).toBe(hashOf(question));
  });

  it("carries what the client sends after the container has ended its direction", async () => {
    const heard = Promise.withResolvers<string>();
    await using container = await Listener.start((socket) => {
      void readAll(socket).then((bytes) => heard.resolve(bytes.toString()));
      socket.end("enough");
    });
    await using relay = await relayTo(container.port);
    await using asker = await client(relay.hostPort);

    expect((await readAll(asker)).toString()).toBe("enough");
    asker.end("one more thing");

    expect(await heard.promise).toBe("one more thing");
    expect(await endOf(asker)).toBe("closed");
  });

  it("waits for a container that does not read, and loses nothing", async () => {
    const [chunk, chunks] = [Buffer.alloc(1_000_000, "x"), 64];
    await using container = await Listener.start((socket) => void socket.pause());
    await using relay = await relayTo(container.port);
    await using asker = await client(relay.hostPort);
    let sent = 0;
    const sending = (async () => {
      for (let i = 0; i < chunks; i++) {
        if (!asker.write(chunk)) await once(asker, "drain");
        sent += chunk.length;
      }
      asker.end();
    })();
    let before = -1;
    await waitUntil("the client to be held back", () => before === (before = sent) && sent > 0);

    expect(sent).toBeLessThan(chunks * chunk.length);

    const [socket] = container.connections;
    const received = socket === undefined ? Buffer.alloc(0) : await readAll(socket);
    await sending;
    expect(received.length).toBe(chunks * chunk.length);
  });

  it("resets the client when nobody listens in the container", async () => {
    const container = await Listener.start();
    await using relay = await relayTo(container.port);
    await container[Symbol.asyncDispose]();
    await using asker = await client(relay.hostPort);

    expect(await endOf(asker)).toBe("ECONNRESET");
  });

  it("resets the client when the container resets, so that half an answer is not taken for a whole one", async () => {
    await using container = await Listener.start((socket) => void socket.write("half", () => socket.resetAndDestroy()));
    await using relay = await relayTo(container.port);
    await using asker = await client(relay.hostPort);

    expect(await endOf(asker)).toBe("ECONNRESET");
  });

  it("resets the container when the client resets", async () => {
    await using container = await Listener.start((socket) => void socket.resume());
    await using relay = await relayTo(container.port);
    await using asker = await client(relay.hostPort);
    const [socket] = await waitUntil("the connection", () => container.connections.length > 0 && container.connections);
    const ended = new Promise((resolve) => socket?.once("close", resolve));

    asker.resetAndDestroy();

    expect(await ended).toBe(true); // with an error
  });

  it("gives up on a container that does not answer", async () => {
    const silent = new NetSocket(); // never connects
    await using relay = await relayThrough(() => silent, gate({ connectMs: 20 }));
    await using asker = await client(relay.hostPort);

    expect(await endOf(asker)).toBe("ECONNRESET");
    expect(silent.destroyed).toBe(true);
  });

  it("goes on when no socket to the container is to be had, and gives the place back", async () => {
    const narrow = gate({ total: 1 });
    await using relay = await relayThrough(() => {
      throw new Error("too many open files");
    }, narrow);

    for (let i = 0; i < 3; i++) expect(await endOf(await client(relay.hostPort))).toBe("closed");

    expect(narrow.enter()).toBe(true);
  });

  it("closes a refused source's connection without a word to the container", async () => {
    await using container = await Listener.start(greet);
    await using refusing = await relayTo(container.port, gate({}, ["127.0.0.1"]));
    await using asker = await client(refusing.hostPort);

    expect((await readAll(asker)).toString()).toBe("");
    expect(container.connections).toEqual([]);
  });

  it("closes further connections when a port has as many as it may, and serves again when one has ended", async () => {
    await using container = await Listener.start((socket) => void socket.write("hello"));
    await using relay = await relayTo(container.port, gate({ perSocket: 2 }));
    await using first = await client(relay.hostPort);
    await using second = await client(relay.hostPort);
    await Promise.all([once(first, "data"), once(second, "data")]);
    await using third = await client(relay.hostPort);

    expect((await readAll(third)).toString()).toBe("");

    first.resetAndDestroy();
    await waitUntil("a place", async () => {
      await using fourth = await client(relay.hostPort);
      const answered = await Promise.race([once(fourth, "data"), once(fourth, "end")]);
      return answered.length > 0;
    });
  });

  it("shares the places of all relays, and gives each back once", async () => {
    const narrow = gate({ total: 2 });
    await using container = await Listener.start(greet);
    await using one = await relayTo(container.port, narrow);
    await using two = await relayTo(container.port, narrow);

    for (let i = 0; i < 5; i++) {
      await using asker = await client((i % 2 === 0 ? one : two).hostPort);
      expect((await readAll(asker)).toString()).toBe("hello");
      asker.end();
      await waitUntil("the places", () => {
        const isFree = [narrow.enter(), narrow.enter(), narrow.enter()];
        for (const wasFree of isFree) if (wasFree) narrow.leave();
        return isFree.join() === "true,true,false";
      });
    }
  });

  it("cuts its connections and frees the port when it is closed", async () => {
    await using container = await Listener.start((socket) => void socket.write("hello"));
    const relay = await relayTo(container.port);
    await using asker = await client(relay.hostPort);
    await once(asker, "data");

    await relay.close();

    expect(await endOf(asker)).toBe("ECONNRESET");
    await using again = closing(await listenTcp({ ...planTo(1), hostPort: relay.hostPort }, gate()));
    expect(again.hostPort).toBe(relay.hostPort);
  });

  it("resets the container when it is closed before all is sent, though the client has ended", async () => {
    const errors: string[] = [];
    await using container = await Listener.start((socket) => {
      socket.pause().on("error", ({ code }: NodeJS.ErrnoException) => errors.push(code ?? "none"));
    });
    const patient = { port: container.port, host: "127.0.0.1", allowHalfOpen: true, highWaterMark: 100_000_000 };
    const opened: Socket[] = [];
    await using relay = await relayThrough(() => {
      const socket = connect(patient);
      opened.push(socket);
      return socket;
    });
    await using asker = await client(relay.hostPort);
    asker.end(Buffer.alloc(50_000_000));
    await waitUntil("the end to wait", () => opened.some(({ writableEnded }) => writableEnded));
    expect(opened[0]?.writableFinished).toBe(false);

    await relay.close();

    container.connections[0]?.resume();
    await waitUntil("the reset", () => errors.includes("ECONNRESET"));
  });

  it("can be closed in the moment in which one side ends", async () => {
    await using container = await Listener.start();
    const narrow = gate({ total: 1 });
    const opened: Socket[] = [];
    await using relay = await relayThrough(() => {
      const socket = connect({ port: container.port, host: "127.0.0.1", allowHalfOpen: true });
      opened.push(socket);
      return socket;
    }, narrow);
    await using _asker = await client(relay.hostPort);
    const [socket] = await waitUntil("the connection", () => container.connections.length > 0 && container.connections);
    const closed = new Promise((resolve) => opened[0]?.once("end", () => resolve(relay.close())));

    socket?.end();

    await closed;
    await waitUntil("both connections to be closed", () => narrow.enter());
  });

  it("can be closed while connections are at any stage, again and again", async () => {
    await using container = await Listener.start((socket) => void socket.pipe(socket));
    for (let round = 0; round < 20; round++) {
      const relay = await relayTo(container.port);
      const askers = await Promise.all(Array.from({ length: 10 }, () => client(relay.hostPort)));
      askers.forEach((asker, i) => {
        if (i % 3 === 0) asker.write(Buffer.alloc(1_000_000));
        if (i % 3 === 1) asker.end("x");
      });

      await relay.close();

      for (const asker of askers) await endOf(asker);
    }
  });
});
