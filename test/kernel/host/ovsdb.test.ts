// The client against a real Open vSwitch. What it did is judged by `ovs-vsctl` and `ovsdb-client`.
import { describe, expect, it, vi } from "vitest";
import { Ovsdb, type OvsdbOptions } from "../../../src/host/ovsdb.ts";
import { expectNamed, insert, isRefused, mutate, remove, select, update } from "../../../src/host/ovsdb-operations.ts";
import { OvsHost, end } from "../../support/ovs-host.ts";
import { PATIENCE, waitUntil } from "../../support/wait-until.ts";

const MARK = { "tsnet-network": "n1", "tsnet-endpoint": "añ € \"'\\" };

function client(host: OvsHost, options: OvsdbOptions = {}) {
  const onConnected = vi.fn<() => void>();
  const ovsdb = new Ovsdb(host.address, { onConnected, ...options });
  return Object.assign(ovsdb, { onConnected });
}

/** All that a port is, as the operations of one transaction. */
const addPort = (name: string, tag: number, type = "") =>
  [
    expectNamed("Bridge", "br0"),
    insert("Interface", { name, type, external_ids: MARK, ingress_policing_rate: 1000 }, "@interface"),
    insert("Port", { name, tag, vlan_mode: "access", interfaces: ["@interface"], external_ids: MARK }, "@port"),
    mutate("Bridge", [["name", "==", "br0"]], [["ports", "insert", ["@port"]]]),
  ] as const;

const removePort = async (ovsdb: Ovsdb, name: string) => {
  const [[port]] = await ovsdb.transact("find", [select("Port", [["name", "==", name]], ["_uuid"])]);
  if (port === undefined) return;
  await ovsdb.apply(`remove ${name}`, [mutate("Bridge", [["name", "==", "br0"]], [["ports", "delete", [port._uuid]]])]);
};

const addVeth = (host: OvsHost, name: string) =>
  host.ns.exec(["ip", "link", "add", name, "type", "veth", "peer", "name", `${name}p`]);

const portsOf = async (host: OvsHost) => (await host.vsctl("list-ports", "br0")).split("\n").filter(Boolean);

const failureOf = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => expect.unreachable("it succeeded"),
    (failure: unknown) => failure as Error,
  );

describe("apply", () => {
  it("makes a port with tag, marks and limits at once: nobody ever sees it without them [F129]", async () => {
    await using host = await OvsHost.running();
    await addVeth(host, "tsv1");
    using ovsdb = client(host);
    const seen = await host.monitor("Port", "name,tag,external_ids");

    await ovsdb.apply("add port tsv1", addPort("tsv1", 10));
    await ovsdb.requireInterfaces("add port tsv1", ["tsv1"]);

    expect(await host.vsctl("get", "port", "tsv1", "tag")).toBe("10");
    expect(await host.vsctl("get", "interface", "tsv1", "ingress_policing_rate", "error")).toBe("1000\n[]");
    expect(Number(await host.vsctl("get", "interface", "tsv1", "ofport"))).toBeGreaterThan(0);
    await host.vsctl("add-port", "br0", "last", "tag=1", "--", "set", "interface", "last", "type=internal");
    await waitUntil("the monitor to show the last port", () => seen.some((row) => row[2] === "last"));
    const rows = seen.filter((row) => row[2] === "tsv1");
    expect(rows).toEqual([[expect.anything(), "insert", "tsv1", 10, ["map", expect.anything()]]]);
    const marks = rows.map((row) => row[4] as [string, [string, string][]]);
    expect(marks.map(([, entries]) => Object.fromEntries(entries))).toEqual([MARK]);
  });

  it("removes a port, and its interface with it", async () => {
    await using host = await OvsHost.running();
    await addVeth(host, "tsv1");
    using ovsdb = client(host);
    await ovsdb.apply("add port tsv1", addPort("tsv1", 10));

    await removePort(ovsdb, "tsv1");

    expect(await portsOf(host)).toEqual([]);
    expect(await host.vsctl("--columns=name", "--bare", "find", "interface", "name=tsv1")).toBe("");
  });

  it("makes a bridge with its port, and removes it", async () => {
    await using host = await OvsHost.running();
    using ovsdb = client(host);

    const [, , bridge] = await ovsdb.apply("add bridge br1", [
      insert("Interface", { name: "br1", type: "internal" }, "@interface"),
      insert("Port", { name: "br1", interfaces: ["@interface"] }, "@port"),
      insert("Bridge", { name: "br1", datapath_type: "netdev", fail_mode: "secure", ports: ["@port"] }, "@bridge"),
      mutate("Open_vSwitch", [], [["bridges", "insert", ["@bridge"]]]),
    ]);
    expect(await host.vsctl("list-br")).toBe("br0\nbr1");
    expect(await host.vsctl("get", "bridge", "br1", "_uuid", "fail_mode")).toBe(`${bridge}\nsecure`);
    expect(await host.ns.exec(["ip", "-br", "link", "show", "br1"])).toContain("br1");
    await ovsdb.apply("remove bridge br1", [mutate("Open_vSwitch", [], [["bridges", "delete", [bridge]]])]);

    expect(await host.vsctl("list-br")).toBe("br0");
  });

  it("loses none of 100 ports that two clients add at the same time [F129]", async () => {
    await using host = await OvsHost.running();
    using one = client(host);
    using other = client(host);
    const names = Array.from({ length: 100 }, (_, i) => `tsv${i}`);

    const apply = (name: string, i: number) =>
      (i % 2 === 0 ? one : other).apply(`add ${name}`, addPort(name, i + 1, "internal"));
    await Promise.all(names.map(apply));

    expect((await portsOf(host)).toSorted()).toEqual(names.toSorted());
    const listed = await other.interfaceStates("look", names);
    expect(listed.filter(({ ofport = -1 }) => ofport > 0)).toHaveLength(100);
    expect([one.onConnected.mock.calls.length, other.onConnected.mock.calls.length]).toEqual([1, 1]);
  });
});

