// `tsnet explain FROM TO [PORT/PROTO]`: the way of a packet in words, and where and why it stops.
import { parseAddress } from "../../cidr.ts";
import { TsnetError } from "../../errors.ts";
import { type NamedEndpoint, type NamedNetwork, containersOn, findCalled } from "../catalog.ts";
import type { DockerContainer } from "../docker.ts";
import { findNamespaceOwner } from "../container-namespace.ts";
import { type CommonOptions, type Tools, readEverything } from "../tools.ts";
import { bare } from "../words.ts";
import { type Container, type Facts, type Place, placesOf } from "./facts.ts";
import type { Hop, Verdict } from "./hop.ts";
import { familyOf } from "./machine.ts";
import { type Protocol, sayWhat } from "./packet.ts";
import { type Question, type Sender, addressOfHost, explainPath } from "./path.ts";
import { readHost, readMachine } from "./read-machine.ts";
import { readSwitching } from "./read-switching.ts";

/** What `--json` prints. */
export interface Explanation {
  readonly from: string;
  readonly to: string;
  /** Bare: the destination. */
  readonly address: string;
  /** `80/tcp`; absent for a ping. */
  readonly port?: string;
  readonly hops: readonly Hop[];
  readonly verdict: Verdict;
}

/** What is asked, as it was typed. */
export interface Asked {
  readonly from: string;
  readonly to: string;
  /** `80`, `80/tcp`; absent for a ping. */
  readonly what?: string;
  /** The same. */
  readonly wanted?: Wanted;
}

interface Wanted {
  readonly protocol: Protocol;
  readonly port: number;
}

/** @throws TsnetError `invalid` for what is no address, no receiver or no port. */
export function readAsked(from: string, to: string, what?: string): Asked {
  if (isAddress(to)) parseAddress(to);
  if (to === "outside") throw new TsnetError("invalid", "outside is no receiver; permitted: an address there");
  return { from, to, ...(what !== undefined && { what, wanted: parsePort(what) }) };
}

/** @returns whether the packet arrives. @throws TsnetError `not-found`, `unavailable`, `host`. */
export async function explain(
  tools: Tools,
  { from, to, what, wanted }: Asked,
  { json = false }: CommonOptions,
): Promise<boolean> {
  const { networks } = await readEverything(tools);
  const facts = await tools.console.waitFor("the host", readFacts(tools, networks));
  const sender = await senderCalled(tools, facts, from);
  const address = await addressCalled(tools, facts, sender, to);
  const question: Question = { from: sender, to: address, ...(wanted ?? { protocol: pingOf(address) }) };
  const trace = await explainPath(facts, question);
  const explanation: Explanation = {
    from,
    to,
    address,
    ...(what !== undefined && { port: what }),
    hops: trace.hops,
    verdict: trace.verdict(),
  };
  if (json) tools.console.json(explanation);
  else print(tools, explanation, question);
  return explanation.verdict.arrives;
}

async function readFacts(tools: Tools, networks: readonly NamedNetwork[]): Promise<Facts> {
  const hasOvs = networks.some(({ backend }) => backend === "ovs");
  const [host, switching] = await Promise.all([readHost(tools.host), readSwitching(tools.host, hasOvs)]);
  const open = async ({ container }: NamedEndpoint) => {
    return container && (await openContainer(tools, { networks }, await tools.findContainer(container.id)));
  };
  const traceFlow = async (bridge: string, flow: string) => {
    return await tools.host.text("ovs-appctl", "--timeout=5", "ofproto/trace", "--names", bridge, flow);
  };
  return { networks, host, switching, traceFlow, openContainer: open };
}

async function openContainer(
  tools: Tools,
  known: Pick<Facts, "networks">,
  { name, id, pid, isRunning }: DockerContainer,
): Promise<Container> {
  return {
    name,
    places: placesOf(known).filter(({ endpoint }) => endpoint.container?.id === id),
    enter: `nsenter -t $(docker inspect -f '{{.State.Pid}}' ${name}) -n`,
    ...(isRunning && { machine: await readMachine(tools.host.inside(`/proc/${pid}/ns/net`), `/proc/${pid}/net`) }),
  };
}

