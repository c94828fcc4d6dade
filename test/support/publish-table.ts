// The table of published ports: who gets through to what, on networks of tsnet and of Docker's own bridge driver, asked
// with packets, once without and once with br_netfilter. Its rows are written down by a test, as a table as well.
import { appendFile } from "node:fs/promises";
import { type Driver, FAMILIES, type Family, HOST, LOOPBACK, PORTS, type PublishStand } from "./publish-stand.ts";
import { type PublishedOn, gatewayOf, hostPort, isMissing } from "./publish-stand.ts";
import { inBothStates } from "./readme-table.ts";
import type { Place } from "./system-container.ts";
import { type Answer, type Question, Round } from "./system-probe.ts";

/** Who asks. */
const WHO = {
  "remote host": (stand) => stand.host.neighbour,
  "beyond a router": (stand) => stand.beyond,
  "the host": (stand) => stand.host,
  "same network": (stand, driver, on) => stand.container(`${driver}-${PORTS[on].network}-peer`),
  "the container": (stand, driver, on) => stand.container(`${driver}-${PORTS[on].network}-web`),
  "another network": (stand, driver) => stand.container(`${driver}-red-peer`),
  "the other driver": (stand, driver) => stand.container(`${OTHER[driver]}-red-peer`),
  docker0: (stand) => stand.container("docker0"),
} as const satisfies Record<string, (stand: PublishStand, driver: Driver, on: PublishedOn) => Place>;

/** The address asked for. */
const ASKS = ["host", "loopback", "gateway", "container"] as const;

const OTHER = { tsnet: "bridge", bridge: "tsnet" } as const;

/** One row of expectations: `open`, `closed`, or empty where there is nothing to ask. */
export interface Row {
  readonly who: keyof typeof WHO;
  readonly asks: (typeof ASKS)[number];
  readonly on: PublishedOn;
  readonly expected: Readonly<Record<Family, string>>;
}

/** What both protocols did in one state of the host. */
type Outcome = Readonly<Record<"tcp" | "udp", Answer>>;

interface Cell {
  readonly driver: Driver;
  readonly row: Row;
  readonly family: Family;
}

/**
 * Reads rows of the form `| who | asks | published on | IPv4 | IPv6 |`; the first two lines are the head.
 *
 * @throws Error that names the first word that is not known.
 */
export function parseRows(text: string): readonly Row[] {
  const lines = text.trim().split("\n").slice(2);
  return lines.map((line) => {
    const cells = line.split("|").slice(1);
    const [who = "", asks = "", on = "", four = "", six = ""] = cells.map((cell) => cell.trim());
    return {
      who: known(Object.keys(WHO) as Row["who"][], who), // the keys are the type
      asks: known(ASKS, asks),
      on: known(Object.keys(PORTS) as PublishedOn[], on),
      expected: { 4: known(["", "open", "closed"], four), 6: known(["", "open", "closed"], six) },
    };
  });
}

/** What was measured. */
export class PublishTable {
  readonly #stand: PublishStand;
  readonly #rows: readonly Row[];
  readonly #drivers: readonly Driver[];
  /** By driver, row and family: one outcome for each state of br_netfilter, off and on. */
  readonly #outcomes = new Map<string, readonly Outcome[]>();