describe("transact", () => {
  it("reads what ovs-vsctl wrote: sets of none, one and many, maps, absent values", async () => {
    await using host = await OvsHost.running();
    await host.vsctl("--no-wait", "add-port", "br0", "a", "--", "add-port", "br0", "b", "tag=7");
    await host.vsctl("--no-wait", "set", "port", "a", "trunks=10,20", "external_ids:k=v", 'other_config:x="y €"');
    using ovsdb = client(host);

    const columns = ["name", "tag", "trunks", "external_ids", "other_config", "vlan_mode"] as const;
    const [a, b] = await ovsdb.transact("read", [
      select("Port", [["name", "==", "a"]], columns),
      select(
        "Port",
        [
          ["trunks", "==", []],
          ["tag", "==", 7],
        ],
        columns,
      ),
    ]);

    const none = { tag: undefined, trunks: [], external_ids: {}, other_config: {}, vlan_mode: undefined };
    expect(a).toEqual([{ ...none, name: "a", trunks: [10, 20], external_ids: { k: "v" }, other_config: { x: "y €" } }]);
    expect(b).toEqual([{ ...none, name: "b", tag: 7 }]);
  });

  it("changes columns, entries of maps and members of sets", async () => {
    await using host = await OvsHost.running();
    await host.vsctl("--no-wait", "add-port", "br0", "a", "tag=7", "--", "set", "port", "a", "external_ids={a=1,b=2}");
    using ovsdb = client(host);

    const where = [["external_ids", "includes", { a: "1" }]] as const;
    const results = await ovsdb.transact("change", [
      update("Port", where, { tag: undefined, trunks: [10, 20] }),
      mutate("Port", where, [
        ["external_ids", "delete", ["b"]],
        ["external_ids", "insert", { c: "3" }],
        ["trunks", "delete", [10]],
      ]),
    ]);

    expect(results).toEqual([1, 1]);
    expect(await host.vsctl("get", "port", "a", "tag", "trunks", "external_ids")).toBe('[]\n[20]\n{a="1", c="3"}');
  });

  it("comes to nothing when one operation is refused, and says which [F129]", async () => {
    await using host = await OvsHost.running();
    using ovsdb = client(host);

    const outOfRange = await failureOf(ovsdb.transact("add port a", addPort("a", 5000)));
    const noBridge = await failureOf(ovsdb.transact("add port a", [...addPort("a", 10), expectNamed("Bridge", "br9")]));
    await host.vsctl("--no-wait", "add-port", "br0", "taken");
    const taken = await failureOf(ovsdb.transact("add port taken", addPort("taken", 10)));

    expect(outOfRange).toMatchObject({ code: "host" });
    expect(outOfRange.message).toMatch(
      /^add port a: insert Port: constraint violation: 5000 is not in the valid range/,
    );
    expect(noBridge.message).toBe("add port a: there is no Bridge br9");
    expect(isRefused(noBridge, "timed out")).toBe(true);
    expect(taken.message).toMatch(/^add port taken: the whole transaction: constraint violation: .*"name"/);
    expect(await portsOf(host)).toEqual(["taken"]);
    expect(ovsdb.onConnected).toHaveBeenCalledTimes(1);
  });

  it("reads 5 MB in one answer", async () => {
    await using host = await OvsHost.create();
    await host.startDatabase();
    using ovsdb = client(host);
    const filling = Object.fromEntries(Array.from({ length: 5 }, (_, i) => [`k${i}`, `${i}€`.repeat(250)]));

    const count = 1000;
    await ovsdb.transact(
      "fill",
      Array.from({ length: count }, (_, i) => insert("QoS", { type: `t${i}`, external_ids: filling })),
    );
    const [rows] = await ovsdb.transact("read", [select("QoS", [], ["type", "external_ids"])]);
    await ovsdb.transact("empty", [remove("QoS", [])]);

    expect(rows).toHaveLength(count);
    expect(rows.every((row) => row.external_ids["k4"] === filling["k4"])).toBe(true);
    expect(await host.vsctl("--no-wait", "--columns=type", "--bare", "list", "qos")).toBe("");
  });
});

