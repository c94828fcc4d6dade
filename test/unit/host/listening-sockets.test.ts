import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readListeningSockets } from "../../../src/host/listening-sockets.ts";

const HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const REST = "00000000:00000000 00:00000000 00000000     0        0 12345 1 0000000000000000 100 0 0 10 0\n";
const line = (local: string, remote: string, state: string) => `   0: ${local} ${remote} ${state} ${REST}`;

let folder = "";
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "tsnet-proc-"))));
afterEach(() => rmSync(folder, { recursive: true }));

function write(name: string, ...lines: readonly string[]): void {
  mkdirSync(join(folder, "sctp"), { recursive: true });
  writeFileSync(join(folder, name), [HEAD, ...lines].join(""));
}

describe("readListeningSockets", () => {
  it("reads addresses and ports of both families as proc(5) writes them", () => {
    write("tcp", line("0100007F:1F90", "00000000:0000", "0A"));
    write("tcp6", line("B80D0120000000000000000001000000:0050", "0".repeat(32).concat(":0000"), "0A"));
    write("udp", line("00000000:0035", "00000000:0000", "07"));
    write("udp6", line("00000000000000000000000000000000:0035", "0".repeat(32).concat(":0000"), "07"));

    expect(readListeningSockets(folder)).toEqual([
      { protocol: "tcp", address: "127.0.0.1", port: 8080 },
      { protocol: "tcp", address: "2001:db8::1", port: 80 },
      { protocol: "udp", address: "0.0.0.0", port: 53 },
      { protocol: "udp", address: "::", port: 53 },
    ]);
  });

  it("leaves out connections", () => {
    write("tcp", line("0100007F:1F90", "0100007F:9C40", "01"));
    write("udp", line("0100007F:1F90", "0100007F:9C40", "01"));

    expect(readListeningSockets(folder)).toEqual([]);
  });

  it("reads the addresses of an SCTP socket", () => {
    write("sctp/eps", "ffff8881 ffff8882 2   10  12   5000 0 34567 192.0.2.1 2001:db8::1 \n");

    expect(readListeningSockets(folder)).toEqual([
      { protocol: "sctp", address: "192.0.2.1", port: 5000 },
      { protocol: "sctp", address: "2001:db8::1", port: 5000 },
    ]);
  });

  it("finds nothing where the kernel has no such protocol", () => {
    expect(readListeningSockets(join(folder, "absent"))).toEqual([]);
  });

  it("finds sockets of this host", async () => {
    const [server, datagrams] = [createServer(), createSocket("udp6")];
    server.listen(0, "127.0.0.1");
    datagrams.bind({ port: 0, address: "::1" });
    await Promise.all([once(server, "listening"), once(datagrams, "listening")]);
    const { port } = server.address() as AddressInfo; // of a port, not of a path

    const found = readListeningSockets();
    const udp = datagrams.address().port;
    server.close();
    datagrams.close();

    expect(found).toContainEqual({ protocol: "tcp", address: "127.0.0.1", port });
    expect(found).toContainEqual({ protocol: "udp", address: "::1", port: udp });
  });
});
