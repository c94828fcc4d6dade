// A NIC's addresses go to the bridge and come back, on this machine's kernel: what ip(8) says, and what a TCP connection
// from behind the router notices of it. The links are `nic0` and `br0` of `uplink-lab.ts`.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AddressMove } from "../../../src/datapath/uplink/address-move.ts";
import { AddressMover } from "../../support/address-mover.ts";
import { fastest } from "../../support/fastest.ts";
import { shell } from "../../support/packet-lab.ts";
import { SteadyStream } from "../../support/steady-stream.ts";
import { HOST, REMOTE, UplinkLab } from "../../support/uplink-lab.ts";
import { waitUntil } from "../../support/wait-until.ts";

const STRICT = ["sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.default.rp_filter=1"];

/** Nobody at a terminal notices less. What is usual is some milliseconds, which the machine itself stumbles over as well. */
const UNNOTICED_MS = 1000;

const THERE = ["recorded", "ready", "prepared", "enslaved", "switched", "finished", "asked"] as const;
const BACK = ["back prepared", "back switched", "released", "back finished"] as const;

describe("moveAddresses", () => {
  /** Of tests after which everything is as before. */
  let shared: UplinkLab;
  beforeAll(async () => void (shared = await UplinkLab.up()));
  afterAll(async () => await shared?.[Symbol.asyncDispose]());

  it("gives the switch's link everything that the NIC is at layer three, and nothing stays on the NIC", async () => {
    await using lab = await UplinkLab.up();
    const before = await lab.configuration();

    await (await AddressMover.start(lab.host)).move();

    await hasRoutes(lab, "br0");
    const after = await lab.configuration();
    const gained = of("br0", after).filter((line) => !of("br0", before).includes(line));
    const lost = of("nic0", before).filter((line) => !of("nic0", after).includes(line));
    // The prefix of link-local addresses is there on every link, as long as it has one.
    expect(gained).toEqual(lost.filter((line) => !line.startsWith("unicast fe80::/64 ")));
    expect(lost.length).toBeGreaterThan(35);
    expect(of("nic0", after).filter((line) => !line.startsWith("net.") && !line.includes("ff00::/8"))).toEqual([]);
    expect(await macOf(lab, "br0")).toBe(await macOf(lab, "nic0"));
  });

  it("comes back to what was before, twice in a row", async () => {
    const lab = shared;
    const before = await lab.configuration();
    const mover = await AddressMover.start(lab.host);

    for (let round = 0; round < 2; round++) {
      const mac = await macOf(lab, "br0");
      const record = await mover.move();
      for (const address of Object.values(REMOTE)) await lab.requirePing(address);
      await mover.moveBack(record);

      await becomes(lab, before);
      expect([await macOf(lab, "br0"), await masterOf(lab)]).toEqual([mac, undefined]);
    }
    for (const address of Object.values(REMOTE)) await lab.requirePing(address);
  });

  it.each([
    ["without reverse path filter", []],
    ["with a strict reverse path filter", STRICT],
  ])("keeps TCP connections from behind the router running, there and back, %s", async (title, setup) => {
    await using lab = await UplinkLab.up(setup);
    await SteadyStream.serve(lab.host);
    const mover = await AddressMover.start(lab.host);
    const streams = await Promise.all(Object.values(HOST).map((address) => SteadyStream.start(lab.remote, address)));
    const during = (task: () => Promise<unknown>) => {
      const once = task();
      return Promise.all(streams.map((stream) => stream.during(() => once)));
    };

    const idle = await during(() => new Promise((resolve) => setTimeout(resolve, 500)));
    const thereAndBack = async () => {
      let record: AddressMove | undefined;
      const resentBefore = await lab.countResent();
      const there = await during(async () => (record = await mover.move()));
      const back = await during(async () => record && (await mover.moveBack(record)));

      const resent = (await lab.countResent()) - resentBefore;
      const gaps = [idle, there, back].map((reports) =>
        reports.map(({ longestGapMs }) => longestGapMs.toFixed(0)).join("/"),
      );
      console.log(
        `longest gap over IPv4/IPv6: ${gaps[0]} ms idle, ${gaps[1]} ms there, ${gaps[2]} ms back; ${resent} segments sent again (${title})`,
      );
      expect([...there, ...back].every(({ isOrdered }) => isOrdered)).toBe(true);
      return Math.max(...[...there, ...back].map(({ longestGapMs }) => longestGapMs));
    };

    expect(await fastest(UNNOTICED_MS, thereAndBack)).toBeLessThan(UNNOTICED_MS);
  });

  it("goes back by itself when the gateways do not answer by the switch, and says which", async () => {
    const lab = shared;
    const before = await lab.configuration();

    const reply = await (await AddressMover.start(lab.host)).ask({ verb: "move", isPortBlocked: true });

    expect(reply.message).toBe(
      "gateways 192.0.2.1, 10.91.0.1, fe80::1 of nic0 did not answer by br0, but had before; nic0 is as before",
    );
    await becomes(lab, before);
    expect(await masterOf(lab)).toBeUndefined();
    for (const address of Object.values(REMOTE)) await lab.requirePing(address);
  });

  it("does not ask of the switch what the NIC could not do: a gateway that was silent before may stay so", async () => {
    await using lab = await UplinkLab.up();
    await shell(lab.host, ["ip route add 10.94.0.0/16 via 192.0.2.99 dev nic0"]);

    const record = await (await AddressMover.start(lab.host)).move();

    expect(record.gateways).toEqual(["192.0.2.1", "10.91.0.1", "fe80::1"]);
  });

  it("needs no gateway", async () => {
    await using lab = await UplinkLab.up();
    await shell(lab.host, [
      "ip route del 10.92.0.0/16; ip -6 route flush dev nic0; ip -6 route flush table 100",
      "ip address flush dev nic0",
      "ip address add 192.0.2.10/24 dev nic0",
    ]);

    const record = await (await AddressMover.start(lab.host)).move();

    expect(record.gateways).toEqual([]);
    await lab.requirePing("192.0.2.1");
  });

  it.each([
    [
      "a routing policy rule",
      "ip rule add iif nic0 lookup 100",
      "ip rule del iif nic0 lookup 100",
      "a routing policy rule with iif nic0",
    ],
    [
      "a next hop object",
      "ip nexthop add id 7 via 192.0.2.1 dev nic0; ip route add 10.95.0.0/16 nhid 7",
      "ip nexthop del id 7",
      "a route over next hop object 7",
    ],
  ])("is refused, with nothing changed, when %s names the NIC", async (_what, line, undone, named) => {
    const lab = shared;
    await shell(lab.host, [line]);
    const before = await lab.configuration();

    const reply = await (await AddressMover.start(lab.host)).ask({ verb: "move" });

    expect(reply.message).toContain(`cannot move the addresses of nic0 to br0: there is ${named}`);
    expect(reply.stored).toBeUndefined();
    expect(await lab.configuration()).toEqual(before);
    await shell(lab.host, [undone]);
  });
});

