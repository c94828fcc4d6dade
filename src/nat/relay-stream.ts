// The relay of what has connections, tcp and sctp: each connection that is accepted is joined to one to the container. How
// sockets of the protocol are made is left to `relay-tcp.ts` and `relay-sctp.ts`.
//
// With tcp either side may end its direction and still receive (RFC 9293 section 3.6). A connection that breaks on one side is reset
// on the other, so that nobody takes half an answer for a whole one. No time limit but the one for connecting.
import { once } from "node:events";
import type { ListenOptions, Server, Socket } from "node:net";
import type { PortProtocol } from "../cnm/ports.ts";
import { TsnetError, messageOf } from "../errors.ts";
import { type Destination, type Relay, type RelayGate, type RelayPlan, destinationOf } from "./relay.ts";

/** How sockets of one protocol are made, all with `allowHalfOpen`. */
export interface StreamSockets {
  readonly protocol: PortProtocol;
  /** Whether one direction can end while the other goes on. If not, the end of one side is the end of both. */
  readonly hasHalfClose: boolean;
  readonly server: Server;
  /** `fd`: a bound socket, from then on the server's, which closes it. */
  readonly listenOptions: ListenOptions | { readonly fd: number };
  /** Begins to connect. @throws TsnetError `host` when no socket is to be had. */
  readonly connect: (destination: Destination) => Socket;
}

/** A listening socket and the connections that came through it. */
export class StreamRelay implements Relay {
  readonly protocol: PortProtocol;
  readonly address: string;
  readonly hostPort: number;
  readonly #plan: RelayPlan;
  readonly #gate: RelayGate;
  readonly #made: StreamSockets;
  readonly #open = new Set<Socket>();
  #closed: Promise<void> | undefined;

  private constructor(plan: RelayPlan, gate: RelayGate, made: StreamSockets, hostPort: number) {
    this.protocol = made.protocol;
    this.address = plan.address;
    this.hostPort = hostPort;
    this.#plan = plan;
    this.#gate = gate;
    this.#made = made;
    made.server.maxConnections = gate.limits.perSocket;
    made.server.on("connection", (client) => this.#serve(client));
    made.server.on("error", (error) => this.#warn("relay cannot accept", error)); // out of descriptors, most likely
  }

  /** Listens. @throws the kernel's refusal, as Node.js tells it. */
  static async listen(plan: RelayPlan, gate: RelayGate, made: StreamSockets): Promise<StreamRelay> {
    const { server } = made;
    server.listen(made.listenOptions);
    await once(server, "listening");
    const bound = server.address();
    if (bound === null || typeof bound === "string") throw new TsnetError("internal", "a relay listens on no port");
    return new StreamRelay(plan, gate, made, bound.port);
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    const closed = once(this.#made.server, "close");
    this.#made.server.close();
    for (const socket of this.#open) cut(socket);
    await closed;
  }

  #serve(client: Socket): void {
    client.on("error", () => {}); // what follows from it is done on `close`
    const destination = destinationOf(this.#plan);
    const isServed = destination !== undefined && this.#gate.admits(client.remoteAddress) && this.#gate.enter();
    if (!isServed) return void client.destroy();
    try {
      this.#join(client, this.#made.connect(destination));
    } catch (failure) {
      this.#gate.leave();
      client.destroy();
      this.#warn("relay cannot connect", failure);
    }
  }

  #join(client: Socket, container: Socket): void {
    const { hasHalfClose } = this.#made;
    container.on("error", () => {});
    const giveUp = setTimeout(() => cut(container), this.#gate.limits.connectMs);
    container.once("connect", () => clearTimeout(giveUp));
    this.#open.add(client).add(container);
    for (const [end, other] of [
      [client, container],
      [container, client],
    ] as const) {
      if (!hasHalfClose) {
        end.once("end", () => {
          for (const socket of [end, other]) socket.destroySoon(); // when all is sent
        });
      }
      end.once("close", () => {
        clearTimeout(giveUp);
        this.#open.delete(end);
        if (!end.readableEnded || !end.writableFinished) cut(other);
        if (!this.#open.has(other)) this.#gate.leave();
      });
      end.pipe(other);
    }
  }

  #warn(message: string, failure: unknown): void {
    const { protocol, address, hostPort } = this;
    this.#gate.log.warn({ protocol, address, hostPort, error: messageOf(failure) }, message);
  }
}

/**
 * Closes a connection at once, with a reset unless all that was to be sent is sent. A reset in the moment in which the end
 * is being sent would be refused by libuv, and Node.js would never close that socket (seen, 24.21).
 */
function cut(socket: Socket): void {
  const isAllSent = socket.writableEnded && socket.writableLength === 0;
  if (socket.connecting || socket.destroyed || isAllSent) socket.destroy();
  else socket.resetAndDestroy();
}
