// What networks, endpoints and pools shall be after a history of calls: a few plain rules without a host, without waiting
// and without order of steps. Calls that were made at once must have answers and an end that some order of them explains.
import { type OrderCall, type OrderFault, networkOf } from "./order-history.ts";
import {
  ASKED,
  finished,
  halfAttached,
  isKept,
  operatorOutcomes,
  ownAddress,
  reattached,
  stuck,
} from "./order-operator.ts";
import {
  type Answered,
  type Model,
  type ModelEndpoint,
  type ModelLink,
  type Outcome,
  done,
  lacking,
  put,
  refused,
  without,
} from "./order-state.ts";

/** The addresses of a pool that can be given out: it is a /29. */
export const USABLE = [1, 2, 3, 4, 5, 6] as const;

/** The one that variant 1 asks for, and the one that variant 0 releases. */
export const FIXED = 5;
export const FIRST = 1;

/** Two networks, and two pools, that have one subnet. */
const RIVAL: ReadonlyMap<number, number> = new Map([
  [1, 3],
  [3, 1],
]);

/** The port of the host that `Program` asks for: the same one for all endpoints. */
export function portOf(variant: number): number {
  return 8080 + variant;
}

/** What an endpoint of network 2, which has no gateway, publishes when it joins. */
export function portAtJoin(endpoint: number): number | undefined {
  return networkOf(endpoint) === 2 ? 9000 + endpoint : undefined;
}

/** What tsnet may do with one call that nothing disturbs. Most have one possibility; a chosen address may be any free one. */
function outcomes(model: Model, call: OrderCall, together: readonly OrderCall[]): readonly Outcome[] {
  switch (call.verb) {
    case "CreateNetwork":
      return [createNetwork(model, call)];
    case "DeleteNetwork":
      return deleteNetwork(model, call, together);
    case "CreateEndpoint":
      return createEndpoint(model, call);
    case "DeleteEndpoint":
      return [done(finished(lacking(model, [call.on]), networkOf(call.on)))];
    case "Join":
      return [join(model, call)];
    case "Leave":
      return [leave(model, call)];
    case "Program":
      return [program(model, call)];
    case "Revoke":
      return [done(revoked(model, call.on))];
    case "Die":
      return [die(model, call)];
    case "Reconcile":
    case "Repair":
      return [done(model), done(normalised(model))];
    case "RequestPool":
    case "ReleasePool":
    case "RequestAddress":
    case "ReleaseAddress":
      return poolOutcomes(model, call);
    default:
      return operatorOutcomes(model, call, together);
  }
}

function poolOutcomes(model: Model, { verb, on, variant }: OrderCall): readonly Outcome[] {
  const inUse = model.pools.get(on);
  if (verb === "RequestPool") {
    const owner = [on, RIVAL.get(on) ?? 0].find((pool) => model.pools.has(pool));
    if (owner === undefined) return [done(withPool(model, on, new Set()))];
    const isForgotten = model.isRestarted === true && model.pools.get(owner)?.size === 0;
    const handedOver = done(withPool(withPool(model, owner, undefined), on, new Set()));
    return isForgotten ? [refused(model), handedOver] : [refused(model)];
  }
  if (verb === "ReleasePool") return [done(withPool(model, on, undefined))];
  if (verb === "ReleaseAddress") {
    const rest = [...(inUse ?? [])].filter((address) => address !== (variant === 1 ? FIXED : FIRST));
    return [done(inUse === undefined ? model : withPool(model, on, new Set(rest)))];
  }
  const free = USABLE.filter((address) => inUse?.has(address) === false && (variant === 0 || address === FIXED));
  if (inUse === undefined || free.length === 0) return [refused(model)];
  return free.map((address) => ({ ...done(withPool(model, on, new Set([...inUse, address]))), address }));
}