describe("resumeMove", () => {
  /** Of tests after which everything is as before. */
  let shared: UplinkLab;
  beforeAll(async () => void (shared = await UplinkLab.up()));
  afterAll(async () => await shared?.[Symbol.asyncDispose]());

  it("goes back after a kill at any step of the way there [F107]", async () => {
    const lab = shared;
    const before = await lab.configuration();

    for (const killAfter of THERE) {
      const record = await (await AddressMover.start(lab.host)).askToDeath({ verb: "move", killAfter });
      const reply = await (await AddressMover.start(lab.host)).ask({ verb: "resume", ...(record && { move: record }) });

      expect([killAfter, reply.message, reply.result]).toEqual([killAfter, undefined, "back"]);
      await becomes(lab, before, killAfter);
      expect(await masterOf(lab)).toBeUndefined();
      for (const address of Object.values(REMOTE)) await lab.requirePing(address);
    }
  });

  it("goes back after a kill at any step of the way back [F107]", async () => {
    const lab = shared;
    const before = await lab.configuration();

    for (const killAfter of BACK) {
      const mover = await AddressMover.start(lab.host);
      const record = await mover.move();
      await mover.askToDeath({ verb: "return", move: record, killAfter });
      await (await AddressMover.start(lab.host)).moveBack(record);

      await becomes(lab, before, killAfter);
      expect(await masterOf(lab)).toBeUndefined();
      for (const address of Object.values(REMOTE)) await lab.requirePing(address);
    }
  });

  it("leaves a completed move as it is", async () => {
    await using lab = await UplinkLab.up();
    const mover = await AddressMover.start(lab.host);
    const record = await mover.move();
    await hasRoutes(lab, "br0");
    const moved = await lab.configuration();

    const reply = await mover.ask({ verb: "resume", move: record });

    expect(reply).toMatchObject({ result: "moved" });
    expect(await lab.configuration()).toEqual(moved);
  });

  it("gives a switch's link that was made anew what a completed move had given the old one", async () => {
    await using lab = await UplinkLab.up();
    const record = await (await AddressMover.start(lab.host)).move();
    await shell(lab.host, ["ip link del br0", "ip link add br0 type bridge", "ip link set br0 up"]);

    const reply = await (await AddressMover.start(lab.host)).ask({ verb: "resume", move: record });

    expect(reply).toMatchObject({ result: "moved" });
    for (const address of Object.values(REMOTE)) await lab.requirePing(address);
  });

  it("gives all of it back to the NIC when the switch's link is gone", async () => {
    await using lab = await UplinkLab.up();
    const before = of("nic0", await lab.configuration());
    const record = await (await AddressMover.start(lab.host)).move();
    await shell(lab.host, ["ip link del br0"]);

    const reply = await (await AddressMover.start(lab.host)).ask({ verb: "resume", move: record });

    expect(reply).toMatchObject({ result: "back" });
    await expect.poll(async () => of("nic0", await lab.configuration())).toEqual(before);
    for (const address of Object.values(REMOTE)) await lab.requirePing(address);
  });
});

