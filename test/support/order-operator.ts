// What the operator's verbs shall leave, as order-model.ts says it of the engine's: Attach, Detach, and the changes of networks
// and endpoints that are in use.
import { type OrderCall, isAttachment, networkOf } from "./order-history.ts";
import { type Model, type ModelEndpoint, type Outcome, done, lacking, put, refused, without } from "./order-state.ts";

/** The last byte of the address that endpoints of variant 1 ask for, attachments and others. */
export const ASKED = 100;

/** The one that all endpoints of a network may be changed to. */
export const CHANGED = 60;

/** The last byte of the address that an endpoint of variant 0 has of the engine. */
export function ownAddress(on: number): number {
  return 10 + on;
}

/** What `SetNetwork` asks for. */
export function mtuOfNetwork(variant: number): number {
  return variant === 0 ? 1300 : 1500;
}

/** Whether containers of a network may not speak to one another: `SetNetwork` changes both at once. */
export function isClosed(mtu: number): boolean {
  return mtu === mtuOfNetwork(0);
}

/** What `SetMtu` asks for of an endpoint. */
export function mtuOfEndpoint(variant: number): number {
  return variant === 0 ? 1400 : 1300;
}

/** What `SetAddress` asks for. */
export function addressToSet({ on, variant }: OrderCall): number {
  return variant === 0 ? ownAddress(on) : CHANGED;
}

/** What tsnet may do with one of the operator's verbs that nothing disturbs. */
export function operatorOutcomes(model: Model, call: OrderCall, together: readonly OrderCall[]): readonly Outcome[] {
  switch (call.verb) {
    case "Attach":
      return attach(model, call, together);
    case "Detach":
      return [detach(model, call)];
    case "SetNetwork":
      return setNetwork(model, call, together);
    case "SetMtu":
      return [setMtu(model, call)];
    case "SetAddress":
      return setAddress(model, call);
    default:
      throw new Error(`${call.verb} is no verb of the operator's`);
  }
}

/** An endpoint that the engine asks for has its address for a moment, though it may be refused. */
function attach(model: Model, { on, variant }: OrderCall, together: readonly OrderCall[]): readonly Outcome[] {
  const network = model.networks.get(networkOf(on));
  if (network?.isRemoving !== false) return [refused(model)];
  const known = model.endpoints.get(on);
  if (known !== undefined && variant === 1 && known.address !== ASKED) return [refused(model)];
  const address = variant === 1 ? ASKED : 0;
  const made: ModelEndpoint = { variant: 0, mtu: network.mtu, address, mac: address, link: "none" };
  const ready = { ...(known ?? made), sandbox: 0, link: "away" } as const;
  const attached = done({ ...model, endpoints: put(model.endpoints, on, ready) });
  if (known !== undefined || variant === 0) return [attached];
  if (!mayHave(model, on, ASKED)) return [refused(model)];
  const isContended = together.some(
    (other) => other.verb === "CreateEndpoint" && other.variant === 1 && networkOf(other.on) === networkOf(on),
  );
  const isHeld = networkOf(on) === 2 && model.heldByEngine?.has(ASKED) === true;
  return [attached, ...(isContended || isHeld ? [refused(model)] : stuck(model, on))];
}

function detach(model: Model, { on }: OrderCall): Outcome {
  if (!isAttachment(on)) return model.endpoints.has(on) ? refused(model) : done(model);
  return done(finished(lacking(model, [on]), networkOf(on)));
}

/** A network that just gets another endpoint may have to be changed again. */
function setNetwork(model: Model, { on, variant }: OrderCall, together: readonly OrderCall[]): readonly Outcome[] {
  const network = model.networks.get(on);
  if (network?.isRemoving !== false) return [refused(model)];
  const mtu = mtuOfNetwork(variant);
  const changed = [...model.endpoints].map(([id, each]) => {
    const isFollowing = networkOf(id) === on && each.mtu === network.mtu;
    return [id, isFollowing ? { ...each, mtu } : each] as const;
  });
  if (changed.some(([id, each]) => networkOf(id) === on && each.mtu > mtu)) return [refused(model)];
  const networks = put(model.networks, on, { ...network, mtu });
  const isGrowing = together.some(({ verb, on: id }) => verb === "CreateEndpoint" && networkOf(id) === on);
  return [done({ ...model, networks, endpoints: new Map(changed) }), ...(isGrowing ? [refused(model)] : [])];
}

