// Elements of sets and maps: what tsnet adds is judged by `nft -j`, and what it lists was added by nft.
import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { isErrno } from "../../../src/host/netlink.ts";
import { Nftables, type SetChange, type SetElement } from "../../../src/host/nftables.ts";
import { NetNamespace } from "../../support/namespace.ts";

const INET = { family: "inet", table: "tsnet" } as const;

const SKELETON = `
  table inet tsnet {
    set links { type ifname; }
    set pools { type ifname . ipv4_addr; flags interval; }
    set pools6 { type ifname . ipv6_addr; flags interval; }
    set wide { type ipv4_addr . inet_service; }
    map at { type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service; }
    map at6 { type inet_proto . ipv6_addr . inet_service : ipv6_addr . inet_service; }
  }
  table bridge tsnet {
    set own { type ifname . ether_addr; }
  }`;

/** The parts of keys, each filled up to a multiple of 4 bytes. */
const ifName = (name: string) => Buffer.from(name.padEnd(16, "\0"));
const ipv4 = (text: string) => Buffer.from(text.split(".").map(Number));
const ipv6 = (last: number) => Buffer.from(`fd00${"0".repeat(24)}${last.toString(16).padStart(4, "0")}`, "hex");
const port = (number: number) => Buffer.of(number >> 8, number & 0xff, 0, 0);
const TCP = Buffer.of(6, 0, 0, 0);

const element = (...key: readonly Buffer[]): SetElement => ({ key: Buffer.concat(key) });
const interval = (key: readonly Buffer[], keyEnd: readonly Buffer[]): SetElement => ({
  key: Buffer.concat(key),
  keyEnd: Buffer.concat(keyEnd),
});
const mapping = (key: readonly Buffer[], data: readonly Buffer[]): SetElement => ({
  key: Buffer.concat(key),
  data: Buffer.concat(data),
});
const published = (hostPort: number, address = "10.1.1.2") =>
  mapping([TCP, ipv4("192.0.2.1"), port(hostPort)], [ipv4(address), port(80)]);
const numbered = (n: number) => element(ipv4(`10.${n >> 16}.${(n >> 8) & 0xff}.${n & 0xff}`), port(n & 0xffff));
const into = (set: string, ...add: readonly SetElement[]): SetChange => ({ ...INET, set, remove: [], add });
const outOf = (set: string, ...remove: readonly SetElement[]): SetChange => ({ ...INET, set, remove, add: [] });

async function withTables(): Promise<NetNamespace> {
  const ns = await NetNamespace.create("nft");
  await ns.exec(["sh", "-ec", `nft -f - <<'END'\n${SKELETON}\nEND`]);
  return ns;
}

interface Listing {
  readonly nftables: readonly { readonly set?: { elem?: unknown[] }; readonly map?: { elem?: unknown[] } }[];
}

/** The elements as nft shows them, ordered. */
async function seen(ns: NetNamespace, set: string, family = "inet"): Promise<unknown[]> {
  const kind = set.startsWith("at") ? "map" : "set";
  const { nftables } = await ns.json<Listing>(["nft", "-j", "list", kind, family, "tsnet", set]);
  const elements = nftables.flatMap((entry) => entry[kind]?.elem ?? []);
  return elements.sort((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)));
}

/** A transaction that has to fail. */
async function refusal(nft: Nftables, ...changes: readonly SetChange[]): Promise<unknown> {
  return nft.apply("change elements", changes).then(
    () => expect.unreachable("the transaction was accepted"),
    (failure: unknown) => failure,
  );
}

const byKey = (elements: readonly SetElement[]) => [...elements].sort((a, b) => a.key.compare(b.key));

