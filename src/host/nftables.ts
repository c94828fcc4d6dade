// nf_tables by nfnetlink: the elements of sets and maps, as `nft add element` changes them but without a process, and the
// tables as such, which can belong to this socket. Chains, sets and rules are made with `nft-tool.ts`. The messages about
// elements are in `nftables-elements.ts`, the queue and the errors in `netlink-socket.ts`.
import { TsnetError } from "../errors.ts";
import { isErrno, textAttribute, u32NetAttribute } from "./netlink.ts";
import { type Doing, NETLINK_NETFILTER, NetlinkSocket } from "./netlink-socket.ts";
import { type BatchRequest, NFNL_SUBSYS, NFPROTO, nfHeader, nfMessageType } from "./nfnetlink.ts";
import {
  type SetAddress,
  type SetElement,
  type TableFamily,
  areDistinct,
  elementLists,
  parseElements,
  parseGeneration,
  setParts,
  sortedKeys,
} from "./nftables-elements.ts";

export type { SetElement } from "./nftables-elements.ts";

/** Message types (include/uapi/linux/netfilter/nf_tables.h, NFT_MSG_*). */
const NFT_MSG = {
  NEWTABLE: nfMessageType(NFNL_SUBSYS.NFTABLES, 0),
  DELTABLE: nfMessageType(NFNL_SUBSYS.NFTABLES, 2),
  NEWSETELEM: nfMessageType(NFNL_SUBSYS.NFTABLES, 12),
  GETSETELEM: nfMessageType(NFNL_SUBSYS.NFTABLES, 13),
  DELSETELEM: nfMessageType(NFNL_SUBSYS.NFTABLES, 14),
  GETGEN: nfMessageType(NFNL_SUBSYS.NFTABLES, 16),
} as const;

const NFTA_TABLE = { NAME: 1, FLAGS: 2 } as const;

/** OWNER: only the socket that asks may change the table. PERSIST: it stays when its owner goes, and belongs to nobody. */
const NFT_TABLE_F = { OWNER: 0x2, PERSIST: 0x4 } as const;

/** So many changes in a row, each while one set is listed, happen on no real host. */
const LIST_ATTEMPTS = 50;

/** Which table. */
export interface TableAddress {
  readonly family: TableFamily;
  readonly table: string;
}

/** What shall leave one set or map, and then what shall come into it. */
export interface SetChange extends SetAddress {
  /** Each must be there; its data are not looked at. */
  readonly remove: readonly SetElement[];
  /** May be there already, but then a map's data must be the same: to replace them, also remove the element. */
  readonly add: readonly SetElement[];
}

/** The sets and maps of the network namespace in which it was opened. */
export class Nftables implements Disposable {
  #socket: NetlinkSocket;

  private constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /** @throws TsnetError `host`. */
  static open(): Nftables {
    return new Nftables(NetlinkSocket.open(NETLINK_NETFILTER));
  }

  /** By this number notifications of its own changes are known: `nlmsg_pid`. */
  get port(): number {
    return this.#socket.port;
  }