function createNetwork(model: Model, { on, variant }: OrderCall): Outcome {
  const known = model.networks.get(on);
  if (known !== undefined) return known.variant === variant && !known.isRemoving ? done(model) : refused(model);
  if (model.networks.has(RIVAL.get(on) ?? 0)) return refused(model);
  return done({
    ...model,
    networks: put(model.networks, on, { variant, mtu: variant === 1 ? 1400 : 1500, isRemoving: false }),
  });
}

/** Of each Join and Attach that is made at the same time the container may not have the link yet. */
function deleteNetwork(model: Model, { on }: OrderCall, together: readonly OrderCall[]): readonly Outcome[] {
  const known = model.networks.get(on);
  if (known === undefined) return [done(model)];
  const own = [...model.endpoints].filter(([id]) => networkOf(id) === on);
  const isUsed = ([, { sandbox, link }]: (typeof own)[number]) => sandbox !== undefined && link === "away";
  const joining = together.filter(({ verb }) => verb === "Join" || verb === "Attach").map((call) => call.on);
  const inUse = own.filter(isUsed).map(([id]) => id);
  return subsets(inUse.filter((id) => joining.includes(id))).map((early) => {
    const kept = inUse.filter((id) => !early.includes(id));
    const unused = own.flatMap(([id]) => (kept.includes(id) ? [] : [id]));
    const rest = lacking(model, unused);
    if (kept.length === 0) return done({ ...rest, networks: without(rest.networks, on) });
    return refused({ ...rest, networks: put(rest.networks, on, { ...known, isRemoving: true }) });
  });
}

function createEndpoint(model: Model, call: OrderCall): readonly Outcome[] {
  const { on, variant } = call;
  const network = model.networks.get(networkOf(on));
  if (network?.isRemoving !== false) return [refused(model)];
  const address = givenAddress(call);
  const known = model.endpoints.get(on);
  if (known !== undefined) {
    const isSame = known.mac === address && known.address === address && known.mtu === network.mtu;
    return [isSame ? done(model) : refused(model)];
  }
  const rivals = rivalsOf(model, call);
  const made = displacements(model, call).map((rest) => {
    if (rivals.some((id) => rest.endpoints.has(id))) return refused(rest);
    const port = portAtJoin(on);
    const given = { variant, mtu: network.mtu, address, mac: address } as const;
    const endpoint: ModelEndpoint = { ...given, link: "none", ...(port !== undefined && { portAtJoin: port }) };
    return done({ ...rest, endpoints: put(rest.endpoints, on, endpoint) });
  });
  return [...made, ...stuck(model, on)];
}

/** The last byte of what the engine gives to an endpoint. */
export function givenAddress({ on, variant }: Pick<OrderCall, "on" | "variant">): number {
  return variant === 1 ? ASKED : ownAddress(on);
}

/** The endpoints that have the address which a new one asks for, or the MAC address that goes with it. */
function rivalsOf({ endpoints }: Model, call: OrderCall): readonly number[] {
  const wanted = givenAddress(call);
  const others = [...endpoints].filter(([, { address, mac }]) => address === wanted || mac === wanted);
  return others.flatMap(([id]) => (id === call.on || networkOf(id) !== networkOf(call.on) ? [] : [id]));
}

/** Who has an address after tsnet has died may have it in place of one whose end nobody told. */
function displacements(model: Model, call: OrderCall): readonly Model[] {
  const rivals = rivalsOf(model, call).filter((id) => model.endpoints.get(id)?.mac === givenAddress(call));
  const dead = rivals.filter((id) => model.endpoints.get(id)?.link === "none" && !isKept(model, id));
  const surelyDead = dead.filter((id) => model.endpoints.get(id)?.sandbox !== undefined);
  return [lacking(model, surelyDead), lacking(model, model.isRestarted === true ? dead : surelyDead)];
}

