// Sends the attacks of `attacks.ts` and looks, at the victim, whether they worked. Nothing waits for time to pass: after
// each attack the attacker sends a lawful frame by the same way, and when that one has arrived, the attack has too, or
// never will.
import { EffectWatch, type Stand, type Watched } from "./attack-effects.ts";
import { ATTACK_PORT, type Attack, type Draft, type Form, datagramFrame, plainForm } from "./attacks.ts";
import { DatagramListener, FrameSocket } from "./frame-capture.ts";
import { type WaitLimits, waitUntil } from "./wait-until.ts";

/** Who stands where. Containers have one link, `eth0`; the neighbour has `lan0`. */
export interface RangePlan extends Watched {
  readonly attacker: Stand;
  readonly peer: Stand;
  readonly other: Stand;
  readonly neighbour: Stand;
}

/** What the LAN sends from the port of our attacks may be taken for an answer to one of them. */
const OTHER_PORT = { fromPort: ATTACK_PORT + 1 } as const;

type Ear = "victim" | "host" | "neighbour" | "other";

/** A victim may need a moment: it does not replace a neighbour twice in one tick, it looks for a next hop first. */
const TRIES = { intervalMs: 1 } as const;
/** By then a look for duplicates has ended, and another one must begin. */
const DAD_MS = 2500;
/** More frames at once do not fit into the socket by which Open vSwitch in userspace hears a port. */
const BURST = 16;
/** The first one may be of the same batch as the attack, and overtake it there. */
const LAWFUL_FRAMES = 2;
/** To find out which of many forms it was. */
const FEW_TRIES = { limitMs: 20, intervalMs: 5 } as const;

/** Attacker and victims of one network. For `using`. */
export class AttackRange implements Disposable {
  readonly watch: EffectWatch;
  readonly attacker: FrameSocket;
  readonly #plan: RangePlan;
  readonly #stack = new DisposableStack();
  readonly #peer: FrameSocket;
  readonly #neighbour: FrameSocket;
  readonly #ears: Readonly<Record<Ear, FrameSocket | DatagramListener>>;

  constructor(plan: RangePlan) {
    const on = (stand: Stand, link: string) => this.#stack.use(FrameSocket.open(stand, link));
    this.#plan = plan;
    this.watch = this.#stack.use(new EffectWatch(plan));
    this.attacker = on(plan.attacker, "eth0");
    this.#peer = on(plan.peer, "eth0");
    this.#neighbour = on(plan.neighbour, "lan0");
    const host = this.#stack.use(DatagramListener.open(plan.host, ATTACK_PORT));
    this.#ears = { victim: on(plan.victim, "eth0"), other: on(plan.other, "eth0"), neighbour: this.#neighbour, host };
  }

  /** Tries each form for itself. @returns the names of those that worked. */
  async working(attack: Attack, limits: WaitLimits = TRIES): Promise<readonly string[]> {
    const names: string[] = [];
    for (const form of attack.forms) if (await this.#works(attack, form, limits)) names.push(form.name);
    await this.#reset(attack);
    return names;
  }

  /** Sends all forms at once, and if anything shows, each for itself. @returns the names of those that arrived or worked. */
  async delivered(attack: Attack): Promise<readonly string[]> {
    await this.#reset(attack);
    await this.#try(attack, attack.forms);
    const { effect } = attack;
    const isShown = effect.kind !== "heard" && (await this.watch.shows(effect));
    const heard = attack.forms.filter((form) => this.#isHeard(attack, form));
    if (isShown) {
      const working = await this.working(attack, FEW_TRIES);
      return working.length > 0 ? working : [`one of ${attack.forms.length}`];
    }
    const names: string[] = [];
    for (const form of heard) {
      await this.#try(attack, [form]);
      if (this.#isHeard(attack, form)) names.push(form.name);
    }
    return names;
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }

  async #works(attack: Attack, form: Form, limits: WaitLimits): Promise<boolean> {
    const { effect } = attack;
    const isOnlyHeard = form.isOnlyHeard === true || effect.kind === "heard";
    await this.#reset(attack);
    let resetAt = performance.now();
    const isDone = async () => {
      if (effect.kind === "denied" && performance.now() - resetAt > DAD_MS) {
        await this.#reset(attack);
        resetAt = performance.now();
      }
      await this.#try(attack, [form]);
      return isOnlyHeard ? this.#isHeard(attack, form) : await this.watch.shows(effect);
    };
    return await waitUntil(form.name, isDone, limits).catch(() => false);
  }

  async #try(attack: Attack, forms: readonly Form[]): Promise<void> {
    for (const ear of Object.values(this.#ears)) ear.forget();
    const frames = forms.flatMap((form) => form.frames);
    for (let at = 0; at < frames.length; at += BURST) {
      this.#send(attack, frames.slice(at, at + BURST));
      for (let n = 0; n < LAWFUL_FRAMES; n++) await this.#passes(attack);
    }
  }

  async #reset({ effect }: Attack): Promise<void> {
    const { peer, victim } = this.#plan.scene;
    if (effect.kind === "moved") {
      const lawful = plainForm("lawful", [datagramFrame({ from: peer.mac, to: victim.mac }, [peer[4], victim[4]])]);
      this.#peer.send(...lawful.frames);
    } else if (effect.kind !== "heard") await this.watch.reset(effect);
  }

  #send({ by }: Pick<Attack, "by">, frames: readonly Buffer[]): void {
    const socket = by === "neighbour" ? this.#neighbour : this.attacker;
    socket.send(...frames);
  }

  /** Everything that was sent before has arrived by now. */
  async #passes(attack: Attack): Promise<void> {
    const [ear, draft] = this.#lawful(attack);
    const form = plainForm("lawful", [draft]);
    this.#send(attack, form.frames);
    for (const trace of form.traces) await this.#ears[ear].waitFor("a lawful datagram to arrive", trace);
  }

  /** What may be sent by the way that the attack takes, and where it arrives. */
  #lawful({ by, effect }: Attack): readonly [Ear, Draft] {
    const { attacker, victim, gateway, neighbour, neighbourMac, host, hostMac } = this.#plan.scene;
    const byHost = { from: attacker.mac, to: gateway.mac };
    const at = effect.kind === "heard" ? effect.at : "victim";
    if (by === "neighbour")
      return ["host", datagramFrame({ from: neighbourMac, to: hostMac }, [neighbour[4], host[4]], OTHER_PORT)];
    if (at === "host") return [at, datagramFrame(byHost, [attacker[4], gateway[4]])];
    if (at === "neighbour") return [at, datagramFrame(byHost, [attacker[4], neighbour[4]])];
    return ["victim", datagramFrame({ from: attacker.mac, to: victim.mac }, [attacker[4], victim[4]])];
  }

  /** That a frame passed the switch is no harm where the switch itself is the victim. */
  #isHeard({ effect }: Attack, { traces, isOnlyHeard }: Form): boolean {
    if (isOnlyHeard !== true && (effect.kind === "moved" || effect.kind === "multicastRouter")) return false;
    const ear = this.#ears[effect.kind === "heard" ? effect.at : "victim"];
    return traces.every((trace) => ear.count(trace) > 0);
  }
}