function setMtu(model: Model, { on, variant }: OrderCall): Outcome {
  const [network, known] = [model.networks.get(networkOf(on)), model.endpoints.get(on)];
  const mtu = mtuOfEndpoint(variant);
  if (network?.isRemoving !== false || known === undefined || mtu > network.mtu) return refused(model);
  return done({ ...model, endpoints: put(model.endpoints, on, { ...known, mtu }) });
}

/** Only on network 2 are the addresses tsnet's to give. */
function setAddress(model: Model, call: OrderCall): readonly Outcome[] {
  const { on } = call;
  const [network, known] = [model.networks.get(networkOf(on)), model.endpoints.get(on)];
  const address = addressToSet(call);
  if (network?.isRemoving !== false || known === undefined) return [refused(model)];
  if (known.address === address) return [done(model)];
  const changed = done({ ...model, endpoints: put(model.endpoints, on, { ...known, address }) });
  if (!isAttachment(on) && known.mac === address) return [changed]; // the engine gave it
  if (networkOf(on) !== 2 || !mayHave(model, on, address)) return [refused(model)];
  // A dead endpoint that gave way leaves its address with the engine.
  return [changed, ...stuck(model, on), ...(address === ownAddress(on) && !isAttachment(on) ? [refused(model)] : [])];
}

/** Whether no other endpoint has an address, or had it of the engine. */
function mayHave(model: Model, on: number, address: number): boolean {
  const others = [...model.endpoints].filter(([id]) => id !== on && networkOf(id) === networkOf(on));
  return others.every(([, other]) => other.address !== address && other.mac !== address);
}

/** After a fault an address may be in use that nobody has. */
export function stuck(model: Model, on: number): readonly Outcome[] {
  return model.isDisturbed === true && networkOf(on) === 2 ? [refused(model)] : [];
}

/** Whether an endpoint stays though no namespace has its link. */
export function isKept(model: Model, on: number): boolean {
  return isAttachment(on) && !isOnce(on) && model.networks.get(networkOf(on))?.isRemoving === false;
}

/** Whether an attachment ends with its namespace. */
export function isOnce(on: number): boolean {
  return on === 7;
}

/** What an Attach may leave that was interrupted. */
export function halfAttached({ model }: Outcome, on: number): readonly Model[] {
  const known = model.endpoints.get(on);
  if (known === undefined) return [];
  const { sandbox: _sandbox, ...apart } = known;
  const states: readonly ModelEndpoint[] = [
    { ...apart, link: "none" },
    { ...known, link: "none" },
    { ...known, link: "host" },
  ];
  return states.map((each) => ({ ...model, endpoints: put(model.endpoints, on, each) }));
}

/**
 * What an Attach that failed may leave of an attachment that was there, and whose link was in no namespace, at least when this one
 * looked: of two at once the other may have made it since.
 */
export function reattached(model: Model, { on }: OrderCall, together: readonly OrderCall[]): readonly Model[] {
  const known = model.endpoints.get(on);
  const isTwice = together.filter((other) => other.verb === "Attach" && other.on === on).length > 1;
  if (known === undefined || (known.link === "away" && !isTwice)) return [];
  const { sandbox: _sandbox, ...apart } = known;
  const states: readonly ModelEndpoint[] = [
    { ...apart, link: "none" },
    { ...known, link: "none" },
  ];
  return states.map((each) => ({ ...model, endpoints: put(model.endpoints, on, each) }));
}

/** Without a network that only waited for its last endpoint. */
export function finished(model: Model, network: number): Model {
  const isUsed = [...model.endpoints.keys()].some((id) => networkOf(id) === network);
  if (isUsed || model.networks.get(network)?.isRemoving !== true) return model;
  return { ...model, networks: without(model.networks, network) };
}
