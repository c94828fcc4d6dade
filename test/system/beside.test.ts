// What others do to the host's packet filter and its switches while tsnet's networks are there: ufw, rules in front of ours,
// forwarding switched off, br_netfilter switched off and on. FORWARD has the policy DROP in both families all the time.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AS_EVER, BesideStand, serveEcho } from "../support/beside-stand.ts";
import { ClosedWays } from "../support/closed-ways.ts";
import { namesIn, readDoctor } from "../support/doctor-report.ts";
import { FETCH_LIMIT_MS, LabFirewalls } from "../support/lab-firewalls.ts";
import { ECHO_PORT } from "../support/neighbour.ts";
import { Outage, REPAIR_MS, repairTime } from "../support/outage.ts";
import { FAMILIES, HOST } from "../support/publish-stand.ts";
import { Stream } from "../support/publish-stream.ts";
import { readmeCommands } from "../support/readme-commands.ts";
import type { Place, TestContainer } from "../support/system-container.ts";
import { SystemHost } from "../support/system-host.ts";
import { type Question, ask, runServer } from "../support/system-probe.ts";

const HEADING = "### Beside other firewalls";
const TOOLS = { 4: "iptables", 6: "ip6tables" } as const;

/** What the neighbour's echo says to containers, over IPv4 and IPv6. */
const EVERYBODY = Object.values(HOST);
const NOBODY = [undefined, undefined];

