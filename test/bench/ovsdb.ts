// A port with tag and marks is added and removed, by our client in one transaction and by an `ovs-vsctl` process, on the
// same bridge, both waiting for ovs-vswitchd.
import { execa } from "execa";
import { Ovsdb } from "../../src/host/ovsdb.ts";
import { expectNamed, insert, mutate } from "../../src/host/ovsdb-operations.ts";
import type { RowId } from "../../src/host/ovsdb-values.ts";
import { OvsHost } from "../support/ovs-host.ts";
import { type Measured, inTurn, pair, timed } from "./measure.ts";

const ROUNDS = 100;
const MARKS = { "tsnet-network": "n".repeat(64), "tsnet-endpoint": "e".repeat(64) };
const BRIDGE = [["name", "==", "br0"]] as const;

/** In a namespace with an Open vSwitch of its own. */
export async function addAndRemovePorts(): Promise<Measured> {
  await using host = await OvsHost.running();
  using ovsdb = new Ovsdb(host.address);
  const vsctl = (...args: readonly string[]) => execa("ovs-vsctl", [`--db=${host.address}`, ...args]);
  const times = { add: { tsnet: [], "ovs-vsctl": [] }, remove: { tsnet: [], "ovs-vsctl": [] } } as Times;
  for (let round = 0; round < ROUNDS; round++) {
    const [own, foreign] = [`tsc${round}`, `tsx${round}`];
    for (const name of [own, foreign]) {
      await host.ns.exec(["ip", "link", "add", name, "type", "veth", "peer", "name", `${name}p`]);
    }
    const byClient = async () => {
      let port: RowId | undefined;
      times.add.tsnet.push(await timed(async () => void (port = await add(ovsdb, own))));
      times.remove.tsnet.push(await timed(() => ovsdb.apply("remove", removal(port))));
    };
    const byProcess = async () => {
      const marks = Object.entries(MARKS).map(([key, value]) => `external_ids:${key}=${value}`);
      const set = ["--", "set", "port", foreign, ...marks, "--", "set", "interface", foreign, ...marks];
      times.add["ovs-vsctl"].push(await timed(() => vsctl("add-port", "br0", foreign, "tag=10", ...set)));
      times.remove["ovs-vsctl"].push(await timed(() => vsctl("del-port", "br0", foreign)));
    };
    for (const side of inTurn(round, [byClient, byProcess])) await side();
    for (const name of [own, foreign]) await host.ns.exec(["ip", "link", "del", name]);
  }
  return { pairs: Object.entries(times).map(([what, each]) => pair(`OVS port ${what}`, each)) };
}

type Times = Record<"add" | "remove", Record<"tsnet" | "ovs-vsctl", number[]>>;

/** Interface and port with tag and marks, and what became of it: all that an endpoint needs. */
async function add(ovsdb: Ovsdb, name: string): Promise<RowId> {
  const [, , port] = await ovsdb.apply("add", [
    expectNamed("Bridge", "br0"),
    insert("Interface", { name, external_ids: MARKS }, "@interface"),
    insert("Port", { name, tag: 10, interfaces: ["@interface"], external_ids: MARKS }, "@port"),
    mutate("Bridge", BRIDGE, [["ports", "insert", ["@port"]]]),
  ]);
  await ovsdb.requireInterfaces("add", [name]);
  return port;
}

function removal(port: RowId | undefined) {
  return port === undefined ? [] : [mutate("Bridge", BRIDGE, [["ports", "delete", [port]]])];
}