describe("requireInterfaces", () => {
  it("tells that a device does not exist, though the database took its port", async () => {
    await using host = await OvsHost.running();
    await addVeth(host, "tsv1");
    using ovsdb = client(host);

    await ovsdb.apply("add ports", [...addPort("tsv1", 10)]);
    await ovsdb.apply("add ports", [...addPort("absent", 10)]);
    const failure = await failureOf(ovsdb.requireInterfaces("add ports", ["tsv1", "absent"]));

    expect(failure).toMatchObject({
      code: "host",
      message: "add ports: Open vSwitch cannot use absent: could not open network device absent (No such device)",
    });
    expect(await ovsdb.interfaceStates("look", ["absent", "unheard-of"])).toEqual([
      {
        name: "absent",
        ofport: -1,
        ifindex: undefined,
        error: "could not open network device absent (No such device)",
      },
    ]);
  });

  it("is content when the device has come", async () => {
    await using host = await OvsHost.running();
    using ovsdb = client(host);
    await ovsdb.apply("add port tsv1", addPort("tsv1", 10));
    await addVeth(host, "tsv1");

    await waitUntil("ovs-vswitchd to see the device", async () => {
      await ovsdb.waitForVswitchd("look");
      await ovsdb.requireInterfaces("look", ["tsv1"]);
      return true;
    });

    expect(await host.vsctl("get", "interface", "tsv1", "error")).toBe("[]");
  });
});

