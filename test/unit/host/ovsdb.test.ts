// The client against a server that says what the test wants: what comes and goes, and in which order.
import { describe, expect, it, vi } from "vitest";
import { Ovsdb, type OvsdbOptions } from "../../../src/host/ovsdb.ts";
import { insert, select } from "../../../src/host/ovsdb-operations.ts";
import { FakeOvsdb, type FakeMessage, type FakeScript, vswitch } from "../../support/fake-ovsdb.ts";
import { waitUntil } from "../../support/wait-until.ts";

const PORT = insert("Port", { name: "tsv1" });
const INSERTED = { uuid: ["uuid", "36bef046-7da7-43a5-905a-c17899216fcb"] };
const NAMES = select("Bridge", [], ["name"]);

/** Answers a select with no rows and anything else with a row's UUID; `next_cfg` reads as given. */
function answering(nextCfg = 1): FakeScript {
  return (message, peer) => {
    const operations = (message.params ?? []).slice(1) as { op: string; table: string }[];
    const resultOf = ({ op, table }: { op: string; table: string }) => {
      if (op === "mutate") return { count: 1 };
      if (op === "select") return { rows: table === "Open_vSwitch" ? [{ next_cfg: nextCfg }] : [] };
      return INSERTED;
    };
    if (message.method === "transact") peer.answer(message, operations.map(resultOf));
  };
}

const tell = (curCfg: number): FakeMessage => ({
  method: "update",
  params: ["tsnet", { Open_vSwitch: { row: { old: {}, new: { cur_cfg: curCfg } } } }],
  id: null,
});

function client(fake: FakeOvsdb, options: OvsdbOptions = {}) {
  const onConnected = vi.fn<() => void>();
  const onLost = vi.fn<(reason: Error) => void>();
  const ovsdb = new Ovsdb(fake.address, { onConnected, onLost, ...options });
  return { ovsdb, onConnected, onLost, [Symbol.dispose]: () => ovsdb.close() };
}

const failureOf = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => expect.unreachable("it succeeded"),
    (failure: unknown) => failure as Error,
  );

const countOf = (fake: FakeOvsdb, method: string) =>
  fake.peers.flatMap(({ received }) => received).filter((message) => message.method === method).length;

