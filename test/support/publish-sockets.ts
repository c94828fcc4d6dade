// Sockets of a lab host: programs of its own that take ports, and which ports of the host are taken.
import type { LabHost } from "./lab-host.ts";
import { waitUntil } from "./wait-until.ts";

/** A port that some program of the host has. */
export interface TakenPort {
  readonly protocol: "tcp" | "udp";
  /** Bare; `0.0.0.0` and `::` for all. */
  readonly address: string;
  readonly port: number;
}

const LISTEN = {
  tcp: `require("node:net").createServer().listen(port, address, ready).on("error", failed)`,
  udp: `require("node:dgram").createSocket(address.includes(":") ? "udp6" : "udp4").bind(port, address, ready).on("error", failed)`,
} as const;

const PROGRAM = (protocol: TakenPort["protocol"]) => `
const [address, port] = [process.argv[1], Number(process.argv[2])];
const ready = () => console.log("ready");
const failed = (error) => { console.log(error.code); process.exit(1); };
${LISTEN[protocol]};
`;
let started = 0;

/**
 * Starts a program of the host that takes a port.
 *
 * @returns the program, which ends with its block, or why it could not: `EADDRINUSE`.
 */
export async function takePort(
  lab: LabHost,
  wanted: TakenPort,
): Promise<AsyncDisposable & { readonly failure?: string }> {
  started += 1;
  const command = [process.execPath, "-e", PROGRAM(wanted.protocol), "--", wanted.address, String(wanted.port)];
  const program = await lab.namespace.spawn(`taker-${started}`, command);
  await waitUntil("the program to have its port or not", () => program.log() !== "");
  if (program.log().trim() !== "ready") return { failure: program.log().trim(), [Symbol.asyncDispose]: async () => {} };
  return {
    [Symbol.asyncDispose]: async () => {
      await lab.exec(["kill", "-KILL", String(program.pid)]);
      await program.ended;
    },
  };
}

/** The ports of the host that are listened on (TCP) or bound (UDP), as ss(8) shows them. */
export async function takenPorts(lab: LabHost): Promise<readonly TakenPort[]> {
  const lines = (await lab.exec(["ss", "-Hlntu"])).split("\n").filter((line) => line !== "");
  return lines.map((line) => {
    const [protocol, , , , local = ""] = line.split(/\s+/);
    const [, address = "", port = ""] = /^(.*):(\d+)$/.exec(local) ?? [];
    const bare = address.replace(/^\[(.*)\]$/, "$1").replace(/%.*/, "");
    return { protocol: protocol === "udp" ? "udp" : "tcp", address: bare === "*" ? "::" : bare, port: Number(port) };
  });
}

/** The ports that were not taken before. @param known - what `takenPorts` said then. */
export async function newPorts(lab: LabHost, known: readonly TakenPort[]): Promise<readonly TakenPort[]> {
  const keys = new Set(known.map((port) => JSON.stringify(port)));
  return (await takenPorts(lab)).filter((port) => !keys.has(JSON.stringify(port)));
}
