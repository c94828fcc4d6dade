// `node test/bench/ovsdb.ts`: a port with tag and marks is added and removed, by the client in one transaction and by an
// `ovs-vsctl` process, in turn on the same bridge, both waiting for ovs-vswitchd. Only the ratios mean anything elsewhere.
import { execFile } from "node:child_process";
import { performance } from "node:perf_hooks";
import { promisify } from "node:util";
import { Ovsdb } from "../../src/host/ovsdb.ts";
import { expectNamed, insert, mutate } from "../../src/host/ovsdb-operations.ts";
import type { RowId } from "../../src/host/ovsdb-values.ts";
import { OvsHost } from "../support/ovs-host.ts";
import { ensurePackages } from "../support/packages.ts";

const ROUNDS = 100;
const MARKS = { "tsnet-network": "n".repeat(64), "tsnet-endpoint": "e".repeat(64) };
const BRIDGE = [["name", "==", "br0"]] as const;
const execute = promisify(execFile);

await ensurePackages(["iproute2", "openvswitch-switch"]);
await using host = await OvsHost.running();
using ovsdb = new Ovsdb(host.address);
const vsctl = (...args: readonly string[]) => execute("ovs-vsctl", [`--db=${host.address}`, ...args]);

const times = { add: { client: [], vsctl: [] }, remove: { client: [], vsctl: [] } } as Times;
for (let round = 0; round < ROUNDS; round++) {
  const [own, foreign] = [`tsc${round}`, `tsx${round}`];
  for (const name of [own, foreign]) {
    await host.ns.exec(["ip", "link", "add", name, "type", "veth", "peer", "name", `${name}p`]);
  }
  let port: RowId | undefined;
  const sides = {
    client: async () => {
      times.add.client.push(await timed(async () => void (port = await add(own))));
      times.remove.client.push(await timed(() => ovsdb.apply("remove", removal(port))));
    },
    vsctl: async () => {
      const marks = Object.entries(MARKS).map(([key, value]) => `external_ids:${key}=${value}`);
      const set = ["--", "set", "port", foreign, ...marks, "--", "set", "interface", foreign, ...marks];
      times.add.vsctl.push(await timed(() => vsctl("add-port", "br0", foreign, "tag=10", ...set)));
      times.remove.vsctl.push(await timed(() => vsctl("del-port", "br0", foreign)));
    },
  };
  for (const side of round % 2 === 0 ? (["client", "vsctl"] as const) : (["vsctl", "client"] as const)) {
    await sides[side]();
  }
  for (const name of [own, foreign]) await host.ns.exec(["ip", "link", "del", name]);
}

for (const [what, { client, vsctl: process }] of Object.entries(times)) {
  const shown = (values: number[]) => `${at(values, 0.5).toFixed(2)} ms (p95 ${at(values, 0.95).toFixed(2)})`;
  const ratio = at(client, 0.5) / at(process, 0.5);
  console.log(`${what.padEnd(7)} client ${shown(client)}, ovs-vsctl ${shown(process)}, ratio ${ratio.toFixed(2)}`);
}

type Times = Record<"add" | "remove", Record<"client" | "vsctl", number[]>>;

/** Interface and port with tag and marks, and what became of it: all that an endpoint needs. */
async function add(name: string): Promise<RowId> {
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

async function timed(act: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await act();
  return performance.now() - began;
}

function at(values: readonly number[], quantile: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(quantile * values.length)] ?? Number.NaN;
}
