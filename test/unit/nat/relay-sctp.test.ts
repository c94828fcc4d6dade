// What the relay of sctp does with descriptors, shown with those of tcp sockets, since few kernels that run this test have
// sctp. The protocol itself is in `test/kernel/nat/relay-sctp.test.ts`.
import { readdirSync } from "node:fs";
import { describe, expect, it, vi } from "vitest";
import {
  AF_INET,
  SOCK_STREAM,
  SOL_SOCKET,
  bindSocket,
  closeSocket,
  openSocket,
  setSocketOption,
} from "../../../src/host/libc.ts";
import { listenSctp } from "../../../src/nat/relay-sctp.ts";
import { Listener, client, closing, endOf, gate, planTo, readAll } from "../../support/relay-peers.ts";
import { waitUntil } from "../../support/wait-until.ts";

const SO_REUSEADDR = 2;

vi.mock(import("../../../src/host/sctp.ts"), () => ({
  openSctp: () => openSocket(AF_INET, SOCK_STREAM, 0),
  openBoundSctp: (_address, port) => {
    const fd = openSocket(AF_INET, SOCK_STREAM, 0);
    try {
      setSocketOption(fd, SOL_SOCKET, SO_REUSEADDR, Buffer.of(1, 0, 0, 0));
      bindSocket(fd, Buffer.of(AF_INET, 0, port >> 8, port & 0xff, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0));
      return fd;
    } catch (failure) {
      closeSocket(fd);
      throw failure;
    }
  },
}));

function descriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

describe("the sctp relay", () => {
  it("serves a bound descriptor, on the port that the kernel chose, and connects by another one", async () => {
    await using container = await Listener.start((socket) => {
      socket.on("data", (question) => socket.end(`answer to ${question.toString()}`));
    });
    await using relay = closing(await listenSctp(planTo(container.port), gate()));
    await using asker = await client(relay.hostPort);

    asker.write("question");

    expect((await readAll(asker)).toString()).toBe("answer to question");
    expect(relay).toMatchObject({ protocol: "sctp", address: "127.0.0.1" });
  });

  it("takes the end of one side for the end of both, when everything is sent", async () => {
    const heard = Promise.withResolvers<string>();
    await using container = await Listener.start((socket) => {
      void readAll(socket).then((bytes) => heard.resolve(bytes.toString()));
    });
    const narrow = gate({ total: 1 });
    await using relay = closing(await listenSctp(planTo(container.port), narrow));
    await using asker = await client(relay.hostPort);

    asker.end("one more thing");

    expect(await heard.promise).toBe("one more thing");
    await waitUntil("the place to be free", () => narrow.enter()); // though the container goes on
  });

  it("resets the client when nobody listens in the container", async () => {
    const container = await Listener.start();
    await using relay = closing(await listenSctp(planTo(container.port), gate()));
    await container[Symbol.asyncDispose]();

    expect(await endOf(await client(relay.hostPort))).toBe("ECONNRESET");
  });

  it("leaves no descriptor open, be it that connections end or that they fail", async () => {
    const before = descriptors();
    {
      await using container = await Listener.start((socket) => void socket.end("hello"));
      await using served = closing(await listenSctp(planTo(container.port), gate()));
      await using failing = closing(await listenSctp(planTo(1), gate()));
      for (let i = 0; i < 10; i++) {
        await endOf(await client(served.hostPort));
        await endOf(await client(failing.hostPort));
        const again = { ...planTo(1), hostPort: served.hostPort };
        await expect(listenSctp(again, gate())).rejects.toThrow(/EADDRINUSE/);
      }
    }

    await waitUntil("the descriptors to be closed", () => descriptors() === before);
  });
});
