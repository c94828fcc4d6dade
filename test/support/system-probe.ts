// Questions to servers (publish-server.ts), asked from one place in one go: some hundred connections, datagrams and pings
// at the same time, from one process (publish-asker.ts), so that a whole table takes seconds. And containers with servers.
import { join } from "node:path";
import { TEST_IMAGE } from "./image.ts";
import { type ContainerHost, type Place, TestContainer } from "./system-container.ts";

/** Something that may or may not get through. `port` is without meaning for a ping. */
export interface Question {
  readonly protocol: "tcp" | "udp" | "ping";
  /** Of either family. */
  readonly address: string;
  readonly port: number;
}

/** What came of it. */
export interface Answer {
  /** The name of the server that answered; `ping` for a ping; absent when nothing came back. */
  readonly server?: string;
  /** The address from which the question came to the server. */
  readonly seen?: string;
  /** Why nothing came back: `ECONNREFUSED`, `silence`. */
  readonly failure?: string;
}

const ASKER = join(import.meta.dirname, "publish-asker.ts");

/** How long nobody must have answered until what is open counts as silent, in the asker's turns of 100 ms. */
const PATIENCE = 15;
/** Where much is asked once: longer than a server stands still on a busy machine, or a connection request is repeated. */
const TABLE_PATIENCE = 40;

/**
 * `docker run -d`: a container whose server says its name on these ports, TCP and UDP, from now on.
 *
 * @param options - of `docker run`, such as `-p`.
 */
export async function runServer(
  host: ContainerHost,
  name: string,
  network: { readonly name: string },
  ports: readonly number[],
  ...options: string[]
): Promise<TestContainer> {
  const command = ["serve", name, ...ports.map(String)];
  await host.docker("run", "-d", "--name", name, "--network", network.name, ...options, TEST_IMAGE, ...command);
  const container = new TestContainer(host, name);
  await container.serves(ports);
  return container;
}

/** Asks all of them at the same time. @returns the answers in the order of the questions. */
export async function ask(
  from: Place,
  questions: readonly Question[],
  patience = PATIENCE,
): Promise<readonly Answer[]> {
  if (questions.length === 0) return [];
  const output = await from.exec([
    process.execPath,
    "--no-warnings",
    ASKER,
    JSON.stringify(questions),
    String(patience),
  ]);
  return JSON.parse(output) as readonly Answer[]; // written by our own asker
}

/** Questions from many places, gathered so that each place asks all of its own in one go, and all places at once. */
export class Round {
  readonly #asked = new Map<Place, Gathered[]>();

  /** @returns the answers, once `run` was called. */
  async add(from: Place, questions: readonly Question[]): Promise<readonly Answer[]> {
    const { promise, resolve, reject } = Promise.withResolvers<readonly Answer[]>();
    this.#asked.set(from, [...(this.#asked.get(from) ?? []), { questions, resolve, reject }]);
    return await promise;
  }

  /** Asks everything that was added. Failures go to those who asked. */
  async run(): Promise<void> {
    await Promise.all(Array.from(this.#asked, ([from, gathered]) => askGathered(from, gathered)));
  }
}

interface Gathered {
  readonly questions: readonly Question[];
  readonly resolve: (answers: readonly Answer[]) => void;
  readonly reject: (failure: unknown) => void;
}

async function askGathered(from: Place, gathered: readonly Gathered[]): Promise<void> {
  try {
    const answers = await ask(
      from,
      gathered.flatMap(({ questions }) => questions),
      TABLE_PATIENCE,
    );
    let at = 0;
    for (const { questions, resolve } of gathered) resolve(answers.slice(at, (at += questions.length)));
  } catch (failure) {
    for (const { reject } of gathered) reject(failure);
  }
}

/**
 * Asks a port over TCP and UDP at several addresses.
 *
 * @returns the different servers that answered; `nobody` when none did, `nobody: udp ADDRESS` for single silences.
 */
export async function whoAnswers(from: Place, addresses: readonly string[], port: number): Promise<readonly string[]> {
  const questions = addresses.flatMap((address) => [
    { protocol: "tcp", address, port } as const,
    { protocol: "udp", address, port } as const,
  ]);
  const answers = await ask(from, questions);
  if (answers.every(({ server }) => server === undefined)) return ["nobody"];
  const names = answers.map(({ server }, at) => {
    return server ?? `nobody: ${questions[at]?.protocol} ${questions[at]?.address}`;
  });
  return [...new Set(names)];
}
