// Two machines for tests of tracked flows, with real packets. The host translates its port 8080 to that of another of its
// own addresses; who answers tells where the kernel sent a packet.
//
//   client  192.0.2.2  2001:db8::2  ---veth---  192.0.2.1  2001:db8::1  host, also 192.0.2.11  2001:db8::11  "one"
//                                                                             and  192.0.2.12  2001:db8::12  "two"
import { type Socket as UdpSocket, createSocket } from "node:dgram";
import { once } from "node:events";
import { Socket, createServer } from "node:net";
import { type Family, bitsOf, parseAddress } from "../../src/cidr.ts";
import { Conntrack } from "../../src/host/conntrack.ts";
import { AF_INET, AF_INET6, SOCK_DGRAM, bindSocket, openSocket } from "../../src/host/libc.ts";
import { NetNamespace } from "./namespace.ts";
import { waitUntil } from "./wait-until.ts";

const SOCK_STREAM = 1;

/** The kernel's own listing of flows; not every kernel has it (CONFIG_NF_CONNTRACK_PROCFS). */
export const PROC_FILE = "/proc/net/nf_conntrack";

/** Who has which address, by family. */
export const ADDRESSES = {
  4: { client: "192.0.2.2", host: "192.0.2.1", one: "192.0.2.11", two: "192.0.2.12" },
  6: { client: "2001:db8::2", host: "2001:db8::1", one: "2001:db8::11", two: "2001:db8::12" },
} as const;

const CLIENT = Object.values(ADDRESSES).map(({ client }) => client);
const HOST = Object.values(ADDRESSES).flatMap(({ host, one, two }) => [host, one, two]);

/** A bound socket of that namespace. @param port - 0 for any. */
function socketIn(ns: NetNamespace, family: Family, type: number, address: string, port = 0): number {
  const bytes = Buffer.alloc(family === 4 ? 16 : 28); // struct sockaddr_in, struct sockaddr_in6
  bytes.writeUInt16LE(family === 4 ? AF_INET : AF_INET6, 0);
  bytes.writeUInt16BE(port, 2);
  const { value } = parseAddress(address);
  bytes.write(value.toString(16).padStart(bitsOf(family) / 4, "0"), family === 4 ? 4 : 8, "hex");
  return ns.enter(() => {
    const fd = openSocket(bytes.readUInt16LE(0), type, 0);
    bindSocket(fd, bytes);
    return fd;
  });
}

/** Both machines and their sockets. Disposing of it takes it down. */
export class FlowLab implements AsyncDisposable {
  readonly client: NetNamespace;
  readonly host: NetNamespace;
  readonly conntrack: Conntrack;
  readonly #stack: AsyncDisposableStack;

