// The attack catalogue against containers of a real engine, sent in their own network namespaces: without antispoof, where
// it must work, with it, and with it after tsnet was killed, the firewall was flushed and the engine was started anew. Run
// with each backend.
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Backend } from "../../src/cnm/network.ts";
import { type AttackedNetwork, BEYOND, DockerStage } from "../support/attack-docker.ts";
import { attacksOn, lawfulOn, worksUnguarded } from "../support/attack-list.ts";
import { AttackRange, type RangePlan } from "../support/attack-range.ts";
import { gatewayClaim } from "../support/attacks-arp.ts";
import { unwantedIpv6 } from "../support/attacks-packets.ts";
import { type Attack, type Scene, datagramFrame, uniqueBytes } from "../support/attacks.ts";
import { EagerSender, FrameSocket } from "../support/frame-capture.ts";
import { ethernet } from "../support/frames.ts";
import { TEST_IMAGE } from "../support/image.ts";
import { TestContainer } from "../support/system-container.ts";
import { waitUntil } from "../support/wait-until.ts";

/** Those that Docker gives to every container (moby, oci/caps/defaults.go). */
const DEFAULT_CAPABILITIES =
  "-all,+chown,+dac_override,+fsetid,+fowner,+mknod,+net_raw,+setgid,+setuid,+setfcap,+setpcap,+net_bind_service,+sys_chroot,+kill,+audit_write";
/** What happens, and how. */
type Disturbance = readonly [string, () => Promise<unknown>];

const SENDER = join(import.meta.dirname, "../support/frame-sender.ts");
/** Each takes a second. */
const STARTS = 8;

const named = ({ id, title }: Attack, names: readonly string[]) => names.map((name) => `${id} ${title}: ${name}`);
const formsOf = (attacks: readonly Attack[]) =>
  attacks.flatMap((attack) =>
    named(
      attack,
      attack.forms.map(({ name }) => name),
    ),
  );