describe("transact", () => {
  it("connects when it is first called, and stays connected", async () => {
    await using fake = await FakeOvsdb.started(vswitch(0, answering()));
    using given = client(fake);
    expect(fake.peers).toHaveLength(0);

    await given.ovsdb.transact("list", [NAMES]);
    await given.ovsdb.transact("list", [NAMES]);

    expect(fake.peers).toHaveLength(1);
    expect(given.onConnected).toHaveBeenCalledTimes(1);
  });

  it("makes one attempt for many callers that come at once, and one connection", async () => {
    await using fake = await FakeOvsdb.started(vswitch(0, answering()));
    using given = client(fake);

    await Promise.all(Array.from({ length: 50 }, () => given.ovsdb.transact("list", [NAMES])));

    expect([fake.peers.length, countOf(fake, "monitor")]).toEqual([1, 1]);
  });

  it("fails at once without a database, says what was wanted and what to do, and connects when it comes", async () => {
    await using fake = new FakeOvsdb(vswitch(0, answering()));
    using given = client(fake);

    const began = performance.now();
    const failure = await failureOf(given.ovsdb.transact("add port tsv1", [PORT]));

    expect(performance.now() - began).toBeLessThan(2_000);
    expect(failure).toMatchObject({
      code: "unavailable",
      message:
        `add port tsv1: Open vSwitch's database does not answer on ${fake.address} (ENOENT): ` +
        "start Open vSwitch (systemctl start openvswitch-switch) or set TSNET_OVSDB",
    });
    await fake.listen();
    await waitUntil("the client to find it by itself", () => given.onConnected.mock.calls.length === 1);
    await given.ovsdb.transact("add port tsv1", [PORT]);
    expect(fake.peers).toHaveLength(1);
  });

  it("goes on trying by itself also when a timer fires before its time", async () => {
    using _clock = vi.spyOn(performance, "now").mockReturnValue(1_000); // no time passes between an attempt and the next
    await using fake = new FakeOvsdb(vswitch(0, answering()));
    using given = client(fake);

    await failureOf(given.ovsdb.transact("list", [NAMES]));
    await fake.listen();

    await waitUntil("the client to find it by itself", () => given.onConnected.mock.calls.length === 1, {
      limitMs: 3_000,
    });
  });

  it("does not storm a database that accepts and closes", async () => {
    await using fake = await FakeOvsdb.started((_, { socket }) => socket.end());
    using given = client(fake);

    const failures: Error[] = [];
    const end = performance.now() + 700;
    while (performance.now() < end) failures.push(await failureOf(given.ovsdb.transact("list", [NAMES])));

    expect(failures[0]?.message).toMatch(/^list: Open vSwitch's .* \(it closed the connection\): start Open vSwitch /);
    expect(fake.peers.length).toBeLessThanOrEqual(8); // at most one in 100 ms
  });

  it("says that the outcome is unknown when the connection breaks before the answer", async () => {
    await using fake = await FakeOvsdb.started(vswitch(0, (_, { socket }) => socket.end()));
    using given = client(fake);

    const failure = await failureOf(given.ovsdb.transact("add port tsv1", [PORT]));

    expect(failure).toMatchObject({ code: "unavailable" });
    expect(failure.message).toMatch(/^add port tsv1: .*\(it closed.*; whether the change was made is unknown$/);
  });

  it("says nothing of an outcome when what failed was only reading", async () => {
    await using fake = await FakeOvsdb.started(vswitch(0, (_, { socket }) => socket.end()));
    using given = client(fake);

    expect((await failureOf(given.ovsdb.transact("list", [NAMES]))).message).not.toContain("unknown");
  });

  it("gives up on a database that hangs, and reaches the one that is there afterwards [F124]", async () => {
    await using fake = await FakeOvsdb.started(vswitch(0));
    using given = client(fake, { requestDeadlineMs: 1_000 }); // for the call that is answered as well

    const failure = await failureOf(given.ovsdb.transact("add port tsv1", [PORT]));
    fake.script = vswitch(0, answering());
    await given.ovsdb.transact("add port tsv1", [PORT]);

    expect(failure.message).toContain("(no answer within 1000 ms)");
    expect(failure.message).toContain("whether the change was made is unknown");
    expect(given.onLost).toHaveBeenCalledTimes(1);
    expect(given.onConnected).toHaveBeenCalledTimes(2);
  });

  it("waits for a database that has just gone", async () => {
    await using fake = await FakeOvsdb.started(vswitch(0, answering()));
    using given = client(fake);
    await given.ovsdb.transact("list", [NAMES]);
    await fake.stop();
    await waitUntil("the client to notice", () => !given.ovsdb.isConnected);

    const call = given.ovsdb.transact("list", [NAMES]);
    setTimeout(() => void fake.listen(), 500);

    expect(await call).toEqual([[]]);
    expect(given.onConnected).toHaveBeenCalledTimes(2);
  });

  it("waits only so long for a database that has gone", async () => {
    await using fake = await FakeOvsdb.started(vswitch(0, answering()));
    using given = client(fake, { patienceMs: 300 });
    await given.ovsdb.transact("list", [NAMES]);
    await fake.stop();
    await waitUntil("the client to notice", () => !given.ovsdb.isConnected);

    const began = performance.now();
    const failure = await failureOf(given.ovsdb.transact("list", [NAMES]));

    expect(performance.now() - began).toBeLessThan(2_000);
    expect(failure).toMatchObject({ code: "unavailable", message: expect.stringContaining("(ENOENT)") });
  });

  it("does not use a connection that ended while it was being made", async () => {
    await using fake = await FakeOvsdb.started((message, peer) =>
      peer.send(`{"id":${String(message.id)},"result":{},"error":null}${JSON.stringify(tell(Number.NaN))}`),
    );
    using given = client(fake);

    const failure = await failureOf(given.ovsdb.transact("add port tsv1", [PORT]));

    expect(failure.message).toContain("null instead of an integer");
    expect(failure.message).not.toContain("unknown");
    expect(given.onConnected).not.toHaveBeenCalled();
  });

  it("says that what answers is no Open vSwitch [F124]", async () => {
    await using fake = await FakeOvsdb.started((message, peer) =>
      peer.send({ id: message.id, result: null, error: "unknown database" }),
    );
    using given = client(fake);

    const failure = await failureOf(given.ovsdb.transact("list", [NAMES]));

    expect(failure).toMatchObject({ code: "host" });
    expect(failure.message).toContain(`what answers on ${fake.address} is no database of Open vSwitch`);
    expect(failure.message).toContain("unknown database");
  });
});

describe("apply", () => {
  it("asks ovs-vswitchd in the same transaction, and waits until it says that it is done", async () => {
    await using fake = await FakeOvsdb.started(vswitch(6, answering(7)));
    using given = client(fake);
    let isDone = false;

    const applied = given.ovsdb.apply("add port tsv1", [PORT]).then((results) => {
      isDone = true;
      return results;
    });
    await waitUntil("the transaction", () => countOf(fake, "transact") === 1);
    fake.peers[0]?.send(tell(6));
    await given.ovsdb.transact("list", [NAMES]);
    expect(isDone).toBe(false);
    fake.peers[0]?.send(tell(7));

    expect(await applied).toEqual([INSERTED.uuid[1]]);
    expect(fake.peers[0]?.received[1]?.params).toEqual([
      "Open_vSwitch",
      PORT.json,
      { op: "mutate", table: "Open_vSwitch", where: [], mutations: [["next_cfg", "+=", 1]] },
      { op: "select", table: "Open_vSwitch", where: [], columns: ["next_cfg"] },
    ]);
  });

  it("does not wait when ovs-vswitchd was faster than the answer", async () => {
    const script = answering(7);
    await using fake = await FakeOvsdb.started(
      vswitch(6, (message, peer) => {
        peer.send(tell(8));
        script(message, peer);
      }),
    );
    using given = client(fake);

    await given.ovsdb.apply("add port tsv1", [PORT]);
  });

  it("fails after the deadline when ovs-vswitchd does nothing", async () => {
    await using fake = await FakeOvsdb.started(vswitch(6, answering(7)));
    using given = client(fake, { vswitchdDeadlineMs: 200 });

    const failure = await failureOf(given.ovsdb.apply("add port tsv1", [PORT]));

    expect(failure).toMatchObject({
      code: "unavailable",
      message:
        "add port tsv1: ovs-vswitchd did not take over the change within 0.2 s: look whether it runs " +
        "(systemctl status ovs-vswitchd), or restart it (systemctl restart ovs-vswitchd)",
    });
    expect(given.ovsdb.isConnected).toBe(true);
  });

  it("goes on waiting over a new connection", async () => {
    await using fake = await FakeOvsdb.started(vswitch(6, answering(7)));
    using given = client(fake);

    const applied = given.ovsdb.apply("add port tsv1", [PORT]);
    await waitUntil("the transaction", () => countOf(fake, "transact") === 1);
    await given.ovsdb.transact("list", [NAMES]);
    fake.script = vswitch(7, answering());
    fake.peers[0]?.socket.destroy();

    await applied;
    expect(given.onConnected).toHaveBeenCalledTimes(2);
  });

  it("does not take the word of one database for that of another", async () => {
    await using fake = await FakeOvsdb.started(vswitch(100, answering(7)));
    using given = client(fake, { vswitchdDeadlineMs: 200 });
    await given.ovsdb.waitForVswitchd("look");
    const noRow: FakeScript = (message, peer) => peer.answer(message, {});

    fake.script = (message, peer) => (message.method === "monitor" ? noRow : answering(7))(message, peer);
    fake.peers[0]?.socket.destroy();
    await waitUntil("a new connection", () => given.onConnected.mock.calls.length === 2);

    expect((await failureOf(given.ovsdb.waitForVswitchd("look"))).message).toContain("did not take over");
  });

  it("says what to do about a database without its one row", async () => {
    await using fake = await FakeOvsdb.started(
      vswitch(0, (message, peer) => peer.answer(message, [{ count: 0 }, { rows: [] }])),
    );
    using given = client(fake);

    expect(await failureOf(given.ovsdb.waitForVswitchd("look"))).toMatchObject({
      code: "unavailable",
      message: "look: Open vSwitch's database is empty: run ovs-vsctl init",
    });
  });
});

describe("requireInterfaces", () => {
  it("names each interface that cannot be used, and why", async () => {
    const rows = [
      { name: "a", ofport: 3, error: ["set", []], ifindex: 5 },
      { name: "b", ofport: -1, error: "could not open network device b (No such device)", ifindex: ["set", []] },
      { name: "c", ofport: -1, error: ["set", []], ifindex: 0 },
    ];
    await using fake = await FakeOvsdb.started(
      vswitch(0, (message, peer) => peer.answer(message, [...rows.map((row) => ({ rows: [row] })), { rows: [] }])),
    );
    using given = client(fake);

    expect(await failureOf(given.ovsdb.requireInterfaces("add ports", ["a", "b", "c", "d"]))).toMatchObject({
      code: "host",
      message:
        "add ports: Open vSwitch cannot use b: could not open network device b (No such device); " +
        "Open vSwitch cannot use c: see the log of ovs-vswitchd; Open vSwitch has no interface d",
    });
  });
});

describe("close", () => {
  it("ends calls under way, waits and attempts, and refuses further ones", async () => {
    await using fake = await FakeOvsdb.started(vswitch(6, answering(7)));
    using given = client(fake);
    const applied = failureOf(given.ovsdb.apply("add port tsv1", [PORT]));
    await waitUntil("the transaction", () => countOf(fake, "transact") === 1);
    await given.ovsdb.transact("list", [NAMES]);

    given.ovsdb.close();

    expect(await applied).toMatchObject({ code: "unavailable" });
    expect(await failureOf(given.ovsdb.transact("list", [NAMES]))).toMatchObject({
      code: "unavailable",
      message: "list: the client of Open vSwitch's database is closed",
    });
    expect(given.onLost).not.toHaveBeenCalled();
  });

  it("while it connects leaves no connection", async () => {
    await using fake = await FakeOvsdb.started(vswitch(0, answering()));
    using given = client(fake);

    const call = failureOf(given.ovsdb.transact("list", [NAMES]));
    given.ovsdb.close();

    expect(await call).toMatchObject({ code: "unavailable" });
    await waitUntil("the server to see the end", () => fake.peers.every(({ socket }) => socket.destroyed));
    expect(given.onConnected).not.toHaveBeenCalled();
  });
});
