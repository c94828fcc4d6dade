// What a model of networks, endpoints and pools is made of, by the numbers of the history (order-history.ts).
import type { OrderCall } from "./order-history.ts";

export interface ModelNetwork {
  /** As it was created. */
  readonly variant: number;
  /** As it is now. */
  readonly mtu: number;
  /** It goes with its last endpoint. */
  readonly isRemoving: boolean;
}

/** `host`: both ends are there; `away`: the container has one; `none`: both are gone. */
export type ModelLink = "none" | "host" | "away";

export interface ModelEndpoint {
  /** As the engine created it; 0 for an attachment. */
  readonly variant: number;
  readonly mtu: number;
  /** Last byte; 0: one that tsnet chose. */
  readonly address: number;
  /** Last byte, that of the address with which it was made. */
  readonly mac: number;
  /** Which sandbox it has joined; absent: none. */
  readonly sandbox?: number;
  readonly link: ModelLink;
  /** Port of the host that leads to it. */
  readonly port?: number;
  /** What it publishes when it joins. */
  readonly portAtJoin?: number;
}

/** By the numbers of the history; of a pool the last bytes of the addresses in use. */
export interface Model {
  readonly networks: ReadonlyMap<number, ModelNetwork>;
  readonly endpoints: ReadonlyMap<number, ModelEndpoint>;
  readonly pools: ReadonlyMap<number, ReadonlySet<number>>;
  /** Whether tsnet has died once: then it may not know whether the engine has a pool of which no address is in use. */
  readonly isRestarted?: boolean;
  /** Whether anything has gone wrong: then an address of an endpoint's may be in use that nobody has, until the next start. */
  readonly isDisturbed?: boolean;
  /** Last bytes of the addresses of network 2 that the engine has of tsnet's IPAM: it keeps those of endpoints that tsnet forgot. */
  readonly heldByEngine?: ReadonlySet<number>;
}

/** `refused`: the caller's mistake by the error's code; `failed`: any other error; `none`: the process ended before. */
export type Answer =
  | { readonly kind: "ok"; readonly address?: number }
  | { readonly kind: "refused" | "failed" | "none" };

/** A call and what came of it. */
export interface Answered {
  readonly call: OrderCall;
  readonly answer: Answer;
}

export const EMPTY_MODEL: Model = { networks: new Map(), endpoints: new Map(), pools: new Map() };

/** One way in which a call may end. */
export interface Outcome {
  readonly isOk: boolean;
  readonly model: Model;
  readonly address?: number;
}

export function done(model: Model): Outcome {
  return { isOk: true, model };
}

/** With what had gone before. */
export function refused(model: Model): Outcome {
  return { isOk: false, model };
}

/** Without these endpoints. */
export function lacking(model: Model, ids: readonly number[]): Model {
  if (ids.length === 0) return model;
  return { ...model, endpoints: new Map([...model.endpoints].filter(([id]) => !ids.includes(id))) };
}

export function put<T>(map: ReadonlyMap<number, T>, key: number, value: T): ReadonlyMap<number, T> {
  return new Map([...map, [key, value]]);
}

export function without<T>(map: ReadonlyMap<number, T>, key: number): ReadonlyMap<number, T> {
  return new Map([...map].filter(([other]) => other !== key));
}
