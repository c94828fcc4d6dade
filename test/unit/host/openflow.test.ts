// The client and its messages, against bytes put together from OpenFlow 1.3.5 and 1.4.1 and Open vSwitch's nicira-ext.h.
import { describe, expect, it } from "vitest";
import { decodeActions, encodeActions } from "../../../src/host/openflow-actions.ts";
import {
  type Flow,
  decodeFlows,
  encodeAdd,
  encodeDelete,
  encodeDeleteStrictly,
} from "../../../src/host/openflow-flow.ts";
import { decodeMatch, encodeMatch } from "../../../src/host/openflow-match.ts";
import { MessageStream } from "../../../src/host/openflow-message.ts";
import { OpenFlow } from "../../../src/host/openflow.ts";
import { FakeSwitch, type SwitchScript, bytes } from "../../support/fake-switch.ts";
import { waitUntil } from "../../support/wait-until.ts";

const HELLO = "05 00 0010 00000000 0001 0008 00000030";
const EMPTY_MATCH = "0001 0004 00000000";

const flow = (n: number): Flow => ({ table: 0, priority: 1, cookie: 1n, match: { inPort: n }, actions: [] });

/** Greets, answers barriers, and leaves the rest to `more`. */
const polite =
  (more: SwitchScript = () => {}, hello = HELLO): SwitchScript =>
  (message, socket) => {
    const version = hello.slice(0, 2);
    if (message.type === 0) socket.write(bytes(hello));
    else if (message.type === 20) socket.write(bytes(`${version} 15 0008 ${message.xid}`));
    else more(message, socket);
  };

describe("a match", () => {
  it("is OXM in the order in which fields need one another, filled up to 8 bytes (7.2.2)", () => {
    const match = { udpDst: 67, ipProto: 17, ethType: 0x0800, inPort: 3 };

    const encoded = encodeMatch(match);

    const oxm = "80000004 00000003  80000a02 0800  80001401 11  80002002 0043";
    expect(encoded).toEqual(bytes(`0001 001d ${oxm} 000000`));
    expect(decodeMatch(encoded)).toEqual({ match, unknown: [], length: 32 });
  });

  it("has a mask behind the value, and registers as NXM", () => {
    const match = { ethDst: { value: "01:00:00:00:00:00", mask: "01:00:00:00:00:00" }, reg1: { value: 1, mask: 3 } };

    const encoded = encodeMatch(match);

    expect(encoded).toEqual(bytes("0001 0020 00010308 00000001 00000003 8000070c 010000000000 010000000000"));
    expect(decodeMatch(encoded).match).toEqual(match);
  });

  it("numbers the bridge's own port as OpenFlow does", () => {
    expect(encodeMatch({ inPort: 65534 })).toEqual(bytes("0001 000c 80000004 fffffffe 00000000"));
  });

  it("tells fields that it does not know, and refuses values that a field cannot have", () => {
    expect(decodeMatch(bytes("0001 000c 80002604 00000001 00000000"))).toMatchObject({
      match: {},
      unknown: ["0x80002604"],
    });
    for (const [name, value] of [
      ["ipProto", 256],
      ["ethSrc", "02:00"],
      ["ipv4Src", "fd00::1"],
      ["ipv6Src", "10.0.0.1"],
      ["ethType", -1],
    ] as const) {
      expect(() => encodeMatch({ [name]: value }), name).toThrow(`is no value for ${name}`);
    }
    expect(() => encodeMatch({ arpSpa: "somebody" })).toThrow("is no IP address");
  });

  it.each(["0001 00ff 80000004", "0001 0008 80000004 00", "0001", "0001 0002 00000000"])(
    "that is cut short is refused: %s",
    (hex) => {
      expect(() => decodeMatch(bytes(hex))).toThrow("ends before its end");
    },
  );
});

