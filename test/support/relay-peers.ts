// Who speaks through a relay: programs in a container and their clients, all on loopback. What a test does not take down
// itself is taken down with `await using`.
import { type RemoteInfo, type Socket as UdpSocket, createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, type Server, type Socket, connect, createServer, isIPv6 } from "node:net";
import { RelayGate, type RelayLimits, type RelayPlan } from "../../src/nat/relay.ts";
import { SILENT_LOG } from "../../src/log.ts";

/** A gate that refuses nobody but those named. */
export function gate(limits: Partial<RelayLimits> = {}, refused: readonly string[] = []): RelayGate {
  return new RelayGate({ isRefused: (address) => refused.includes(address), log: SILENT_LOG, limits });
}

/** A relay from a free port of 127.0.0.1 to that port of 127.0.0.1. */
export function planTo(containerPort: number): RelayPlan {
  return { address: "127.0.0.1", hostPort: 0, containerPort, target: { address: "127.0.0.1" } };
}

/** Whatever has a `close` that waits, for `await using`. */
export function closing<T extends { close(): Promise<void> }>(thing: T): T & AsyncDisposable {
  return Object.assign(thing, { [Symbol.asyncDispose]: () => thing.close() });
}

/** A program in a container that takes tcp connections. */
export class Listener implements AsyncDisposable {
  readonly port: number;
  /** Every connection there ever was. */
  readonly connections: readonly Socket[];
  readonly #server: Server;

  private constructor(server: Server, connections: readonly Socket[]) {
    this.#server = server;
    this.connections = connections;
    this.port = (server.address() as AddressInfo).port; // it listens on an address, not on a path
  }

  /** @param onConnection - what the program does; errors of the connection are ignored. */
  static async start(onConnection: (socket: Socket) => void = () => {}, address = "127.0.0.1"): Promise<Listener> {
    const connections: Socket[] = [];
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      connections.push(socket.on("error", () => {}));
      onConnection(socket);
    });
    server.listen({ host: address, port: 0 });
    await once(server, "listening");
    return new Listener(server, connections);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const socket of this.connections) socket.destroy();
    await once(this.#server, "close");
  }
}

/** A client that has connected. Its `error` is kept for `endOf`. */
export async function client(port: number, host = "127.0.0.1"): Promise<Socket & AsyncDisposable> {
  return connected(connect({ port, host, allowHalfOpen: true }));
}

/** The same with a socket that is connecting already. */
export async function connected(socket: Socket): Promise<Socket & AsyncDisposable> {
  const ended = new Promise<string>((resolve) => {
    let error = "closed";
    socket.on("error", (failure: NodeJS.ErrnoException) => (error = failure.code ?? failure.message));
    socket.once("close", () => resolve(error));
  });
  ENDS.set(socket, ended);
  await once(socket, "connect");
  return Object.assign(socket, {
    [Symbol.asyncDispose]: async () => {
      socket.destroy();
      await ended;
    },
  });
}

/** How a client's connection ended: `closed`, or the errno name. */
export async function endOf(socket: Socket): Promise<string> {
  socket.resume();
  socket.on("end", () => socket.end());
  return ENDS.get(socket) ?? "no client";
}

const ENDS = new WeakMap<Socket, Promise<string>>();

/** What the other side sends until it ends its direction. */
export async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(Buffer.from(chunk))).resume();
  await once(socket, "end");
  return Buffer.concat(chunks);
}

/** A bound udp socket that collects what it receives. */
export class UdpPeer implements AsyncDisposable {
  readonly received: { readonly text: string; readonly from: RemoteInfo }[] = [];
  readonly port: number;
  readonly #socket: UdpSocket;

  private constructor(socket: UdpSocket) {
    this.#socket = socket;
    this.port = socket.address().port;
    socket.on("error", () => {});
  }

  /** @param answer - what it sends back for a datagram; nothing for undefined. */
  static async start(
    answer: (text: string, from: RemoteInfo) => string | undefined = () => undefined,
    { address = "127.0.0.1", port = 0 } = {},
  ): Promise<UdpPeer> {
    const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
    socket.bind({ address, port, exclusive: true });
    await once(socket, "listening");
    const peer = new UdpPeer(socket);
    socket.on("message", (datagram, from) => {
      peer.received.push({ text: datagram.toString("latin1"), from });
      const text = answer(datagram.toString("latin1"), from);
      if (text !== undefined) peer.send(text, from.port, from.address);
    });
    return peer;
  }

  send(text: string, port: number, address = "127.0.0.1"): void {
    this.#socket.send(Buffer.from(text, "latin1"), port, address);
  }

  /** The texts received so far. */
  get texts(): readonly string[] {
    return this.received.map(({ text }) => text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await once(this.#socket, "close");
  }
}
