// The steps at which `kill-points.ts` kills are all there are: what the kernel saw leaving the process (strace(1)) is
// compared with what the recorder noted, for the whole life of a network and a container.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { ServeHost } from "../../support/serve-host.ts";
import { Steps } from "../../support/steps.ts";
import { waitUntil } from "../../support/wait-until.ts";

const CALLS = "trace=sendto,sendmsg,write,writev,fsync,fdatasync,execve,openat,ioctl";

/** What a line of the trace is, undefined for what changes nothing outside; as `what` of a step begins. */
function kindOf(call: string): string | undefined {
  if (/^sendto\(\d+<NETLINK:\[ROUTE/.test(call)) return /=RTM_(?:NEW|DEL|SET)/.test(call) ? "netlink" : undefined;
  if (/^sendto\(\d+<NETLINK:\[NETFILTER/.test(call)) {
    const isChange = /NFT_MSG_(?:NEW|DEL)|IPCTNL_MSG_CT_(?:NEW|DELETE)/.test(call);
    return isChange ? (call.includes("CTNETLINK") ? "conntrack" : "nftables") : undefined;
  }
  if (/^f(?:data)?sync\(\d+<[^>]*-wal>/.test(call)) return "records";
  if (/^writev?\(\d+<UNIX-STREAM/.test(call)) {
    if (call.includes('{\\"method\\":\\"transact\\"'))
      return /op\\":\\"(?:insert|update|mutate|delete)/.test(call) ? "ovsdb" : undefined;
    // OpenFlow 1.4: version 5, then the type: packet-out 13, flow-mod 14, group-mod 15, bundles 33 and 34.
    return /"\\5(?:\\r|\\16|\\17|!|\\")/.test(call) ? "openflow" : undefined;
  }
  if (/^execve\("[^"]*nft"/.test(call)) return call.includes('"-f"') ? "command" : undefined;
  if (/^ioctl\(\d+<[^>]*>, SIOCETHTOOL/.test(call)) return "ioctl";
  if (/^openat\([^,]*, "\/proc\/sys\/[^"]*", O_(?:RDWR|WRONLY)/.test(call)) return "file";
  return undefined;
}

/** The calls of the daemon itself since its first step was noted: a process that it starts counts up to its execve(2). */
function changesIn(trace: string): Map<string, number> {
  const counts = new Map<string, number>();
  const commands = new Set<string>();
  let isFirst = true;
  let isNoted = false;
  for (const line of trace.split("\n")) {
    const [, pid = "", call = ""] = /^(\d+)\s+(.*)$/.exec(line) ?? [];
    isNoted ||= call.includes("/steps>");
    const kind = !isNoted || commands.has(pid) ? undefined : kindOf(call);
    if (kind !== undefined) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    if (call.startsWith("execve(") && !isFirst) commands.add(pid);
    if (call.startsWith("execve(")) isFirst = false;
  }
  return counts;
}

it.each(["bridge", "ovs"] as const)(
  "every change that leaves the process is one of its steps, backend=%s",
  async (backend) => {
    using steps = await Steps.make();
    const folder = await mkdtemp(join(tmpdir(), "tsnet-trace-"));
    try {
      const trace = join(folder, "trace");
      const strace = ["strace", "-f", "-yy", "-s", "2000", "-e", CALLS, "-o", trace];
      const host = await ServeHost.up("steps", { backend, env: steps.env, argv: [...strace, ...steps.argv] });
      await waitUntil("recovery", () => host.recoveries() > 0); // the first commit to a new log takes two syncs
      steps.arm();
      try {
        const wish = { subnet: "10.96.0.0/24", gateway: "10.96.0.1", options: { backend } };
        const network = await host.engine.createNetwork(wish);
        await host.engine.stop(await host.engine.start(network, { port: 8080 }));
        await host.engine.removeNetwork(network);
      } finally {
        await host[Symbol.asyncDispose]();
      }

      const seen = changesIn(await readFile(trace, "utf8"));

      const noted = new Map<string, number>();
      for (const { when, what } of steps.passed()) {
        const [kind = ""] = what.split(" ");
        const isFile = kind === "file" && !what.includes("/proc/sys/");
        if (when === "before" && kind !== "answer" && kind !== "packet" && !isFile)
          noted.set(kind, (noted.get(kind) ?? 0) + 1);
      }
      console.log(backend, Object.fromEntries(noted));
      expect(noted.get("records")).toBeGreaterThan(5);
      expect(Object.fromEntries(noted)).toEqual(Object.fromEntries(seen));
    } finally {
      await rm(folder, { recursive: true });
    }
  },
  120_000,
);