/** The lines about a link, as they would be about another. */
function of(link: string, lines: readonly string[]): string[] {
  return lines.filter((line) => line.includes(link)).map((line) => line.replaceAll(link, "LINK").replace(/^\d+: /, ""));
}

/** Waits until a link has all that its addresses bring: the kernel makes the local route of one of IPv6 behind the answer. */
async function hasRoutes(lab: UplinkLab, link: string): Promise<void> {
  await waitUntil(`the routes to the addresses of ${link}`, async () => {
    const [shown] = await lab.host.json<ShownAddresses[]>(["ip", "-6", "-json", "address", "show", "dev", link]);
    const routes = await lab.host.exec(["ip", "-6", "route", "show", "table", "local"]);
    return shown?.addr_info.every(({ local }) => routes.includes(`local ${local} dev ${link} `));
  });
}

interface ShownAddresses {
  readonly addr_info: readonly { readonly local: string }[];
}

/** Expects a configuration, with such routes again. @param after - what was done, as it shall stand in the error. */
async function becomes(lab: UplinkLab, before: readonly string[], after = "the way back"): Promise<void> {
  await expect.poll(async () => [after, ...(await lab.configuration())]).toEqual([after, ...before]);
}

async function macOf(lab: UplinkLab, link: string): Promise<string | undefined> {
  const [shown] = await lab.host.json<{ address: string }[]>(["ip", "-json", "link", "show", link]);
  return shown?.address;
}

async function masterOf(lab: UplinkLab): Promise<string | undefined> {
  const [shown] = await lab.host.json<{ master?: string }[]>(["ip", "-json", "link", "show", "nic0"]);
  return shown?.master;
}
