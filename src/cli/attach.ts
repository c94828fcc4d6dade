// `tsnet attach CONTAINER NETWORK`: one more interface for a namespace, from the daemon's port to the link inside. The daemon has
// no right to other namespaces; this runs on the host. What fails half-way is undone; what was killed half-way is completed by the
// next attach.
import type { AttachAnswer, AttachBody } from "../api/attachment-messages.ts";
import { TsnetError, codeOf, messageOf } from "../errors.ts";
import { type NamedNetwork, findCalled } from "./catalog.ts";
import type { HostTools } from "./host-tools.ts";
import {
  type FoundOwner,
  type OwnerChoice,
  checkChoice,
  endpointIdOf,
  findOwner,
  goneError,
  isThere,
} from "./namespace-owner.ts";
import { type Inside, type InsideLink, freeName, planInside, readInside } from "./namespace-link.ts";
import { type CommonOptions, type Everything, type Tools, readEverything } from "./tools.ts";

/** How often one looks what is left to do: another command may move the link, and rename it, and make it anew. */
const ATTEMPTS = 4;

/** What the user may ask for; what is absent of an attachment that is there stays as it is. */
export interface AttachOptions extends CommonOptions, Omit<OwnerChoice, "container"> {
  readonly ip?: string;
  readonly ip6?: string;
  readonly mac?: string;
  readonly ifname?: string;
  readonly vlan?: string;
  readonly trunk?: string;
  readonly mtu?: string;
  readonly defaultRoute?: boolean;
  readonly route?: readonly string[];
  readonly once?: boolean;
}

/** What a command asks for in a user's stead. */
export interface OwnerOptions extends AttachOptions {
  /** Who is not attached any more stays so. */
  readonly isAgain?: boolean;
}

/** What was done. */
export interface Attachment {
  readonly container: string;
  readonly network: string;
  readonly interface: string;
  readonly addresses: readonly string[];
  readonly mac: string;
  readonly mtu: number;
  readonly hostLink: string;
  /** False if all was as it shall be. */
  readonly isChanged: boolean;
}

/** What the operands of `attach` and `detach` name. */
export interface Target {
  readonly choice: OwnerChoice;
  /** As it is called. */
  readonly network: string;
}

/** @throws TsnetError with what is in the way. */
export async function attach(tools: Tools, target: Target, options: AttachOptions): Promise<void> {
  const { choice, network: called } = target;
  const everything = await readEverything(tools);
  const network = requireNetwork(called, everything);
  const owner = await findOwner(tools, choice);
  refuseConnected(owner, network, everything);
  const done = await tools.console.waitFor("the link", attachOwner(tools, owner, network, options));
  if (options.json === true) return tools.console.json(done);
  tools.console.line(sayDone(done));
}

/** `web has eth1 on blue: 10.1.2.254/24`. */
export function sayDone({ container, network, interface: name, addresses, isChanged }: Attachment): string {
  const what = addresses.length === 0 ? "no address" : addresses.join(", ");
  return `${container} has ${name} on ${network}: ${what}${isChanged ? "" : " (as before)"}`;
}

/** Reads CONTAINER NETWORK, or NETWORK alone with `--netns` or `--pid`. @throws TsnetError `invalid`. */
export function readOperands(operands: readonly string[], { netns, pid }: Omit<OwnerChoice, "container">): Target {
  const [first = "", second] = operands;
  const isNamed = netns !== undefined || pid !== undefined;
  if (netns !== undefined && pid !== undefined)
    throw new TsnetError("invalid", "--netns and --pid name the same thing: one of them is enough");
  if (isNamed && second !== undefined)
    throw new TsnetError("invalid", "with --netns and --pid there is no CONTAINER: NETWORK alone is permitted");
  if (!isNamed && second === undefined)
    throw new TsnetError("invalid", "CONTAINER and NETWORK are needed; --netns PATH or --pid PID stand for CONTAINER");
  if (!isNamed) return { choice: { container: first }, network: second ?? "" };
  const choice = { ...(netns !== undefined && { netns }), ...(pid !== undefined && { pid }) };
  checkChoice(choice);
  return { choice, network: first };
}

/** @throws TsnetError `not-found`. */
export function requireNetwork(called: string, { networks, docker }: Everything): NamedNetwork {
  const network = findCalled("network", networks, called);
  if (network !== undefined) return network;
  const known = networks.length === 0 ? "it has none" : `it has ${networks.map(({ name }) => name).join(", ")}`;
  const isDockers = findCalled("network", docker.networks, called) !== undefined;
  const why = isDockers ? "; that one is of another driver" : "";
  throw new TsnetError("not-found", `tsnet has no network ${JSON.stringify(called)}${why}; ${known}`);
}

function refuseConnected({ kind, id, name }: FoundOwner, network: NamedNetwork, { docker }: Everything): void {
  if (kind !== "container") return;
  const isConnected = docker.places.some((place) => place.networkId === network.id && place.container.id === id);
  if (!isConnected) return;
  const advice = `\`docker network disconnect ${network.name} ${name}\` comes first`;
  throw new TsnetError("conflict", `Docker has connected ${name} to ${network.name} already; ${advice}`);
}

