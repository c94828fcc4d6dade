// What explain makes of the answers of Open vSwitch: `traces/` has some that Debian's 3.1.0 gave, with flows that somebody had
// added to switches of tsnet's own and of the user's.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Exit, askSwitch } from "../../../../src/cli/explain/ask-switch.ts";
import type { Facts } from "../../../../src/cli/explain/facts.ts";
import { type Hop, Trace } from "../../../../src/cli/explain/hop.ts";
import type { Packet } from "../../../../src/cli/explain/packet.ts";
import type { OvsPort } from "../../../../src/cli/explain/switching.ts";
import { TsnetError } from "../../../../src/errors.ts";
import { explainIn, linkIn, machineOf, makeWorld, networkIn, type World } from "../../../support/explain-world.ts";

const RED_2 = "tsvd5b80c7d2ff1";
const THEIRS_2 = "tsv839519ed5110";
const PLAIN_2 = "tsv9170576beafd";
const OTHERS = ["tsv2828eb60792a", "tsv59ca2462fe1f", "tsge4989c30e5a8"];
const RED_1 = "in_port=tsv2828eb60792a";

const PACKET: Packet = {
  family: 4,
  protocol: "tcp",
  source: "10.70.0.2",
  destination: "10.70.0.3",
  port: 80,
  mark: 0,
  isTranslated: false,
};

/** What is said of a recorded answer. */
async function judge(file: string, to: Exit, ovs: readonly OvsPort[] = []): Promise<Hop | undefined> {
  const trace = new Trace();
  const ports = [RED_2, THEIRS_2, PLAIN_2, ...OTHERS].map((name) => ({
    name,
    bridge: "sw0",
    kind: "",
    isUserspace: true,
    remotes: [],
  }));
  const text = readFileSync(join(import.meta.dirname, `traces/${file}.txt`), "utf8");
  const facts: Facts = {
    networks: [],
    host: undefined as never, // not looked at
    switching: { fdb: [], vlans: new Map(), ovs: [...ports, ...ovs] },
    traceFlow: async () => text,
    openContainer: async () => undefined,
  };
  const network = { backend: "ovs", switch: "sw0" } as const;
  const frame = { inPort: OTHERS[0] ?? "", packet: PACKET, destinationMac: "02:42:0a:46:00:03" };
  await askSwitch({ facts, trace }, { network, ...frame, to, since: 0 });
  expect(trace.hops.length).toBe(1);
  return trace.hops[0];
}

const foreign = (flow: string) => `by a flow that is not tsnet's: "${flow}"`;
const remove = (bridge: string, flow: string) => `ovs-ofctl --strict del-flows ${bridge} ${flow}`;

