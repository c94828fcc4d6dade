// The relay of udp. Each client (address and port) gets a socket of its own to the container, so that the container tells
// clients apart and its answers find back; they leave from the held socket, hence from the port that the client wrote to.
// A client that is silent for long, or the least recently heard one when there are too many, is forgotten.
//
// Of a port that is held on all addresses an answer has the source address that the route to the client gives it (ip(7)):
// a client that wrote to 127.0.0.2 gets it from 127.0.0.1, as from any program with one socket for all addresses.
import { type Socket, createSocket } from "node:dgram";
import { once } from "node:events";
import { isIPv6 } from "node:net";
import { messageOf } from "../errors.ts";
import { type Destination, type Relay, type RelayGate, type RelayPlan, destinationOf } from "./relay.ts";

/** Datagrams of one client that wait until its socket is there, a matter of one turn of the event loop. */
const WAITING_DATAGRAMS = 64;

/** Holds a udp port and relays its datagrams. Without SO_REUSEADDR on both sides no other program can bind it (socket(7)). */
export async function listenUdp(plan: RelayPlan, gate: RelayGate): Promise<Relay> {
  const held = openSocket(plan.address);
  try {
    held.bind({ address: plan.address, port: plan.hostPort, exclusive: true });
    await once(held, "listening");
    return new UdpRelay(plan, gate, held);
  } catch (failure) {
    held.close(); // Node.js keeps the descriptor of a socket that could not be bound
    throw failure;
  }
}

class UdpRelay implements Relay {
  readonly protocol = "udp";
  readonly address: string;
  readonly hostPort: number;
  readonly #gate: RelayGate;
  readonly #held: Socket;
  readonly #destination: Destination | undefined;
  /** By address and port, the least recently heard one first. */
  readonly #clients = new Map<string, UdpClient>();
  #closed: Promise<void> | undefined;

  constructor(plan: RelayPlan, gate: RelayGate, held: Socket) {
    this.address = plan.address;
    this.hostPort = held.address().port;
    this.#gate = gate;
    this.#held = held;
    this.#destination = destinationOf(plan);
    held.on("message", (datagram, { address, port }) => this.#receive(datagram, address, port));
    held.on("error", (error) => this.#warn(error));
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    for (const key of this.#clients.keys()) this.#forget(key);
    const closed = once(this.#held, "close");
    this.#held.close();
    await closed;
  }

  #receive(datagram: Buffer, address: string, port: number): void {
    const key = `${address} ${port}`;
    const client = this.#clients.get(key) ?? this.#admit(key, address, port);
    if (client === undefined) return;
    this.#clients.delete(key); // and last again
    this.#clients.set(key, client);
    client.forward(datagram);
  }

  #admit(key: string, address: string, port: number): UdpClient | undefined {
    if (this.#destination === undefined || !this.#gate.admits(address)) return undefined;
    if (this.#clients.size >= this.#gate.limits.perSocket) this.#forgetFirst();
    if (!this.#gate.enter()) {
      this.#forgetFirst();
      if (!this.#gate.enter()) return undefined;
    }
    return new UdpClient(this.#destination, this.#gate.limits.idleMs, {
      answer: (datagram) => this.#held.send(datagram, port, address, () => {}), // a lost datagram is lost
      end: () => this.#forget(key),
      warn: (error) => this.#warn(error),
    });
  }

  #forgetFirst(): void {
    const [first] = this.#clients.keys();
    if (first !== undefined) this.#forget(first);
  }

  #forget(key: string): void {
    const client = this.#clients.get(key);
    if (client === undefined) return;
    this.#clients.delete(key);
    this.#gate.leave();
    client.close();
  }

  #warn(error: Error): void {
    const { protocol, address, hostPort } = this;
    this.#gate.log.warn({ protocol, address, hostPort, error: messageOf(error) }, "relay failed");
  }
}

/** What a client's socket tells its relay. */
interface ClientEvents {
  readonly answer: (datagram: Buffer) => void;
  readonly end: () => void;
  readonly warn: (error: Error) => void;
}

/** The socket to the container on behalf of one client. */
class UdpClient {
  readonly #socket: Socket;
  readonly #idle: NodeJS.Timeout;
  /** Undefined once the socket is connected. */
  #waiting: Buffer[] | undefined = [];

  constructor({ host, port }: Destination, idleMs: number, { answer, end, warn }: ClientEvents) {
    this.#idle = setTimeout(end, idleMs);
    this.#socket = openSocket(host);
    this.#socket.on("message", (datagram) => {
      this.#idle.refresh();
      answer(datagram);
    });
    this.#socket.on("error", (error) => {
      if (this.#waiting === undefined) return; // nobody listens in the container (ECONNREFUSED): somebody may soon
      warn(error);
      end();
    });
    this.#socket.connect(port, host, (error?: Error) => {
      if (error !== undefined) return void this.#socket.emit("error", error);
      for (const datagram of this.#waiting ?? []) this.#send(datagram);
      this.#waiting = undefined;
    });
  }

  forward(datagram: Buffer): void {
    this.#idle.refresh();
    if (this.#waiting === undefined) this.#send(datagram);
    else if (this.#waiting.length < WAITING_DATAGRAMS) this.#waiting.push(datagram);
  }

  close(): void {
    clearTimeout(this.#idle);
    this.#socket.close();
  }

  #send(datagram: Buffer): void {
    this.#socket.send(datagram, () => {}); // a lost datagram is lost
  }
}

/** Neither sort takes the other family's datagrams. */
function openSocket(address: string): Socket {
  return createSocket(isIPv6(address) ? { type: "udp6", ipv6Only: true } : { type: "udp4" });
}
