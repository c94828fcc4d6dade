import { setTimeout as pause } from "node:timers/promises";
import { beforeEach, describe, expect, it } from "vitest";
import { PairRemoval } from "../../../src/datapath/pair-removal.ts";
import { TsnetError } from "../../../src/errors.ts";
import type { Link, LinkChange } from "../../../src/host/rtnetlink-link.ts";
import type { Rtnetlink } from "../../../src/host/rtnetlink.ts";
import { LINK_GROUP, REMOVAL_GROUP } from "../../../src/link-group.ts";
import type { Log } from "../../../src/log.ts";

const ALL_OF_THE_GROUP = `delete group ${REMOVAL_GROUP}`;

describe("the removal of pairs", () => {
  let kernel: FakeKernel;
  let warnings: unknown[];
  let pairs: PairRemoval;

  beforeEach(() => {
    kernel = new FakeKernel();
    warnings = [];
    const log = { warn: (fields: unknown) => void warnings.push(fields) } as Pick<Log, "warn"> as Log;
    const socket = kernel as Partial<Rtnetlink> as Rtnetlink;
    pairs = new PairRemoval(socket, () => socket, log);
  });

  it("ends when no list has the pair, and not when the kernel is through with it", async () => {
    await pairs.remove(kernel.add(1));

    expect([kernel.names(), kernel.calls]).toEqual([[], ["delete 1"]]);
    kernel.endAll();
    await pairs.idle();
    expect(kernel.calls).toEqual(["delete 1", "close"]);
  });

  it("waits until the kernel has taken the pair out of its lists", async () => {
    kernel.isSlow = true;
    let isOver = false;
    const removal = pairs.remove(kernel.add(1)).then(() => (isOver = true));

    await pause(20);
    expect(isOver).toBe(false);

    kernel.unlistAll();
    await removal;
  });

  it("takes two at once, and together all that come meanwhile", async () => {
    const all = [1, 2, 3, 4, 5].map((index) => pairs.remove(kernel.add(index)));
    await all[0];
    await Promise.all(all);

    expect(kernel.deletions()).toEqual(["delete 1", ALL_OF_THE_GROUP]);
    const late = [6, 7].map((index) => pairs.remove(kernel.add(index)));
    await pause(20);
    expect([kernel.deletions().length, kernel.names()]).toEqual([2, ["tsv6", "tsv7"]]);

    kernel.endAll();
    await Promise.all(late);
    expect(kernel.deletions()).toEqual(["delete 1", ALL_OF_THE_GROUP, ALL_OF_THE_GROUP]);
  });

  it("sets links down before it takes them out of the group by which the rules know them", async () => {
    kernel.changes.length = 0;
    const all = [1, 2, 3].map((index) => pairs.remove(kernel.add(index)));
    await Promise.all(all);

    expect(kernel.changes).toEqual([
      [2, { isUp: false }],
      [2, { group: REMOVAL_GROUP }],
      [3, { isUp: false }],
      [3, { group: REMOVAL_GROUP }],
    ]);
  });

  it("goes one by one when somebody else's link is in their group, and that one stays", async () => {
    kernel.add(9, { group: REMOVAL_GROUP });
    const all = [1, 2, 3].map((index) => pairs.remove(kernel.add(index)));
    while (kernel.names().length > 1) await pause(1).then(() => kernel.endAll());

    await Promise.all(all);
    expect(kernel.deletions()).toEqual(["delete 1", "delete 2", "delete 3"]);
  });

  it("of a pair that is gone succeeds", async () => {
    const gone = kernel.add(1);
    kernel.unlistAll();

    await expect(pairs.remove(gone)).resolves.toBeUndefined();
  });

  it("fails with the kernel's refusal, and the next one succeeds", async () => {
    kernel.refusal = new TsnetError("host", "the kernel refuses");
    await expect(pairs.remove(kernel.add(1))).rejects.toThrow("the kernel refuses");

    kernel.refusal = undefined;
    await expect(pairs.remove(kernel.add(2))).resolves.toBeUndefined();
    expect([kernel.names(), warnings]).toEqual([["tsv1"], []]);
  });

  it("warns when the kernel does not end a deletion, and goes on", async () => {
    await pairs.remove(kernel.add(1));
    kernel.failAll(new TsnetError("unavailable", "the kernel did not answer within 5000 ms"));
    await pairs.idle();

    expect(warnings).toEqual([{ err: "the kernel did not answer within 5000 ms" }]);
    await expect(pairs.remove(kernel.add(2))).resolves.toBeUndefined();
  });
});

/** Links of a kernel that takes them out of its lists at once, and ends their deletion when it is told to. */
class FakeKernel implements Pick<
  Rtnetlink,
  "findLink" | "setLink" | "deleteLink" | "deleteGroup" | "listLinks" | "close"
> {
  readonly calls: string[] = [];
  readonly changes: (readonly [number, LinkChange])[] = [];
  /** Takes links out of its lists only when it is told to. */
  isSlow = false;
  refusal: TsnetError | undefined;
  readonly #links = new Map<number, Link>();
  #pending: PromiseWithResolvers<void>[] = [];

  /** A port of a bridge. */
  add(index: number, change: Partial<Link> = {}): Link {
    const port: Link = {
      index,
      name: `tsv${index}`,
      kind: "veth",
      alias: `tsnet:endpoint:${index}`,
      group: LINK_GROUP,
      mac: "02:00:00:00:00:01",
      mtu: 1500,
      isUp: true,
      masterIndex: 99,
      bridgePort: {},
      altNames: [],
      ...change,
    };
    this.#links.set(index, port);
    return port;
  }

  names(): readonly string[] {
    return [...this.#links.values()].map(({ name }) => name);
  }

  deletions(): readonly string[] {
    return this.calls.filter((call) => call.startsWith("delete"));
  }

  unlistAll(): void {
    this.#links.clear();
  }

  endAll(): void {
    for (const { resolve } of this.#pending.splice(0)) resolve();
  }

  failAll(failure: TsnetError): void {
    for (const { reject } of this.#pending.splice(0)) reject(failure);
  }

  async findLink(name: string): Promise<Link | undefined> {
    await pause(1);
    return [...this.#links.values()].find((link) => link.name === name);
  }

  async setLink(index: number, change: LinkChange): Promise<void> {
    this.changes.push([index, change]);
    const link = this.#links.get(index);
    if (link !== undefined) this.#links.set(index, { ...link, ...(change as Partial<Link>) });
  }

  async listLinks(): Promise<Link[]> {
    return [...this.#links.values()];
  }

  async deleteLink(index: number): Promise<void> {
    await this.#delete(`delete ${index}`, (link) => link.index === index);
  }

  async deleteGroup(group: number): Promise<void> {
    await this.#delete(`delete group ${group}`, (link) => link.group === group);
  }

  close(): void {
    this.calls.push("close");
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #delete(call: string, isMeant: (link: Link) => boolean): Promise<void> {
    this.calls.push(call);
    if (this.refusal !== undefined) throw this.refusal;
    const meant = [...this.#links.values()].filter(isMeant);
    if (meant.length === 0) return;
    for (const { index } of this.isSlow ? [] : meant) this.#links.delete(index);
    const end = Promise.withResolvers<void>();
    this.#pending.push(end);
    await end.promise;
  }
}