describe("an answer of Open vSwitch", () => {
  it.each([
    ["to a known port", "known", RED_2],
    ["by NORMAL to a port that it has learned", "learned", THEIRS_2],
    ["by NORMAL to all ports", "flood", THEIRS_2],
    ["of IPv6", "ipv6", PLAIN_2],
  ])("%s lets the packet pass", async (_title, file, port) => {
    const text = `sw0 hands it to ${port}, where 02:42:0a:46:00:03 is`;
    expect(await judge(file, { port })).toEqual({ hop: "switch", mark: "probed", ok: true, text });
  });

  it("into a tunnel lets the packet pass, where that was expected", async () => {
    expect(await judge("tunnel", "tunnel")).toMatchObject({ ok: true, text: "sw0 puts it into the tunnel" });
    expect(await judge("tunnel", { port: RED_2 })).toMatchObject({ ok: false });
    expect(await judge("known", "tunnel")).toMatchObject({ ok: false });
  });

  it.each([
    {
      title: "a flow that drops",
      file: "drop",
      port: RED_2,
      text: `drops it ${foreign(`cookie=0x77,table=0,priority=50000,tcp,${RED_1},tp_dst=80,tcp_flags=+syn actions=drop`)}`,
      fix: remove("sw0", `cookie=0x77/-1,table=0,priority=50000,tcp,${RED_1},tp_dst=80,tcp_flags=+syn`),
    },
    {
      title: "a flow without a cookie",
      file: "no-cookie",
      port: RED_2,
      text: `drops it ${foreign("table=0,priority=50000,tcp actions=drop")}`,
      fix: remove("sw0", "table=0,priority=50000,tcp"),
    },
    {
      title: "a flow for IPv6",
      file: "drop-ipv6",
      port: PLAIN_2,
      text: `drops it ${foreign("cookie=0x77,table=0,priority=50000,ipv6,in_port=tsv98b5f68511b7,ipv6_dst=fd00:73::/64 actions=drop")}`,
      fix: remove(
        "tsn-0b8ec0a5157",
        "cookie=0x77/-1,table=0,priority=50000,ipv6,in_port=tsv98b5f68511b7,ipv6_dst=fd00:73::/64",
      ),
    },
    {
      title: "a flow of a port whose name is quoted",
      file: "quoted",
      port: THEIRS_2,
      text: `drops it ${foreign('cookie=0x77,table=0,priority=65001,tcp,in_port="a.b-c" actions=drop')}`,
      fix: remove("usr0", `'cookie=0x77/-1,table=0,priority=65001,tcp,in_port="a.b-c"'`),
    },
    {
      title: "a flow to another port",
      file: "elsewhere",
      port: RED_2,
      text: `hands it to tsv59ca2462fe1f, not to ${RED_2}, ${foreign("cookie=0x77,table=0,priority=50000,tcp actions=output:tsv59ca2462fe1f")}`,
      fix: remove("sw0", "cookie=0x77/-1,table=0,priority=50000,tcp"),
    },
    {
      title: "a flow that leads to a table where none matches",
      file: "resubmit",
      port: RED_2,
      text: `drops it ${foreign("cookie=0x77,table=0,priority=50000,tcp actions=resubmit(,10)")}, and table 10, where no flow matches it`,
      fix: remove("sw0", "cookie=0x77/-1,table=0,priority=50000,tcp"),
    },
    {
      title: "a flow that has connections tracked, and drops then",
      file: "conntrack",
      port: RED_2,
      text: /^sw0 drops it by a flow that is not tsnet's: "cookie=0x77,.* actions=ct\(table=10\),drop" \(.*\), and table 10, /,
      fix: remove("sw0", "cookie=0x77/-1,table=0,priority=50000,tcp"),
    },
    {
      title: "a flow that rewrites so that tsnet's own drop",
      file: "rewritten",
      port: RED_2,
      text: `drops it ${foreign("cookie=0x77,table=0,priority=50000,tcp actions=mod_dl_dst:02:42:0a:46:00:55,resubmit(,240)")}`,
      fix: remove("sw0", "cookie=0x77/-1,table=0,priority=50000,tcp"),
    },
    {
      title: "what NORMAL has learned of another port",
      file: "learned-elsewhere",
      port: THEIRS_2,
      text: `hands it to tsge4989c30e5a8, not to ${THEIRS_2}, ${foreign("table=0,priority=0 actions=NORMAL")} (forwarding to learned port)`,
      fix: "ovs-appctl fdb/flush usr0",
    },
  ])("names $title, and what mends it", async ({ file, port, text, fix }) => {
    const found = await judge(file, { port });

    expect(found).toMatchObject({ hop: "switch", mark: "probed", ok: false, fix });
    if (typeof text === "string") expect(found?.text).toBe(`sw0 ${text}`);
    else expect(found?.text).toMatch(text);
  });

  it("names a flow of tsnet's own as such, and no command", async () => {
    const { text = "", ...rest } = (await judge("ipv6", { port: RED_2 })) ?? {};

    expect(text).toMatch(
      /^sw0 hands it to tsv9170576beafd, not to .*, by tsnet's own flow: "cookie=0x74738.*,table=245,/,
    );
    expect(rest).toEqual({ hop: "switch", mark: "probed", ok: false });
  });

  it("does not say what a controller does", async () => {
    const found = await judge("controller", { port: RED_2 });

    expect(found).toMatchObject({ ok: true });
    expect(found?.text).toMatch(
      /^sw0 hands it to its controller, and what that does cannot be told; by a flow that is not/,
    );
  });
});