describe("actions", () => {
  it("are those of the specification and of nicira-ext.h", () => {
    const actions = [
      [{ kind: "output", port: 6 }, "0000 0010 00000006 0000 000000000000"],
      [{ kind: "output", port: "normal" }, "0000 0010 fffffffa 0000 000000000000"],
      [{ kind: "output", port: "inPort" }, "0000 0010 fffffff8 0000 000000000000"],
      [{ kind: "popVlan" }, "0012 0008 00000000"],
      [{ kind: "pushVlan" }, "0011 0008 8100 0000"],
      [{ kind: "set", field: "vlanVid", value: 0x1014 }, "0019 0010 80000c02 1014 000000000000"],
      [{ kind: "resubmit", table: 5 }, "ffff 0010 00002320 000e fff8 05 000000"],
      [
        { kind: "move", from: { field: "vlanTci" }, to: { field: "reg2", offset: 3 }, bits: 13 },
        "ffff 0018 00002320 0006 000d 0000 0003 00000802 00010404",
      ],
    ] as const;

    const encoded = encodeActions(actions.map(([action]) => action));

    expect(encoded.toString("hex")).toBe(bytes(actions.map(([, hex]) => hex).join("")).toString("hex"));
    expect(decodeActions(encoded)).toEqual(actions.map(([action]) => action));
  });

  it("of other kinds are told as they are", () => {
    expect(decodeActions(bytes("0016 0008 00000001"))).toEqual([{ kind: "unknown", bytes: "0016000800000001" }]);
    expect(() => decodeActions(bytes("0016 0010 00000001"))).toThrow("ends before its end");
  });
});

describe("a flow", () => {
  it("is added with its instructions, deleted by its cookie, or exactly (7.3.4.1)", () => {
    const adding: Flow = {
      table: 1,
      priority: 100,
      cookie: 0x7473n,
      match: {},
      actions: [{ kind: "popVlan" }],
      goTo: 2,
    };
    const head = (cookies: string, table: string, command: string, priority: string) =>
      `${cookies} ${table} ${command} 0000 0000 ${priority} ffffffff ffffffff ffffffff 0000 0000`;
    const none = "0000000000000000";

    const [add, remove, exactly] = [
      encodeAdd(adding),
      encodeDelete({ cookie: 0x7400n, mask: 0xff00n }),
      encodeDeleteStrictly({ table: 1, priority: 100, match: {} }),
    ];

    const instructions = "0004 0010 00000000 0012 0008 00000000  0001 0008 02 000000";
    expect(add).toEqual(
      bytes(`${head(`0000000000007473 ${none}`, "01", "00", "0064")} ${EMPTY_MATCH} ${instructions}`),
    );
    expect(remove).toEqual(bytes(`${head("0000000000007400 000000000000ff00", "ff", "03", "0000")} ${EMPTY_MATCH}`));
    expect(exactly).toEqual(bytes(`${head(`${none} ${none}`, "01", "04", "0064")} ${EMPTY_MATCH}`));
  });

  it("is read from a listing (7.3.5.2)", () => {
    const counters = "0000000000000001 0000000000000040";
    const fixed = `0040 01 00 00000009 00000000 0064 0000 0000 0000 0000 0000 0000000000007473 ${counters}`;
    const listed = bytes(`${fixed} ${EMPTY_MATCH} 0001 0008 02 000000`);

    expect(decodeFlows(listed)).toEqual([
      { table: 1, priority: 100, cookie: 0x7473n, match: {}, actions: [], goTo: 2, strange: [] },
    ]);
    expect(() => decodeFlows(listed.subarray(0, 60))).toThrow("a flow ends before its end");
  });
});