  private constructor(stack: AsyncDisposableStack, client: NetNamespace, host: NetNamespace) {
    [this.client, this.host, this.#stack] = [client, host, stack];
    this.conntrack = stack.use(host.enter(() => Conntrack.open()));
  }

  /** Makes it, with nothing translated and nothing tracked yet. */
  static async up(): Promise<FlowLab> {
    await using stack = new AsyncDisposableStack();
    const client = stack.use(await NetNamespace.create("client"));
    const host = stack.use(await NetNamespace.create("host"));
    await host.exec(["ip", "link", "add", "lan0", "type", "veth", "peer", "name", "lan0", "netns", client.name]);
    const ends = {
      host: { mac: "02:00:00:00:00:01", addresses: HOST },
      client: { mac: "02:00:00:00:00:02", addresses: CLIENT },
    };
    await connectEnd(host, ends.host, ends.client);
    await connectEnd(client, ends.client, ends.host);
    for (const machine of [client, host]) {
      // Only then do packets pass: the kernel sets up the queues of a link some time after its other end came up.
      const links = () => machine.json<{ operstate: string }[]>(["ip", "-json", "link", "show", "lan0"]);
      await waitUntil("the link to be up", async () => (await links())[0]?.operstate === "UP");
      // Likewise, packets to an IPv6 address are taken some time after it was added: when there is a route to it.
      const routes = () => machine.exec(["ip", "-6", "route", "show", "table", "local"]);
      const own = (machine === host ? HOST : CLIENT).filter((address) => address.includes(":"));
      const isLocal = (shown: string) => own.every((address) => shown.includes(`local ${address} dev lan0 `));
      await waitUntil("its addresses to be its own", async () => isLocal(await routes()));
    }
    await host.exec(["sysctl", "-qw", "net.netfilter.nf_conntrack_udp_timeout=600"]);
    return new FlowLab(stack.move(), client, host);
  }

  /** Translates port 8080 of the host, or does not, for flows that begin from now on. */
  async translate(to: "one" | "two" | undefined): Promise<void> {
    const rules = ([4, 6] as const).flatMap((family) => {
      const [ip, target] = family === 4 ? ["ip", ADDRESSES[4][to ?? "one"]] : ["ip6", `[${ADDRESSES[6][to ?? "one"]}]`];
      const chosen = `${ip} daddr ${ADDRESSES[family].host} meta l4proto { tcp, udp } th dport 8080`;
      return to === undefined ? [] : [`${chosen} dnat ${ip} to ${target}:80`];
    });
    const table = `
      table inet lab
      delete table inet lab
      table inet lab {
        chain nat { type nat hook prerouting priority dstnat; ${rules.join("; ")}; }
        chain track { type filter hook prerouting priority filter; ct state new counter; }
      }`;
    await this.host.exec(["sh", "-ec", `nft -f - <<'END'\n${table}\nEND`]);
  }

  /** A server that answers with its name. */
  serve(family: Family, name: "host" | "one" | "two", port = 80): void {
    const server = this.#udp(family, socketIn(this.host, family, SOCK_DGRAM, ADDRESSES[family][name], port));
    server.on("message", (_question, from) => server.send(name, from.port, from.address));
  }

  /** A client's socket, which keeps its port. */
  udpClient(family: Family): UdpSocket {
    return this.#udp(family, socketIn(this.client, family, SOCK_DGRAM, ADDRESSES[family].client));
  }

  /** A tcp connection from the client to port 8080 of the host, on which both ends stay. @returns its port there. */
  async connect(family: Family): Promise<number> {
    const server = createServer().listen({ fd: socketIn(this.host, family, SOCK_STREAM, ADDRESSES[family].one, 80) });
    this.#stack.defer(() => void server.close());
    const socket = new Socket({ fd: socketIn(this.client, family, SOCK_STREAM, ADDRESSES[family].client) });
    this.#stack.defer(() => void socket.destroy());
    server.on("connection", (peer) => this.#stack.defer(() => void peer.destroy()));
    socket.connect(8080, ADDRESSES[family].host);
    await once(socket, "connect");
    return socket.localPort ?? 0;
  }

  /** The addresses and ports of the flows that the kernel shows as text, one line each. */
  async seen(what: string): Promise<string[]> {
    const lines = (await this.host.exec(["cat", PROC_FILE])).split("\n").filter((line) => line.includes(what));
    return lines.map((line) => line.match(/\b(?:src|dst|sport|dport)=\S+/g)?.join(" ") ?? "");
  }

  #udp(family: Family, fd: number): UdpSocket {
    const socket = createSocket(family === 4 ? "udp4" : "udp6");
    this.#stack.defer(() => void socket.close());
    return socket.bind({ fd }); // at once, as nothing is looked up
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** One end of the cable. */
interface End {
  readonly mac: string;
  readonly addresses: readonly string[];
}

/** Gives an end its addresses, and its neighbour's hardware address, so that no first packet waits for an answer. */
async function connectEnd(at: NetNamespace, own: End, peer: End): Promise<void> {
  const lengthOf = (address: string) => (address.includes(":") ? "64 nodad" : "24");
  const lines = [
    `ip link set lan0 address ${own.mac} addrgenmode none up`,
    ...own.addresses.map((address) => `ip address add ${address}/${lengthOf(address)} dev lan0`),
    ...peer.addresses.map((address) => `ip neighbour add ${address} lladdr ${peer.mac} dev lan0 nud permanent`),
  ];
  await at.exec(["sh", "-ec", lines.join("\n")]);
}

/** Sends one packet to the host's port. @returns the name of the server that answered. */
export async function ask(socket: UdpSocket, family: Family, port = 8080): Promise<string> {
  const answer = once(socket, "message") as Promise<[Buffer]>; // dgram's own words
  socket.send("?", port, ADDRESSES[family].host);
  return (await answer)[0].toString();
}