describe("apply", () => {
  it("adds a name, concatenations, intervals, maps with concatenated data, and elements of a bridge table", async () => {
    await using ns = await withTables();
    using nft = ns.enter(() => Nftables.open());
    const [first6, last6] = [ipv6(0), Buffer.concat([ipv6(0).subarray(0, 8), Buffer.alloc(8, 0xff)])];

    await nft.apply("add elements", [
      into("links", element(ifName("tsbr0"))),
      into("wide", element(ipv4("10.1.1.2"), port(80))),
      into("pools", interval([ifName("tsbr0"), ipv4("10.1.1.0")], [ifName("tsbr0"), ipv4("10.1.1.255")])),
      into("pools6", interval([ifName("tsbr0"), first6], [ifName("tsbr0"), last6])),
      into("at", published(8080)),
      into("at6", mapping([TCP, ipv6(1), port(8080)], [ipv6(2), port(80)])),
      {
        family: "bridge",
        table: "tsnet",
        set: "own",
        remove: [],
        add: [element(ifName("tsv0"), Buffer.of(2, 0x42, 10, 1, 2, 3, 0, 0))],
      },
    ]);

    const prefix = (addr: string, len: number) => ({ prefix: { addr, len } });
    expect(await seen(ns, "links")).toEqual(["tsbr0"]);
    expect(await seen(ns, "wide")).toEqual([{ concat: ["10.1.1.2", 80] }]);
    expect(await seen(ns, "pools")).toEqual([{ concat: ["tsbr0", prefix("10.1.1.0", 24)] }]);
    expect(await seen(ns, "pools6")).toEqual([{ concat: ["tsbr0", prefix("fd00::", 64)] }]);
    expect(await seen(ns, "at")).toEqual([[{ concat: ["tcp", "192.0.2.1", 8080] }, { concat: ["10.1.1.2", 80] }]]);
    expect(await seen(ns, "at6")).toEqual([[{ concat: ["tcp", "fd00::1", 8080] }, { concat: ["fd00::2", 80] }]]);
    expect(await seen(ns, "own", "bridge")).toEqual([{ concat: ["tsv0", "02:42:0a:01:02:03"] }]);
  });

  it("removes what nft added, intervals by their ends and a map's element without looking at its data", async () => {
    await using ns = await withTables();
    await ns.exec(["nft", "add element inet tsnet links { tsbr0, tsbr1 }"]);
    await ns.exec([
      "nft",
      "add element inet tsnet pools { tsbr0 . 10.1.1.0/24, tsbr0 . 10.1.2.0/24, tsbr1 . 10.1.3.1 }",
    ]);
    await ns.exec(["nft", "add element inet tsnet at { tcp . 192.0.2.1 . 8080 : 10.1.1.2 . 80 }"]);
    using nft = ns.enter(() => Nftables.open());

    await nft.apply("remove elements", [
      outOf("links", element(ifName("tsbr0"))),
      outOf("pools", interval([ifName("tsbr0"), ipv4("10.1.1.0")], [ifName("tsbr0"), ipv4("10.1.1.255")])),
      outOf("pools", interval([ifName("tsbr1"), ipv4("10.1.3.1")], [ifName("tsbr1"), ipv4("10.1.3.1")])),
      outOf("at", element(TCP, ipv4("192.0.2.1"), port(8080))),
    ]);

    expect(await seen(ns, "links")).toEqual(["tsbr1"]);
    expect(await seen(ns, "pools")).toEqual([{ concat: ["tsbr0", { prefix: { addr: "10.1.2.0", len: 24 } }] }]);
    expect(await seen(ns, "at")).toEqual([]);
  });

  it("takes an element that is there already for added, in sets, interval sets and maps", async () => {
    await using ns = await withTables();
    using nft = ns.enter(() => Nftables.open());
    const pool = interval([ifName("tsbr0"), ipv4("10.1.1.0")], [ifName("tsbr0"), ipv4("10.1.1.255")]);
    const changes = [into("links", element(ifName("tsbr0"))), into("pools", pool), into("at", published(8080))];
    await nft.apply("add elements", changes);

    await nft.apply("add elements again", changes);
    await nft.apply("add an element twice", [into("wide", numbered(1), numbered(1))]);

    expect(await seen(ns, "links")).toHaveLength(1);
    expect(await seen(ns, "pools")).toHaveLength(1);
    expect(await seen(ns, "at")).toHaveLength(1);
    expect(await seen(ns, "wide")).toHaveLength(1);
  });

  it("refuses other data for a key of a map, and keeps the old ones", async () => {
    await using ns = await withTables();
    using nft = ns.enter(() => Nftables.open());
    await nft.apply("publish", [into("at", published(8080))]);

    const failure = await refusal(nft, into("at", published(8080, "10.1.1.3")));

    expect(String(failure)).toBe("TsnetError: change elements: add to inet tsnet at: File exists (EEXIST)");
    expect(isErrno(failure, "EEXIST")).toBe(true);
    expect(await seen(ns, "at")).toEqual([[{ concat: ["tcp", "192.0.2.1", 8080] }, { concat: ["10.1.1.2", 80] }]]);
  });

  it("replaces a map's data by removing and adding the key in one transaction", async () => {
    await using ns = await withTables();
    using nft = ns.enter(() => Nftables.open());
    await nft.apply("publish", [into("at", published(8080), published(8081))]);

    await nft.apply("publish elsewhere", [
      { ...INET, set: "at", remove: [published(8080)], add: [published(8080, "10.1.1.3")] },
    ]);

    expect(await seen(ns, "at")).toEqual([
      [{ concat: ["tcp", "192.0.2.1", 8080] }, { concat: ["10.1.1.3", 80] }],
      [{ concat: ["tcp", "192.0.2.1", 8081] }, { concat: ["10.1.1.2", 80] }],
    ]);
  });

  it("removes and adds the same interval and the same element in one transaction", async () => {
    await using ns = await withTables();
    using nft = ns.enter(() => Nftables.open());
    const pool = interval([ifName("tsbr0"), ipv4("10.1.1.0")], [ifName("tsbr0"), ipv4("10.1.1.255")]);
    const link = element(ifName("tsbr0"));
    await nft.apply("add", [into("pools", pool), into("links", link)]);

    await nft.apply("add anew", [
      { ...INET, set: "pools", remove: [pool], add: [pool] },
      { ...INET, set: "links", remove: [link], add: [link] },
    ]);

    expect(await nft.listSet("inet", "tsnet", "pools")).toEqual([pool]);
    expect(await seen(ns, "links")).toEqual(["tsbr0"]);
  });

  it("changes nothing at all when an element to remove is absent", async () => {
    await using ns = await withTables();
    using nft = ns.enter(() => Nftables.open());
    await nft.apply("add", [into("links", element(ifName("tsbr0")))]);

    const failure = await refusal(
      nft,
      into("wide", numbered(1)),
      outOf("links", element(ifName("tsbr0"))),
      outOf("at", published(8080)),
      into("at", published(8081)),
    );

    expect(String(failure)).toBe(
      "TsnetError: change elements: remove from inet tsnet at: No such file or directory (ENOENT)",
    );
    expect(isErrno(failure, "ENOENT")).toBe(true);
    expect(await seen(ns, "links")).toEqual(["tsbr0"]);
    expect(await seen(ns, "wide")).toEqual([]);
    expect(await seen(ns, "at")).toEqual([]);
  });

  it.each<[string, SetChange]>([
    ["table", { family: "bridge", table: "absent", set: "links", remove: [], add: [element(ifName("tsbr0"))] }],
    ["set", { ...INET, set: "absent", remove: [], add: [element(ifName("tsbr0"))] }],
  ])("changes nothing at all when a %s is absent", async (_, change) => {
    await using ns = await withTables();
    using nft = ns.enter(() => Nftables.open());

    const failure = await refusal(nft, into("wide", numbered(1)), change);

    expect(isErrno(failure, "ENOENT")).toBe(true);
    expect(String(failure)).toContain(`add to ${change.family} ${change.table} ${change.set}: `);
    expect(await seen(ns, "wide")).toEqual([]);
  });

  it("refuses a key or data of a length that the set is not made for, and an interval where there are none", async () => {
    await using ns = await withTables();
    using nft = ns.enter(() => Nftables.open());
    const bare = element(TCP, ipv4("192.0.2.1"), port(8080));

    for (const change of [
      into("links", element(Buffer.from("tsbr0"))),
      into("at", bare),
      into("at", { ...bare, data: ipv4("10.1.1.2") }),
      into("links", interval([ifName("tsbr0")], [ifName("tsbr9")])),
    ]) {
      expect(isErrno(await refusal(nft, change), "EINVAL")).toBe(true);
    }
  });

  it("needs nothing of the kernel for no changes", async () => {
    await using ns = await NetNamespace.create("nft");
    using nft = ns.enter(() => Nftables.open());

    await nft.apply("nothing", []);
    await nft.apply("nothing", [{ ...INET, set: "absent", remove: [], add: [] }]);
  });

  it("refuses what an unprivileged process asks, in the kernel's words [F90]", async () => {
    await using ns = await withTables();
    const script = `
      import { Nftables } from "${import.meta.dirname}/../../../src/host/nftables.ts";
      const change = { family: "inet", table: "tsnet", set: "links", remove: [], add: [{ key: Buffer.alloc(16, "a") }] };
      console.log(await Nftables.open().apply("add", [change]).then(() => "done", (failure) => failure.message));`;
    const node = [process.execPath, "--input-type=module-typescript", "--no-warnings", "-e", script];

    const output = await ns.exec(["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", ...node]);

    expect(output).toBe("add: the whole batch: Operation not permitted (EPERM)\n");
  });
});

