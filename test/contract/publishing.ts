// Published ports, seen by packets: who gets through to what, in one table, beside the same on Docker's own bridge
// networks; and what becomes of ports and of talks through them while containers, tsnet and dockerd come and go.
// Run with each backend. The table measured goes to standard output, and to the file that TSNET_TABLE names; a summary is in the README.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Backend } from "../../src/cnm/network.ts";
import { selectedEngine } from "../support/engines.ts";
import { EXPECTED } from "../support/publish-expected.ts";
import { HOST, LOOPBACK, NETWORK_NAMES, PublishStand, hostPort, publish } from "../support/publish-stand.ts";
import { Stream } from "../support/publish-stream.ts";
import { outcomesOf, summarize } from "../support/publish-summary.ts";
import { PublishTable, type Row, reportTable } from "../support/publish-table.ts";
import { IN_README, matchReadme } from "../support/readme-table.ts";
import { settleLinks } from "../support/settled-links.ts";
import { SystemHost, type Variant } from "../support/system-host.ts";
import { runServer, whoAnswers } from "../support/system-probe.ts";

/** On networks of tsnet alone. */
const ALONE = EXPECTED.filter(({ who }) => !["the other driver", "docker0"].includes(who));
/** With `tsnet serve` these are enough; Open vSwitch has no other run with every suite. */
const ROWS = {
  bridge: ALONE.filter(({ on }) => ["all addresses", "its address", "loopback"].includes(on)),
  ovs: ALONE,
} as const satisfies Record<Backend, readonly Row[]>;

const ENGINE = selectedEngine();
const TITLE = "$who, asking $asks for a port published on $on: IPv4 $expected.4, IPv6 $expected.6";
/** Of the host, for remote clients. */
const OUTSIDE = Object.values(HOST);

