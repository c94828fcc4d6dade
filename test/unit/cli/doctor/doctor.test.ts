import { describe, expect, it } from "vitest";
import { Console } from "../../../../src/cli/console.ts";
import { type DoctorOptions, doctor } from "../../../../src/cli/doctor/doctor.ts";
import type { Tools } from "../../../../src/cli/tools.ts";
import { TsnetError } from "../../../../src/errors.ts";
import { factsWith, network } from "../../../support/doctor-facts.ts";
import { PrintedHost } from "../../../support/printed-host.ts";

const SOUND = factsWith();

/** The pool with what is the network's alone. */
const [POOL] = SOUND.pools.pools.map((pool) => ({ ...pool, addresses: pool.addresses.slice(0, 1) }));
const LINKS = SOUND.links.filter(({ ifname }) => !ifname.startsWith("ts") || ifname === "tsn-1");

const PRINTS = {
  "ip -json -details address": LINKS,
  "ip -4 -json route show table all": SOUND.routes,
  "ip -6 -json route show table all": [],
  "nft -j -t list ruleset": { nftables: [{ metainfo: {} }] },
};

interface Scene {
  readonly prints?: Readonly<Record<string, unknown>>;
  readonly isAway?: boolean;
  readonly pools?: typeof SOUND.pools;
  readonly options?: DoctorOptions;
}

/** Runs it with one network of a bridge whose containers cannot be looked into. */
async function run({
  prints = PRINTS,
  isAway = false,
  pools = { ...SOUND.pools, pools: [POOL] } as typeof SOUND.pools,
  options = {},
}: Scene = {}) {
  let [out, notes] = ["", ""];
  const told: object[] = [];
  const { version } = SOUND.tsnet;
  const replies: Record<string, object> = {
    "/status": { version, isComplete: true, networks: [network({ endpoints: [] })] },
    "/pools": pools,
    "/healthz": SOUND.health,
  };
  const away = () => {
    throw new TsnetError("unavailable", "nobody answers");
  };
  const tools = {
    console: new Console({ write: (text) => (out += text) }, { write: (text) => (notes += text) }, {}),
    daemon: {
      read: async (path: string) => (isAway ? away() : replies[path]),
      call: async (_verb: string, message: object) => {
        told.push(message);
        return { Done: ["tsn-9 removed"], Left: ["tsn-8 was not removed: it is in use"] };
      },
    },
    readDocker: async () => away(),
    findContainer: async () => away(),
    host: new PrintedHost(prints),
  } as unknown as Tools; // what is called is there
  const engine = {
    ...SOUND.engine,
    networks: SOUND.engine.networks.filter(({ name }) => name !== "floor"),
    places: [],
  };
  const sources = {
    readEngine: async () => (isAway ? away() : engine),
    readFiles: async () => SOUND.files,
    readLegacyFilter: () => undefined,
  };
  const hasFaults = await doctor(tools, options, sources);
  return { hasFaults, out, notes, told };
}

/** A link that was left behind. */
const LEFT = {
  ...PRINTS,
  "ip -json -details address": [...LINKS, { ...LINKS[0], ifname: "tsn-9", ifalias: "tsnet:network:9" }],
};

describe("tsnet doctor", () => {
  it("that cannot ask anybody says so, lists what it did not look at and why, and does not fail", async () => {
    const { hasFaults, out } = await run({ isAway: true, prints: {} });

    expect(hasFaults).toBe(true);
    expect(out).toContain("tsnet-away: tsnet");
    expect(out).toContain("engine-away: Docker");
    expect(out).toMatch(/not looked at\n(.*\n)*.*nobody answers/);
    expect(out.trimEnd().split("\n").at(-1)).toBe("2 findings");
  });

  it("says which tool of the host is missing for what", async () => {
    const { "nft -j -t list ruleset": _rules, ...rest } = PRINTS;
    const { out } = await run({ prints: rest });

    expect(out).toMatch(
      /foreign-drop, foreign-drop-some, .*\n.*bridged-drop\n {4}nft -j -t list ruleset: No such file/,
    );
  });

  it("prints findings by severity with what they mean and what mends them, 80 columns wide", async () => {
    const { hasFaults, out } = await run({ prints: LEFT });

    expect(hasFaults).toBe(true);
    expect(out).toContain("warnings\n");
    expect(out).toMatch(
      / {2}switch-orphaned: tsn-9\n {4}a switch, or a link .*\n.*\(network 9\)\n {4}mend: tsnet doctor --fix\n/,
    );
    expect(Math.max(...out.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  it("has the daemon mend what is tsnet's with --fix alone, and says what was done and what was not", async () => {
    expect((await run({ prints: LEFT })).told).toEqual([]);

    const { told, notes } = await run({ prints: LEFT, options: { fix: true } });

    expect(told).toEqual([{ Addresses: [] }]);
    expect(notes).toContain("tsn-9 removed");
    expect(notes).toContain("tsn-8 was not removed: it is in use");
  });

  it("names to the daemon with --fix the addresses that no container has", async () => {
    const { told } = await run({ pools: SOUND.pools, options: { fix: true } });

    const addresses = ["10.1.1.2", "10.1.1.3"];
    const Addresses = addresses.map((Address) => ({ AddressSpace: "tsnet", Subnet: "10.1.1.0/24", Address }));
    expect(told).toEqual([{ Addresses }]);
  });

  it("asks the daemon for nothing with --fix where nothing of tsnet's is wrong", async () => {
    const { told, hasFaults, out } = await run({ options: { fix: true } });

    expect([hasFaults, out]).toEqual([false, "0 findings\n"]);
    expect(told).toEqual([]);
  });

  it("prints all of it as JSON", async () => {
    const { out } = await run({ prints: LEFT, options: { json: true } });

    const { findings } = JSON.parse(out) as { findings: { id: string }[] };
    expect(findings).toContainEqual({
      id: "switch-orphaned",
      severity: "warning",
      meaning: expect.any(String),
      isOurs: true,
      object: "tsn-9",
      detail: "network 9",
      mend: "tsnet doctor --fix",
    });
  });
});
