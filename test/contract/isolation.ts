// Who reaches whom by the containers' own addresses, in every mode, seen by packets: from every network to every other,
// from the host, from the LAN and from beyond a router, all of which know the way. And who reaches the host itself.
// The matrix measured, with Docker's own networks in it, goes to standard output, and to the file that TSNET_TABLE names;
// what it comes to is in the README. Run with each backend.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Backend } from "../../src/cnm/network.ts";
import { selectedEngine } from "../support/engines.ts";
import { type MatrixRow, formatMatrix, linesOf, measureHost, measureNetworks } from "../support/publish-matrix.ts";
import { mergeMatrices, parseMatrix, transpose } from "../support/publish-matrix.ts";
import { MODE_NAMES, type ModeName, ModesStand } from "../support/publish-modes.ts";
import { FAMILIES } from "../support/publish-stand.ts";
import { reportTable } from "../support/publish-table.ts";
import { IN_README, inBothFamilies, inBothStates, matchReadme } from "../support/readme-table.ts";
import { SystemHost, VARIANTS } from "../support/system-host.ts";
import { Round } from "../support/system-probe.ts";

// Into the networks of the rows, IPv4 and IPv6 alike, with br_netfilter and without: "all" is a ping, the published port
// and one that is not; "port" the published one alone; "-" nothing; "?" is Docker's own business.
const INTO = parseMatrix(`
| into            | same | nat  | bare | routed | no-icc | internal | isolated | l2 | docker | host | LAN  | beyond |
| --------------- | ---- | ---- | ---- | ------ | ------ | -------- | -------- | -- | ------ | ---- | ---- | ------ |
| nat             | all  |      | -    | -      | -      | -        | -        | -  | -      | all  | -    | -      |
| bare            | all  | -    |      | -      | -      | -        | -        | -  | -      | all  | -    | -      |
| routed          | all  | port | port |        | port   | -        | -        | -  | port   | all  | port | port   |
| no-icc          | -    | -    | -    | -      |        | -        | -        | -  | -      | all  | -    | -      |
| internal        | all  | -    | -    | -      | -      |          | -        | -  | -      | all  | -    | -      |
| isolated        | all  | -    | -    | -      | -      | -        |          | -  | -      | -    | -    | -      |
| l2              | all  | -    | -    | -      | -      | -        | -        |    | -      | -    | -    | -      |
| docker          | ?    | -    | -    | -      | -      | -        | -        | -  |        | ?    | ?    | ?      |
| docker-internal | ?    | -    | -    | -      | -      | -        | -        | -  | ?      | ?    | ?    | ?      |
`);

// To services of the host, from containers of the rows: on the host's address on their own network, on the LAN, and on
// another network.
const TO_HOST = parseMatrix(`
| from     | own gateway | LAN | nat |
| -------- | ----------- | --- | --- |
| nat      | all         | all | all |
| bare     | all         | all | -   |
| routed   | all         | all | -   |
| no-icc   | all         | all | -   |
| internal | all         | -   | -   |
| isolated | -           | -   | -   |
| l2       | -           | -   | -   |
`);

const ENGINE = selectedEngine();
const SOURCES = Object.keys(INTO[0]?.words ?? {});
/** What the README calls addresses of the host. */
const HOST_ROWS: Readonly<Record<string, string>> = {
  "own gateway": "host, own gateway",
  LAN: "host, LAN",
  nat: "host, gateway of nat",
};
/** With `tsnet serve` these are enough. */
const FEWER: readonly ModeName[] = ["nat", "internal", "isolated"];

