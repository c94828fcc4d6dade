// Veth pairs that are not needed any more. To delete a link takes the kernel 10 to 20 ms, since it waits until nobody can look at
// it still, and many in one request take hardly longer (net/core/rtnetlink.c, rtnl_group_dellink). So a pair is taken out of
// its switch and set down at once, from when on it carries nothing and belongs to nobody, and is deleted with others a
// moment later. Its link group says so: what a daemon that died left is deleted by the next one.
import { messageOf } from "../errors.ts";
import { isErrno } from "../host/netlink.ts";
import type { Link } from "../host/rtnetlink-link.ts";
import type { Rtnetlink } from "../host/rtnetlink.ts";
import { DISCARDED_GROUP } from "../link-group.ts";
import type { Log } from "../log.ts";
import { readMark } from "./mark.ts";

/** They are deleted when for so long no other one came, but not later than that after the first. */
const QUIET_MS = 200;
const LATEST_MS = 2000;
/** With so many they are deleted at once, */
const MANY = 64;
/** and with so many whoever brings another one waits for that. */
const MOST = 256;
const RETRY_MS = 15_000;

/** The pairs of one host; see the top of this file. */
export class DiscardedPairs {
  readonly #links: Rtnetlink;
  readonly #log: Log;
  #count = 0;
  #firstAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> | undefined;

  constructor(links: Rtnetlink, log: Log) {
    this.#links = links;
    this.#log = log;
  }

  /**
   * Takes a pair out of use. One that its switch does not let go of so, as Open vSwitch's in the kernel, is deleted at once.
   *
   * @param link - the end that is or was a port, with the mark of its endpoint. An absent one is success.
   * @throws TsnetError `host`.
   */
  async discard(link: Link): Promise<void> {
    const isHeld = link.masterIndex !== undefined && link.bridgePort === undefined;
    if (isHeld || !isMarked(link)) return this.#links.deleteLink(link.index);
    try {
      if (link.isUp) await this.#links.setLink(link.index, { isUp: false });
      await this.#links.setLink(link.index, { masterIndex: 0, group: DISCARDED_GROUP });
    } catch (failure) {
      if (isErrno(failure, "ENODEV")) return;
      throw failure;
    }
    this.#count += 1;
    this.#schedule();
    if (this.#count >= MOST) await this.#flushing;
  }

  /** Deletes all there are. A failure is logged, and it is tried again. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while (this.#flushing !== undefined) await this.#flushing;
    this.#flushing = this.#delete().finally(() => (this.#flushing = undefined));
    await this.#flushing;
  }

  /** Deletes all there are, and nothing more later. */
  async close(): Promise<void> {
    await this.flush();
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    const now = performance.now();
    if (this.#timer === undefined) this.#firstAt = now;
    if (this.#count >= MANY && this.#flushing === undefined) return void this.flush();
    this.#wakeIn(Math.min(QUIET_MS, Math.max(0, this.#firstAt + LATEST_MS - now)));
  }

  #wakeIn(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.flush(), delayMs);
  }

  async #delete(): Promise<void> {
    this.#count = 0;
    try {
      const found = (await this.#links.listLinks()).filter(({ group }) => group === DISCARDED_GROUP);
      const ours = found.filter((link) => link.kind === "veth" && isMarked(link));
      if (ours.length === 0) return;
      // Somebody else's may be in the group by chance: then ours go one by one.
      if (ours.length === found.length) return await this.#links.deleteGroup(DISCARDED_GROUP);
      for (const { index } of ours) await this.#links.deleteLink(index);
    } catch (failure) {
      this.#log.warn({ err: messageOf(failure) }, "links out of use could not be deleted, will be tried again");
      this.#wakeIn(RETRY_MS);
    }
  }
}

function isMarked(link: Link): boolean {
  return readMark("endpoint", link) !== undefined;
}