describe("a large transaction", () => {
  const count = 5000;

  it("of 5,000 elements in several sets happens as a whole, and goes away as a whole", async () => {
    await using ns = await withTables();
    using nft = ns.enter(() => Nftables.open());
    const names = Array.from({ length: 1000 }, (_, i) => element(ifName(`tsbr${i}`)));
    const wide = Array.from({ length: 1000 }, (_, i) => numbered(i));
    const ports = Array.from({ length: 3000 }, (_, i) => mapping([TCP, ipv6(1), port(i)], [ipv6(i), port(80)]));
    const changes = [into("links", ...names), into("at6", ...ports), into("wide", ...wide)];

    await nft.apply("add all", changes);

    expect(await seen(ns, "links")).toEqual(names.map((_, i) => `tsbr${i}`).sort((a, b) => a.localeCompare(b)));
    expect(await seen(ns, "wide")).toHaveLength(1000);
    expect(await seen(ns, "at6")).toHaveLength(3000);
    expect(byKey(await nft.listSet("inet", "tsnet", "at6"))).toEqual(byKey(ports));

    await nft.apply(
      "remove all",
      changes.map(({ set, add }) => outOf(set, ...add)),
    );

    for (const set of ["links", "wide", "at6"]) expect(await seen(ns, set)).toEqual([]);
  });

  it("of 5,000 elements in one set goes as several messages", async () => {
    await using ns = await withTables();
    using nft = ns.enter(() => Nftables.open());
    const elements = Array.from({ length: count }, (_, i) => numbered(i));

    await nft.apply("add all", [into("wide", ...elements)]);

    expect(await seen(ns, "wide")).toHaveLength(count);
  });

  it("of which the last of many messages is refused changes nothing", async () => {
    await using ns = await withTables();
    using nft = ns.enter(() => Nftables.open());
    const elements = Array.from({ length: count }, (_, i) => numbered(i));

    const failure = await refusal(nft, into("wide", ...elements), outOf("at", published(8080)));

    expect(isErrno(failure, "ENOENT")).toBe(true);
    expect(await seen(ns, "wide")).toEqual([]);
  });

  it("with more refusals than the socket can keep tells the first, and the next one is answered as usual", async () => {
    await using ns = await withTables();
    using nft = ns.enter(() => Nftables.open());
    const absent = Array.from({ length: count }, (_, i) => outOf("wide", numbered(i)));

    const failure = await refusal(nft, into("wide", numbered(count)), ...absent);

    expect(String(failure)).toBe(
      "TsnetError: change elements: first of several refusals: remove from inet tsnet wide: " +
        "No such file or directory (ENOENT)",
    );
    await nft.apply("add", [into("wide", numbered(7))]);
    expect(await nft.listSet("inet", "tsnet", "wide")).toEqual([numbered(7)]);
  });
});

