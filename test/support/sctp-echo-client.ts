// Runs inside a namespace of a kernel that has SCTP: asks `sctp-echo-server.ts` for the address it sees. Arguments: address,
// port. Prints the answer; exits 1 when none comes within 15 seconds, on an emulated machine five times that (the first INIT may
// be lost while neighbours are found, and is sent again after 3 seconds: RFC 9260 section 16).
import { Socket, isIPv6 } from "node:net";
import { openSctp } from "../../src/host/sctp.ts";
import { PATIENCE } from "./wait-until.ts";

const [host = "", portText] = process.argv.slice(2);
const port = Number(portText);

setTimeout(() => fail(new Error(`no answer from sctp ${host} port ${port}`)), 15_000 * PATIENCE);
const socket = new Socket({ fd: openSctp(isIPv6(host) ? 6 : 4) });
socket.on("error", fail).on("data", (line: Buffer) => process.stdout.write(line, () => process.exit(0)));
socket.connect({ host, port });

function fail(error: Error): void {
  process.stderr.write(`${error.message}\n`, () => process.exit(1));
}