/** @param backend - of all networks. */
export function describeAttacks(backend: Backend): void {
  describe(`attacks, backend ${backend}`, () => {
    let stage: DockerStage;
    const networks = new Map<string, AttackedNetwork>();
    const counted = { sent: 0, dropped: 0, workedUnprotected: 0 };

    beforeAll(async () => {
      stage = await DockerStage.up(backend);
      networks.set("guarded", await stage.attacked("guarded", 1, true));
      networks.set("open", await stage.attacked("open", 2, true, "-o", "antispoof=false"));
      networks.set("guarded4", await stage.attacked("guarded4", 3, false));
      networks.set("open4", await stage.attacked("open4", 4, false, "-o", "antispoof=false"));
    });
    afterAll(async () => {
      await stage?.[Symbol.asyncDispose]();
      const { sent, dropped, workedUnprotected: worked } = counted;
      const off = `protection off: ${worked} of ${sent} delivered`;
      console.log(`forged frames on ${backend}: ${sent} sent forms, ${dropped} of ${sent} dropped (${off})`);
    });

    function on(name: string): AttackedNetwork {
      const found = networks.get(name);
      if (found === undefined) throw new Error(`no network ${name}`);
      return found;
    }

    /** What can be shown to work while the rest of tsnet is there. Without IPv6, that alone is the attack. */
    const attacksIn = ({ hasIpv6 }: AttackedNetwork, scene: Scene) =>
      worksUnguarded(hasIpv6 ? attacksOn(scene, BEYOND, backend) : unwantedIpv6(scene), backend);

    async function withRange<T>(name: string, use: (range: AttackRange, plan: RangePlan) => Promise<T>): Promise<T> {
      const plan = await stage.planFor(on(name));
      using range = new AttackRange(plan);
      return await use(range, plan);
    }

    /** What arrives or works of these, form by form. */
    async function delivered(range: AttackRange, attacks: readonly Attack[]): Promise<readonly string[]> {
      const names: string[] = [];
      for (const attack of attacks) names.push(...named(attack, await range.delivered(attack)));
      return names;
    }

    /**
     * What gets through of these, form by form. A busy switch loses a frame now and then, however lawful it is: such a form is
     * tried once more for itself, which is said.
     */
    async function passing(range: AttackRange, allowed: readonly Attack[]): Promise<readonly string[]> {
      const names: string[] = [];
      for (const attack of allowed) {
        const heard = await range.delivered(attack);
        const lost = attack.forms.filter(({ name }) => !heard.includes(name));
        const late = lost.length === 0 ? [] : await range.working({ ...attack, forms: lost });
        if (lost.length > 0) console.log(`heard when sent again: ${named(attack, late).join(", ") || "nothing"}`);
        const order = attack.forms.map(({ name }) => name);
        names.push(
          ...named(
            attack,
            order.filter((name) => heard.includes(name) || late.includes(name)),
          ),
        );
      }
      return names;
    }

    describe.each(["open", "open4"])("on network %s, without antispoof", (name) => {
      it("every forged frame works", async () => {
        await withRange(name, async (range, { scene }) => {
          const attacks = attacksIn(on(name), scene);
          const working: string[] = [];
          for (const attack of attacks) working.push(...named(attack, await range.working(attack)));
          counted.workedUnprotected += working.length;
          expect(working).toEqual(formsOf(attacks));
        });
      });
    });

    describe.each(["guarded", "guarded4"])("on network %s, with antispoof", (name) => {
      it("no forged frame works", async () => {
        await withRange(name, async (range, { scene }) => {
          const attacks = attacksIn(on(name), scene);
          const names = await delivered(range, attacks);
          counted.sent += formsOf(attacks).length;
          counted.dropped += formsOf(attacks).length - names.length;
          expect(names).toEqual([]);
        });
      });
    });

    describe("with antispoof", () => {
      it("whatever is closed anyway stays closed, and what is lawful passes [S01, S02, S03, S04, S07, S08, S09, S10, S11, S12, S13, S15, S16, S19]", async () => {
        await expectProtection();
      });

      const disturbances: readonly Disturbance[] = [
        ["tsnet was killed", async () => await stage.host.kill9()],
        ["tsnet was started again", async () => await stage.host.start()],
        ["dockerd was started anew", async () => await stage.restartEngine()],
        ["the firewall was flushed", async () => await stage.flushRules()],
      ];
      const ofOvs: Disturbance = ["ovs-vswitchd was killed and started again", restartSwitch];
      it.each(backend === "ovs" ? [...disturbances, ofOvs] : disturbances)(
        "all of this holds while and after %s [S24]",
        async (title, disturb) => {
          const { attacker, victim, scene } = await stage.planFor(on("guarded"));
          const frame = gatewayClaim(scene, scene.attacker.mac);
          using ear = FrameSocket.open(victim, "eth0");
          using sender = EagerSender.open(attacker);

          let rounds = 0;
          const act = async () => {
            await disturb();
            const before = rounds;
            await pause(1000);
            await waitUntil("enough frames to be sent", () => rounds > before + 100);
          };
          const sent = await sender.sendWhile("eth0", [frame], act, async () => {
            rounds += 1;
            await pause(1);
          });
          const heard = ear.count(frame.subarray(14));

          console.log(`S24: ${heard} of ${sent} forged frames were heard before ${title}`);
          expect(sent).toBeGreaterThan(100);
          expect(heard).toBe(0);
          await expectProtection();
        },
      );
    });

    /** Kills it, and waits until containers reach each other again. */
    async function restartSwitch(): Promise<void> {
      const { attacker, scene } = on("guarded");
      await stage.host.ovs.killVswitchd();
      await stage.host.ovs.startVswitchd();
      const isBack = async () => (await stage.host.tryReach(attacker, scene.victim[4])).ping;
      await waitUntil("the containers to reach each other", isBack, { limitMs: 30_000 });
    }

    /** Everything that is forged fails, and everything that is lawful passes. */
    async function expectProtection(): Promise<void> {
      await withRange("guarded", async (range, { scene }) => {
        expect(await delivered(range, attacksOn(scene, BEYOND, backend))).toEqual([]);
        // Router solicitations go to the routers alone once the switch has heard who they are: the victim is none.
        const allowed = lawfulOn(scene).filter(({ id }) => id !== "S03");
        expect(await passing(range, allowed)).toEqual(formsOf(allowed));
      });
    }

    describe.each([
      ["open", true],
      ["guarded", false],
    ] as const)("on network %s", (name, isOpen) => {
      it(`a process with a container's capabilities ${isOpen ? "poisons" : "does not poison"} the victim`, async () => {
        await withRange(name, async (range, { scene, victim }) => {
          using ear = FrameSocket.open(victim, "eth0");
          const effect = { kind: "misled", at: "victim", address: scene.gateway[4], mac: scene.attacker.mac } as const;
          await range.watch.reset(effect);
          const data = uniqueBytes();
          const frames = [gatewayClaim(scene, scene.attacker.mac), lawful(scene, scene.attacker, data)];

          const send = [
            process.execPath,
            "--no-warnings",
            SENDER,
            "eth0",
            "3",
            ...frames.map((each) => each.toString("hex")),
          ];
          await on(name).attacker.exec(["setpriv", "--bounding-set", DEFAULT_CAPABILITIES, ...send]);
          await ear.waitFor("the lawful frame of the same process", data);

          expect(await range.watch.shows(effect)).toBe(isOpen);
          await range.watch.reset(effect);
        });
      });

      it(`a container with NET_ADMIN ${isOpen ? "takes" : "does not take"} the gateway's place with its address [S22]`, async () => {
        const { network } = on(name);
        await using admin = await stage.host.run(`${name}-admin`, network, "--cap-add", "NET_ADMIN");
        await withRange(name, async (range, { scene }) => {
          const { mac } = await admin.interface("eth0");
          const effect = { kind: "misled", at: "victim", address: scene.gateway[4], mac } as const;
          await range.watch.reset(effect);
          const take = [`ip address add ${scene.gateway[4]}/32 dev eth0`, `arping -U -c 2 -I eth0 ${scene.gateway[4]}`];

          await admin.execInside("sh", "-c", take.join("; "));
          await admin.execInside("ping", "-c1", "-W10", scene.victim[4]); // and may still speak for itself

          expect(await range.watch.shows(effect)).toBe(isOpen);
          await range.watch.reset(effect);
        });
      });

      it(`a container poisons the victim at ${isOpen ? "each" : "none"} of ${STARTS} starts, however early it sends [S23]`, async () => {
        const { scene, network, number, victim } = on(name);
        const late = { mac: "02:42:0a:5f:00:c8", 4: `10.95.${number}.200` };
        using ear = FrameSocket.open(await stage.standOf(victim), "eth0");
        const options = ["--network", network.name, "--ip", late[4], "--mac-address", late.mac];
        await stage.host.docker("create", "--name", `${name}-late`, ...options, TEST_IMAGE);
        await using container = new TestContainer(stage.host, `${name}-late`);
        const frame = gatewayClaim(scene, late.mac);
        let [taken, poisoned] = [0, 0];

        for (let n = 0; n < STARTS; n++) {
          const data = uniqueBytes();
          taken += await stage.sendWhileStarting([frame, lawful(scene, late, data)], async () => {
            await stage.host.docker("start", container.name);
            await ear.waitFor("the container to be heard", data);
          });
          if (ear.count(frame.subarray(14)) > 0) poisoned += 1;
          ear.forget();
          await stage.host.docker("kill", container.name);
        }

        console.log(
          `S23: ${taken} forged frames sent during ${STARTS} starts on ${name}, poison heard at ${poisoned} of them`,
        );
        expect(taken).toBeGreaterThan(STARTS);
        expect(poisoned).toBe(isOpen ? STARTS : 0);
      });
    });

    describe("a container in the place of another [S25]", () => {
      it("has neither its MAC address nor its published port", async () => {
        const { scene, network, victim } = on("guarded");
        const place = { mac: "02:42:0a:5f:00:fa", 4: "10.95.1.250" };
        using ear = FrameSocket.open(await stage.standOf(victim), "eth0");
        const run = async (...options: string[]) =>
          await stage.host.run("place", network, "--ip", place[4], ...options);
        {
          await using former = await run("--mac-address", place.mac, "-p", "8080:80");
          expect(await former.address()).toBe(place[4]);
          await waitUntil("the published port to answer", () => answersOn(8080));
        }
        await using heir = await run();
        const { mac } = await heir.interface("eth0");
        const [inherited, own] = [uniqueBytes(), uniqueBytes()];
        using sender = EagerSender.open(await stage.standOf(heir));

        sender.trySend("eth0", lawful(scene, place, inherited));
        sender.trySend("eth0", lawful(scene, { mac, 4: place[4] }, own));
        await ear.waitFor("the heir's own frame", own);

        expect(ear.count(inherited)).toBe(0);
        expect(await answersOn(8080)).toBe(false);
      });

      const answersOn = async (port: number) => {
        const connect = ["timeout", "2", "bash", "--norc", "-c", "exec 3<>/dev/tcp/192.0.2.10/$0", String(port)];
        return await stage.host.neighbour.exec(connect).then(
          () => true,
          () => false,
        );
      };
    });
  });
}

function lawful({ victim }: Scene, from: { readonly mac: string; readonly 4: string }, data: Buffer): Buffer {
  return ethernet(datagramFrame({ from: from.mac, to: victim.mac }, [from[4], victim[4]], { data }));
}
