// Builds the managed plugin and enables it in the user's Docker Engine: the one that `docker` speaks to here (DOCKER_HOST,
// docker context). Looks first, changes nothing if something is in the way, and takes its plugin out again if it does
// not come up. The reference is not plain `tsnet`: the engine would register the driver as `tsnet:latest`, and
// `-d tsnet` would find neither it nor the socket.
import { execFileSync } from "node:child_process";
import { connect } from "node:net";
import { join } from "node:path";

const REFERENCE = "tsnet-plugin";
const SOCKET = "/run/docker/plugins/tsnet.sock";
const project = join(import.meta.dirname, "..");

interface InstalledPlugin {
  readonly Name: string;
  readonly Enabled: boolean;
}

try {
  const problems = await findProblems();
  if (problems.length > 0) throw new Error(problems.join("\n  "));
  execFileSync("npm", ["run", "--silent", "plugin:build"], { cwd: project, stdio: "inherit" });
  docker("plugin", "create", REFERENCE, join(project, "build/plugin"));
  enable();
  console.log(`${REFERENCE} is enabled in engine ${docker("version", "--format", "{{.Server.Version}}")}. Use it:
  docker network create -d tsnet --ipam-driver tsnet NETWORK
  docker run --network NETWORK IMAGE
Change a setting (docker plugin inspect ${REFERENCE} lists them):
  docker plugin disable -f ${REFERENCE}
  docker plugin set ${REFERENCE} TSNET_LOG_LEVEL=debug
  docker plugin enable ${REFERENCE}`);
} catch (error) {
  console.error(`plugin:install:\n  ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}

async function findProblems(): Promise<string[]> {
  if (process.getuid?.() !== 0) return ["not root: building the plugin takes a chroot"];
  const installed = docker("plugin", "ls", "--no-trunc", "--format", "{{json .}}")
    .split("\n")
    .filter((line) => line !== "")
    // The JSON of Docker's own command, one plugin a line.
    .map((line) => JSON.parse(line) as InstalledPlugin);
  const own = installed.find(({ Name }) => Name === `${REFERENCE}:latest`);
  if (own !== undefined) {
    return [
      `${REFERENCE} is installed already and ${own.Enabled ? "enabled" : `disabled: docker plugin enable ${REFERENCE}`}`,
      `to install this build instead, remove the networks of tsnet, then: docker plugin rm -f ${REFERENCE}`,
      "to keep networks and records, upgrade from a registry: docker plugin upgrade",
    ];
  }
  const problems: string[] = [];
  if (installed.some(({ Name }) => Name === "tsnet:latest")) {
    problems.push(
      "a plugin called tsnet:latest is installed, which hides the driver name tsnet: docker plugin rm -f tsnet",
    );
  }
  if (await isAnswered(SOCKET)) problems.push(`something answers on ${SOCKET} already: stop \`tsnet serve\``);
  return problems;
}

function enable(): void {
  try {
    docker("plugin", "enable", REFERENCE);
  } catch (error) {
    docker("plugin", "rm", "-f", REFERENCE);
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${reason}\n  ${REFERENCE} was removed again; what it said last is in the engine's log`, {
      cause: error,
    });
  }
}

function isAnswered(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(path, () => resolve(true)).on("error", () => resolve(false));
  return promise.finally(() => socket.destroy());
}

/** @returns what the command printed. @throws Error with what it complained about. */
function docker(...args: string[]): string {
  return execFileSync("docker", args, { encoding: "utf8", stdio: "pipe" }).trim();
}