/** @param backend - of tsnet's networks. */
export function describePublishing(variant: Variant, backend: Backend): void {
  describe(`ports published with the ${variant}, backend ${backend}`, () => {
    const isPlugin = variant === "managed plugin";
    const rows = isPlugin ? EXPECTED : ROWS[backend];
    const blue = { name: "tsnet-blue" };
    let host: SystemHost;
    let stand: PublishStand;
    let table: PublishTable;

    beforeAll(async () => {
      const drivers = isPlugin ? (["tsnet", "bridge"] as const) : (["tsnet"] as const);
      host = await SystemHost.up(variant, { isLiveRestore: isPlugin, backend });
      stand = await PublishStand.up(host, drivers, isPlugin || backend === "ovs" ? NETWORK_NAMES : ["blue", "red"]);
      table = await PublishTable.measure(stand, rows, drivers);
      if (isPlugin) await reportTable(`Engine ${host.lab.engine.fullVersion}, ${backend}:\n\n${table.markdown()}\n`);
    });
    afterAll(async () => {
      await stand?.[Symbol.asyncDispose]();
      await host?.[Symbol.asyncDispose]();
    });

    it.each(rows)(TITLE, (row) => {
      expect({ 4: table.cell("tsnet", row, 4), 6: table.cell("tsnet", row, 6) }).toEqual(row.expected);
    });

    if (isPlugin)
      it("are asked for with packets that arrive on networks of older engines, where nothing stops them", () => {
        const isOld = Number.parseFloat(host.lab.engine.version) < 28;
        const stopped = [
          rowOf("remote host", "loopback", "loopback"),
          rowOf("remote host", "container", "all addresses"),
          rowOf("beyond a router", "container", "loopback"),
        ];

        expect(stopped.map((row) => table.cell("bridge", row, 4))).toEqual(
          stopped.map(() => (isOld ? "open" : "closed")),
        );
      });

    if (isPlugin && IN_README[ENGINE] !== undefined)
      it("are in the README beside those of Docker's own bridge as they were measured [F121, F122]", async () => {
        const outcomes = outcomesOf(table, rows);
        const isInFull = IN_README[ENGINE] === "all";
        const shown = isInFull ? outcomes : outcomes.filter(({ tsnet, bridge }) => tsnet !== bridge);

        await matchReadme(`published ports, engine ${ENGINE}`, summarize(shown, ENGINE));
      });

    it("show the server the own addresses of remote clients", () => {
      const remote = rows.filter(({ who, asks, on }) => who === "remote host" && asks === "host" && on in TRANSLATED);

      for (const row of remote) {
        expect(seenBy(row, 4)).toEqual([host.neighbour.address]);
        expect(seenBy(row, 6)).toEqual([host.neighbour.addressIpv6]);
      }
      expect(seenBy(rowOf("beyond a router", "host", "all addresses"), 4)).toEqual([stand.beyond.address]);
      expect(seenBy(rowOf("beyond a router", "host", "all addresses"), 6)).toEqual([stand.beyond.addressIpv6]);
    });

    it("show the server the network's gateway when the container itself or a peer asks", () => {
      for (const who of ["same network", "the container"] as const) {
        expect(seenBy(rowOf(who, "host", "all addresses"), 4)).toEqual(["10.20.1.1"]);
        expect(seenBy(rowOf(who, "host", "all addresses"), 6)).toEqual(["fd20:1::1"]);
      }
    });

    it("are closed as soon as the container has stopped, and open whenever it runs", async () => {
      const single = publish(8207, 80, ...OUTSIDE, ...Object.values(LOOPBACK));
      await using web = await runServer(host, "web", blue, [80], ...publish(8201, 80), ...single);
      await expect.poll(() => whoAnswers(host.neighbour, OUTSIDE, 8201)).toEqual(["web"]);

      await host.docker("stop", "web");
      expect(await host.exec(["ss", "-Hlntu", "sport = :8201 or sport = :8207"])).toBe("");
      expect(await whoAnswers(host.neighbour, OUTSIDE, 8201)).toEqual(["nobody"]);

      await host.docker("start", "web");
      await web.serves([80]);
      await expect.poll(() => whoAnswers(host.neighbour, OUTSIDE, 8201)).toEqual(["web"]);

      await host.docker("restart", "web");
      await web.serves([80]);
      await expect.poll(() => whoAnswers(host.neighbour, OUTSIDE, 8201)).toEqual(["web"]);
      await expect.poll(() => whoAnswers(host, [...OUTSIDE, ...Object.values(LOOPBACK)], 8207)).toEqual(["web"]);
    });

    it("lead a UDP stream that never stops to the container that came for another, and leave other flows alone [F119]", async () => {
      await using _other = await runServer(host, "other", blue, [80], ...publish(8203, 80));
      const old = await runServer(host, "old", blue, [80], ...publish(8202, 80));
      await using stream = await Stream.start(host.neighbour.namespace, "udp", HOST[4], 8202);
      await using streamIpv6 = await Stream.start(host.neighbour.namespace, "udp", HOST[6], 8202);
      await using foreign = await Stream.start(host.neighbour.namespace, "udp", HOST[4], 8203);
      await markFlows(8203, foreign);

      await old[Symbol.asyncDispose]();
      await using _new = await runServer(host, "new", blue, [80], ...publish(8202, 80));

      await stream.goesOn("new");
      await streamIpv6.goesOn("new");
      await foreign.goesOn("other");
      expect(await flowsTo(8203)).toMatch(/ mark=90 /); // not one that began anew
    });

    it("outlive a kill -9 of tsnet, with the talks through them", async () => {
      const port = hostPort("tsnet", "all addresses");
      await using talks = await Stream.startAll(host.neighbour.namespace, OUTSIDE, port);

      await host.kill9();
      if (!isPlugin) {
        await expect.poll(() => whoAnswers(host.neighbour, OUTSIDE, port)).toEqual(["tsnet-blue-web"]);
        expect(await whoAnswers(host.neighbour, Object.values(LOOPBACK), hostPort("tsnet", "loopback"))).toEqual([
          "nobody",
        ]);
        await host.start();
      }

      await talks.goOn();
      const byLoopback = async () => await whoAnswers(host, Object.values(LOOPBACK), port);
      await expect.poll(byLoopback, { timeout: 15_000 }).toEqual(["tsnet-blue-web"]);
    });

    if (isPlugin)
      it("outlive a stop of dockerd with live-restore, with the talks through them [F21]", async () => {
        await using web = await runServer(host, "web", blue, [80], ...publish(8204, 80));
        await using talks = await Stream.startAll(host.neighbour.namespace, OUTSIDE, 8204);

        await host.lab.dockerd.stop();
        await expect.poll(() => whoAnswers(host.neighbour, OUTSIDE, 8204)).toEqual(["web"]);
        await host.lab.dockerd.start();

        await talks.goOn();
        await host.docker("stop", web.name);
        expect(await whoAnswers(host.neighbour, OUTSIDE, 8204)).toEqual(["nobody"]);
      });

    if (!isPlugin)
      it("come back with their containers when dockerd was killed and starts again [F20]", async () => {
        await using web = await runServer(host, "web", blue, [80], "--restart", "always", ...publish(8204, 80));

        await host.lab.dockerd.kill();
        await host.lab.dockerd.start();

        await web.restarted(0);
        await web.serves([80]);
        await expect.poll(() => whoAnswers(host.neighbour, OUTSIDE, 8204)).toEqual(["web"]);
      });

    it("stay open while the container's networks come and go", async () => {
      await using first = await host.network("a-first", "--ipv6"); // sorts before tsnet-blue: gets the gateway's part
      await using web = await runServer(host, "web", blue, [80], ...publish(8205, 80));
      const steps = [
        ["connect", first.name],
        ["disconnect", blue.name],
        ["connect", blue.name],
        ["disconnect", first.name],
      ] as const;

      for (const [verb, network] of steps) {
        await host.docker("network", verb, network, web.name);
        await settleLinks(host.lab.namespace);
        await expect
          .poll(() => whoAnswers(host.neighbour, OUTSIDE, 8205), { message: `${verb} ${network}` })
          .toEqual(["web"]);
      }
    });

    it("are published when a container of an internal network is connected to one with a way out", async () => {
      await using inner = await host.network("inner", "--internal");
      await using web = await runServer(host, "web", inner, [80], ...publish(8206, 80));
      expect(await whoAnswers(host, OUTSIDE, 8206)).toEqual(["nobody"]);

      await host.docker("network", "connect", blue.name, web.name);

      await expect.poll(() => whoAnswers(host.neighbour, OUTSIDE, 8206)).toEqual(["web"]);
    });

    it("of mode routed with icc=false answer the network's other containers at their own addresses, and nothing else does", async () => {
      await using far = await host.network("far", "--ipv6", "-o", "mode=routed", "-o", "icc=false");
      await using web = await runServer(host, "web", far, [80, 81], ...publish(8209, 80));
      await using peer = await host.run("peer", far);
      await settleLinks(host.lab.namespace);
      const addresses = [await web.address(4), await web.address(6)];

      await expect.poll(() => whoAnswers(peer, addresses, 80)).toEqual(["web"]);
      expect(await whoAnswers(peer, addresses, 81)).toEqual(["nobody"]);
      await expect.poll(() => whoAnswers(host, addresses, 81)).toEqual(["web"]); // which listens there
    });

    it("leave no socket behind when all containers are removed, and no warning in tsnet's log", async () => {
      await host.removeEverything();

      expect(await host.exec(["ss", "-Hlntu", "sport >= :8000 and sport <= :9999"])).toBe("");
      expect(host.complaints()).toEqual([]);
    });

    function rowOf(who: Row["who"], asks: Row["asks"], on: Row["on"]): Row {
      const found = rows.find((row) => row.who === who && row.asks === asks && row.on === on);
      if (found === undefined) throw new Error(`no row ${who}, ${asks}, ${on}`);
      return found;
    }

    /** The different addresses that tsnet's servers saw. */
    function seenBy(row: Row, family: 4 | 6): readonly (string | undefined)[] {
      const answers = table.outcomes("tsnet", row, family).flatMap(({ tcp, udp }) => [tcp.seen, udp.seen]);
      return [...new Set(answers)];
    }

    /** Marks the conntrack entry of a flow: one that begins later has no mark. */
    async function markFlows(port: number, flow: Stream): Promise<void> {
      const chain = `chain stamp { type filter hook prerouting priority mangle; udp dport ${port} ct mark set 90; }`;
      await host.lab.exec(["nft", "-f", "-"], { input: `table inet marker {\n${chain}\n}\n` });
      await flow.goesOn();
      await host.exec(["nft", "delete", "table", "inet", "marker"]);
      expect(await flowsTo(port)).toMatch(/ mark=90 /);
    }

    /** The conntrack entries of UDP flows to a port. */
    async function flowsTo(port: number): Promise<string> {
      const entries = (await host.exec(["cat", "/proc/net/nf_conntrack"])).split("\n");
      return entries.filter((entry) => entry.includes(" udp ") && entry.includes(` dport=${port} `)).join("\n");
    }
  });
}

/** Ports whose packets are translated, not relayed: the server sees who sent them. */
const TRANSLATED = { "all addresses": true, "its address": true } as const;
