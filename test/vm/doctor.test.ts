// What `tsnet doctor` reads of the kernel where it can be planted only by changing the whole machine's own settings.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { execa } from "execa";
import { describe, expect, it } from "vitest";
import { examine } from "../../src/cli/doctor/checks.ts";
import { readFiles } from "../../src/cli/doctor/host-facts.ts";
import { factsWith, readingsOf } from "../support/doctor-facts.ts";

const MAX = "net.netfilter.nf_conntrack_max";
const FLOWS = 40;
const FIRST_PORT = 20_000;
/** Has the kernel follow connections. */
const FOLLOW =
  "add table inet follow; add chain inet follow in { type filter hook input priority 0; }; add rule inet follow in ct state new";

describe("tsnet doctor on a machine that is its own", () => {
  it("names a table of connections that is nearly full, by the kernel's own numbers, and one with room not", async () => {
    await execa("modprobe", ["nf_conntrack"]);
    await execa("nft", ["-f", "-"], { input: FOLLOW });
    const { stdout: before } = await execa("sysctl", ["-n", MAX]);
    try {
      await sendFlows();
      expect(await found()).toEqual([]);

      await execa("sysctl", ["-qw", `${MAX}=${FLOWS}`]);

      expect(await found()).toEqual([`conntrack-full ${MAX}`]);
    } finally {
      await execa("sysctl", ["-qw", `${MAX}=${before}`]);
      await execa("nft", ["delete", "table", "inet", "follow"]);
    }
  });
});

async function found(): Promise<readonly string[]> {
  const { settings } = await readFiles();
  const { findings } = examine(readingsOf(factsWith({ files: { ...factsWith().files, settings } })));
  return findings.filter(({ id }) => id === "conntrack-full").map(({ id, object }) => `${id} ${object}`);
}

/** One datagram each: the kernel keeps them in mind for half a minute. */
async function sendFlows(): Promise<void> {
  const socket = createSocket("udp4");
  socket.on("error", () => {}); // nobody listens there, and the kernel says so
  for (let n = 0; n < FLOWS; n++) await new Promise((sent) => socket.send("x", FIRST_PORT + n, "127.0.0.1", sent));
  socket.close();
  await once(socket, "close");
}