describe("a stream", () => {
  it("gives the same messages however it is cut", () => {
    const all = bytes("05 02 000c 00000007 01020304 05 15 0008 00000008");
    for (let cut = 0; cut <= all.length; cut++) {
      const stream = new MessageStream();
      const messages = [all.subarray(0, cut), all.subarray(cut)].flatMap((part) => stream.push(part));
      expect(messages.map(({ type, xid, body }) => [type, xid, body.toString("hex")])).toEqual([
        [2, 7, "01020304"],
        [21, 8, ""],
      ]);
    }
  });

  it("refuses a length that is shorter than a header", () => {
    expect(() => new MessageStream().push(bytes("05 02 0007 00000007"))).toThrow("a message of 7 bytes");
  });
});

describe("the client", () => {
  it.each([
    ["04 00 0010 00000000 0001 0008 00000012", "04"],
    ["06 00 0010 00000000 0001 0008 00000072", "05"],
    ["04 00 0008 00000000", "04"],
    ["06 00 0008 00000000", "05"],
  ])("greeted with %s speaks version %s", async (hello, version) => {
    await using fake = await FakeSwitch.started(polite(() => {}, hello.replace(/^06/, "05").replace(/^05/, version)));
    fake.script = (message, socket) => {
      if (message.type === 0) socket.write(bytes(hello));
      else socket.write(bytes(`${version} 15 0008 ${message.xid}`));
    };
    using client = await OpenFlow.open(fake.address);

    await client.addFlows([flow(1)]);

    expect(fake.received.map((hex) => hex.slice(0, 4))).toEqual(["0500", `${version}0e`, `${version}14`]);
  });

  it.each(["01 00 0008 00000000", "05 00 0010 00000000 0001 0008 00000002", "05 01 000c 00000000 0000 0000"])(
    "refuses a switch that greets with %s",
    async (hello) => {
      await using fake = await FakeSwitch.started((_, socket) => socket.write(bytes(hello)));

      await expect(OpenFlow.open(fake.address)).rejects.toMatchObject({ code: "unsupported" });
    },
  );

  it("sends flows and a barrier, and waits for its answer", async () => {
    const barriers: string[] = [];
    await using fake = await FakeSwitch.started((message, socket) => {
      if (message.type === 0) socket.write(bytes(HELLO));
      if (message.type === 20) barriers.push(message.xid);
    });
    using client = await OpenFlow.open(fake.address);
    let isDone = false;
    const adding = client.addFlows([flow(1), flow(2)]).then(() => (isDone = true));

    await waitUntil("the barrier", () => barriers.length > 0);
    expect(isDone).toBe(false);
    fake.send(`05 15 0008 ${barriers[0]}`);
    await adding;

    expect(fake.received.slice(1).map((hex) => hex.slice(0, 4))).toEqual(["050e", "050e", "0514"]);
  });

  it("tells which flows a switch refused, and why", async () => {
    let n = 0;
    await using fake = await FakeSwitch.started(
      polite(({ xid, hex }, socket) => {
        n += 1;
        if (n % 2 === 0) socket.write(bytes(`05 01 004c ${xid} 0005 0001 ${hex.slice(0, 128)}`));
      }),
    );
    using client = await OpenFlow.open(fake.address);

    await expect(client.addFlows(Array.from({ length: 14 }, (_, i) => flow(i + 1)))).rejects.toMatchObject({
      code: "host",
      message: expect.stringMatching(
        /^the switch refuses to add table=0,priority=1,inPort=2 \(flow mod failed: table full\), .*inPort=10 .*\), and 2 others$/,
      ) as string,
    });
  });

  it("answers when the switch asks whether anybody is there, and lets pass what nobody asked for", async () => {
    await using fake = await FakeSwitch.started(polite());
    using client = await OpenFlow.open(fake.address);

    fake.send("05 0c 0010 00000000 0000000000000000 05 02 000c 0000abcd 01020304");

    await waitUntil("the answer", () => fake.received.includes("0503000c0000abcd01020304"));
    expect(client.end).toBeUndefined();
  });

  it("puts an answer of several parts together", async () => {
    const part = (xid: string, more: string, cookie: string) =>
      `05 13 0048 ${xid} 0001 ${more} 00000000 0038 00 00 ${"00".repeat(8)} 0001 ${"00".repeat(10)} 00000000000000${cookie} ${"00".repeat(16)} ${EMPTY_MATCH}`;
    await using fake = await FakeSwitch.started(
      polite(({ type, xid }, socket) => {
        if (type === 18) socket.write(bytes(part(xid, "0001", "0a") + part(xid, "0000", "0b")));
      }),
    );
    using client = await OpenFlow.open(fake.address);

    const listed = await client.listFlows({ cookie: 0n, mask: 0n });

    expect(listed.map(({ cookie }) => cookie)).toEqual([10n, 11n]);
  });

  it("counts", async () => {
    await using fake = await FakeSwitch.started(
      polite(({ xid }, socket) =>
        socket.write(bytes(`05 13 0028 ${xid} 0002 0000 00000000 ${"00".repeat(16)} 00000007 00000000`)),
      ),
    );
    using client = await OpenFlow.open(fake.address);

    expect(await client.countFlows({ cookie: 0x7400n, mask: 0xff00n })).toBe(7);
    expect(fake.received.at(-1)?.slice(-48)).toBe(`0000000000007400000000000000ff00${EMPTY_MATCH.replaceAll(" ", "")}`);
  });

  it.each([
    ["a length that cannot be", "05 15 0001 00000001"],
    ["another version", "01 15 0008 00000001"],
  ])("ends the connection for %s", async (_what, hex) => {
    const ends: string[] = [];
    await using fake = await FakeSwitch.started(polite((_, socket) => socket.write(bytes(hex))));
    fake.script = (message, socket) => socket.write(bytes(message.type === 0 ? HELLO : hex));
    using client = await OpenFlow.open(fake.address, { onEnd: ({ message }) => ends.push(message) });

    await expect(client.addFlows([flow(1)])).rejects.toMatchObject({
      code: "host",
      message: expect.stringContaining("sent what OpenFlow does not know") as string,
    });
    expect(ends.length).toBe(1);
  });

  it("refuses a listing that makes no sense and stays open", async () => {
    await using fake = await FakeSwitch.started(
      polite(({ xid }, socket) => socket.write(bytes(`05 13 0014 ${xid} 0001 0000 00000000 00000000`))),
    );
    using client = await OpenFlow.open(fake.address);

    await expect(client.listFlows({ cookie: 0n, mask: 0n })).rejects.toMatchObject({ code: "host" });
    expect(client.end).toBeUndefined();
  });

  it.each([
    ["the greeting", (() => {}) satisfies SwitchScript],
    [
      "an answer",
      ((message, socket) => void (message.type === 0 && socket.write(bytes(HELLO)))) satisfies SwitchScript,
    ],
  ])("does not wait for ever for %s", async (_what, script) => {
    await using fake = await FakeSwitch.started(script);

    const asking = (async () => {
      using client = await OpenFlow.open(fake.address, { deadlineMs: 50 });
      await client.addFlows([flow(1)]);
    })();

    await expect(asking).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringContaining("within 50 ms") as string,
    });
  });

  it("fails what it waits for when the switch goes away, and tells its owner once", async () => {
    const ends: string[] = [];
    await using fake = await FakeSwitch.started((message, socket) => {
      if (message.type === 0) socket.write(bytes(HELLO));
      else socket.destroy();
    });
    using client = await OpenFlow.open(fake.address, { onEnd: ({ message }) => ends.push(message) });

    await expect(client.addFlows([flow(1)])).rejects.toMatchObject({ code: "unavailable" });
    await expect(client.addFlows([flow(1)])).rejects.toMatchObject({ code: "unavailable" });
    client.close();

    expect(ends.length).toBe(1);
  });

  it("names the socket that is not there", async () => {
    await expect(OpenFlow.open("unix:/nonexistent/br0.mgmt")).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringContaining("unix:/nonexistent/br0.mgmt (ENOENT)") as string,
    });
  });
});
