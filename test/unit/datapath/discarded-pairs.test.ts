import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { DiscardedPairs } from "../../../src/datapath/discarded-pairs.ts";
import { TsnetError } from "../../../src/errors.ts";
import type { Link, LinkChange } from "../../../src/host/rtnetlink-link.ts";
import type { Rtnetlink } from "../../../src/host/rtnetlink.ts";
import { DISCARDED_GROUP, LINK_GROUP } from "../../../src/link-group.ts";
import type { Log } from "../../../src/log.ts";

describe("discarded pairs", () => {
  let host: FakeLinks;
  let warnings: unknown[];
  let pairs: DiscardedPairs;

  beforeEach(() => {
    vi.useFakeTimers();
    host = new FakeLinks();
    warnings = [];
    const log = { warn: (fields: unknown) => void warnings.push(fields) } as Pick<Log, "warn"> as Log;
    pairs = new DiscardedPairs(host as Partial<Rtnetlink> as Rtnetlink, log);
  });
  afterEach(() => void vi.useRealTimers());

  it("are set down, then taken out of their switch and marked, and nothing waits for their deletion", async () => {
    await pairs.discard(host.addPort(1));

    expect(host.calls).toEqual(["1 isUp=false", `1 masterIndex=0 group=${DISCARDED_GROUP}`]);
  });

  it("are deleted together, 0.2 s after the last one came", async () => {
    for (const index of [1, 2, 3]) await pairs.discard(host.addPort(index));
    host.calls.length = 0;

    await vi.advanceTimersByTimeAsync(199);
    expect(host.calls).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);

    expect(host.calls).toEqual([`delete group ${DISCARDED_GROUP}`]);
  });

  it("are deleted 2 s after the first one came, though more keep coming", async () => {
    for (let index = 1; index <= 25; index++) {
      await pairs.discard(host.addPort(index));
      await vi.advanceTimersByTimeAsync(100);
    }

    expect(host.deletions()).toEqual([`delete group ${DISCARDED_GROUP}`]);
  });

  it("are deleted at once when there are 64", async () => {
    for (let index = 1; index <= 64; index++) await pairs.discard(host.addPort(index));
    await vi.advanceTimersByTimeAsync(0);

    expect(host.deletions()).toEqual([`delete group ${DISCARDED_GROUP}`]);
  });

  it("are deleted one by one when somebody else's link is in their group, and that one stays", async () => {
    host.add({ ...host.addPort(9), alias: "somebody's", group: DISCARDED_GROUP });
    for (const index of [1, 2]) await pairs.discard(host.addPort(index));

    await pairs.flush();

    expect(host.deletions()).toEqual(["delete 1", "delete 2"]);
  });

  it("of a former life are deleted by flush", async () => {
    host.add({ ...host.addPort(1), group: DISCARDED_GROUP });

    await pairs.flush();

    expect(host.deletions()).toEqual([`delete group ${DISCARDED_GROUP}`]);
  });

  it("are tried again after 15 s when the kernel refuses, with a warning", async () => {
    host.refusal = new TsnetError("host", "the kernel refuses");
    await pairs.discard(host.addPort(1));
    await pairs.flush();
    expect(warnings).toEqual([{ err: "the kernel refuses" }]);

    host.refusal = undefined;
    await vi.advanceTimersByTimeAsync(15_000);

    expect(host.deletions()).toEqual([`delete group ${DISCARDED_GROUP}`, `delete group ${DISCARDED_GROUP}`]);
  });

  it("are deleted before close ends, and nothing comes after", async () => {
    await pairs.discard(host.addPort(1));

    await pairs.close();
    await vi.advanceTimersByTimeAsync(60_000);

    expect(host.deletions()).toEqual([`delete group ${DISCARDED_GROUP}`]);
  });

  it.each([
    ["without a mark", { alias: "" }],
    ["that is in a switch that lets go of it only with the link", { bridgePort: undefined }],
  ])("are none: a link %s is deleted at once", async (_what, change) => {
    const { bridgePort, ...port } = host.addPort(1);
    await pairs.discard({ ...port, ...("bridgePort" in change ? {} : { bridgePort }), ...change } as Link);

    expect(host.calls).toEqual(["delete 1"]);
  });
});

/** Links of a host that notes what is done to them. */
class FakeLinks implements Pick<Rtnetlink, "setLink" | "deleteLink" | "deleteGroup" | "listLinks"> {
  readonly calls: string[] = [];
  refusal: TsnetError | undefined;
  readonly #links = new Map<number, Link>();

  add(link: Link): Link {
    this.#links.set(link.index, link);
    return link;
  }

  /** A port of a bridge, up. */
  addPort(index: number): Link {
    return this.add({
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
    });
  }

  deletions(): readonly string[] {
    return this.calls.filter((call) => call.startsWith("delete"));
  }

  async setLink(index: number, change: LinkChange): Promise<void> {
    this.calls.push([index, ...Object.entries(change).map(([name, value]) => `${name}=${String(value)}`)].join(" "));
    const link = this.#links.get(index);
    if (link !== undefined) this.#links.set(index, { ...link, ...(change as Partial<Link>) });
  }

  async deleteLink(index: number): Promise<void> {
    this.calls.push(`delete ${index}`);
    this.#links.delete(index);
  }

  async deleteGroup(group: number): Promise<void> {
    this.calls.push(`delete group ${group}`);
    if (this.refusal !== undefined) throw this.refusal;
    for (const link of this.#links.values()) if (link.group === group) this.#links.delete(link.index);
  }

  async listLinks(): Promise<Link[]> {
    return [...this.#links.values()];
  }
}
