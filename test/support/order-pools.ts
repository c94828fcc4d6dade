// The pools of a history, by the numbers that it gives them: the third has the subnet of the first.

/** By number. */
export const SUBNETS: readonly string[] = ["", "10.9.1.0/29", "10.9.2.0/29", "10.9.1.0/29"];

/** An address of a pool, by its last byte. */
export function addressOf(pool: number, last: number): string {
  return (SUBNETS[pool] ?? "").replace("0/29", String(last));
}

/** Whether a pool, or an address of one, is none of a network's. @param id - of its record. */
export function isOfHistory(id: string): boolean {
  return SUBNETS.some((subnet) => subnet !== "" && id.startsWith(subnet));
}

/** Which id tsnet gave to which of them last. */
export class OrderPools {
  readonly #ids = new Map<number, string>();
  readonly #numbers = new Map<string, number>();
  /** Who asked for a subnet last. */
  readonly #askedLast = new Map<string, number>();

  /** @returns an id that nobody has, if it has got none. */
  idOf(on: number): string {
    return this.#ids.get(on) ?? "10.9.9.0/29+00000000";
  }

  ids(): readonly string[] {
    return [...this.#ids.values()];
  }

  /** Its subnet is asked for now. */
  ask(on: number): string {
    const subnet = SUBNETS[on] ?? "";
    this.#askedLast.set(subnet, on);
    return subnet;
  }

  /** A pool that the engine may not have learned of is given to whoever asks for it next. */
  name(id: string, on: number): void {
    const former = this.#numbers.get(id);
    if (former !== undefined) this.#ids.delete(former);
    this.#ids.set(on, id);
    this.#numbers.set(id, on);
  }

  /** Of a pool whose answer was lost, it does not matter which of the two that have its subnet asked for it. */
  numberOf(id: string): number {
    const known = this.#numbers.get(id);
    if (known !== undefined) return known;
    const on = this.#askedLast.get(id.replace(/\+.*/, "")) ?? 0;
    this.name(id, on);
    return on;
  }
}
