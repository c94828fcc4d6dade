// CNI plugins that are shell scripts: they write down what they were told, and answer as a test wants. And the tools of a command for a
// host with one container, whose process is one of ours.
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { Console } from "../../src/cli/console.ts";
import type { DockerContainer } from "../../src/cli/docker.ts";
import { HostTools } from "../../src/cli/host-tools.ts";
import type { Tools } from "../../src/cli/tools.ts";
import { TsnetError } from "../../src/errors.ts";

/** One call of one plugin. */
export interface CniCall {
  readonly type: string;
  readonly command: string;
  /** Of its whole environment, what CNI defines. */
  readonly env: Readonly<Record<string, string>>;
  readonly input: Readonly<Record<string, unknown>>;
}

/** How a plugin answers one command. */
export interface CniAnswer {
  readonly stdout?: string;
  readonly exitCode?: number;
}

const ALL_VERSIONS = ["0.3.1", "0.4.0", "1.0.0"];

/** A folder with plugins, which is removed with the block that holds it. */
export class FakeCni implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "tsnet-cni-"));
  /** For `--cni-path`. */
  readonly path = join(this.folder, "bin");
  readonly #calls = join(this.folder, "calls");

  /** @param types - plugins that succeed at everything, and add their name to the list `by` of the result. */
  constructor(...types: readonly string[]) {
    mkdirSync(this.path);
    mkdirSync(this.#calls);
    for (const type of types) this.plugin(type);
  }

  /** Makes one. @param answers - by command. */
  plugin(
    type: string,
    answers: Readonly<Record<string, CniAnswer>> = {},
    versions: readonly string[] = ALL_VERSIONS,
  ): void {
    const version = JSON.stringify({ cniVersion: "1.0.0", supportedVersions: versions });
    const cases = Object.entries<CniAnswer>({
      VERSION: { stdout: version },
      ADD: { stdout: resultOf(type) },
      ...answers,
    });
    const script = [
      "#!/bin/sh",
      `call=$(mktemp ${this.#calls}/$(date +%s%N)-XXXX)`,
      "cat > $call.input",
      `{ echo TYPE=${type}; env; } > $call`,
      "case $CNI_COMMAND in",
      ...cases.map(
        ([command, { stdout = "", exitCode = 0 }]) => `${command}) cat <<'END'\n${stdout}\nEND\nexit ${exitCode};;`,
      ),
      "esac",
    ];
    writeFileSync(join(this.path, type), `${script.join("\n")}\n`, { mode: 0o755 });
  }

  /** What was called so far, but for VERSION. */
  calls(): readonly CniCall[] {
    const files = readdirSync(this.#calls).filter((name) => !name.endsWith(".input"));
    return files
      .sort()
      .map((name) => this.#readCall(join(this.#calls, name)))
      .filter(({ command }) => command !== "VERSION");
  }

  /** `ADD bridge`, `DEL bridge`. */
  steps(): readonly string[] {
    return this.calls().map(({ command, type }) => `${command} ${type}`);
  }

  /** Forgets what was called. */
  forget(): void {
    for (const name of readdirSync(this.#calls)) rmSync(join(this.#calls, name));
  }

  /** A file with a configuration. @returns its path. */
  conf(value: object, name = "lab.conflist"): string {
    const file = join(this.folder, name);
    writeFileSync(file, JSON.stringify(value));
    return file;
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true });
  }

  #readCall(file: string): CniCall {
    const lines = readFileSync(file, "utf8").trim().split("\n");
    const env = Object.fromEntries(lines.map((line) => line.split(/=(.*)/s).slice(0, 2) as [string, string]));
    const { TYPE: type = "", CNI_COMMAND: command = "", PWD: _, ...rest } = env;
    return { type, command, env: rest, input: JSON.parse(readFileSync(`${file}.input`, "utf8")) as CniCall["input"] };
  }
}

/** What a fake plugin hands back: the name of its own. */
export function resultOf(type: string): string {
  const interfaces = [{ name: "veth0" }, { name: "eth0", mac: "02:00:00:00:00:02", sandbox: "/proc/1/ns/net" }];
  const ips = [{ address: "10.9.0.2/24", gateway: "10.9.0.1", interface: 1 }];
  return JSON.stringify({ cniVersion: "1.0.0", by: type, interfaces, ips, routes: [{ dst: "0.0.0.0/0" }], dns: {} });
}

/** A container whose process can be ended. */
export class FakeContainer implements Disposable {
  readonly id: string;
  readonly name: string;
  readonly #child = execa("sleep", ["600"], { reject: false });

  /** @param digit - of which its id is made. */
  constructor(name: string, digit = "a") {
    this.name = name;
    this.id = digit.repeat(64);
  }

  /** As the engine has it. */
  get now(): DockerContainer {
    return { id: this.id, name: this.name, isRunning: true, pid: this.#child.pid ?? 0, isOnHost: false };
  }

  /** @returns when its process is gone. */
  async end(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child;
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}

/** The tools of a command, and what it prints. */
export class FakeCniTools {
  readonly out: string[] = [];
  readonly notes: string[] = [];
  /** In the container's namespace. */
  links = ["lo"];
  readonly containers: DockerContainer[];

  constructor(...containers: readonly DockerContainer[]) {
    this.containers = [...containers];
  }

  get tools(): Tools {
    const collect = (into: string[]) => ({ write: (text: string) => into.push(text) });
    const refuse = () => Promise.reject(new Error("CNI asks no daemon"));
    return {
      console: new Console(collect(this.out), collect(this.notes), {}),
      daemon: { read: refuse, call: refuse, follow: refuse as never },
      readDocker: refuse,
      findContainer: async (text) => this.#find(text),
      findEngine: refuse,
      host: new FakeHost(() => this.links),
    };
  }

  #find(text: string): DockerContainer {
    const found = this.containers.find(({ id, name }) => name === text || id.startsWith(text));
    if (found === undefined) throw new TsnetError("not-found", `Docker has no container "${text}"`);
    return found;
  }
}

class FakeHost extends HostTools {
  readonly #links: () => readonly string[];

  constructor(links: () => readonly string[]) {
    super();
    this.#links = links;
  }

  override inside(): HostTools {
    return this;
  }

  override async json<Answer>(): Promise<Answer> {
    return this.#links().map((ifname) => ({ ifname })) as Answer; // the one thing that is asked
  }
}