  private constructor(stand: PublishStand, rows: readonly Row[], drivers: readonly Driver[]) {
    [this.#stand, this.#rows, this.#drivers] = [stand, rows, drivers];
  }

  /** Asks for everything, all at once, first without, then with br_netfilter, which stays on. */
  static async measure(stand: PublishStand, rows: readonly Row[], drivers: readonly Driver[]): Promise<PublishTable> {
    const table = new PublishTable(stand, rows, drivers);
    for (const state of ["0", "1"]) {
      const settings = ["iptables", "ip6tables"].map((tool) => `net.bridge.bridge-nf-call-${tool}=${state}`);
      await stand.host.exec(["sysctl", "-qw", ...settings]);
      await table.#askAll();
    }
    return table;
  }

  /** `open`, `closed`, or what it depends on; empty when it was not asked. */
  cell(driver: Driver, row: Row, family: Family): string {
    const texts = this.outcomes(driver, row, family).map((outcome) => describe(outcome, driver, row));
    const [off = "", on = ""] = texts;
    return inBothStates(off, on);
  }

  /** Without and with br_netfilter. */
  outcomes(driver: Driver, row: Row, family: Family): readonly Outcome[] {
    return this.#outcomes.get(keyOf({ driver, row, family })) ?? [];
  }

  /** Both drivers side by side. */
  markdown(): string {
    const columns = FAMILIES.flatMap((family) => this.#drivers.map((driver) => ({ family, driver })));
    const head = ["who asks", "for", "published on", ...columns.map(({ driver, family }) => `${driver} IPv${family}`)];
    const rows = this.#rows.map((row) => {
      const cells = columns.map(({ driver, family }) => this.cell(driver, row, family));
      return [row.who, row.asks, row.on, ...cells];
    });
    return formatTable([head, ...rows]);
  }

  async #askAll(): Promise<void> {
    const cells = this.#rows.flatMap((row) => this.#cellsOf(row));
    const questions = await Promise.all(cells.map(async (cell) => ({ cell, ...(await this.#question(cell)) })));
    const round = new Round();
    const heard = questions.map(async ({ cell, place, address, port }) => {
      const both = BOTH.map((protocol) => ({ protocol, address, port }));
      const [tcp = {}, udp = {}] = await round.add(place, both);
      this.#outcomes.set(keyOf(cell), [...(this.#outcomes.get(keyOf(cell)) ?? []), { tcp, udp }]);
    });
    await Promise.all([...heard, round.run()]);
  }

  #cellsOf(row: Row): readonly Cell[] {
    const { version } = this.#stand.host.lab.engine;
    const drivers = this.#drivers.filter((driver) => !isMissing(driver, PORTS[row.on].network, version));
    return drivers.flatMap((driver) =>
      FAMILIES.filter((family) => row.expected[family] !== "").map((family) => ({ driver, row, family })),
    );
  }

  async #question({ driver, row, family }: Cell): Promise<Omit<Question, "protocol"> & { readonly place: Place }> {
    const { network, port } = PORTS[row.on];
    const place = WHO[row.who](this.#stand, driver, row.on);
    if (row.asks === "container") {
      return { place, address: await this.#stand.webAddress(driver, network, family), port };
    }
    const addresses = { host: HOST[family], loopback: LOOPBACK[family], gateway: gatewayOf(driver, network, family) };
    return { place, address: addresses[row.asks], port: hostPort(driver, row.on) };
  }
}

const BOTH = ["tcp", "udp"] as const;

function describe({ tcp, udp }: Outcome, driver: Driver, row: Row): string {
  const server = `${driver}-${PORTS[row.on].network}-web`;
  const states = [tcp, udp].map((answer) => (answer.server === server ? "open" : (answer.server ?? "closed")));
  const [ofTcp = "", ofUdp = ""] = states;
  return ofTcp === ofUdp ? ofTcp : `tcp ${ofTcp}, udp ${ofUdp}`;
}

function keyOf({ driver, row, family }: Cell): string {
  return [driver, row.who, row.asks, row.on, family].join("|");
}

function known<T extends string>(words: readonly T[], word: string): T {
  const found = words.find((each) => each === word);
  if (found === undefined) throw new Error(`"${word}" is none of ${words.join(", ")}`);
  return found;
}

/** A table as oxfmt wants it in Markdown. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  const line = (cells: readonly string[]) => `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(" | ")} |`;
  const rule = widths.map((width) => "-".repeat(width));
  const [head = [], ...rest] = rows;
  return [head, rule, ...rest].map(line).join("\n");
}

/** Writes what was measured to standard output, and at the end of the file that `TSNET_TABLE` names. */
export async function reportTable(text: string): Promise<void> {
  console.log(text);
  const path = process.env["TSNET_TABLE"];
  if (path !== undefined) await appendFile(path, text);
}
