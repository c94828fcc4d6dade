// Builds the managed plugin and enables it in the user's Docker Engine: the one that `docker` speaks to here (DOCKER_HOST,
// docker context). Looks first, changes nothing if something is in the way, and takes its plugin out again if it does
// not come up. The reference is not plain `tsnet`: the engine would register the driver as `tsnet:latest`, and
// `-d tsnet` would find neither it nor the socket.
import { connect } from "node:net";
import { join } from "node:path";
import { execa } from "execa";

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
  await execa("npm", ["run", "--silent", "plugin:build"], { cwd: project, stdio: "inherit" });
  await docker("plugin", "create", REFERENCE, join(project, "build/plugin"));
  await enable();
  console.log(`${REFERENCE} is enabled in engine ${await docker("version", "--format", "{{.Server.Version}}")}. Use it:
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
  const list = await docker("plugin", "ls", "--no-trunc", "--format", "{{json .}}");
  const installed = list
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

async function enable(): Promise<void> {
  try {
    await docker("plugin", "enable", REFERENCE);
  } catch (error) {
    await docker("plugin", "rm", "-f", REFERENCE);
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

/** @returns what the command printed. @throws ExecaError with the command and what it complained about. */
async function docker(...args: string[]): Promise<string> {
  const { stdout } = await execa("docker", args, { stdin: "ignore" });
  return stdout.trim();
}
