// What the machine's own kernel may not have: SCTP ports of a tsnet network with a real engine, and the tables of tsnet on a
// kernel before 6.9, where they belong to nobody.
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Place, TestContainer } from "../../support/system-container.ts";
import { SystemHost } from "../../support/system-host.ts";
import { waitUntil } from "../../support/wait-until.ts";

const SCTP_CLIENT = join(import.meta.dirname, "../../support/sctp-echo-client.ts");
const SCTP_SERVER = join(import.meta.dirname, "../../support/sctp-echo-server.ts");
const HOST = { 4: "192.0.2.10", 6: "2001:db8:1::10" } as const;
/** An emulated machine is some twenty times slower. */
const LIMIT = { timeout: 120_000, interval: 500 } as const;

/** What the rules use. Loaded one by one while `nft` waits, they take an emulated machine longer than tsnet does. */
const MODULES = [
  ..."nft_chain_nat nft_ct nft_fib_inet nft_fib_ipv4 nft_fib_ipv6 nft_masq nft_nat nft_redir nft_meta_bridge".split(
    " ",
  ),
  ..."nft_compat nf_conntrack_netlink nf_conntrack_bridge xt_mark xt_comment sctp veth bridge br_netfilter".split(" "),
];

interface Tables {
  readonly nftables: readonly { readonly table?: { family: string; name: string; handle: number } }[];
}

let host: SystemHost;
let web: TestContainer;
let peer: TestContainer;

beforeAll(async () => {
  await execa("modprobe", ["-a", ...MODULES], { reject: false }); // some have other names elsewhere
  host = await SystemHost.up("tsnet serve");
  const blue = await host.network("blue", "--ipv6", "--subnet", "10.91.0.0/24", "--subnet", "fd91::/64");
  web = await host.run("web", blue, "--ip", "10.91.0.9", "-p", "9:7/sctp", "-p", "127.0.0.1:10:7/sctp");
  peer = await host.run("peer", blue);
  await serveEcho(web);
});
afterAll(async () => await host?.[Symbol.asyncDispose]());

describe("an SCTP port of a tsnet network", () => {
  it.each([4, 6] as const)(
    "answers a neighbour over IPv%s, and the container sees the neighbour's address",
    async (family) => {
      const { address, addressIpv6 } = host.neighbour;

      expect(await ask(host.neighbour, HOST[family], 9)).toBe(family === 4 ? address : addressIpv6);
    },
  );

  it("answers the host at its own address and on 127.0.0.1", async () => {
    expect(await ask(host, HOST[4], 9)).toBe(HOST[4]);
    expect(await ask(host, "127.0.0.1", 9)).toBe("10.91.0.1"); // relayed
  });

  it("answers another container of the network by the host's address", async () => {
    expect(await ask(peer, HOST[4], 9)).toMatch(/^\d/);
  });

  it("that is bound to 127.0.0.1 answers the host there, and no neighbour", async () => {
    expect(await ask(host, "127.0.0.1", 10)).toBe("10.91.0.1");

    await expect(ask(host.neighbour, HOST[4], 10)).rejects.toThrow();
  });

  it("that is taken is refused to a second container", async () => {
    const options = ["--name", "second", "--network", "blue", "-p", "9:7/sctp"];

    expect(await host.refusalOf("run", "-d", ...options, "tsnet-test:latest")).toContain(
      "port 9/sctp on 0.0.0.0 is published by endpoint",
    );

    await host.docker("rm", "second");
  });

  it("answers nobody any more when its container is gone", async () => {
    await host.docker("rm", "-f", "web");

    await expect(ask(host, HOST[4], 9)).rejects.toThrow("ECONNREFUSED");
  });
});

describe("the rules on a kernel before 6.9", () => {
  it("are back after `nft flush ruleset`", async () => {
    expect(await host.exec(["uname", "-r"])).toMatch(/^(5|6\.[0-8])\./);
    const handle = async () => {
      const { nftables } = JSON.parse(await host.exec(["nft", "-j", "list", "tables"])) as Tables;
      return nftables.find(({ table }) => table?.family === "inet" && table.name === "tsnet")?.table?.handle;
    };
    const before = await handle();
    expect(before).toBeDefined();
    await host.exec(["nft", "flush", "ruleset"]);

    await expect.poll(handle, LIMIT).toBeDefined();
    expect(await handle()).not.toBe(before);
    await expect
      .poll(async () => await host.exec(["nft", "list", "set", "bridge", "tsnet", "own4"]), LIMIT)
      .toContain("10.91.0.");
    await expect.poll(async () => await host.tryReach(host, await peer.address())).toEqual({ ping: true, tcp: true });
  });

  it("tsnet's log has no complaint about any of this", () => {
    expect(host.complaints()).toEqual([]);
  });
});

async function serveEcho(container: TestContainer): Promise<void> {
  const enter = ["nsenter", "-t", String(await container.pid()), "-n", "--"];
  const server = await host.lab.namespace.spawn("sctp", [...enter, process.execPath, SCTP_SERVER, "7"]);
  await waitUntil("the echo to listen", () => server.log().split("\n").length > 2, { limitMs: 60_000 });
}

/** @returns the address that the container sees. */
async function ask(from: Place, address: string, port: number): Promise<string> {
  return (await from.exec([process.execPath, SCTP_CLIENT, address, String(port)])).trim();
}