describe("listSet", () => {
  it("gives what apply added, bytes for bytes", async () => {
    await using ns = await withTables();
    using nft = ns.enter(() => Nftables.open());
    const pools = [
      interval([ifName("tsbr0"), ipv4("10.1.1.0")], [ifName("tsbr0"), ipv4("10.1.1.255")]),
      interval([ifName("tsbr0"), ipv4("10.1.2.1")], [ifName("tsbr0"), ipv4("10.1.2.1")]),
      element(ifName("tsbr1"), ipv4("10.1.2.1")),
    ];
    await nft.apply("add", [into("pools", ...pools), into("at", published(80), published(81))]);

    expect(byKey(await nft.listSet("inet", "tsnet", "pools"))).toEqual(byKey(pools));
    expect(byKey(await nft.listSet("inet", "tsnet", "at"))).toEqual([published(80), published(81)]);
  });

  it("gives what nft added: names, intervals and a map's data", async () => {
    await using ns = await withTables();
    await ns.exec(["nft", "add element inet tsnet links { tsbr0 }"]);
    await ns.exec(["nft", "add element inet tsnet pools { tsbr0 . 10.1.1.0/24 }"]);
    await ns.exec(["nft", "add element inet tsnet at6 { tcp . fd00::1 . 8080 : fd00::2 . 80 }"]);
    await ns.exec(["nft", "add element bridge tsnet own { tsv0 . 02:42:0a:01:02:03 }"]);
    using nft = ns.enter(() => Nftables.open());

    expect(await nft.listSet("inet", "tsnet", "links")).toEqual([element(ifName("tsbr0"))]);
    expect(await nft.listSet("inet", "tsnet", "pools")).toEqual([
      interval([ifName("tsbr0"), ipv4("10.1.1.0")], [ifName("tsbr0"), ipv4("10.1.1.255")]),
    ]);
    expect(await nft.listSet("inet", "tsnet", "at6")).toEqual([
      mapping([TCP, ipv6(1), port(8080)], [ipv6(2), port(80)]),
    ]);
    expect(await nft.listSet("bridge", "tsnet", "own")).toEqual([
      element(ifName("tsv0"), Buffer.of(2, 0x42, 10, 1, 2, 3, 0, 0)),
    ]);
  });

  it("gives the element that stands for all others an empty key, by which it is also removed", async () => {
    await using ns = await withTables();
    await ns.exec(["nft", "add element inet tsnet at { * : 10.1.1.2 . 80 }"]);
    using nft = ns.enter(() => Nftables.open());

    const listed = await nft.listSet("inet", "tsnet", "at");
    await nft.apply("remove", [outOf("at", ...listed)]);

    expect(listed).toEqual([mapping([], [ipv4("10.1.1.2"), port(80)])]);
    expect(await seen(ns, "at")).toEqual([]);
  });

  it("gives none of an empty set, and throws ENOENT for one that is absent", async () => {
    await using ns = await withTables();
    using nft = ns.enter(() => Nftables.open());

    expect(await nft.listSet("inet", "tsnet", "links")).toEqual([]);
    const failure = await nft.listSet("inet", "tsnet", "absent").catch((error: unknown) => error);

    expect(String(failure)).toBe("TsnetError: list set inet tsnet absent: No such file or directory (ENOENT)");
    expect(isErrno(failure, "ENOENT")).toBe(true);
  });

  it("shows one moment, never half a transaction, while somebody else changes the set", async () => {
    await using ns = await withTables();
    using nft = ns.enter(() => Nftables.open());
    using other = ns.enter(() => Nftables.open());
    const lasting = Array.from({ length: 2000 }, (_, i) => numbered(i));
    const [one, two] = [0, 1].map((half) => Array.from({ length: 500 }, (_, i) => numbered(5000 + 500 * half + i)));
    if (one === undefined || two === undefined) throw new Error("two halves");
    await nft.apply("add", [into("wide", ...lasting, ...one)]);

    for (let i = 0, [old, young] = [one, two]; i < 40; i++, [old, young] = [young, old]) {
      const swap = { ...INET, set: "wide", remove: old, add: young };
      const [listed] = await Promise.all([nft.listSet("inet", "tsnet", "wide"), other.apply("swap", [swap])]);

      const keys = new Set(listed.map(({ key }) => key.toString("hex")));
      const has = (elements: readonly SetElement[]) =>
        elements.filter(({ key }) => keys.has(key.toString("hex"))).length;
      expect([listed.length, keys.size, has(lasting)]).toEqual([2500, 2500, 2000]);
      expect([0, 500]).toContain(has(one));
    }
  });

  it("is not misled by a transaction that comes to nothing after all", async () => {
    await using ns = await withTables();
    using nft = ns.enter(() => Nftables.open());
    using other = ns.enter(() => Nftables.open());
    const lasting = Array.from({ length: 4000 }, (_, i) => numbered(i));
    const passing = Array.from({ length: 20_000 }, (_, i) => numbered(10_000 + i));
    await nft.apply("add", [into("wide", ...lasting)]);

    for (let i = 0; i < 20; i++) {
      const [, ...listings] = await Promise.all([
        refusal(other, into("wide", ...passing), outOf("at", published(8080))),
        nft.listSet("inet", "tsnet", "wide"),
        nft.listSet("inet", "tsnet", "wide"),
      ]);

      for (const listing of listings) expect(byKey(listing)).toEqual(lasting);
    }
  });
});

