// firewalld beside tsnet, in the order of a boot: firewalld, Docker, which finds it on the bus, tsnet. What it closes until
// the operator has typed the README's commands, and that everything works then, whatever firewalld does.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AS_EVER, BesideStand, serveEcho } from "../support/beside-stand.ts";
import { ClosedWays } from "../support/closed-ways.ts";
import { namesIn, readDoctor } from "../support/doctor-report.ts";
import { FETCH_LIMIT_MS, LabFirewalls } from "../support/lab-firewalls.ts";
import { ECHO_PORT } from "../support/neighbour.ts";
import { Outage, REPAIR_MS } from "../support/outage.ts";
import { HOST } from "../support/publish-stand.ts";
import { readmeCommands } from "../support/readme-commands.ts";
import { SystemHost } from "../support/system-host.ts";
import { ask, runServer } from "../support/system-probe.ts";

const HEADING = "### Beside other firewalls";

describe("beside firewalld", () => {
  let host: SystemHost;
  let firewalls: LabFirewalls;
  let stand: BesideStand;
  let closed: ClosedWays;

  beforeAll(async () => {
    host = await SystemHost.up("tsnet serve");
    firewalls = await LabFirewalls.prepare(host.lab.namespace);
    await firewalls.startBus();
    await Promise.all([firewalls.startFirewalld(), host.lab.dockerd.stop()]);
    await host.lab.dockerd.start();
    await host.exec(["sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1", "net.bridge.bridge-nf-call-ip6tables=1"]);
    await serveEcho(host);
    stand = await BesideStand.up(host);
    closed = await ClosedWays.watch(stand);
  }, FETCH_LIMIT_MS);
  afterAll(async () => await host?.[Symbol.asyncDispose]());

  it("published ports answer and networks are kept apart, but what containers begin is rejected in its default zone", async () => {
    expect(await stand.look()).toEqual({
      ...AS_EVER,
      "container to container": [],
      "container to the outside": [],
      "container to the host": ["ping4", "ping6"],
    });
  });

  it("doctor says so, and what to tell firewalld", async () => {
    const report = await readDoctor(host.lab);

    const names = [
      "firewalld-drop tsn-+",
      "host-closed firewalld",
      "bridged-drop inet firewalld filter_FWD_public handle N",
    ];
    expect(namesIn(report)).toEqual(names.toSorted());
    const mend = (await readmeCommands(HEADING, "firewall-cmd")).join(" && ");
    expect(report.findings.map((finding) => finding.mend)).toEqual([mend, mend, mend]);
  });

  it("containers of Docker's own bridge get out, because Docker tells firewalld of it", async () => {
    await using plain = await runServer(host, "plain", { name: "bridge" }, [80]);

    const outside = { protocol: "tcp", address: stand.outside(4), port: ECHO_PORT } as const;
    expect(await ask(plain, [outside])).toMatchObject([{ server: HOST[4] }]);
    expect(await firewalls.exec("firewall-cmd", "--get-zone-of-interface=docker0")).toBe("docker");
  });

  describe("once the README's commands were typed", () => {
    let outage: Outage;
    const reload = async () => await firewalls.type("firewall-cmd --reload");
    const stop = async () => await firewalls.stopFirewalld();
    const start = async () => await firewalls.startFirewalld();

    beforeAll(async () => {
      await firewalls.type(...(await readmeCommands(HEADING, "firewall-cmd")));
      outage = await Outage.watch(stand);
    });

    it.each([
      ["everything is as without firewalld, and a reload", reload, reload],
      ["the end of firewalld", stop, start],
      ["a start of firewalld after tsnet's", start, stop],
    ])("%s takes nothing away for longer than 2 seconds", async (_title, change, undo) => {
      expect(await outage.during(change, undo)).toBeLessThan(REPAIR_MS);

      expect(await stand.look()).toEqual(AS_EVER);
    });

    it("doctor finds nothing more", async () => {
      expect(namesIn(await readDoctor(host.lab))).toEqual([]);
    });

    it("a port published in mode routed needs the README's other commands, and no other port answers then", async () => {
      const [subnet, address] = ["10.51.0.0/24", "10.51.0.9"];
      await using network = await host.network("plain", "--subnet", subnet, "-o", "mode=routed");
      await using _server = await runServer(host, "server", network, [80, 81], "--ip", address, "-p", "80:80");
      await host.neighbour.routeTo(subnet, HOST[4]);
      const questions = [80, 81].map((port) => ({ protocol: "tcp", address, port }) as const);
      const servers = async () => (await ask(host.neighbour, questions)).map(({ server }) => server);
      expect(await servers()).toEqual([undefined, undefined]);
      const { findings } = await readDoctor(host.lab);
      expect(findings).toMatchObject([{ id: "firewalld-drop", object: subnet }]);

      await firewalls.type(...(await readmeCommands(HEADING, "firewall-cmd", "mode `routed`")));

      expect(await servers()).toEqual(["server", undefined]);
      expect(namesIn(await readDoctor(host.lab))).toEqual([]);
      const commands = await readmeCommands(HEADING, "firewall-cmd", "mode `routed`");
      expect(findings[0]?.mend).toBe(commands.join("; "));
    });
  });

  it("nothing that shall be closed was open for a moment in all this [F113]", async () => {
    expect(await closed.end()).toEqual([0, 0, 0, 0]);
  });

  it("tsnet has no complaint about any of this", () => {
    expect(host.complaints()).toEqual([]);
  });
});