function join(model: Model, { on, variant }: OrderCall): Outcome {
  const known = model.endpoints.get(on);
  if (known === undefined || model.networks.get(networkOf(on))?.isRemoving !== false) return refused(model);
  if (known.sandbox !== undefined) {
    if (known.sandbox !== variant) return refused(withoutDead(model));
    if (known.link === "none")
      return join(leave(model, { verb: "Leave", on, variant }).model, { verb: "Join", on, variant });
    return done({ ...model, endpoints: put(model.endpoints, on, { ...known, link: "away" }) });
  }
  const port = known.portAtJoin;
  const place = freePort(model, on, port);
  if (place === undefined) return refused(withoutDead(model));
  const joined = { ...known, sandbox: variant, link: "away", ...(port !== undefined && { port }) } as const;
  return done({ ...place, endpoints: put(place.endpoints, on, joined) });
}

function leave(model: Model, { on }: OrderCall): Outcome {
  const known = model.endpoints.get(on);
  if (known === undefined) return done(model);
  const { sandbox, port: _port, ...rest } = known;
  const link = sandbox === undefined ? movedBack(known.link) : "none";
  return done({ ...model, endpoints: put(model.endpoints, on, { ...rest, link }) });
}

/** After Leave, whatever the answer, the engine takes the link out of the container if it is there. */
function movedBack(link: ModelLink): ModelLink {
  return link === "away" ? "host" : link;
}

function program(model: Model, { on, variant }: OrderCall): Outcome {
  const known = model.endpoints.get(on);
  const isReady = model.networks.get(networkOf(on))?.isRemoving === false;
  if (!isReady || known?.sandbox === undefined) return refused(model);
  const port = portOf(variant);
  if (known.port === port) return done(model);
  const place = freePort(model, on, port);
  if (place?.endpoints.has(on) !== true) return refused(withoutDead(model));
  const published = { ...known, port, ...(known.portAtJoin !== undefined && { portAtJoin: port }) };
  return done({ ...place, endpoints: put(place.endpoints, on, published) });
}

function revoked(model: Model, on: number): Model {
  const known = model.endpoints.get(on);
  if (known === undefined) return model;
  const { port: _port, ...rest } = known;
  return { ...model, endpoints: put(model.endpoints, on, rest) };
}

function die(model: Model, { on }: OrderCall): Outcome {
  const known = model.endpoints.get(on);
  if (known?.link !== "away") return done(model);
  return done({ ...model, endpoints: put(model.endpoints, on, { ...known, link: "none" }) });
}

/** @returns undefined if a living endpoint has the port; else without the dead ones, if one of them had it. */
function freePort(model: Model, on: number, port: number | undefined): Model | undefined {
  const isTaken = (place: Model) => [...place.endpoints].some(([id, other]) => id !== on && other.port === port);
  if (port === undefined || !isTaken(model)) return model;
  const rest = withoutDead(model);
  return isTaken(rest) ? undefined : rest;
}

/** Without the endpoints that publish a port and have no link any more. */
function withoutDead(model: Model): Model {
  const dead = [...model.endpoints].filter(([, { port, link }]) => port !== undefined && link === "none");
  return lacking(model, dead.map(([id]) => id)); // prettier-ignore
}

/** What tsnet ends by itself: networks that only waited for their endpoints, and what is left in them. */
export function normalised(model: Model): Model {
  const isRemoving = (id: number) => model.networks.get(networkOf(id))?.isRemoving === true;
  const left = [...model.endpoints].filter(([id, { sandbox }]) => isRemoving(id) && sandbox === undefined);
  const rest = lacking(model, left.map(([id]) => id)); // prettier-ignore
  return [...rest.networks.keys()].reduce(finished, rest);
}

/** What is left of endpoints when nobody has used them for long: those whose link a container has. */
export function afterLong(model: Model): Model {
  return normalised(lacking(model, unusedIn(model)));
}

/** What may be left of endpoints while some of them have been out of use for long. */
export function forgotten(model: Model): readonly Model[] {
  return subsets(unusedIn(model)).map((lost) => normalised(lacking(model, lost)));
}

