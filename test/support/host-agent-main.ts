// Runs inside a namespace: the parts of tsnet that touch the host, called over standard input and output, one JSON object
// a line. Node.js reads files and starts processes on threads that do not follow setns(2), so a process is needed.
import { createInterface } from "node:readline";
import { BridgeDatapath } from "../../src/datapath/bridge/datapath.ts";
import { OvsDatapath } from "../../src/datapath/ovs/datapath.ts";
import { PairRemoval } from "../../src/datapath/pair-removal.ts";
import { MovedUplinks } from "../../src/datapath/uplink/moved-uplinks.ts";
import { TsnetError, messageOf } from "../../src/errors.ts";
import { readBootId } from "../../src/host/boot-id.ts";
import { Conntrack } from "../../src/host/conntrack.ts";
import { L3Config } from "../../src/host/l3-config.ts";
import { NftTool } from "../../src/host/nft-tool.ts";
import { Nftables } from "../../src/host/nftables.ts";
import { Rtnetlink } from "../../src/host/rtnetlink.ts";
import { Sysctl } from "../../src/host/sysctl.ts";
import { NftablesFirewall } from "../../src/nat/nftables.ts";
import { HostPorts } from "../../src/nat/port-holder.ts";
import { SqliteStore } from "../../src/state/sqlite-store.ts";
import { UplinkStore } from "../../src/state/uplink-store.ts";
import { MemoryStore } from "./memory-store.ts";

/** What a caller sends. */
interface Request {
  readonly id: number;
  readonly part: "datapath" | "firewall" | "ports" | "refused" | "logged";
  readonly method: string;
  readonly args: readonly unknown[];
}

const logged: object[] = [];
const refused: string[] = [];
const note = (level: string) => (fields: object, message: string) => void logged.push({ level, message, ...fields });
const log = { debug: note("debug"), info: note("info"), warn: note("warn"), error: note("error") };
const links = Rtnetlink.open();
const sysctl = new Sysctl();
const elements = Nftables.open();
if (process.argv.includes("--old-kernel")) elements.own = () => Promise.resolve(false); // as before Linux 6.9
const ovsdb = process.argv.find((arg) => arg.startsWith("--ovsdb="))?.slice("--ovsdb=".length);
const state = process.argv.find((arg) => arg.startsWith("--state="))?.slice("--state=".length);
const uplinks = new UplinkStore(state === undefined ? new MemoryStore() : SqliteStore.open(state), await readBootId());
const moved = new MovedUplinks({ links, sysctl, l3: L3Config.open() }, uplinks, log);
const pairs = new PairRemoval(links, () => Rtnetlink.open(), log);
const host = { links, sysctl, pairs, moved };
const parts = {
  datapath: ovsdb === undefined ? new BridgeDatapath(host) : new OvsDatapath(host, { ovsdb }),
  firewall: new NftablesFirewall({
    nft: new NftTool(),
    elements,
    conntrack: Conntrack.open(),
    sysctl,
    links,
    log,
  }),
  ports: new HostPorts({ isRefused: (address) => refused.some((start) => address.startsWith(start)), log }),
  refused: { add: async (start: string) => void refused.push(start) },
  logged: { all: async () => logged },
};

async function answer({ id, part, method, args }: Request): Promise<void> {
  const call = Reflect.get(parts[part], method) as (...args: readonly unknown[]) => unknown; // the test's word
  const carryOut = async () => await call.apply(parts[part], args.map(revived));
  const reply = await carryOut().then(
    (result) => ({ id, result }),
    (failure: unknown) => {
      return { id, code: failure instanceof TsnetError ? failure.code : "internal", message: messageOf(failure) };
    },
  );
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}

/** A set goes over the line as an object with its elements. */
function revived(arg: unknown): unknown {
  return typeof arg === "object" && arg !== null && "isSet" in arg ? new Set(Reflect.get(arg, "elements")) : arg;
}

createInterface({ input: process.stdin }).on("line", (line) => void answer(JSON.parse(line) as Request));
process.stdout.write(`${JSON.stringify({ id: 0 })}\n`);