describe("a switch of Open vSwitch", () => {
  /** With e and f in one VLAN. */
  function joined(): World {
    const world = makeWorld();
    const [endpoint] = networkIn(world, "twenty").endpoints;
    if (endpoint !== undefined) endpoint.vlan = 10;
    if (typeof world.ovs === "object") for (const port of world.ovs) if (port.name === "tsvf") port.tag = 10;
    return world;
  }

  async function questionsIn(world: World, ...words: readonly [from: string, to: string, port?: number]) {
    const asked: string[] = [];
    const { traceFlow } = world;
    world.traceFlow = async (bridge, flow) => {
      asked.push(`${bridge} ${flow}`);
      return await traceFlow(bridge, flow);
    };
    const { hops } = await explainIn(world, ...words);
    return { asked, notes: hops.filter(({ text }) => text.includes("not looked at")).map(({ text }) => text), hops };
  }

  const FRAME =
    "dl_src=02:42:00:00:00:06,dl_dst=02:42:00:00:00:07,dl_type=0x0800,nw_src=10.3.0.2,nw_dst=10.3.0.3,nw_ttl=64";
  const PING = `lan0 in_port=tsve,${FRAME},nw_proto=1,icmp_type=8,icmp_code=0`;

  it("is asked of a ping and of the first packet of a connection", async () => {
    const web = `lan0 in_port=tsve,${FRAME},nw_proto=6,tcp_src=40000,tcp_dst=80,tcp_flags=0x002`;

    expect((await questionsIn(joined(), "e", "f")).asked).toEqual([PING]);
    expect((await questionsIn(joined(), "e", "f", 80)).asked).toEqual([web]);
  });

  it("is asked of an uplink, once the sender knows the MAC address to which it sends", async () => {
    const world = makeWorld();
    const unknown = await questionsIn(world, "e", "10.3.0.99");
    machineOf(world, "e").neighbours.push({ address: "10.3.0.99", link: "eth0", mac: "02:42:00:00:00:07", states: [] });
    const known = await questionsIn(world, "e", "10.3.0.99");

    expect(unknown.notes).toEqual([
      "the flows of lan0 were not looked at: the MAC address to which it goes is not known yet",
    ]);
    expect(known.asked).toEqual([PING.replace("10.3.0.3", "10.3.0.99")]);
  });

  it("is asked of the frame that antispoof lets pass, where that is what stops it first", async () => {
    const world = joined();
    linkIn(machineOf(world, "e"), "eth0").mac = "02:00:00:00:00:99";

    expect((await questionsIn(world, "e", "f")).asked).toEqual([PING]);
  });

  it("is not asked where a port is at fault, for which its flows would stop the packet as well", async () => {
    for (const name of ["tsve", "tsvf"]) {
      const world = joined();
      linkIn(world.host, name).isUp = false;

      expect((await questionsIn(world, "e", "f")).asked).toEqual([]);
    }
  });

  it("is not asked where Open vSwitch would send something for that: tunnels in userspace", async () => {
    const tunnel = { name: "tsx9", bridge: "lan0", kind: "vxlan", remotes: ["192.0.2.20"] };
    const [world, other] = [joined(), joined()];
    if (typeof world.ovs === "object") world.ovs.push({ ...tunnel, isUserspace: true });
    if (typeof other.ovs === "object") other.ovs.push({ ...tunnel, isUserspace: false });

    const { asked, notes } = await questionsIn(world, "e", "f");

    expect(asked).toEqual([]);
    expect(notes).toEqual([
      "the flows of lan0 were not looked at: with tunnels in userspace Open vSwitch would ask the network for their peers",
    ]);
    expect((await questionsIn(other, "e", "f")).asked).toEqual([PING]);
  });

  it("that does not answer, or in unknown words, is named as not looked at, and stops nothing", async () => {
    const [refused, strange] = [joined(), joined()];
    refused.traceFlow = async () => await Promise.reject(new TsnetError("host", "ovs-appctl ofproto/trace: not found"));
    strange.traceFlow = async () => "Flow: tcp\n";

    const { notes, hops } = await questionsIn(refused, "e", "f");

    expect(notes).toEqual(["the flows of lan0 were not looked at: ovs-appctl ofproto/trace: not found"]);
    expect(hops.every(({ ok }) => ok)).toBe(true);
    expect((await questionsIn(strange, "e", "f")).notes).toEqual([
      "the flows of lan0 were not looked at: Open vSwitch answers in words that tsnet does not know",
    ]);
  });
});
