import { describe, expect, it } from "vitest";
import {
  SOL_SOCKET,
  SO_RCVTIMEO,
  closeSocket,
  errnoError,
  receiveMessage,
  receiveNow,
  sendMessage,
  setSocketOption,
} from "../../../src/host/libc.ts";
import { NLM_F, encodeMessage, isErrno } from "../../../src/host/netlink.ts";
import { NETLINK_ROUTE, openNetlink } from "../../../src/host/netlink-socket.ts";

const RTM_GETLINK = 18;
const NO_SOCKET = 1_000_000;

function socket(): Disposable & { readonly fd: number } {
  const fd = openNetlink(NETLINK_ROUTE);
  return { fd, [Symbol.dispose]: () => closeSocket(fd) };
}

describe("libc", () => {
  it("tells the errno of a call on the main thread and of one on another", async () => {
    const now = (() => {
      try {
        return receiveNow(NO_SOCKET, Buffer.alloc(16));
      } catch (failure) {
        return failure;
      }
    })();
    const later = await receiveMessage(NO_SOCKET, Buffer.alloc(16)).catch((failure: unknown) => failure);

    expect(String(now)).toBe("TsnetError: receive: Bad file descriptor (EBADF)");
    expect(String(later)).toBe("TsnetError: receive: Bad file descriptor (EBADF)");
  });

  it("names an errno that errno(3) does not have by its number", () => {
    expect(isErrno(errnoError("do it", 524), "E524")).toBe(true);
    expect(isErrno(errnoError("do it", 95), "EOPNOTSUPP")).toBe(true);
  });

  it("receives undefined when nothing is there", () => {
    using netlink = socket();

    expect(receiveNow(netlink.fd, Buffer.alloc(16))).toBeUndefined();
  });

  it("waits no longer than the socket's limit, and does not hold the event loop meanwhile", async () => {
    using netlink = socket();
    const limit = Buffer.alloc(16);
    limit.writeBigInt64LE(1n, 0); // a second
    setSocketOption(netlink.fd, SOL_SOCKET, SO_RCVTIMEO, limit);
    let turns = 0;
    const timer = setInterval(() => (turns += 1), 10);

    const failure = await receiveMessage(netlink.fd, Buffer.alloc(16)).catch((error: unknown) => error);
    clearInterval(timer);

    expect(isErrno(failure, "EAGAIN")).toBe(true);
    expect(turns).toBeGreaterThan(5);
  });

  it("refuses a message that does not fit, rather than giving half of it", async () => {
    using netlink = socket();
    await sendMessage(netlink.fd, encodeMessage(RTM_GETLINK, NLM_F.REQUEST | NLM_F.DUMP, 1, [Buffer.alloc(16)]));

    await expect(receiveMessage(netlink.fd, Buffer.alloc(64))).rejects.toThrow(/bytes does not fit into 64$/);
  });
});
