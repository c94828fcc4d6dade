// 500 published ports: how long a container with them takes to start and to go, beside Docker's own bridge, and how long it
// takes until they are back when all rules were lost while tsnet was away.
import { TEST_IMAGE } from "../support/image.ts";
import { LabHost } from "../support/lab-host.ts";
import type { ServeHandle } from "../support/lab-serve.ts";
import { waitUntil } from "../support/wait-until.ts";
import { type Measured, type Pair, inTurn, pair, timed } from "./measure.ts";

/** How many. */
const PORTS = 500;

const FIRST = 20_000;
const RANGE = `${FIRST}-${FIRST + PORTS - 1}`;
const ROUNDS = 3;
const SIDES = ["tsnet", "bridge"] as const;
type Side = (typeof SIDES)[number];

/** A container with them beside Docker's own bridge, and their return when all rules were lost. */
export async function measurePorts(): Promise<Measured> {
  await using lab = await LabHost.up({ name: "bench" });
  const serve = await lab.startServe();
  const pairs = await publishMany(lab);
  const { elements, open } = await restorePorts(lab, serve);
  const figures = [
    { title: `${PORTS} ports, rules lost: in the kernel`, value: elements, unit: "ms after the start" },
    { title: `${PORTS} ports, rules lost: answering`, value: open, unit: "ms after the start" },
  ];
  return { pairs, figures };
}

/** `docker run -p 20000-20499:...` and `docker rm -f`. */
async function publishMany(lab: LabHost): Promise<Pair[]> {
  const [run, remove] = [empty(), empty()];
  await createNetworks(lab);
  for (let round = 0; round < ROUNDS; round++) {
    for (const side of inTurn(round, SIDES)) {
      run[side].push(await timed(() => runPublisher(lab, side)));
      remove[side].push(await timed(() => lab.docker("rm", "-f", "publisher")));
    }
  }
  for (const side of SIDES) await lab.docker("network", "rm", `ports-${side}`);
  return [pair(`run -p, ${PORTS} ports`, run), pair(`rm -f, ${PORTS} ports`, remove)];
}

/**
 * Stops tsnet, takes all of its rules away, and starts it again.
 *
 * @returns milliseconds from the start until the kernel has the elements of all ports, and until the last one answers.
 */
async function restorePorts(lab: LabHost, serve: ServeHandle): Promise<{ elements: number; open: number }> {
  await createNetworks(lab);
  await runPublisher(lab, "tsnet");
  await serve.stop();
  for (const family of ["inet", "bridge"]) await lab.exec(["nft", "delete", "table", family, "tsnet"]);
  const start = performance.now();
  await serve.startAgain();
  const limits = { intervalMs: 5 };
  await waitUntil("all elements", async () => (await countElements(lab)) === PORTS, limits);
  const elements = performance.now() - start;
  await waitUntil("the last port to answer", () => answers(lab), limits);
  const open = performance.now() - start;
  await lab.docker("rm", "-f", "publisher");
  for (const side of SIDES) await lab.docker("network", "rm", `ports-${side}`);
  return { elements, open };
}

async function createNetworks(lab: LabHost): Promise<void> {
  await lab.docker("network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", "ports-tsnet");
  await lab.docker("network", "create", "-d", "bridge", "ports-bridge");
}

async function runPublisher(lab: LabHost, side: Side): Promise<void> {
  const publish = ["--network", `ports-${side}`, "-p", `${RANGE}:${RANGE}`];
  const server = ["httpd", "-f", "-p", String(FIRST + PORTS - 1)];
  await lab.docker("run", "-d", "--name", "publisher", ...publish, TEST_IMAGE, ...server);
}

async function countElements(lab: LabHost): Promise<number> {
  const map = await lab.exec(["nft", "list", "map", "inet", "tsnet", "any4"]);
  return map.match(/tcp \. 2\d{4} :/g)?.length ?? 0;
}

/** By the address of the container's network, so that it is translated and not relayed. */
async function answers(lab: LabHost): Promise<boolean> {
  const connect = ["timeout", "1", "bash", "--norc", "-c", `exec 3<>/dev/tcp/$0/${FIRST + PORTS - 1}`];
  const networks = await lab.docker(
    "network",
    "inspect",
    "ports-tsnet",
    "--format",
    "{{(index .IPAM.Config 0).Gateway}}",
  );
  return await lab.exec([...connect, networks]).then(
    () => true,
    () => false,
  );
}

function empty(): Record<Side, number[]> {
  return { tsnet: [], bridge: [] };
}
