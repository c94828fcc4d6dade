// A port with neither tag nor trunks carries every VLAN. What comes with its tag in one transaction is never such a port:
// seen from another VLAN, while its other end sends without a pause.
import { setImmediate } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { Ovsdb } from "../../../src/host/ovsdb.ts";
import { expectNamed, insert, mutate } from "../../../src/host/ovsdb-operations.ts";
import { FrameSocket } from "../../support/frame-capture.ts";
import { BROADCAST_MAC, ETHERTYPE, ethernet } from "../../support/frames.ts";
import { OvsHost } from "../../support/ovs-host.ts";

const ROUNDS = 20;
const SECRET = Buffer.from("of another VLAN");
const BRIDGE = [["name", "==", "br0"]] as const;

const plain = { to: BROADCAST_MAC, from: "02:00:00:00:00:01", type: 0x88b5, payload: SECRET } as const;
const FRAMES = [plain, { ...plain, tags: [{ type: ETHERTYPE.customerTag, id: 20 }] }].map(ethernet);

/** A bridge with a port in VLAN 10 and one in VLAN 20; `talker` is a link that is no port yet. */
async function twoVlans(): Promise<OvsHost> {
  const host = await OvsHost.running();
  for (const name of ["same", "other", "talker"]) {
    await host.ns.exec(["ip", "link", "add", name, "up", "type", "veth", "peer", "name", `${name}p`]);
    await host.ns.exec(["ip", "link", "set", `${name}p`, "up"]);
  }
  await host.vsctl("add-port", "br0", "same", "tag=10", "--", "add-port", "br0", "other", "tag=20");
  return host;
}

/** Sends on the talker's other end as long as it takes. */
async function talkingWhile(host: OvsHost, act: () => Promise<unknown>): Promise<void> {
  using socket = FrameSocket.open(host.ns, "talkerp");
  const done = new AbortController();
  const acting = act().finally(() => done.abort());
  acting.catch(() => {}); // looked at below
  while (!done.signal.aborted) {
    socket.send(...FRAMES);
    await setImmediate();
  }
  await acting;
}

describe("a port that talks before it is one", () => {
  it("is heard in its own VLAN alone when it comes with its tag in one transaction [F130]", async () => {
    await using host = await twoVlans();
    using ovsdb = new Ovsdb(host.address);
    using same = FrameSocket.open(host.ns, "samep");
    using other = FrameSocket.open(host.ns, "otherp");

    await talkingWhile(host, async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const [, , port] = await ovsdb.apply("add port talker", [
          expectNamed("Bridge", "br0"),
          insert("Interface", { name: "talker" }, "@interface"),
          insert("Port", { name: "talker", tag: 10, vlan_mode: "access", interfaces: ["@interface"] }, "@port"),
          mutate("Bridge", BRIDGE, [["ports", "insert", ["@port"]]]),
        ]);
        await same.waitFor("the port to be heard in its own VLAN", SECRET);
        same.forget();
        await ovsdb.apply("remove port talker", [mutate("Bridge", BRIDGE, [["ports", "delete", [port]]])]);
      }
    });

    expect(other.count(SECRET)).toBe(0);
  });

  it("is heard in another VLAN when its tag comes after it: the test above would notice", async () => {
    await using host = await twoVlans();
    using other = FrameSocket.open(host.ns, "otherp");

    await talkingWhile(host, async () => {
      await host.vsctl("add-port", "br0", "talker");
      await other.waitFor("the port to be heard", SECRET);
      await host.vsctl("set", "port", "talker", "tag=10");
    });
  });
});