/** Attaches one whose namespace is there. @throws TsnetError, `not-found` if it ends meanwhile; then all is as before. */
export async function attachOwner(
  tools: Tools,
  owner: FoundOwner,
  network: NamedNetwork,
  options: OwnerOptions,
): Promise<Attachment> {
  const endpointId = endpointIdOf(network.id, owner);
  const inside = tools.host.inside(owner.path);
  const before = await readInside(inside).catch((failure: unknown) => {
    throw isThere(owner) ? failure : goneError(owner, failure);
  });
  const known = network.endpoints.find(({ id }) => id === endpointId)?.attachment?.ifName;
  const wanted = options.ifname ?? known ?? freeName(network.ifPrefix, before);
  const ids = { NetworkID: network.id, EndpointID: endpointId };
  const body = { ...ids, ...ownerFields(owner), Interface: wanted, ...wishes(options) };
  const given = await tools.daemon.call("Operator.Attach", body);
  try {
    const choose = (now: Inside) => {
      const isTaken = now.links.some(({ ifname }) => ifname === wanted);
      return isTaken && options.ifname === undefined ? freeName(network.ifPrefix, now) : wanted;
    };
    const { name, isChanged } = await settle(tools, inside, body, given, choose);
    return {
      container: owner.name,
      network: network.name,
      interface: name,
      addresses: given.Addresses,
      mac: given.MacAddress,
      mtu: given.MTU,
      hostLink: given.HostLink,
      isChanged: isChanged || !given.WasAttached,
    };
  } catch (failure) {
    const cause = isThere(owner) ? failure : goneError(owner, failure);
    if (!given.WasAttached) await undo(tools, body, cause);
    throw cause;
  }
}

async function undo(
  { daemon }: Tools,
  { NetworkID, EndpointID }: Pick<AttachBody, "NetworkID" | "EndpointID">,
  cause: unknown,
): Promise<void> {
  await daemon.call("Operator.Detach", { NetworkID, EndpointID }).catch((failure: unknown) => {
    throw new TsnetError("host", `${messageOf(cause)}; besides, ${messageOf(failure)}`, { cause });
  });
}

function ownerFields({ kind, id, name, engine }: FoundOwner) {
  return { OwnerKind: kind, OwnerID: id, OwnerName: name, ...(engine !== undefined && { OwnerEngine: engine }) };
}

function wishes({ isAgain = false, ...options }: OwnerOptions) {
  const { ip, ip6, mac, vlan, trunk, mtu, defaultRoute = false, route = [], once = false, pid } = options;
  return {
    ...(ip !== undefined && { Address: ip }),
    ...(ip6 !== undefined && { AddressIPv6: ip6 }),
    ...(mac !== undefined && { MacAddress: mac }),
    Options: { ...(vlan && { vlan }), ...(trunk && { trunk }), ...(mtu && { mtu }) },
    DefaultRoute: defaultRoute,
    Routes: [...route],
    Again: isAgain,
    Once: once || pid !== undefined, // a process never comes back
  };
}

/** What the link is called inside by then, and whether anything was left to do. */
interface Settled {
  readonly name: string;
  readonly isChanged: boolean;
}

/** The same, also while another command does it, as the agent may: of each step one of them finds that it is done. */
async function settle(...words: Parameters<typeof settleAlone>): Promise<Settled> {
  for (let left = ATTEMPTS - 1; left > 0; left -= 1) {
    try {
      return await settleAlone(...words);
    } catch (failure) {
      if (codeOf(failure) !== "host") throw failure;
    }
  }
  return settleAlone(...words);
}

/** Brings the link into the namespace and makes it what it shall be. @param choose - the name of a link that is new there. */
async function settleAlone(
  tools: Tools,
  inside: HostTools,
  body: AttachBody,
  given: AttachAnswer,
  choose: (inside: Inside) => string,
): Promise<Settled> {
  let place = await findEnd(tools.host, inside, given);
  const isMoved = typeof place === "string";
  if (place === "nowhere") await tools.daemon.call("Operator.Attach", { ...body, Again: true, Lost: true });
  if (isMoved) {
    await tools.host.text("ip", "link", "set", "dev", given.Link, "netns", inside.namespace ?? "");
    place = await findEnd(tools.host, inside, given);
  }
  if (typeof place === "string") throw new TsnetError("host", `link ${given.Link} does not arrive in the namespace`);
  const { link, all } = place;
  const name = link.ifname === given.Link ? choose(all) : link.ifname; // who gave it another name wants that
  const steps = planInside(link, { ...given, Interface: name }, all);
  for (const [tool, ...args] of steps) await inside.text(tool, ...args);
  return { name, isChanged: isMoved || steps.length > 0 };
}

interface HostEnd {
  readonly ifindex: number;
  /** The other end's name, if that is on the host too. */
  readonly link?: string;
  /** The other end's number in its own namespace. */
  readonly link_index?: number;
}

/** Where the end is that belongs inside. */
async function findEnd(
  host: HostTools,
  inside: HostTools,
  { HostLink, Link }: AttachAnswer,
): Promise<{ readonly link: InsideLink; readonly all: Inside } | "on the host" | "nowhere"> {
  const [end] = await host.json<HostEnd[]>("ip", "-json", "link", "show", "dev", HostLink).catch(() => []); // both are gone
  if (end?.link === Link) return "on the host";
  const all = await readInside(inside);
  const link = all.links.find(({ ifindex, link_index }) => ifindex === end?.link_index && link_index === end.ifindex);
  return link === undefined ? "nowhere" : { link, all };
}
