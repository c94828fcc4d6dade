// Which ports of this host somebody listens on, whoever it is: read from /proc/net of the network namespace that tsnet is in.
//
// Source: proc_pid_net(5); Linux net/ipv4/tcp_ipv4.c `get_tcp4_sock`, net/sctp/proc.c `sctp_eps_seq_show`.
import { readFileSync } from "node:fs";
import { type Family, formatAddress } from "../cidr.ts";

/** A socket that takes what comes to it from anywhere. */
export interface ListeningSocket {
  readonly protocol: "tcp" | "udp" | "sctp";
  /** Bare; `0.0.0.0` and `::` are all of their family. */
  readonly address: string;
  /** 1 to 65535. */
  readonly port: number;
}

/** `st` of a socket that listens (include/net/tcp_states.h); one of UDP that is not connected is "closed". */
const STATES = { tcp: "0A", udp: "07" } as const;

/** @param folder - that of proc; a kernel without a protocol has no file of it. */
export function readListeningSockets(folder = "/proc/net"): readonly ListeningSocket[] {
  const plain = (["tcp", "udp"] as const).flatMap((protocol) =>
    ([4, 6] as const).flatMap((family) => {
      const lines = linesOf(`${folder}/${protocol}${family === 6 ? "6" : ""}`);
      return lines.flatMap((line) => socketOf(protocol, family, line) ?? []);
    }),
  );
  return [...plain, ...linesOf(`${folder}/sctp/eps`).flatMap(sctpSocketsOf)];
}

/** Without the line of titles. */
function linesOf(path: string): readonly string[] {
  try {
    return readFileSync(path, "latin1").split("\n").slice(1).filter(Boolean);
  } catch (failure) {
    if (failure instanceof Error && "code" in failure && failure.code === "ENOENT") return [];
    throw failure;
  }
}

/** `0: 0100007F:1F90 00000000:0000 0A …`. */
function socketOf(protocol: "tcp" | "udp", family: Family, line: string): ListeningSocket | undefined {
  const [, local = "", , state] = line.trim().split(/\s+/);
  const [address = "", port = ""] = local.split(":");
  if (state !== STATES[protocol]) return undefined;
  return { protocol, address: addressOf(family, address), port: Number.parseInt(port, 16) };
}

/** Words of 32 bits as this processor has them in memory: the last byte first on all that node runs on. */
function addressOf(family: Family, digits: string): string {
  const bytes = Buffer.from(digits, "hex").swap32();
  return formatAddress({ family, value: BigInt(`0x${bytes.toString("hex")}`) });
}

/** ` ENDPT SOCK STY SST HBKT LPORT UID INODE LADDRS`: a socket with one line, and all its addresses. */
function sctpSocketsOf(line: string): readonly ListeningSocket[] {
  const [, , , , , port = "", , , ...addresses] = line.trim().split(/\s+/);
  return addresses.map((address) => ({ protocol: "sctp", address, port: Number(port) }));
}
