// Published sctp ports, on a kernel that has the protocol. It needs no namespace of its own.
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { type AddressInfo, Socket, createServer } from "node:net";
import { describe, expect, it } from "vitest";
import type { PortBinding } from "../../src/cnm/ports.ts";
import { openBoundSctp, openSctp } from "../../src/host/sctp.ts";
import { SILENT_LOG } from "../../src/log.ts";
import { HostPorts } from "../../src/nat/port-holder.ts";
import { endpointId } from "../support/cnm-builder.ts";
import { closing, connected, endOf, readAll } from "../support/relay-peers.ts";
import { waitUntil } from "../support/wait-until.ts";

/** A program in a container, with the number of associations that clients have ended. */
interface Program extends AsyncDisposable {
  readonly port: number;
  readonly ended: () => number;
}

async function listen(onMessage: (socket: Socket, message: Buffer) => void): Promise<Program> {
  let ended = 0;
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true, highWaterMark: 1 }, (socket) => {
    sockets.push(socket);
    socket.on("error", () => {}).on("data", (message) => onMessage(socket, message));
    socket.on("end", () => {
      ended += 1;
      socket.end();
    });
  });
  server.listen({ fd: openBoundSctp("127.0.0.1", 0) });
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port, // it listens on an address, not on a path
    ended: () => ended,
    [Symbol.asyncDispose]: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, "close");
    },
  };
}

async function connect(port: number, host = "127.0.0.1"): Promise<Socket & AsyncDisposable> {
  const socket = new Socket({ fd: openSctp(host.includes(":") ? 6 : 4), allowHalfOpen: true });
  return connected(socket.connect({ port, host }));
}

function binding(containerPort: number, hostPort = 0, hostAddress = ""): PortBinding {
  return { protocol: "sctp", containerPort, hostAddress, hostPort, hostPortEnd: hostPort };
}

/** @param total - how many associations are relayed at a time. */
function hostPorts(total = 100): HostPorts & AsyncDisposable {
  return closing(new HostPorts({ isRefused: () => false, log: SILENT_LOG, limits: { total } }));
}

describe("published sctp ports", () => {
  it("are held in both families under one number, and free after release", async () => {
    await using ports = hostPorts();

    const [held] = await ports.hold(endpointId(1), [binding(80)], {});
    const port = held?.hostPort ?? 0;

    expect(port).toBeGreaterThan(0);
    for (const address of ["0.0.0.0", "127.0.0.1", "::", "::1"]) {
      expect(() => openBoundSctp(address, port), address).toThrow(/EADDRINUSE/);
    }
    await expect(ports.hold(endpointId(2), [binding(80, port, "127.0.0.1")], {})).rejects.toMatchObject({
      code: "conflict",
      message: `port ${port}/sctp on 127.0.0.1 is published by endpoint ${endpointId(1).slice(0, 12)} already`,
    });
    await ports.release(endpointId(1));
    expect(await ports.hold(endpointId(2), [binding(80, port)], {})).toHaveLength(1);
  });

  it("are refused while another program listens", async () => {
    await using program = await listen(() => {});
    await using ports = hostPorts();
    const descriptors = () => readdirSync("/proc/self/fd").length;
    const before = descriptors();

    await expect(ports.hold(endpointId(), [binding(80, program.port)], {})).rejects.toMatchObject({
      code: "conflict",
      message: `port ${program.port}/sctp on 0.0.0.0 is in use by another program on this host`,
    });
    await expect.poll(descriptors).toBe(before);
  });

  it("are refused on an address that is not on the host", async () => {
    await using ports = hostPorts();

    await expect(ports.hold(endpointId(), [binding(80, 8080, "192.0.2.77")], {})).rejects.toMatchObject({
      code: "unsupported",
      message: "port 8080/sctp on 192.0.2.77 cannot be held: address 192.0.2.77 is not on this host",
    });
  });

  it(`relay messages one by one, from either family`, async () => {
    await using program = await listen((socket, message) => void socket.write(`answer to ${message.toString()}`));
    await using ports = hostPorts();
    const [held] = await ports.hold(endpointId(), [binding(program.port)], { address: "127.0.0.1" });
    const questions = Array.from({ length: 50 }, (_, i) => `question ${i}`);

    for (const host of ["127.0.0.1", "::1"]) {
      await using client = await connect(held?.hostPort ?? 0, host);
      const answers: string[] = [];
      client.on("data", (message) => answers.push(message.toString()));
      for (const question of questions) await new Promise((resolve) => client.write(question, resolve));
      await waitUntil("all answers", () => answers.length >= questions.length);

      expect(answers).toEqual(questions.map((question) => `answer to ${question}`));
    }
  });

  it(`relay 60 messages of 60,000 bytes each way unchanged`, async () => {
    const message = randomBytes(60_000);
    await using program = await listen((socket, received) => void socket.write(received));
    await using ports = hostPorts();
    const [held] = await ports.hold(endpointId(), [binding(program.port)], { address: "127.0.0.1" });
    await using client = await connect(held?.hostPort ?? 0);
    const received: Buffer[] = [];
    client.on("data", (chunk) => received.push(Buffer.from(chunk)));

    for (let i = 0; i < 60; i++) await new Promise((resolve) => client.write(message, resolve));

    await waitUntil("all messages", () => received.length >= 60, { limitMs: 50_000 });
    expect(received.every((chunk) => chunk.equals(message))).toBe(true);
  });

  it(`end on both sides when one side ends, what was sent before included`, async () => {
    await using program = await listen((socket, message) => {
      if (message.toString() === "end now") socket.end("good bye");
    });
    await using ports = hostPorts(1);
    const [held] = await ports.hold(endpointId(), [binding(program.port)], { address: "127.0.0.1" });
    for (let round = 1; round <= 5; round++) {
      await using ending = await connect(held?.hostPort ?? 0);
      ending.end("one more thing");
      await waitUntil("the container to be told", () => program.ended() === round);
    }
    await using told = await connect(held?.hostPort ?? 0);
    told.write("end now");
    expect((await readAll(told)).toString()).toBe("good bye");
  });

  it(`are cut when nobody listens in the container, and when they are released`, async () => {
    await using program = await listen((socket, message) => void socket.write(message));
    await using ports = hostPorts();
    const toBoth = [binding(1), binding(program.port)];
    const [dead, alive] = await ports.hold(endpointId(), toBoth, { address: "127.0.0.1" });

    await using toDead = await connect(dead?.hostPort ?? 0);
    expect(await endOf(toDead)).toBe("ECONNRESET");
    await using toAlive = await connect(alive?.hostPort ?? 0);
    await new Promise((resolve) => toAlive.once("data", resolve).write("x"));
    await ports.release(endpointId());

    expect(await endOf(toAlive)).toBe("ECONNRESET");
    await expect(connect(alive?.hostPort ?? 0)).rejects.toThrow(/ECONNREFUSED/);
  });
});