describe("beside others on the host", () => {
  let host: SystemHost;
  let stand: BesideStand;
  let closed: ClosedWays;
  let outage: Outage;
  let one: TestContainer;

  beforeAll(async () => {
    host = await SystemHost.up("tsnet serve");
    await switchBridgeNetfilter(1);
    await dropForwarded();
    await serveEcho(host);
    stand = await BesideStand.up(host);
    one = stand.container("one");
    closed = await ClosedWays.watch(stand);
    outage = await Outage.watch(stand);
  });
  afterAll(async () => await host?.[Symbol.asyncDispose]());

  describe("ufw [F123]", () => {
    let firewalls: LabFirewalls;
    const enable = async () => await firewalls.type("ufw --force enable");
    const disable = async () => await firewalls.type("ufw --force disable");

    beforeAll(async () => void (firewalls = await LabFirewalls.prepare(host.lab.namespace)), FETCH_LIMIT_MS);
    afterAll(dropForwarded); // its end makes the policy ACCEPT

    it("as it comes, denying what is incoming and routed, closes nothing but the host's services", async () => {
      expect(await outage.during(enable, disable)).toBeLessThan(REPAIR_MS);

      expect(await stand.look()).toEqual({ ...AS_EVER, "container to the host": ["ping4", "ping6"] });
      const report = await readDoctor(host.lab);
      expect(namesIn(report)).toEqual(["host-closed ufw"]);
      expect([report.findings[0]?.mend]).toEqual(await readmeCommands(HEADING, "ufw", "`deny incoming`"));
    });

    it("denies a container and a published port what it is told to, though tsnet was there first", async () => {
      const rules = FAMILIES.flatMap((family) => {
        const address = stand.address("one", family);
        return [`deny from ${address}`, `deny proto tcp to ${address} port 80`];
      });
      const toPublished = FAMILIES.map((family) => ({ protocol: "tcp", address: HOST[family], port: 8080 }) as const);
      expect(await answersTo(host.neighbour, ...toPublished)).toEqual(["tsnet-one", "tsnet-one"]);

      await firewalls.type(...rules.map((rule) => `ufw route ${rule}`));

      const answers = [answersTo(one, ...toOutside()), answersTo(host.neighbour, ...toPublished)];
      expect(await Promise.all(answers)).toEqual([NOBODY, NOBODY]);
      const { findings } = await readDoctor(host.lab);
      expect(new Set(findings.map(({ id }) => id))).toEqual(new Set(["foreign-drop-some", "host-closed"]));
      expect(findings[0]?.mend).toContain("`ufw delete NUMBER`");

      await firewalls.type(...rules.map((rule) => `ufw route delete ${rule}`));
    });

    it("opens the host's services by the README's command, and takes nothing away by a reload", async () => {
      await firewalls.type(...(await readmeCommands(HEADING, "ufw", "`deny incoming`")));

      expect(await outage.during(async () => await firewalls.type("ufw reload"))).toBeLessThan(REPAIR_MS);

      expect(await stand.look()).toEqual(AS_EVER);
    });

    it("rejecting what is routed closes that, and the README's other commands open it", async () => {
      await firewalls.type("ufw default reject routed");
      expect(await answersTo(one, ...toOutside())).toEqual(NOBODY);
      const { findings } = await readDoctor(host.lab);
      const mend = (await readmeCommands(HEADING, "ufw", "`default reject routed`")).join(" && ");
      expect(findings).toContainEqual(expect.objectContaining({ id: "ufw-drop", object: "tsn-+", mend }));

      await firewalls.type(mend);

      expect(await stand.look()).toEqual(AS_EVER);
      expect(namesIn(await readDoctor(host.lab))).toEqual([]);
    });

    it("takes nothing away by its end", async () => {
      expect(await outage.during(disable, enable)).toBeLessThan(REPAIR_MS);
    });
  });

  describe("a rule in front of tsnet's that drops [F114, F115]", () => {
    it("drops in FORWARD, also when tsnet's own was lost and is back", async () => {
      for (const family of FAMILIES) {
        const tool = TOOLS[family];
        const way = ["-s", stand.address("one", family), "-d", stand.outside(family)];
        const ours = async () => (await host.exec([tool, "-S", "FORWARD"])).split("\n").filter(isOurs);
        await host.exec([tool, "-I", "FORWARD", ...way, "-j", "DROP"]);
        const loseOurs = async () => {
          for (const rule of await ours()) await host.exec(["sh", "-c", `${tool} ${rule.replace("-A", "-D")}`]);
        };
        expect(await repairTime(loseOurs, async () => (await ours()).length === 1)).toBeLessThan(REPAIR_MS);
      }

      const askers = [one, stand.container("two")];
      const answers = await Promise.all(askers.map(async (asker) => await answersTo(asker, ...toOutside())));
      expect(answers).toEqual([NOBODY, EVERYBODY]);

      for (const tool of Object.values(TOOLS)) await host.exec([tool, "-D", "FORWARD", "1"]);
    });

    it("drops in a table of its own", async () => {
      const rules = FAMILIES.map((family) => `ip${family === 6 ? "6" : ""} saddr ${stand.address("one", family)} drop`);
      const hook = "type filter hook forward priority -100;";
      const input = `table inet admin { chain forward { ${hook}\n${rules.join("\n")}\n}\n}`;
      await host.lab.exec(["nft", "-f", "-"], { input });

      expect(await answersTo(one, ...toOutside())).toEqual(NOBODY);

      await host.exec(["nft", "delete", "table", "inet", "admin"]);
      expect(await answersTo(one, ...toOutside())).toEqual(EVERYBODY);
    });
  });

  it("forwarding that somebody switches off is on again within 2 seconds, and connections go on [F116]", async () => {
    await using four = await Stream.start(host.neighbour.namespace, "tcp", HOST[4], 8080);
    await using six = await Stream.start(host.neighbour.namespace, "tcp", HOST[6], 8080);
    const switches = ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"];

    const switchOff = async () => await host.exec(["sysctl", "-qw", ...switches.map((name) => `${name}=0`)]);
    const isOn = async () => (await host.exec(["sysctl", "-n", ...switches])) === "1\n1";

    expect(await repairTime(switchOff, isOn)).toBeLessThan(REPAIR_MS);
    for (const stream of [four, six]) await stream.goesOn("tsnet-one");
  });

  it("br_netfilter switched off and on changes nothing, also for a network with icc=false [F115]", async () => {
    const options = ["--ipv6", "--subnet", "10.97.0.0/24", "--subnet", "fd97::/64", "-o", "icc=false"];
    await using network = await host.network("shy", ...options);
    await using asker = await runServer(host, "asker", network, [80]);
    await using shy = await runServer(host, "shy", network, [80], "--ip", "10.97.0.9", "--ip6", "fd97::9");
    const toShy = ["10.97.0.9", "fd97::9"].map((address) => ({ protocol: "tcp", address, port: 80 }) as const);
    const look = async () => await Promise.all([stand.look(), answersTo(asker, ...toShy)]);
    const off = async () => await switchBridgeNetfilter(0);
    const on = async () => await switchBridgeNetfilter(1);

    expect(await outage.during(off, on)).toBeLessThan(REPAIR_MS);
    expect(await look()).toEqual([AS_EVER, NOBODY]);

    expect(await outage.during(on, off)).toBeLessThan(REPAIR_MS);
    expect(await look()).toEqual([AS_EVER, NOBODY]);
    expect(await answersTo(shy, ...toOutside())).toEqual(EVERYBODY);
  });

  it("nothing that shall be closed was open for a moment in all this [F113]", async () => {
    expect(await closed.end()).toEqual([0, 0, 0, 0]);
  });

  it("tsnet has no complaint about any of this", () => {
    expect(host.complaints()).toEqual([]);
  });

  async function dropForwarded(): Promise<void> {
    for (const tool of Object.values(TOOLS)) await host.exec([tool, "-P", "FORWARD", "DROP"]);
  }

  async function switchBridgeNetfilter(value: 0 | 1): Promise<void> {
    const switches = Object.values(TOOLS).map((tool) => `net.bridge.bridge-nf-call-${tool}=${value}`);
    await host.exec(["sysctl", "-qw", ...switches]);
  }

  /** The neighbour's echo, which answers with the address that it sees. */
  function toOutside(): Question[] {
    return FAMILIES.map((family) => ({ protocol: "tcp", address: stand.outside(family), port: ECHO_PORT }));
  }
});

function isOurs(rule: string): boolean {
  return rule.includes("tsnet: ");
}

/** @returns which server answered each question. */
async function answersTo(from: Place, ...questions: Question[]): Promise<readonly (string | undefined)[]> {
  return (await ask(from, questions)).map(({ server }) => server);
}
