// What nobody can do without for an endpoint on a Linux bridge: the operations on links in one message to the kernel, and
// records that are on disk. Both without a thread, a promise or a look at what was there before.
import { closeSync, fdatasyncSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { closeSocket, receiveNow, sendNow } from "../../src/host/libc.ts";
import { NLM_F, encodeMessage, parseAck, parseMessages } from "../../src/host/netlink.ts";
import { NETLINK_ROUTE, openNetlink } from "../../src/host/netlink-socket.ts";
import { fdbEntryParts } from "../../src/host/rtnetlink-fdb.ts";
import { changeParts, vethParts } from "../../src/host/rtnetlink-link.ts";
import { addressGenerationParts } from "../../src/host/rtnetlink-link-settings.ts";
import { RTM } from "../../src/host/rtnetlink-requests.ts";
import { newId } from "../support/engine-double.ts";
import { NetNamespace } from "../support/namespace.ts";

const GROUP = 4711;
const MTU = 1500;
/** Numbers of links that the kernel has not come to. */
const FIRST_INDEX = 100_000;
/** As long as that of an endpoint. */
const RECORD = JSON.stringify({ text: "r".repeat(500) });
const PAGE = Buffer.alloc(4096, "page");

/** What tsnet sets of a port whose endpoint may use its own addresses only. */
const PORT = {
  isIsolated: false,
  isLearning: false,
  isFlooding: false,
  isLocked: true,
  isRouterAllowed: false,
  passesReserved: true,
} as const;

/** Links in a namespace of their own, so that no daemon notices them. */
export class LinkFloor implements AsyncDisposable {
  readonly #namespace: NetNamespace;
  readonly #socket: number;
  readonly #bridge: number;
  readonly #buffer = Buffer.alloc(65_536);
  #count = 0;

  private constructor(namespace: NetNamespace, socket: number, bridge: number) {
    [this.#namespace, this.#socket, this.#bridge] = [namespace, socket, bridge];
  }

  static async up(): Promise<LinkFloor> {
    const namespace = await NetNamespace.create("floor");
    try {
      await namespace.exec(["ip", "link", "add", "floor0", "up", "type", "bridge"]);
      const [bridge] = await namespace.json<{ ifindex: number }[]>(["ip", "-json", "link", "show", "floor0"]);
      const socket = namespace.enter(() => openNetlink(NETLINK_ROUTE));
      return new LinkFloor(namespace, socket, bridge?.ifindex ?? 0);
    } catch (failure) {
      await namespace[Symbol.asyncDispose]();
      throw failure;
    }
  }

  /** A veth pair into the bridge, its entry in the forwarding table, its settings, its mark, and up. @returns milliseconds. */
  add(): number {
    const batch = this.#batch();
    const start = performance.now();
    sendNow(this.#socket, batch);
    const length = receiveNow(this.#socket, this.#buffer) ?? 0;
    const ms = performance.now() - start;
    const refused = parseMessages(this.#buffer.subarray(0, length)).map(parseAck);
    if (refused.length !== 1 || refused[0]?.errno !== 0) throw new Error(`refused: ${JSON.stringify(refused)}`);
    return ms;
  }

  /** Deletes what was added, with one grace period for all of it. */
  async clear(): Promise<void> {
    await this.#namespace.exec(["ip", "link", "delete", "group", String(GROUP)]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    closeSocket(this.#socket);
    await this.#namespace[Symbol.asyncDispose]();
  }

  #batch(): Buffer {
    this.#count += 1;
    const index = FIRST_INDEX + this.#count;
    const mac = `02:00:00:00:${hex(this.#count >> 8)}:${hex(this.#count & 0xff)}`;
    const peer = { name: `peer${this.#count}`, mac };
    const pair = { name: `port${this.#count}`, mtu: MTU, group: GROUP, masterIndex: this.#bridge, isUp: false, peer };
    const make = vethParts(pair);
    make[0]?.writeInt32LE(index, 4); // the rest of the batch must know it
    const settings = { bridgePort: PORT, alias: `tsnet:endpoint:${newId()}`, isUp: true };
    const create = NLM_F.REQUEST | NLM_F.CREATE;
    return Buffer.concat([
      encodeMessage(RTM.NEWLINK, create | NLM_F.EXCL, 1, make),
      encodeMessage(RTM.NEWNEIGH, create | NLM_F.REPLACE, 2, fdbEntryParts(index, mac)),
      encodeMessage(RTM.NEWLINK, NLM_F.REQUEST, 3, addressGenerationParts(index, "none")),
      encodeMessage(RTM.NEWLINK, NLM_F.REQUEST | NLM_F.ACK, 4, changeParts(index, settings)),
    ]);
  }
}

/** Durable writes in a folder: of one row by SQLite as tsnet has it set, and of one page by the kernel. */
export class WriteFloor implements Disposable {
  readonly #database: DatabaseSync;
  readonly #put: StatementSync;
  readonly #file: number;

  constructor(folder: string) {
    this.#database = new DatabaseSync(join(folder, "floor.db"));
    this.#database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
    this.#database.exec("CREATE TABLE records (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID");
    this.#put = this.#database.prepare("INSERT OR REPLACE INTO records (id, body) VALUES (?, ?)");
    this.#file = openSync(join(folder, "floor.bin"), "a");
  }

  /** @returns milliseconds. */
  commit(): number {
    const id = newId().slice(0, 2); // rows are replaced: the file keeps its size
    const start = performance.now();
    this.#database.exec("BEGIN IMMEDIATE");
    this.#put.run(id, RECORD);
    this.#database.exec("COMMIT");
    return performance.now() - start;
  }

  /** @returns milliseconds. */
  sync(): number {
    const start = performance.now();
    writeSync(this.#file, PAGE);
    fdatasyncSync(this.#file);
    return performance.now() - start;
  }

  [Symbol.dispose](): void {
    this.#database.close();
    closeSync(this.#file);
  }
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}
