// Deletes veth pairs. The kernel takes a link out of its lists at once, from when on it carries nothing, its name is free and no
// container has it; then it waits, 10 to 20 ms, until nobody can look at it still (net/core/dev.c, netdev_run_todo). Nobody else waits
// for that here: a deletion has a socket of its own. Many in one request take hardly longer than one (net/core/rtnetlink.c,
// rtnl_group_dellink), so those that come while others are being taken out go together.
import { messageOf } from "../errors.ts";
import { isErrno } from "../host/netlink.ts";
import type { Link } from "../host/rtnetlink-link.ts";
import type { Rtnetlink } from "../host/rtnetlink.ts";
import { REMOVAL_GROUP } from "../link-group.ts";
import type { Log } from "../log.ts";

/** Each takes a thread, and some kernels wait for ever for a link that somebody still holds. */
const DELETIONS_AT_ONCE = 2;

interface Waiting {
  readonly link: Link;
  readonly resolve: () => void;
  readonly reject: (failure: unknown) => void;
}

/** The deletions of one host; see the top of this file. */
export class PairRemoval {
  readonly #links: Rtnetlink;
  readonly #open: () => Rtnetlink;
  readonly #log: Log;
  readonly #underWay = new Set<Promise<void>>();
  #waiting: Waiting[] = [];
  #isTaking = false;

  /** @param open - opens a socket in the namespace of `links`. */
  constructor(links: Rtnetlink, open: () => Rtnetlink, log: Log) {
    [this.#links, this.#open, this.#log] = [links, open, log];
  }

  /**
   * Deletes a pair.
   *
   * @param link - one end. That it is absent is success.
   * @returns when no list of the kernel has it any more.
   * @throws TsnetError `host`.
   */
  async remove(link: Link): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push({ link, resolve, reject });
    void this.#takeAll();
    return promise;
  }

  /** @returns when the kernel has ended all deletions that were begun. */
  async idle(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  async #takeAll(): Promise<void> {
    if (this.#isTaking) return;
    this.#isTaking = true;
    while (this.#waiting.length > 0) {
      if (this.#underWay.size >= DELETIONS_AT_ONCE) await Promise.race(this.#underWay);
      await this.#take(this.#waiting.splice(0));
    }
    this.#isTaking = false;
  }

  async #take(batch: readonly Waiting[]): Promise<void> {
    const links = batch.map(({ link }) => link);
    let isUnlisted = false;
    try {
      const isTogether = links.length > 1 && (await this.#group(links));
      const deletion = this.#delete(links, isTogether);
      const end = deletion.then(
        () => void this.#underWay.delete(end),
        (failure: unknown) => {
          this.#underWay.delete(end);
          if (isUnlisted) this.#log.warn({ err: messageOf(failure) }, "the kernel does not end the deletion of links");
        },
      );
      this.#underWay.add(end);
      await Promise.race([deletion, this.#untilUnlisted(links, end)]);
      isUnlisted = true;
      batch.forEach(({ resolve }) => resolve());
    } catch (failure) {
      batch.forEach(({ reject }) => reject(failure));
    }
  }

  /**
   * Puts links into the group of those to delete. First they are set down: the rules know tsnet's links by their group, and
   * would take what still came by one in another group for a stranger's, past all guards.
   *
   * @returns whether nobody else's are in the group.
   */
  async #group(links: readonly Link[]): Promise<boolean> {
    for (const { index } of links) {
      try {
        await this.#links.setLink(index, { isUp: false });
        await this.#links.setLink(index, { group: REMOVAL_GROUP });
      } catch (failure) {
        if (!isErrno(failure, "ENODEV")) throw failure;
      }
    }
    const ours = new Set(links.map(({ index }) => index));
    const grouped = (await this.#links.listLinks()).filter(({ group }) => group === REMOVAL_GROUP);
    return grouped.every(({ index }) => ours.has(index));
  }

  async #delete(links: readonly Link[], isTogether: boolean): Promise<void> {
    using socket = this.#open();
    if (isTogether) return await socket.deleteGroup(REMOVAL_GROUP);
    for (const { index } of links) await socket.deleteLink(index);
  }

  /** The kernel takes out all of a group in one step. @param end - ends the waiting, too. */
  async #untilUnlisted(links: readonly Link[], end: Promise<void>): Promise<void> {
    const last = links.at(-1);
    const isUnlisted = async () => last === undefined || (await this.#links.findLink(last.name))?.index !== last.index;
    const isOver = end.then(() => true);
    while (!(await Promise.race([isOver, isUnlisted()])));
  }
}