/** @param name - or id. @returns the one whose network namespace it lives in. */
async function findOwner(tools: Tools, name: string): Promise<DockerContainer> {
  return await findNamespaceOwner(tools, await tools.findContainer(name));
}

async function senderCalled(tools: Tools, facts: Facts, name: string): Promise<Sender> {
  if (name === "host" || name === "outside") return { kind: name };
  const owner = await findOwner(tools, name);
  if (owner.isOnHost) return { kind: "host" };
  const container = await openContainer(tools, facts, owner);
  if (container.places.length === 0) throw notOnNetwork(name);
  return { kind: "container", container };
}

async function addressCalled(tools: Tools, facts: Facts, from: Sender, to: string): Promise<string> {
  if (isAddress(to)) return to;
  if (to === "host") return await hostAddress(facts, from);
  const found = findCalled("container", containersOn(facts.networks), to);
  const owner = await findOwner(tools, found?.id ?? to);
  if (owner.isOnHost) return await hostAddress(facts, from);
  const container = await openContainer(tools, facts, owner);
  const [place] = [...container.places].sort((a, b) => distance(from, a) - distance(from, b));
  if (place === undefined) throw notOnNetwork(to);
  const address = place.endpoint.addresses[0] ?? addressInside(container, place);
  if (address === undefined) throw new TsnetError("not-found", `container ${to} has no address; name one of it`);
  return bare(address);
}

/** With an IPAM driver that is not tsnet's the container gets its address otherwise. */
function addressInside({ machine }: Container, { endpoint }: Place): string | undefined {
  const link = machine?.links.find(({ mac }) => mac === endpoint.mac);
  return link?.addresses.find(({ address }) => familyOf(address) === 4)?.address;
}

async function hostAddress(facts: Facts, from: Sender): Promise<string> {
  const address = (await addressOfHost(facts, from, 4)) ?? (await addressOfHost(facts, from, 6));
  if (address !== undefined) return address;
  throw new TsnetError("not-found", "the host has no address there; name one of it");
}

/** A network that both are on comes first, then one of the same switch. */
function distance(from: Sender, { network }: Place): number {
  if (from.kind !== "container") return 0;
  const near = from.container.places.map((place) => place.network);
  if (near.some(({ id }) => id === network.id)) return 0;
  return near.some((other) => other.switch === network.switch) ? 1 : 2;
}

function notOnNetwork(name: string): TsnetError {
  return new TsnetError("not-found", `container ${JSON.stringify(name)} is on no network of tsnet`);
}

/** Whether it can be nothing else. */
function isAddress(to: string): boolean {
  return /^[0-9.]+$|:/.test(to);
}

function parsePort(text: string): Wanted {
  const [, digits = "", protocol = "tcp"] = /^(\d{1,5})(?:\/(tcp|udp|sctp))?$/.exec(text) ?? [];
  const port = Number(digits);
  if (port < 1 || port > 65_535) {
    throw new TsnetError("invalid", `${JSON.stringify(text)} is no port; permitted: 1-65535 with /tcp, /udp or /sctp`);
  }
  return { protocol: protocol as Protocol, port }; // the pattern has no other
}

function pingOf(address: string): Protocol {
  return familyOf(address) === 4 ? "icmp" : "ipv6-icmp";
}

function print({ console }: Tools, { from, to, address, hops, verdict }: Explanation, question: Question): void {
  const whom = to === address ? to : `${to} (${address})`;
  console.title(`${sayWhat(question)} from ${from} to ${whom}`);
  console.line();
  const rows = hops.map(({ hop, mark, text, ok }) => [hop, mark, ok ? text : `STOPS: ${text}`]);
  console.table(["HOP", "MARK", "WHAT"], rows, "");
  console.line();
  if (verdict.arrives) return console.line(leaves(hops) ? "It leaves this host." : "It arrives.");
  console.line(`It stops at: ${verdict.faults.map(({ where }) => where).join(", ")}.`);
  const fixes = verdict.faults.flatMap(({ fix }) => fix ?? []);
  if (fixes.length > 0) console.line("To mend it:");
  for (const fix of fixes) console.line(`  ${fix}`);
}

/** Whether what becomes of it is not seen from here. */
function leaves(hops: readonly Hop[]): boolean {
  return ["beyond", "tunnel", "uplink"].includes(hops.at(-1)?.hop ?? "");
}
