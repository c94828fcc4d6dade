// `tsnet set NETWORK|CONTAINER KEY=VALUE…`: changes what is in use. The daemon changes switch, rules, records and IPAM; what is
// inside a container this command changes, since the daemon has no right to be there.
import type { InsideChange, SetAnswer } from "../cnm/change-requests.ts";
import { TsnetError, messageOf } from "../errors.ts";
import { Undo } from "../undo.ts";
import { type NamedContainer, type NamedNetwork, callEndpoint, containersOn, findCalled, shortId } from "./catalog.ts";
import { changeInside } from "./inside.ts";
import { type CommonOptions, type Tools, readEverything } from "./tools.ts";

export interface SetOptions extends CommonOptions {
  /** Of a container that is on several. */
  readonly network?: string;
  /** For a name that both a network and a container have. */
  readonly type?: "network" | "container";
}

/** What shall be, as the operator typed it. */
type Pairs = Readonly<Record<string, string>>;

/** @throws TsnetError with the daemon's own message when it refuses. */
export async function set(tools: Tools, name: string, pairs: Pairs, options: SetOptions): Promise<void> {
  const { networks } = await readEverything(tools);
  const { json = false } = options;
  const target = findTarget(networks, name, options);
  const answer = await tools.console.waitFor("tsnet", target.call(tools, pairs)).catch((failure: unknown) => {
    throw failure instanceof TsnetError ? new TsnetError(failure.code, named(failure.message, networks)) : failure;
  });
  await followInside(tools, target, answer, networks);
  if (json) return tools.console.json({ [target.kind]: target.name, changes: answer.changes });
  for (const { key, from, to } of answer.changes)
    tools.console.line(`${target.kind} ${target.name}: ${key} ${from} -> ${to}`);
  if (answer.changes.length === 0)
    tools.console.line(`${target.kind} ${target.name}: nothing changes, it is so already`);
  const isDockers = ({ owner, addresses }: InsideChange) => owner === undefined && addresses.length > 0;
  if (answer.inside.some(isDockers))
    tools.console.note(
      "Docker goes on to show the address that it gave, and gives one anew when the container is started again",
    );
}

interface Target {
  readonly kind: "network" | "container";
  readonly name: string;
  readonly call: (tools: Tools, options: Pairs) => Promise<SetAnswer>;
}

function findTarget(networks: readonly NamedNetwork[], text: string, options: SetOptions): Target {
  const { network: on, type = on === undefined ? undefined : "container" } = options;
  const network = type === "container" ? undefined : findCalled("network", networks, text);
  const container = type === "network" ? undefined : findCalled("container", containersOn(networks), text);
  if (network !== undefined && container !== undefined) {
    const advice = "say which with --type network or --type container";
    throw new TsnetError("conflict", `${JSON.stringify(text)} is a network and a container: ${advice}`);
  }
  if (container !== undefined) return targetOf(container, on);
  if (network === undefined) {
    const what =
      type === undefined ? "network and no running container" : `${type === "container" ? "running " : ""}${type}`;
    throw new TsnetError("not-found", `tsnet has no ${what} ${JSON.stringify(text)}`);
  }
  const call = (tools: Tools, wishes: Pairs) =>
    tools.daemon.call("Operator.SetNetwork", { NetworkID: network.id, Options: wishes });
  return { kind: "network", name: network.name, call };
}

function targetOf({ name, places }: NamedContainer, on: string | undefined): Target {
  const networks = places.map(({ network }) => network);
  const wanted = on === undefined ? undefined : findCalled("network", networks, on);
  const found = on === undefined ? places : places.filter(({ network }) => network === wanted);
  const [place] = found;
  if (place === undefined || found.length > 1) {
    const names = networks.map((network) => network.name).join(", ");
    const why = on === undefined ? "it is on several networks" : `it is not on ${on}`;
    throw new TsnetError("invalid", `container ${name}: ${why}; permitted: --network with one of ${names}`);
  }
  const { network, endpoint } = place;
  const call = (tools: Tools, Options: Pairs) =>
    tools.daemon.call("Operator.SetEndpoint", { NetworkID: network.id, EndpointID: endpoint.id, Options });
  return { kind: "container", name, call };
}

/** The ids of a message as names. */
function named(message: string, networks: readonly NamedNetwork[]): string {
  const endpoints = networks.flatMap((network) => network.endpoints);
  return message.replaceAll(/\b(network|endpoint) ([0-9a-f]{12})\b/g, (text, kind: string, id: string) => {
    const network = networks.find((one) => shortId(one.id) === id);
    const endpoint = endpoints.find((one) => shortId(one.id) === id);
    if (kind === "network") return network === undefined ? text : `network ${network.name}`;
    return endpoint?.container === undefined ? text : `container ${endpoint.container.name}`;
  });
}

/** What cannot be done inside of one container keeps nobody else waiting, and is taken back there; of a container, everywhere. */
async function followInside(
  tools: Tools,
  target: Target,
  { changes, inside }: SetAnswer,
  networks: readonly NamedNetwork[],
): Promise<void> {
  const failures: string[] = [];
  const undoFailures: string[] = [];
  const takeBack = async (task: () => Promise<unknown>) =>
    task().catch((failure: unknown) => undoFailures.push(messageOf(failure)));
  for (const change of inside) {
    const [undo, who] = [new Undo(), callPlace(change, networks)];
    try {
      const absence = await changeInside(tools, change, undo);
      if (absence !== undefined) tools.console.note(`${who} ${absence}`);
    } catch (failure) {
      failures.push(`inside ${who}: ${messageOf(failure)}`);
      await takeBack(() => undo.run());
    }
  }
  if (failures.length === 0) return;
  const former = Object.fromEntries(changes.map(({ key, from }) => [key, from]));
  if (target.kind === "container") await takeBack(() => target.call(tools, former));
  throw new TsnetError(
    "host",
    [`${sayWhatStays(target, undoFailures)}: ${failures.join("; ")}`, ...undoFailures].join("; "),
  );
}

function sayWhatStays({ kind, name }: Target, undoFailures: readonly string[]): string {
  if (kind === "network") return `network ${name} was changed, but not all of its containers`;
  return undoFailures.length === 0 ? "nothing was changed" : `container ${name} is changed in part`;
}

function callPlace({ endpointId }: InsideChange, networks: readonly NamedNetwork[]): string {
  const endpoint = networks.flatMap(({ endpoints }) => endpoints).find(({ id }) => id === endpointId);
  return endpoint === undefined ? `endpoint ${shortId(endpointId)}` : callEndpoint(endpoint);
}