/** @param backend - of tsnet's networks. */
export function describeIsolation(backend: Backend): void {
  describe.each(VARIANTS)(`on a host with the %s, backend ${backend}`, (variant) => {
    const isPlugin = variant === "managed plugin";
    const modes = isPlugin ? MODE_NAMES : FEWER;
    const sources = SOURCES.filter(
      (name) => isPlugin || !MODE_NAMES.some((mode) => mode === name && !modes.includes(mode)),
    );
    /** By family, without and with br_netfilter. */
    const matrices = new Map<string, readonly MatrixRow[]>();
    let host: SystemHost;
    let stand: ModesStand;

    beforeAll(async () => {
      host = await SystemHost.up(variant, { backend });
      stand = await ModesStand.up(host, modes);
      for (const state of [0, 1]) {
        const settings = ["iptables", "ip6tables"].map((tool) => `net.bridge.bridge-nf-call-${tool}=${state}`);
        await host.exec(["sysctl", "-qw", ...settings]);
        const round = new Round();
        const measured = FAMILIES.flatMap((family) => [
          keep(`into ${family} ${state}`, measureNetworks({ round, stand, family, modes }, sources)),
          keep(`host ${family} ${state}`, measureHost({ round, stand, family, modes })),
        ]);
        await Promise.all([...measured, round.run()]);
      }
      if (isPlugin) await report();
    });
    afterAll(async () => {
      await stand?.[Symbol.asyncDispose]();
      await host?.[Symbol.asyncDispose]();
    });

    describe.each(FAMILIES)("over IPv%i", (family) => {
      it.each(INTO.filter(isMeasured))(
        "containers of $name are reached by those that may, and only by those",
        ({ name, words }) => {
          const asserted = sources.filter((source) => words[source] !== "?");
          const wanted = Object.fromEntries(asserted.map((source) => [source, words[source]]));

          expect(rowOf(`into ${family} 0`, name)).toMatchObject(wanted);
          expect(rowOf(`into ${family} 1`, name)).toMatchObject(wanted);
        },
      );

      it.each(TO_HOST.filter(isMeasured))(
        "containers of $name reach the host at those addresses that they may",
        ({ name, words }) => {
          expect(rowOf(`host ${family} 0`, name)).toEqual(words);
          expect(rowOf(`host ${family} 1`, name)).toEqual(words);
        },
      );
    });

    if (isPlugin && IN_README[ENGINE] !== undefined)
      it("who reaches whom is in the README as it was measured [S11]", async () => {
        const isInFull = IN_README[ENGINE] === "all";
        const shown = readmeRows().filter(({ name }) => isInFull || name.startsWith("docker"));

        await matchReadme(`isolation, engine ${ENGINE}`, linesOf(`into, engine ${ENGINE}`, shown));
      });

    it("tsnet has nothing to complain about", () => {
      expect(host.complaints()).toEqual([]);
    });

    async function keep(name: string, rows: Promise<readonly MatrixRow[]>): Promise<void> {
      matrices.set(name, await rows);
    }

    function isMeasured({ name }: MatrixRow): boolean {
      return modes.some((mode) => mode === name);
    }

    function rowOf(matrix: string, name: string): Readonly<Record<string, string>> | undefined {
      return matrices.get(matrix)?.find((row) => row.name === name)?.words;
    }

    /** Both matrices in one, which says where the families or br_netfilter make a difference. */
    function readmeRows(): readonly MatrixRow[] {
      const inOne = ([off4 = "", on4 = "", off6 = "", on6 = ""]: readonly string[]) =>
        inBothFamilies(inBothStates(off4, on4), inBothStates(off6, on6));
      const [into = [], toHost = []] = ["into", "host"].map((name) =>
        mergeMatrices(
          FAMILIES.flatMap((family) => [0, 1].map((state) => matrices.get(`${name} ${family} ${state}`) ?? [])),
          inOne,
        ),
      );
      return [...into, ...transpose(toHost, (address) => HOST_ROWS[address] ?? address)];
    }

    async function report(): Promise<void> {
      const texts = FAMILIES.flatMap((family) =>
        [0, 1].flatMap((state) => {
          const title = `Engine ${host.lab.engine.fullVersion}, ${backend}, IPv${family}, br_netfilter ${state === 1 ? "on" : "off"}:`;
          const into = formatMatrix("into", matrices.get(`into ${family} ${state}`) ?? []);
          return [title, into, formatMatrix("from", matrices.get(`host ${family} ${state}`) ?? [])];
        }),
      );
      await reportTable(`${texts.join("\n\n")}\n`);
    }
  });
}