function unusedIn(model: Model): readonly number[] {
  return [...model.endpoints].flatMap(([id, { link }]) => (link === "away" || isKept(model, id) ? [] : [id]));
}

/** The verbs of which an error means that nothing was changed. */
export const MAKES: ReadonlySet<string> = new Set([
  "CreateNetwork", "CreateEndpoint", "Join", "Program", "RequestPool", "RequestAddress",
  "Attach", "SetNetwork", "SetMtu", "SetAddress",
]); // prettier-ignore

/** Every model that one call may leave, given its answer. */
function successors(
  model: Model,
  { call, answer }: Answered,
  together: readonly OrderCall[],
  fault: OrderFault | undefined,
): readonly Model[] {
  const possible = outcomes(model, call, together);
  const isDisturbed = fault !== undefined;
  // Looking for dead endpoints, and then trying once more, is no one step beside other calls.
  const isTriedAgain = together.length > 1 && (call.verb === "Join" || call.verb === "Program");
  if (answer.kind === "ok") {
    const ended = possible.filter(({ isOk, address }) => isOk && address === answer.address).map((each) => each.model);
    return isTriedAgain ? [...ended, ...ended.map(withoutDead)] : ended;
  }
  const undisturbed = possible.filter(({ isOk }) => !isOk).map((each) => each.model);
  if (!isDisturbed && answer.kind !== "refused") return [];
  if (!isDisturbed && isTriedAgain && undisturbed.length > 0)
    return [model, ...undisturbed, ...undisturbed.map(withoutDead)];
  // Who has the port may join anew, which makes it free, between the look at the port and that at who is dead.
  const isRevived = call.verb === "Program" && together.some(({ verb, on }) => verb === "Join" && on !== call.on);
  if (!isDisturbed && isRevived && undisturbed.length === 0) return [model];
  // Nor is the removal of a dead endpoint that is in the way of a new one, which another call may make meanwhile.
  const twins = together.filter(({ verb, on }) => verb === "CreateEndpoint" && on === call.on);
  const mayGiveWay = call.verb === "CreateEndpoint" && twins.length > 1 && undisturbed.length > 0;
  if (!isDisturbed) return mayGiveWay ? [...undisturbed, ...displacements(model, call)] : undisturbed;
  const unchanged = [model, withoutDead(model), ...undisturbed, ...givenWay(model, call, together)];
  const ended = possible.map((each) => each.model);
  const half = () =>
    call.verb === "Attach" ? possible.flatMap((each) => halfAttached(each, call.on)) : halfDone(model, call, ended);
  if (answer.kind === "none") return [...unchanged, ...ended, ...half()];
  // An error of what makes something: nothing was changed. What removes something may have to be ended later.
  if (MAKES.has(call.verb)) return unchanged;
  if (call.verb === "DeleteEndpoint" || call.verb === "Detach") return ended;
  // An endpoint that is out of use goes with its network, or later.
  if (call.verb === "DeleteNetwork") return [...ended, ...half()];
  return [...unchanged, ...ended, ...half()];
}

/** What may have gone before a call failed: what is dead, and would have stood in its way. */
function givenWay(model: Model, call: OrderCall, together: readonly OrderCall[]): readonly Model[] {
  if (call.verb === "Join") return unjoined(model, call);
  if (call.verb === "Attach") return reattached(model, call, together);
  return call.verb === "CreateEndpoint" ? displacements(model, call) : [];
}

/** A link that was out of use may be gone after a Join that failed, and an endpoint without one has then not joined. */
function unjoined(model: Model, call: OrderCall): readonly Model[] {
  const known = model.endpoints.get(call.on);
  if (known?.link === "host")
    return [{ ...model, endpoints: put(model.endpoints, call.on, { ...known, link: "none" }) }];
  return known?.link === "none" ? [leave(model, call).model] : [];
}