describe("a database that is not there [F124]", () => {
  it("is told at once with what to do, and found when it comes", async () => {
    await using host = await OvsHost.create();
    using ovsdb = client(host, { patienceMs: 30_000 * PATIENCE });

    const began = performance.now();
    const failure = await failureOf(ovsdb.apply("add bridge br0", []));
    expect(performance.now() - began).toBeLessThan(15_000 * PATIENCE); // there was none that could come back
    expect(failure).toMatchObject({
      code: "unavailable",
      message:
        `add bridge br0: Open vSwitch's database does not answer on ${host.address} (ENOENT): ` +
        "start Open vSwitch (systemctl start openvswitch-switch) or set TSNET_OVSDB",
    });
    await host.startDatabase();
    await host.startVswitchd();

    await waitUntil("the event", () => ovsdb.onConnected.mock.calls.length === 1);
    await ovsdb.waitForVswitchd("look");
  });

  it("is waited for while it restarts after kill -9, keeps what it had, and its return is told", async () => {
    await using host = await OvsHost.create();
    const server = await host.startDatabase();
    await host.startVswitchd();
    await host.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev");
    using ovsdb = client(host, { patienceMs: 30_000 * PATIENCE }); // a machine that is busy takes seconds to start a server
    await ovsdb.apply("add port a", addPort("a", 10, "internal"));
    await end(server, "SIGKILL");
    await waitUntil("the client to notice", () => !ovsdb.isConnected); // a call that was sent before would be in doubt

    const call = ovsdb.apply("add port b", addPort("b", 20, "internal"));
    await host.startDatabase();
    await call;
    await ovsdb.requireInterfaces("look", ["a", "b"]);

    expect(ovsdb.onConnected).toHaveBeenCalledTimes(2);
    expect(await portsOf(host)).toEqual(["a", "b"]);
    expect(await host.vsctl("get", "port", "b", "tag")).toBe("20");
  });

  it("tells its return by itself, without a call", async () => {
    await using host = await OvsHost.create();
    const server = await host.startDatabase();
    using ovsdb = client(host);
    await ovsdb.transact("look", [select("Bridge", [], ["name"])]);
    await end(server, "SIGTERM");
    await waitUntil("the client to notice", () => !ovsdb.isConnected);

    await host.startDatabase();

    await waitUntil("the event", () => ovsdb.onConnected.mock.calls.length === 2);
  });

  it("leaves no doubt about any of 3,000 changes while it is killed again and again, but where it says so", async () => {
    await using host = await OvsHost.create();
    let server = await host.startDatabase();
    using ovsdb = client(host, { patienceMs: 30_000 * PATIENCE }); // else all are refused while it takes long to start
    const names = Array.from({ length: 3000 }, (_, i) => `t${i}`);
    const isMade = new Map<string, boolean | "unknown">();
    const make = async (name: string) => {
      const failure = await ovsdb.transact("make", [insert("QoS", { type: name })]).catch((error: Error) => error);
      const isDoubtful = failure instanceof Error && failure.message.includes("is unknown");
      isMade.set(name, isDoubtful ? "unknown" : !(failure instanceof Error));
    };

    const left = names.values();
    const making = Promise.all(
      Array.from({ length: 20 }, async () => {
        for (const name of left) await make(name);
      }),
    );
    for (let round = 1; round <= 5; round++) {
      await waitUntil("changes", () => isMade.size >= 500 * round, { intervalMs: 1 });
      await end(server, "SIGKILL");
      server = await host.startDatabase();
    }
    await making;

    const listed = await host.vsctl("--no-wait", "--columns=type", "--bare", "list", "qos");
    const there = new Set(listed.split("\n"));
    const wrong = names.filter((name) => isMade.get(name) !== "unknown" && isMade.get(name) !== there.has(name));
    expect(wrong).toEqual([]);
    expect([...isMade.values()].filter((made) => made === true).length).toBeGreaterThan(2_500);
  });

  it("is given up on when it is stopped, and used when it goes on", async () => {
    await using host = await OvsHost.create();
    const server = await host.startDatabase();
    await host.startVswitchd();
    using ovsdb = client(host, { requestDeadlineMs: 300 });
    const answers = () => ovsdb.waitForVswitchd("look").then(() => true);
    await waitUntil("an answer within 300 ms", answers);
    const connections = ovsdb.onConnected.mock.calls.length;
    server.kill("SIGSTOP");

    const began = performance.now();
    const failure = await failureOf(ovsdb.transact("mark", [update("Open_vSwitch", [], { external_ids: MARK })]));
    expect(performance.now() - began).toBeLessThan(5_000);
    server.kill("SIGCONT");
    await waitUntil("a new connection", () => ovsdb.onConnected.mock.calls.length > connections);
    await waitUntil("an answer within 300 ms", answers);

    expect(failure).toMatchObject({ code: "unavailable" });
    expect(failure.message).toContain("(no answer within 300 ms)");
    expect(failure.message).toContain("whether the change was made is unknown");
  });
});

describe("onChanged", () => {
  it("tells that somebody removed a port or changed its tag, and nothing while nothing happens", async () => {
    await using host = await OvsHost.running();
    await host.vsctl("add-port", "br0", "a", "tag=10", "--", "set", "interface", "a", "type=internal");
    const onChanged = vi.fn<() => void>();
    using ovsdb = client(host, { onChanged });
    await ovsdb.waitForVswitchd("look");
    await ovsdb.waitForVswitchd("look");
    const before = onChanged.mock.calls.length;

    await host.vsctl("--no-wait", "set", "port", "a", "tag=20");
    await waitUntil("the new tag to be told", () => onChanged.mock.calls.length > 0);
    await ovsdb.waitForVswitchd("look");
    onChanged.mockClear();
    await host.vsctl("--no-wait", "del-port", "a");
    await waitUntil("the removal to be told", () => onChanged.mock.calls.length > 0);

    expect(before).toBe(0);
  });

  it("tells that a port's device has gone", async () => {
    await using host = await OvsHost.running();
    await addVeth(host, "tsv1");
    const onChanged = vi.fn<() => void>();
    using ovsdb = client(host, { onChanged });
    await ovsdb.apply("add port tsv1", addPort("tsv1", 10));
    await ovsdb.waitForVswitchd("look");
    onChanged.mockClear();

    await host.ns.exec(["ip", "link", "del", "tsv1"]);

    await waitUntil("the loss to be told", () => onChanged.mock.calls.length > 0);
    expect(await ovsdb.interfaceStates("look", ["tsv1"])).toMatchObject([{ error: undefined, ifindex: 0 }]);
  });
});

