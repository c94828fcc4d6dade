// Pings that must never be answered, sent all the while something is done to the host's rules: a way that is open for a
// moment only is noticed too.
import type { BesideStand } from "./beside-stand.ts";
import type { LabNamespace, LabProcess } from "./lab-namespace.ts";
import { FAMILIES } from "./publish-stand.ts";

const INTERVAL_S = "0.02";

interface Ping {
  readonly at: LabNamespace;
  readonly process: LabProcess;
}

/** From the other network and from outside to a container, over both families. They end with their lab at the latest. */
export class ClosedWays {
  readonly #pings: readonly Ping[];

  private constructor(pings: readonly Ping[]) {
    this.#pings = pings;
  }

  /** Begins to ping. */
  static async watch(stand: BesideStand): Promise<ClosedWays> {
    const { lab, neighbour } = stand.host;
    const pid = String(await stand.container("other").pid());
    const pings = FAMILIES.flatMap((family) => {
      const ping = ["busybox", family === 4 ? "ping" : "ping6", "-i", INTERVAL_S, stand.address("one", family)];
      return [
        start(lab.namespace, `closed-other-${family}`, ["nsenter", "-t", pid, "-n", "--", ...ping]),
        start(neighbour.namespace, `closed-outside-${family}`, ping),
      ];
    });
    return new ClosedWays(await Promise.all(pings));
  }

  /** Ends the pings. @returns how many answers came, by ping. @throws Error if one did not ping to the end. */
  async end(): Promise<readonly number[]> {
    return await Promise.all(this.#pings.map(finish));
  }
}

async function start(at: LabNamespace, label: string, ping: readonly string[]): Promise<Ping> {
  return { at, process: await at.spawn(label, ping) };
}

/** busybox prints how many it sent when it is interrupted, and each answer at once. */
async function finish({ at, process }: Ping): Promise<number> {
  await at.exec(["kill", "-INT", String(process.pid)]);
  await process.ended;
  const lines = process.log().split("\n");
  if (!lines.some((line) => /^\d\d+ packets transmitted/.test(line))) throw new Error(`no pings in ${process.logPath}`);
  return lines.filter((line) => line.includes("seq=")).length;
}
