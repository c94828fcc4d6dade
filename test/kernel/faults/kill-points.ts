// kill -9 at every step of every verb, one after the other, with what the engine does then; both switches. A step is found
// by going on until the verb ends before it comes (`step-recorder.ts` says what a step is).
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Census } from "../../support/census.ts";
import { type EngineEndpoint, type EngineNetwork, Refusal } from "../../support/engine-double.ts";
import { OperatorDouble } from "../../support/operator-double.ts";
import { ServeHost } from "../../support/serve-host.ts";
import { type Point, Steps } from "../../support/steps.ts";
import { waitUntil } from "../../support/wait-until.ts";

const PORT = 8080;
/** Longer than tsnet waits before it believes that nobody uses an endpoint or an address any more. */
const PATIENCE_MS = 45_000;
/** In which a step that comes behind the answer is taken. */
const AFTER_ANSWER_MS = 30;
/** More than any verb has. */
const MOST_POINTS = 200;

/** Said of the repeated call, whose content is lost (cnm-protocol.md 1.6). */
const isExpected = (line: string) => line.includes("the body is empty");

/** Declares the tests. @param which - as for `Steps.arm`. */
export function killPoints(backend: "bridge" | "ovs", which: "every" | "before"): void {
  describe(`a kill -9 with backend=${backend}`, () => {
    let host: ServeHost;
    let steps: Steps;
    let before: Census;
    let network: EngineNetwork;

    beforeAll(async () => {
      steps = await Steps.make();
      host = await ServeHost.up("kill", { backend, env: steps.env, argv: steps.argv });
      network = await create("10.96.0.0/24");
      before = await host.restingCensus();
    }, 60_000);
    afterAll(async () => {
      await host?.[Symbol.asyncDispose]();
      steps?.[Symbol.dispose]();
    });

    const create = (subnet: string) =>
      host.engine.createNetwork({ subnet, gateway: subnet.replace("0/24", "1"), options: { backend } });

    it("at any step of the creation of a network leaves all of it or nothing, and it can be created at once [F01] [F08]", async () => {
      await atEveryPoint("create network", async (killed) => {
        const subnet = "10.97.0.0/24";
        const first = await killed(() => create(subnet));
        const made = first ?? (await create(subnet));
        await host.engine.removeNetwork(made);
      });
      await nothingIsLeft();
    }, 240_000);

    it("at any step of the removal of a network does not keep it from going, nor its subnet from the next [F02] [F08]", async () => {
      await atEveryPoint("remove network", async (killed) => {
        const subnet = "10.98.0.0/24";
        const made = await create(subnet);
        await killed(() => host.engine.removeNetwork(made));
        await host.engine.removeNetwork(await create(subnet));
      });
      await nothingIsLeft();
    }, 240_000);

    it("at any step of a container's start leaves it running or nothing of it, and it can be started at once [F03] [F04] [F05] [F07] [F08]", async () => {
      await atEveryPoint("start", async (killed) => {
        const first = await killed(() => host.engine.start(network, { port: PORT }));
        const running = first ?? (await host.engine.start(network, { port: PORT }));
        await works(running);
        await host.engine.stop(running);
      });
      await nothingIsLeft();
    }, 240_000);

    it("at any step of a container's end leaves nothing of it [F06] [F07] [F08]", async () => {
      await atEveryPoint("stop", async (killed) => {
        const running = await host.engine.start(network, { port: PORT });
        await killed(() => host.engine.stop(running));
        const next = await host.engine.start(network, { port: PORT });
        await works(next);
        await host.engine.stop(next);
      });
      await nothingIsLeft();
    }, 240_000);

    it("at any step of an attachment leaves all of it or what the same command ends [F03] [F07]", async () => {
      await using operator = await OperatorDouble.up(host);
      await atEveryPoint("attach", async (killed) => {
        await killed(() => operator.attach(network, "10.96.0.88"));
        const attached = await operator.attach(network, "10.96.0.88");
        await reachesGateway(attached);
        await operator.detach(network);
      });
      await nothingIsLeft();
    }, 240_000);

    it("at any step of its end leaves nothing that the same command does not take [F06] [F07]", async () => {
      await using operator = await OperatorDouble.up(host);
      await atEveryPoint("detach", async (killed) => {
        await operator.attach(network, "10.96.0.88");
        await killed(() => operator.detach(network));
        await operator.detach(network);
        expect(await portsOfEndpoints()).toEqual([]);
      });
      await nothingIsLeft();
    }, 240_000);

    it("at any step of a network's change leaves the former or the new one, and the same command changes it [F08]", async () => {
      await using operator = await OperatorDouble.up(host);
      await using running = await container();
      await atEveryPoint("set network", async (killed) => {
        await killed(() => operator.setNetwork(network, { mtu: "1400", icc: "false" }));
        const mtus = new Set((await portsOfEndpoints()).map(({ mtu }) => mtu));
        expect([[1400], [1500]], "all ports or none").toContainEqual([...mtus]);
        await operator.setNetwork(network, { mtu: "1400", icc: "false" });
        expect(await portsOfEndpoints()).toMatchObject([{ mtu: 1400 }]);
        await operator.setNetwork(network, { mtu: "1500", icc: "true" });
        await reachesGateway(running.endpoint);
      });
    }, 240_000);

    it("at any step of a container's new address leaves the former or that one, and the same command gives it [F07]", async () => {
      await using operator = await OperatorDouble.up(host);
      const running = await host.engine.start(network, { port: PORT });
      const [former = ""] = running.address.split("/");
      await atEveryPoint("set address", async (killed) => {
        await killed(() => operator.setAddress(running, "10.96.0.77"));
        await reachesGateway(await operator.setAddress(running, "10.96.0.77"));
        await operator.setAddress(running, former);
      });
      await works(running);
      await host.engine.stop(running);
      await nothingIsLeft();
    }, 240_000);

    it("in recovery itself, at every step in a row, ends as an unbroken recovery does [F09]", async () => {
      await using running = await container();
      const whole = await host.restingCensus();
      await host.serve.kill9();
      await host.exec("nft", "flush", "ruleset");
      if (backend === "bridge") await host.exec("ip", "link", "delete", await switchName());
      else await host.ovs.vsctl("del-br", await switchName());
      const points = await killedInRow();
      // Open vSwitch's own link is a new one when it had no bridge for a moment.
      const changes = async () =>
        (await host.changesSince(whole)).filter((line) => !line.includes("ifname=ovs-netdev "));
      await expect.poll(changes, { timeout: PATIENCE_MS, interval: 500 }).toEqual([]);
      await works(running.endpoint);
      console.log(`recovery, ${backend}: ${points} points`);
    }, 240_000);

    it("the daemon's log says no more than that the engine's repeated calls are empty", () => {
      expect(host.complaints(isExpected)).toEqual([]);
    });

    async function container() {
      const endpoint = await host.engine.start(network, { port: PORT });
      return { endpoint, [Symbol.asyncDispose]: () => host.engine.stop(endpoint) };
    }

    async function portsOfEndpoints() {
      const links = JSON.parse(await host.exec("ip", "-json", "link")) as { ifname: string; mtu: number }[]; // ip(8)
      return links.filter(({ ifname }) => ifname.startsWith("tsv"));
    }

    async function switchName(): Promise<string> {
      if (backend === "ovs") return await host.ovs.vsctl("list-br");
      const links = JSON.parse(await host.exec("ip", "-json", "link", "show", "type", "bridge")) as {
        ifname: string;
      }[]; // ip(8)
      return links[0]?.ifname ?? "";
    }

    async function reachesGateway(endpoint: EngineEndpoint): Promise<void> {
      expect(await host.reachesGateway(endpoint), "reaches the gateway").toBe(true);
    }

    async function works(endpoint: EngineEndpoint): Promise<void> {
      await reachesGateway(endpoint);
      await host.listenIn(endpoint);
      // A daemon that has just come back takes the port when it has recovered: nobody waits for that but a call.
      await waitUntil("it to be reached by its published port", () => host.reachesPort(PORT));
    }

    async function nothingIsLeft(): Promise<void> {
      await expect.poll(() => host.changesSince(before), { timeout: PATIENCE_MS, interval: 1000 }).toEqual([]);
    }

    /** Runs the scenario again and again, with the kill one point later each time, until the killed part ends before it. */
    async function atEveryPoint(
      what: string,
      scenario: (killed: <T>(task: () => Promise<T>) => Promise<T | undefined>) => Promise<void>,
    ): Promise<void> {
      const faults: string[] = [];
      let points: readonly Point[] = [];
      for (let at = 0; at < MOST_POINTS; at++) {
        const killed = async <T>(task: () => Promise<T>) => {
          const outcome = await killedAt(at, task);
          points = outcome.points;
          return outcome.result;
        };
        await scenario(killed).catch((failure: unknown) => {
          faults.push(`${at}, ${describePoint(points.at(-1))}: ${String(failure)}`);
        });
        if (points.length <= at) break;
      }
      console.log(`${what}, ${backend}: ${points.length} points, ${faults.length} faults`);
      expect(faults).toEqual([]);
    }

    /** @returns the task's result, undefined if the engine was told a failure, and the points that were passed. */
    async function killedAt<T>(at: number, task: () => Promise<T>) {
      let isBack = false;
      const comeBack = async () => {
        steps.disarm();
        await host.returns();
        isBack = true;
      };
      host.engine.beforeRepeat = comeBack;
      steps.arm(at, which);
      let result: T | undefined;
      try {
        result = await task();
      } catch (failure) {
        if (!(failure instanceof Refusal)) throw failure;
      } finally {
        if (!isBack)
          await waitUntil("the daemon to have noted its last answer", () => isBehindAnswer(steps.passed(), at));
        if (!isBack) await pause(AFTER_ANSWER_MS);
        if (!isBack && steps.passed().length > at) await comeBack();
        steps.disarm();
      }
      return { result, points: steps.passed() };
    }

    /** Starts the daemon and kills it one point later each time, until it recovers before that. @returns how many points there were. */
    async function killedInRow(): Promise<number> {
      for (let at = 0; at < MOST_POINTS; at++) {
        const recoveries = host.recoveries();
        steps.arm(at, which);
        await host.serve.startAgain().catch(() => {}); // killed before it listened
        await waitUntil("recovery or its end", () => host.recoveries() > recoveries || host.serve.hasEnded);
        if (host.recoveries() === recoveries) continue;
        steps.disarm();
        if (host.serve.hasEnded) await host.serve.startAgain();
        return at;
      }
      throw new Error("recovery has no end");
    }
  });
}

/** Whether the daemon is done with what it has answered, or with everything: the caller may have the answer before that. */
function isBehindAnswer(points: readonly Point[], killAt: number): boolean {
  const answers = (when: Point["when"]) => points.filter((each) => each.what === "answer" && each.when === when).length;
  return points.length > killAt || answers("before") === answers("after");
}

function describePoint(point: Point | undefined): string {
  return point === undefined ? "no point" : `${point.when} ${point.what}`;
}
