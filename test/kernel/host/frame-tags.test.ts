// The oracle of the tests about VLANs: what a frame socket hears is what was on the wire, whatever the kernel did with the tags.
import { expect, it } from "vitest";
import { FrameSocket } from "../../support/frame-capture.ts";
import { BROADCAST_MAC, ethernet } from "../../support/frames.ts";
import { NetNamespace } from "../../support/namespace.ts";
import { shell } from "../../support/packet-lab.ts";
import { dot1ad, dot1q } from "../../support/vlan-probe.ts";
import { waitUntil } from "../../support/wait-until.ts";

const TAGS = [[], [dot1q(0)], [{ ...dot1q(100), priority: 5 }], [dot1q(4095)], [dot1ad(100)], [dot1q(100), dot1q(200)]];

it("a frame socket hears frames with all their tags, byte for byte", async () => {
  await using namespace = await NetNamespace.create();
  await shell(namespace, [
    "sysctl -qw net.ipv6.conf.default.disable_ipv6=1",
    "ip link add one type veth peer name two",
    "ip link set two up",
  ]);
  using two = FrameSocket.open(namespace, "two"); // no carrier yet
  await shell(namespace, ["ip link set one up"]);
  using one = FrameSocket.open(namespace, "one");
  const head = { to: BROADCAST_MAC, from: "02:00:00:00:00:01", type: 0x88b5, payload: Buffer.from("hello") };
  const frames = TAGS.map((tags) => ethernet({ ...head, tags }));
  await waitUntil("the link to carry", () => {
    one.send(ethernet({ ...head, payload: Buffer.from("first") }));
    return two.heard().length > 0;
  });

  one.send(...frames);

  await waitUntil("the frames", () => two.count(head.payload) >= frames.length);
  expect(two.heard().filter((frame) => frame.includes(head.payload))).toEqual(frames);
});