describe("ovs-vswitchd", () => {
  it("that is stopped is waited for no longer than the limit, and the change stands", async () => {
    await using host = await OvsHost.create();
    await host.startDatabase();
    const vswitchd = await host.startVswitchd();
    await host.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev");
    using ovsdb = client(host, { vswitchdDeadlineMs: 500 });
    const answers = () => ovsdb.waitForVswitchd("look").then(() => true);
    await waitUntil("an answer within 500 ms", answers);
    vswitchd.kill("SIGSTOP");

    const began = performance.now();
    const failure = await failureOf(ovsdb.apply("add port a", addPort("a", 10, "internal")));
    const tookMs = performance.now() - began;
    expect(await host.vsctl("--no-wait", "get", "interface", "a", "ofport")).toBe("[]");
    vswitchd.kill("SIGCONT");
    await waitUntil("an answer within 500 ms", answers);

    expect(tookMs).toBeGreaterThan(450);
    expect(tookMs).toBeLessThan(9_000); // without a limit of its own it were ten seconds
    expect(failure).toMatchObject({
      code: "unavailable",
      message: expect.stringContaining("add port a: ovs-vswitchd did not take over the change within 0.5 s: "),
    });
    await ovsdb.requireInterfaces("look", ["a"]);
    expect(ovsdb.onConnected).toHaveBeenCalledTimes(1);
  });

  it("that starts later takes over what waits for it", async () => {
    await using host = await OvsHost.create();
    await host.startDatabase();
    await host.vsctl("--no-wait", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev");
    using ovsdb = client(host);

    const call = ovsdb.apply("add port a", addPort("a", 10, "internal"));
    await host.startVswitchd();
    await call;

    await ovsdb.requireInterfaces("look", ["a"]);
    expect(await host.vsctl("get", "port", "a", "tag")).toBe("10");
  });
});

describe("over TCP", () => {
  /** TCP sockets of the test itself would stand outside the namespace. */
  async function inside(host: OvsHost, script: string): Promise<string> {
    const source = (name: string) => JSON.stringify(`${import.meta.dirname}/../../../src/host/${name}.ts`);
    const text = `
      import { setTimeout as pause } from "node:timers/promises";
      import { Ovsdb } from ${source("ovsdb")};
      import { select } from ${source("ovsdb-operations")};
      let connections = 0;
      const options = { onConnected: () => (connections += 1) };
      using ovsdb = new Ovsdb("tcp:127.0.0.1:6640", options);
      ${script}`;
    return host.ns.exec([process.execPath, "--input-type=module-typescript", "--no-warnings", "-e", text]);
  }

  it("names set-manager when nobody listens", async () => {
    await using host = await OvsHost.running();

    const output = await inside(host, `await ovsdb.transact("look", []).catch(({ message }) => console.log(message));`);

    expect(output).toBe(
      "look: Open vSwitch's database does not answer on tcp:127.0.0.1:6640 (ECONNREFUSED): " +
        "start Open vSwitch (systemctl start openvswitch-switch) and let its database listen there " +
        "(ovs-vsctl set-manager ptcp:6640:127.0.0.1), or set TSNET_OVSDB\n",
    );
  });

  it("works once set-manager was called, and answers the database's probes", async () => {
    await using host = await OvsHost.running();
    await host.vsctl("set-manager", "ptcp:6640:127.0.0.1", "--", "set", "manager", ".", "inactivity_probe=3000");

    const output = await inside(
      host,
      `await ovsdb.waitForVswitchd("look");
       await pause(8000);
       const [rows] = await ovsdb.transact("look", [select("Bridge", [], ["name"])]);
       console.log(JSON.stringify([rows, connections]));`,
    );

    expect(JSON.parse(output)).toEqual([[{ name: "br0" }], 1]);
  });
});
