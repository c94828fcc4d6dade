// Announcements as another machine takes them: what its neighbour table says afterwards, and the frames on the wire.
import { describe, expect, it } from "vitest";
import { parseAddress } from "../../../src/cidr.ts";
import { type Announcement, announcementFrame, sendFrames } from "../../../src/host/announce.ts";
import { isErrno } from "../../../src/host/netlink.ts";
import { FrameSocket } from "../../support/frame-capture.ts";
import { NetNamespace } from "../../support/namespace.ts";
import { shell } from "../../support/packet-lab.ts";
import { waitUntil } from "../../support/wait-until.ts";

const BEFORE = "02:42:0a:01:01:02";
const AFTER = "02:42:0a:01:01:99";
const TEXTS = ["10.1.1.2", "fd00::2"];
const announcements = (mac: string): Announcement[] => TEXTS.map((text) => ({ mac, address: parseAddress(text) }));

interface IpLink {
  readonly ifindex: number;
  readonly operstate: string;
}

/** `eth0` here and `eth0` of the neighbour, which has talked to both addresses at the MAC address BEFORE. */
async function pair() {
  const stack = new AsyncDisposableStack();
  const [here, neighbour] = [stack.use(await NetNamespace.create("a")), stack.use(await NetNamespace.create("b"))];
  await shell(here, [`ip link add eth0 type veth peer name eth0 netns ${neighbour.name}`, "ip link set eth0 up"]);
  await shell(neighbour, [
    "ip address add 10.1.1.1/24 dev eth0",
    "ip address add fd00::1/64 dev eth0 nodad",
    "ip link set eth0 up",
    ...TEXTS.map((text) => `ip neighbour replace ${text} lladdr ${BEFORE} dev eth0 nud stale`),
  ]);
  // Before that its frames are lost: the kernel sets up the queues of a link some time after its other end came up.
  const index = await waitUntil("the link to be up", async () => {
    const [link] = await here.json<IpLink[]>(["ip", "-json", "link", "show", "eth0"]);
    return link?.operstate === "UP" && link.ifindex;
  });
  return { here, neighbour, index, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

async function known(ns: NetNamespace): Promise<string[]> {
  const all = await ns.json<{ dst: string; lladdr: string }[]>(["ip", "-json", "neighbour", "show", "dev", "eth0"]);
  return TEXTS.map((text) => all.find(({ dst }) => dst === text)?.lladdr ?? "");
}

describe("sendFrames", () => {
  it("makes a neighbour take announced addresses to be at the new MAC address", async () => {
    await using lab = await pair();
    expect(await known(lab.neighbour)).toEqual([BEFORE, BEFORE]);

    await waitUntil("the neighbour to know", async () => {
      lab.here.enter(() => sendFrames(lab.index, announcements(AFTER).map(announcementFrame)));
      return (await known(lab.neighbour)).every((mac) => mac === AFTER);
    });
  });

  it("sends the frames as they stand and in their order, a tag included", async () => {
    await using lab = await pair();
    using ear = FrameSocket.open(lab.neighbour, "eth0");
    const frames = announcements(BEFORE).flatMap((a) => [a, { ...a, vlanId: 10 }].map(announcementFrame));

    lab.here.enter(() => sendFrames(lab.index, frames));

    await waitUntil("all frames", () => frames.every((frame) => ear.heard().some((heard) => heard.equals(frame))));
    expect(ear.heard().filter((heard) => frames.some((frame) => frame.equals(heard)))).toEqual(frames);
  });

  it("does not wait for a link that sends slowly: what its queue does not take is refused", async () => {
    await using lab = await pair();
    await lab.here.exec([
      "tc",
      "qdisc",
      "replace",
      "dev",
      "eth0",
      "root",
      ..."tbf rate 8kbit burst 1600 limit 10000000".split(" "),
    ]);
    const frames = announcements(BEFORE).map(announcementFrame);
    const many = Array.from({ length: 1000 }, () => frames).flat();

    const failure = failureOf(() => lab.here.enter(() => sendFrames(lab.index, many)));

    expect(failure).toMatchObject({ code: "host" });
    expect(isErrno(failure, "EAGAIN", "ENOBUFS")).toBe(true);
  });

  it("names the link that is down, or absent, or carries no frame so long", async () => {
    await using lab = await pair();
    const sending = (index: number, frame: Buffer) => failureOf(() => lab.here.enter(() => sendFrames(index, [frame])));
    const [frame = Buffer.alloc(0)] = announcements(BEFORE).map(announcementFrame);

    const tooLong = sending(lab.index, Buffer.concat([frame, Buffer.alloc(1500)]));
    await lab.here.exec(["ip", "link", "set", "eth0", "down"]);
    const down = sending(lab.index, frame);
    const absent = sending(4711, frame);

    for (const failure of [tooLong, down, absent]) expect(failure).toMatchObject({ code: "host" });
    expect(String(down)).toContain(`send frames out of link ${lab.index}: `);
    expect([isErrno(tooLong, "EMSGSIZE"), isErrno(down, "ENETDOWN"), isErrno(absent, "ENODEV")]).toEqual([
      true,
      true,
      true,
    ]);
  });
});

/** What a call throws. */
function failureOf(call: () => void): unknown {
  try {
    call();
  } catch (failure) {
    return failure;
  }
  return undefined;
}