describe("Nftables", () => {
  it("gives each of many concurrent callers the answer to its own question, refusals included", async () => {
    await using ns = await withTables();
    using nft = ns.enter(() => Nftables.open());
    await nft.apply("add", [into("at", published(8080))]);

    const answers = await Promise.allSettled(
      Array.from({ length: 90 }, (_, i) => {
        if (i % 3 === 0) return nft.apply(`add ${i}`, [into("wide", numbered(i))]);
        return i % 3 === 1
          ? nft.apply(`remove ${i}`, [outOf("links", element(ifName(`x${i}`)))])
          : nft.listSet("inet", "tsnet", "at");
      }),
    );

    answers.forEach((answer, i) => {
      if (i % 3 === 1) expect(String(answer.status === "rejected" && answer.reason)).toContain(`remove ${i}: `);
      else expect(answer).toEqual({ status: "fulfilled", value: i % 3 === 0 ? undefined : [published(8080)] });
    });
    expect(await seen(ns, "wide")).toHaveLength(30);
  });

  it("finishes what was begun before close, and leaves no descriptor open", async () => {
    await using ns = await withTables();
    const before = readdirSync("/proc/self/fd").length;
    const nft = ns.enter(() => Nftables.open());

    const applied = nft.apply("add", [into("wide", numbered(1))]);
    nft.close();
    await applied;

    await expect(nft.apply("add", [into("wide", numbered(2))])).rejects.toMatchObject({ code: "unavailable" });
    expect(await seen(ns, "wide")).toHaveLength(1);
    expect(readdirSync("/proc/self/fd").length).toBe(before);
  });
});
