// The other end of `step-recorder.ts`: which steps a daemon took, and at which of them it shall be killed.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { NODE } from "./lab-serve.ts";

/** In this order. */
const ENTRY = 'import "./test/support/step-recorder.ts"; import "./src/main.ts";';
const DAEMON = "daemon.cjs";
const REPO = join(import.meta.dirname, "../..");

/** One side of a step. */
export interface Point {
  /** Counted from the moment when it was armed. */
  readonly at: number;
  readonly when: "before" | "after";
  readonly what: string;
}

/** The steps of one daemon. */
export class Steps implements Disposable {
  readonly #folder: string;
  #token = 0;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Bundles the daemon as it is in the sources: it is started a hundred times. */
  static async make(): Promise<Steps> {
    const folder = await mkdtemp(join(tmpdir(), "tsnet-steps-"));
    await build({
      absWorkingDir: REPO,
      stdin: { contents: ENTRY, resolveDir: REPO },
      outfile: join(folder, DAEMON),
      bundle: true,
      platform: "node",
      target: "node24",
      format: "cjs",
      external: ["koffi", "dockerode"], // the daemon asks no engine
      logLevel: "warning",
    });
    return new Steps(folder);
  }

  /** How to start the daemon. */
  get argv(): readonly string[] {
    return [NODE, join(this.#folder, DAEMON), "serve"];
  }

  get env(): Readonly<Record<string, string>> {
    return { TSNET_TEST_STEPS: this.#folder, NODE_PATH: join(REPO, "node_modules") };
  }

  /**
   * From now on points are counted from 0, and the daemon ends at the given one.
   *
   * @param killAt - absent: at none.
   * @param which - `before`: what is after a step is left out, since it is before the next one; but for the answer, the last.
   */
  arm(killAt = -1, which: "every" | "before" = "every"): void {
    this.#token += 1;
    writeFileSync(join(this.#folder, "arm"), `${this.#token} ${killAt} ${which}`);
  }

  /** Nothing is noted any more, and nobody killed. */
  disarm(): void {
    rmSync(join(this.#folder, "arm"), { force: true });
  }

  /** The points passed since `arm`, up to that of the daemon's end. */
  passed(): readonly Point[] {
    const lines = this.#read().filter((line) => line.startsWith(`{"token":"${this.#token}"`));
    return lines.map((line) => JSON.parse(line) as Point); // written by the recorder
  }

  #read(): string[] {
    try {
      return readFileSync(join(this.#folder, "steps"), "utf8").split("\n");
    } catch {
      return []; // none yet
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