/** What a call may leave that was interrupted. */
function halfDone(model: Model, { verb, on }: OrderCall, ended: readonly Model[]): readonly Model[] {
  const known = model.endpoints.get(on);
  const network = model.networks.get(on);
  if (verb === "DeleteNetwork" && network !== undefined) {
    const removing = { ...model, networks: put(model.networks, on, { ...network, isRemoving: true }) };
    const unused = [...model.endpoints].filter(([id, { link }]) => networkOf(id) === on && link !== "away");
    return subsets(unused.map(([id]) => id)).map((gone) => lacking(removing, gone));
  }
  if (verb === "Join") {
    return ended.flatMap((each) => {
      const joined = each.endpoints.get(on);
      if (joined?.sandbox === undefined) return [];
      return (["none", "host"] as const).map((link) => ({
        ...each,
        endpoints: put(each.endpoints, on, { ...joined, link }),
      }));
    });
  }
  if (known === undefined) return [];
  const { sandbox: _sandbox, port: _port, ...rest } = known;
  if (verb === "Leave")
    return [known, rest].map((each) => {
      return { ...model, endpoints: put(model.endpoints, on, { ...each, link: movedBack(known.link) }) };
    });
  if (verb !== "DeleteEndpoint") return [];
  return [
    { ...model, endpoints: put(model.endpoints, on, { ...known, link: "none" }) },
    { ...model, endpoints: put(model.endpoints, on, { ...rest, link: "none" }) },
  ];
}

/**
 * Every model that these calls, made at once, may leave when tsnet has ended what it ends by itself. Empty: no order of the
 * calls explains their answers.
 *
 * @param fault - what went wrong meanwhile.
 */
export function explain(model: Model, answered: readonly Answered[], fault?: OrderFault): readonly Model[] {
  const together = answered.map(({ call }) => call);
  const isDead = fault?.kind.startsWith("crash") === true;
  const found = new Map<string, Model>();
  const seen = new Set<string>();
  const walk = (at: Model, rest: readonly Answered[]): void => {
    const key = `${rest.map((each) => answered.indexOf(each)).join()} ${canonical(at)}`;
    if (seen.has(key)) return;
    seen.add(key);
    if (rest.length === 0) {
      const end = { ...normalised(at), ...(isDead && { isRestarted: true }), ...(fault && { isDisturbed: true }) };
      found.set(canonical(end), end);
      return;
    }
    for (const next of rest) {
      const others = rest.filter((each) => each !== next);
      for (const after of successors(at, next, together, fault)) walk(after, others);
    }
  };
  walk(model, answered);
  return [...found.values()];
}

/** The same text for the same model. */
export function canonical({ networks, endpoints, pools }: Model): string {
  const sorted = <T>(map: ReadonlyMap<number, T>) => [...map].sort(([a], [b]) => a - b);
  const poolList = sorted(pools).map(([id, inUse]) => [id, [...inUse].sort((a, b) => a - b)]);
  const endpointList = sorted(endpoints).map(
    ([id, { portAtJoin: later, variant, mtu, address, mac, sandbox, link, port }]) => {
      return [id, { variant, mtu, address, mac, sandbox, link, port, later }];
    },
  );
  const networkList = sorted(networks).map(([id, { variant, mtu, isRemoving }]) => [id, { variant, mtu, isRemoving }]);
  return JSON.stringify({ networks: networkList, endpoints: endpointList, pools: poolList });
}

function subsets(of: readonly number[]): readonly (readonly number[])[] {
  return of.reduce<readonly (readonly number[])[]>(
    (found, id) => [...found, ...found.map((each) => [...each, id])],
    [[]],
  );
}

function withPool(model: Model, on: number, inUse: ReadonlySet<number> | undefined): Model {
  return { ...model, pools: inUse === undefined ? without(model.pools, on) : put(model.pools, on, inUse) };
}
