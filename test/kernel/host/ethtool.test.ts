// Checksum offload, judged by the frames: those of a link that leaves checksums to its driver carry wrong ones over a veth.
import { describe, expect, it } from "vitest";
import { setTxChecksum } from "../../../src/host/ethtool.ts";
import { isErrno } from "../../../src/host/netlink.ts";
import { FrameSocket } from "../../support/frame-capture.ts";
import { NetNamespace } from "../../support/namespace.ts";
import { waitUntil } from "../../support/wait-until.ts";

const MARK = "tsnet-checksum-of-this";

/** The sum over pairs of bytes that is 0xffff when the checksum in it is right (RFC 1071). */
function sum(bytes: Buffer): number {
  let total = 0;
  for (let at = 0; at < bytes.length; at += 2) total += (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}

/** Whether the checksum of a UDP datagram in an Ethernet frame with a short IPv4 header is right (RFC 768). */
function isRight(frame: Buffer): boolean {
  const [addresses, datagram] = [frame.subarray(26, 34), frame.subarray(34)];
  const rest = Buffer.from([0, 17, datagram.length >> 8, datagram.length & 0xff]);
  return sum(Buffer.concat([addresses, rest, datagram])) === 0xffff;
}

/** Two namespaces joined by a veth; each end is eth0. */
async function makePair() {
  const stack = new AsyncDisposableStack();
  const near = stack.use(await NetNamespace.create("near"));
  const far = stack.use(await NetNamespace.create("far"));
  const line = (...argv: string[]) => near.exec(["ip", ...argv]);
  await line("link", "add", "eth0", "type", "veth", "peer", "name", "eth1");
  return { near, far, line, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** Sends a datagram from one end. @returns whether it came to the other end with the right checksum. */
async function arrivesRight(from: NetNamespace, to: NetNamespace, link: string, address: string): Promise<boolean> {
  using ear = FrameSocket.open(to, link);
  await from.exec(["bash", "--norc", "-c", `echo ${MARK} > /dev/udp/${address}/4711`]);
  await ear.waitFor("the datagram", Buffer.from(MARK));
  const frame = ear.heard().find((heard) => heard.includes(MARK));
  return frame !== undefined && isRight(frame);
}

describe("setTxChecksum", () => {
  it("off makes both ends of a veth send right checksums, also when one was moved away later, and on does not [F112]", async () => {
    await using pair = await makePair();
    const { near, far, line } = pair;
    const right = async () => [
      await arrivesRight(near, far, "eth1", "192.0.2.2"),
      await arrivesRight(far, near, "eth0", "192.0.2.1"),
    ];
    const turn = (isOn: boolean) =>
      Promise.all(["eth0", "eth1"].map((name) => near.enter(() => setTxChecksum(name, isOn))));

    await turn(false);
    await line("link", "set", "eth1", "netns", far.name);
    for (const [ns, link, n] of [
      [near, "eth0", 1],
      [far, "eth1", 2],
    ] as const) {
      await ns.exec(["ip", "address", "add", `192.0.2.${n}/24`, "dev", link]);
      await ns.exec(["ip", "link", "set", link, "up"]);
    }
    for (const [ns, link] of [
      [near, "eth0"],
      [far, "eth1"],
    ] as const) {
      await waitUntil("the link to be up", async () =>
        (await ns.exec(["ip", "link", "show", link])).includes("state UP"),
      );
    }
    expect(await right()).toEqual([true, true]);

    await near.enter(() => setTxChecksum("eth0", true));
    await far.enter(() => setTxChecksum("eth1", true));
    expect(await right()).toEqual([false, false]);

    await near.enter(() => setTxChecksum("eth0", false));
    expect(await right()).toEqual([true, false]);
  });

  it("names the link that does not exist, and takes no longer name for a shorter one", async () => {
    await using ns = await NetNamespace.create();
    await ns.exec(["ip", "link", "add", "tsnet-123456789", "type", "veth", "peer", "name", "tsp0"]);

    for (const name of ["absent", "tsnet-1234567890"]) {
      const failure = await ns.enter(() => setTxChecksum(name, false)).catch((error: unknown) => error);

      expect(String(failure)).toContain(`switch checksum offload of link ${name} off: `);
      expect(isErrno(failure, "ENODEV")).toBe(true);
    }
    await ns.enter(() => setTxChecksum("tsnet-123456789", false));
  });

  it("refuses a link without such a setting", async () => {
    await using ns = await NetNamespace.create();

    const failure = await ns.enter(() => setTxChecksum("lo", false)).catch((error: unknown) => error);

    expect(String(failure)).toContain("lo off: ");
  });
});
