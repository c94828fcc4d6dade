// Where a bridge speaks OpenFlow with tsnet. Open vSwitch keeps a socket for each bridge beside that of its database. Whoever
// comes to the database over TCP does not see it: for him the bridge listens on the loopback device, on a port that stands in a
// row of ours, beside the controllers that a user's bridge may have.
// Source: ovs-vswitchd.conf.db(5), table Controller; ovs-vswitchd(8), the socket BRIDGE.mgmt.
import { createServer } from "node:net";
import { dirname } from "node:path";
import { TsnetError } from "../../errors.ts";
import { insert, mutate, select } from "../../host/ovsdb-operations.ts";
import type { Ovsdb } from "../../host/ovsdb.ts";

const LOOPBACK = "127.0.0.1";
const MARK = { "tsnet-network": "flows" } as const;
const TARGET = /^ptcp:(\d+):127\.0\.0\.1$/;

/** Finds, and where there is none makes, the addresses of bridges. */
export class Management {
  readonly #ovsdb: Ovsdb;
  readonly #address: string;

  /** @param address - of the database: `unix:PATH` or `tcp:HOST:PORT`. */
  constructor(ovsdb: Ovsdb, address: string) {
    this.#ovsdb = ovsdb;
    this.#address = address;
  }

  /** @throws TsnetError as `Ovsdb.apply`; `host` if there is no such bridge. */
  async addressOf(bridgeName: string): Promise<string> {
    const path = /^unix:(.*)$/.exec(this.#address)?.[1];
    if (path !== undefined) return `unix:${dirname(path)}/${bridgeName}.mgmt`;
    return `tcp:${LOOPBACK}:${(await this.#findPort(bridgeName)) ?? (await this.#listen(bridgeName))}`;
  }

  /** Takes our row from a bridge. Absent is no failure. */
  async release(bridgeName: string): Promise<void> {
    if (this.#address.startsWith("unix:")) return;
    const doing = `look up where bridge ${bridgeName} speaks OpenFlow`;
    const [rows] = await this.#ovsdb.transact(doing, [
      select("Controller", [["external_ids", "includes", MARK]], ["_uuid"]),
    ]);
    const ids = rows.map(({ _uuid }) => _uuid);
    const own = mutate("Bridge", [["name", "==", bridgeName]], [["controller", "delete", ids]]);
    await this.#ovsdb.transact(`let bridge ${bridgeName} stop listening`, [own]);
  }

  async #findPort(bridgeName: string): Promise<string | undefined> {
    const doing = `look up where bridge ${bridgeName} speaks OpenFlow`;
    const [bridges, controllers] = await this.#ovsdb.transact(doing, [
      select("Bridge", [["name", "==", bridgeName]], ["controller"]),
      select("Controller", [["external_ids", "includes", MARK]], ["_uuid", "target"]),
    ]);
    if (bridges[0] === undefined) throw new TsnetError("host", `there is no bridge ${bridgeName}`);
    const own = controllers.find(({ _uuid }) => bridges[0]?.controller.includes(_uuid));
    return own && TARGET.exec(own.target)?.[1];
  }

  async #listen(bridgeName: string): Promise<string> {
    const port = await freePort();
    const row = {
      target: `ptcp:${port}:${LOOPBACK}`,
      connection_mode: "out-of-band",
      external_ids: MARK,
    } as const;
    await this.#ovsdb.apply(`let bridge ${bridgeName} speak OpenFlow`, [
      insert("Controller", row, "@controller"),
      mutate("Bridge", [["name", "==", bridgeName]], [["controller", "insert", ["@controller"]]]),
    ]);
    return String(port);
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.once("error", reject);
  server.listen(0, LOOPBACK, () => {
    const address = server.address();
    server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
  });
  return promise;
}
