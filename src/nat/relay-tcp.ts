// Sockets of the tcp relay, made by Node.js. The joining is in `relay-stream.ts`.
import { connect, createServer, isIPv6 } from "node:net";
import type { Relay, RelayGate, RelayPlan } from "./relay.ts";
import { StreamRelay } from "./relay-stream.ts";

/**
 * Both sides. A relay adds no delay of its own to small segments (TCP_NODELAY), and a peer that vanished without a word is
 * noticed within minutes (SO_KEEPALIVE), so that it does not keep its place for ever.
 */
const EITHER = { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: 240_000 } as const;

/** Listens on a tcp port and relays its connections. A listening socket keeps every other program off the port, whatever options it sets. */
export async function listenTcp(plan: RelayPlan, gate: RelayGate): Promise<Relay> {
  const { address: host, hostPort: port } = plan;
  return StreamRelay.listen(plan, gate, {
    protocol: "tcp",
    hasHalfClose: true,
    server: createServer(EITHER),
    listenOptions: { host, port, ipv6Only: isIPv6(host), exclusive: true },
    connect: (destination) => connect({ ...destination, ...EITHER }),
  });
}