  /** Refuses further calls; those under way still end. */
  close(): void {
    void this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Makes empty tables where they are absent, and becomes their owner until `release`, or until this process ends. Others
   * can then neither change nor flush nor delete them (`nft flush ruleset` leaves them out); all can read them. Without an
   * owner they stay, and belong to nobody. A second call changes nothing.
   *
   * @returns false, and nothing is changed, where that cannot be: before Linux 6.9, and for a table that was made without
   * this property.
   * @throws TsnetError `host`, and nothing is changed: EPERM for a table that another socket owns (`isErrno`).
   */
  async own(tables: readonly TableAddress[]): Promise<boolean> {
    const flags = u32NetAttribute(NFTA_TABLE.FLAGS, NFT_TABLE_F.OWNER | NFT_TABLE_F.PERSIST);
    const requests = tables.map((table) => requestForTable("own", NFT_MSG.NEWTABLE, table, flags));
    try {
      await this.#socket.transaction("own tables", NFNL_SUBSYS.NFTABLES, requests);
      return true;
    } catch (failure) {
      if (!isErrno(failure, "EOPNOTSUPP", "ENOTSUP", "EINVAL")) throw failure; // EINVAL: before 5.12
      return false;
    }
  }

  /** Owns no table any more. The port is another one afterwards. @throws TsnetError `host`. */
  async release(): Promise<void> {
    const next = NetlinkSocket.open(NETLINK_NETFILTER);
    await this.#socket.close();
    this.#socket = next;
  }

  /** Deletes a table with all that is in it. @throws TsnetError `host`: ENOENT for an absent one, EPERM for another's. */
  async deleteTable(table: TableAddress): Promise<void> {
    const request = requestForTable("delete", NFT_MSG.DELTABLE, table);
    await this.#socket.transaction("delete a table", NFNL_SUBSYS.NFTABLES, [request]);
  }

  /**
   * Makes all changes, in their order, in one transaction: all of them or none. No changes are a success.
   *
   * @throws TsnetError `host`, and nothing is changed (`isErrno`): ENOENT for an element to remove, a set or a table that
   * is absent, EEXIST for a key that a map has with other data or an interval that overlaps another, EINVAL for a wrong
   * length. `unavailable` after 5 s: then the change may still be made.
   */
  async apply(doing: Doing, changes: readonly SetChange[]): Promise<void> {
    const requests = changes.flatMap((change) => [
      ...requestsFor("remove from", NFT_MSG.DELSETELEM, change, change.remove),
      ...requestsFor("add to", NFT_MSG.NEWSETELEM, change, change.add),
    ]);
    if (requests.length > 0) await this.#socket.transaction(doing, NFNL_SUBSYS.NFTABLES, requests);
  }

  /**
   * All elements of one set or map as they were at one moment, ordered by nothing in particular. The kernel's listing does
   * not promise that much: it flags a change only between its messages, and it finds the place to go on by counting, so
   * that elements come twice and others not at all when a hash table is rebuilt. Such a listing is repeated. One that took
   * several messages must come out the same twice: a large transaction that is refused in the end rebuilds tables unseen.
   *
   * @throws TsnetError `host`, ENOENT if there is no such set. `unavailable` if nftables does not stand still.
   */
  async listSet(family: TableFamily, table: string, set: string): Promise<SetElement[]> {
    const doing = `list set ${family} ${table} ${set}`;
    const request = { type: NFT_MSG.GETSETELEM, parts: setParts({ family, table, set }) };
    let earlier: string | undefined;
    for (let attempt = 0; attempt < LIST_ATTEMPTS; attempt++) {
      const before = await this.#generation(doing);
      const messages = await this.#socket.dump(doing, request);
      const elements = messages.flatMap(({ payload }) => parseElements(payload));
      if (!areDistinct(elements) || (await this.#generation(doing)) !== before) continue;
      const keys = sortedKeys(elements);
      if (messages.length <= 1 || keys === earlier) return elements;
      earlier = keys;
    }
    throw new TsnetError("unavailable", `${doing}: changes interrupted the listing ${LIST_ATTEMPTS} times`);
  }

  /** A number that every change of nftables in this namespace changes. */
  async #generation(doing: string): Promise<number | undefined> {
    const [message] = await this.#socket.request(doing, { type: NFT_MSG.GETGEN, parts: [nfHeader(0)] });
    return message && parseGeneration(message.payload);
  }
}

function requestsFor(
  doing: string,
  type: number,
  { family, table, set }: SetAddress,
  elements: readonly SetElement[],
): BatchRequest[] {
  return elementLists(elements).map((list) => ({
    doing: `${doing} ${family} ${table} ${set}`,
    type,
    parts: [...setParts({ family, table, set }), list],
  }));
}

function requestForTable(what: string, type: number, { family, table }: TableAddress, ...more: Buffer[]): BatchRequest {
  const parts = [nfHeader(NFPROTO[family]), textAttribute(NFTA_TABLE.NAME, table), ...more];
  return { doing: `${what} table ${family} ${table}`, type, parts };
}
