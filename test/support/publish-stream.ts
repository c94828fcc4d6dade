// A talk with a server that never stops, to see what becomes of it while containers, tsnet or dockerd are replaced: 20
// numbers a second over one TCP connection, or from one UDP port.
import { join } from "node:path";
import type { LabNamespace, LabProcess } from "./lab-namespace.ts";
import { waitUntil } from "./wait-until.ts";

const TALKER = join(import.meta.dirname, "publish-talker.ts");
let started = 0;

/** One answer. */
interface Heard {
  readonly number: number;
  readonly server: string;
}

/** One talk. It ends with its block, or with the namespace. */
export class Stream implements AsyncDisposable {
  readonly #namespace: LabNamespace;
  readonly #process: LabProcess;
  readonly #what: string;

  private constructor(namespace: LabNamespace, process: LabProcess, what: string) {
    this.#namespace = namespace;
    this.#process = process;
    this.#what = what;
  }

  /** Starts it on a machine and waits for the first answers. */
  static async start(at: LabNamespace, protocol: "tcp" | "udp", address: string, port: number): Promise<Stream> {
    started += 1;
    const talk = [process.execPath, "--no-warnings", TALKER, protocol, address, String(port)];
    const what = `${protocol} ${address} port ${port}`;
    const stream = new Stream(at, await at.spawn(`talk-${started}`, talk), what);
    await stream.goesOn();
    return stream;
  }

  /** Starts one for each address by each protocol. */
  static async startAll(at: LabNamespace, addresses: readonly string[], port: number) {
    const stack = new AsyncDisposableStack();
    const talks: Stream[] = [];
    for (const protocol of ["tcp", "udp"] as const) {
      for (const address of addresses) talks.push(stack.use(await Stream.start(at, protocol, address, port)));
    }
    const goOn = async () => void (await Promise.all(talks.map((talk) => talk.goesOn())));
    return { goOn, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  }

  /** Waits for answers to numbers that were not answered before. @param server - whose; absent: anybody's. */
  async goesOn(server?: string): Promise<void> {
    const before = Math.max(-1, ...this.#heard().map(({ number }) => number));
    const isNew = (heard: Heard) => heard.number > before && (server === undefined || heard.server === server);
    await waitUntil(`new answers from ${server ?? "anybody"} to ${this.#what}`, () => {
      if (this.end !== undefined) throw new Error(`it ended: ${this.end}`);
      return this.#heard().filter(isNew).length >= 3;
    });
  }

  /** Why the connection ended; absent while it lives. */
  get end(): string | undefined {
    return /^end (.*)$/m.exec(this.#process.log())?.[1];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.end === undefined) await this.#namespace.exec(["kill", "-KILL", String(this.#process.pid)]);
    await this.#process.ended;
  }

  #heard(): readonly Heard[] {
    return Array.from(this.#process.log().matchAll(/^(\d+) (\S+) /gm), ([, number = "", server = ""]) => {
      return { number: Number(number), server };
    });
  }
}
