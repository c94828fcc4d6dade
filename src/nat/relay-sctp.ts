// Sockets of the sctp relay. Node.js knows no sctp, yet serves any stream socket whose descriptor it is given: they are
// opened by `host/sctp.ts`, and from there on are like those of tcp. The joining is in `relay-stream.ts`.
//
// Each message is carried on as one message as long as it has at most 64 KiB, what Node.js reads at a time; messages are
// written one by one, since two that are written together become one (RFC 6458 section 4.1.6). Stream numbers and payload
// protocol identifiers are lost. There is no half-closed state: when one side shuts down, the other can send nothing more
// (RFC 9260 section 9.2), and the side that did so is never told that it is over (seen, Linux 6.1: poll(2) reports nothing).
import { Socket, createServer, isIPv6 } from "node:net";
import { openBoundSctp, openSctp } from "../host/sctp.ts";
import type { Destination, Relay, RelayGate, RelayPlan } from "./relay.ts";
import { StreamRelay } from "./relay-stream.ts";

/** With a mark of one byte every write is waited for before the next one. */
const ONE_BY_ONE = { allowHalfOpen: true, highWaterMark: 1 } as const;

/** Listens on an sctp port and relays its associations. */
export async function listenSctp(plan: RelayPlan, gate: RelayGate): Promise<Relay> {
  return StreamRelay.listen(plan, gate, {
    protocol: "sctp",
    hasHalfClose: false,
    server: createServer(ONE_BY_ONE),
    listenOptions: { fd: openBoundSctp(plan.address, plan.hostPort) },
    connect: connectSctp,
  });
}

/** Begins to connect. `connect` on a socket that has a descriptor already uses it as it is. */
function connectSctp({ host, port }: Destination): Socket {
  const socket = new Socket({ ...ONE_BY_ONE, fd: openSctp(isIPv6(host) ? 6 : 4) });
  return socket.connect({ host, port });
}
