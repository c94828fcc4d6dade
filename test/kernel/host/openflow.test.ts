// The client against a real ovs-vswitchd; ovs-ofctl is the judge.
import { describe, expect, it } from "vitest";
import type { Flow } from "../../../src/host/openflow-flow.ts";
import { OpenFlow } from "../../../src/host/openflow.ts";
import { dumpFlows, managementOf, ofctl } from "../../support/ovs-flows.ts";
import { OvsHost, end } from "../../support/ovs-host.ts";
import { waitUntil } from "../../support/wait-until.ts";

const MINE = { cookie: 0x7473_0000_0000_0000n, mask: 0xffff_0000_0000_0000n } as const;
const ALL = { cookie: 0n, mask: 0n } as const;
const OTHERS = "cookie=0x77, priority=7,in_port=7 actions=NORMAL";

const flow = (n: number, more: Partial<Flow> = {}): Flow => ({
  table: 0,
  priority: 100,
  cookie: MINE.cookie + BigInt(n),
  match: { inPort: n },
  actions: [{ kind: "output", port: "normal" }],
  ...more,
});

/** Every field and every action, with what ovs-ofctl makes of them. */
const ALL_KINDS: readonly (readonly [Flow, string])[] = [
  [flow(1, { match: {}, actions: [] }), "priority=100 actions=drop"],
  [flow(2, { match: { inPort: 65534 } }), "priority=100,in_port=LOCAL actions=NORMAL"],
  [
    flow(3, {
      table: 1,
      match: {
        inPort: 3,
        reg0: 10,
        reg1: { value: 1, mask: 3 },
        ethDst: { value: "01:00:00:00:00:00", mask: "01:00:00:00:00:00" },
        ethSrc: "02:42:0a:01:02:03",
        vlanVid: 0,
      },
      actions: [{ kind: "set", field: "reg0", value: 20 }],
      goTo: 2,
    }),
    "table=1, priority=100,reg0=0xa,reg1=0x1/0x3,in_port=3,vlan_tci=0x0000/0x1fff,dl_src=02:42:0a:01:02:03," +
      "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00 actions=set_field:0x14->reg0,goto_table:2",
  ],
  [
    flow(4, {
      match: { vlanVid: 0x1000 | 20 },
      actions: [
        { kind: "move", from: { field: "vlanTci" }, to: { field: "reg2" }, bits: 16 },
        { kind: "popVlan" },
        { kind: "resubmit", table: 9 },
        { kind: "output", port: "inPort" },
      ],
    }),
    "priority=100,dl_vlan=20 actions=move:NXM_OF_VLAN_TCI[]->NXM_NX_REG2[0..15],pop_vlan,resubmit(,9),IN_PORT",
  ],
  [
    flow(5, {
      match: { inPort: 5 },
      actions: [
        { kind: "pushVlan" },
        { kind: "set", field: "vlanVid", value: 0x1000 | 30 },
        { kind: "move", from: { field: "reg2", offset: 13 }, to: { field: "vlanTci", offset: 13 }, bits: 3 },
        { kind: "output", port: 6 },
      ],
    }),
    "priority=100,in_port=5 actions=push_vlan:0x8100,set_field:4126->vlan_vid," +
      "move:NXM_NX_REG2[13..15]->NXM_OF_VLAN_TCI[13..15],output:6",
  ],
  [
    flow(6, {
      match: { ethType: 0x0806, arpOp: 1, arpSpa: "0.0.0.0", arpTpa: "10.1.2.3", arpSha: "02:42:0a:01:02:03" },
    }),
    "priority=100,arp,arp_spa=0.0.0.0,arp_tpa=10.1.2.3,arp_op=1,arp_sha=02:42:0a:01:02:03 actions=NORMAL",
  ],
  [
    flow(7, {
      match: {
        ethType: 0x0800,
        ipProto: 17,
        ipFrag: 0,
        ipv4Src: "10.1.2.3",
        ipv4Dst: "10.1.2.4",
        udpSrc: 68,
        udpDst: 67,
      },
    }),
    "priority=100,udp,nw_src=10.1.2.3,nw_dst=10.1.2.4,nw_frag=no,tp_src=68,tp_dst=67 actions=NORMAL",
  ],
  [
    flow(8, { match: { ethType: 0x86dd, ipProto: 6, ipv6Src: "fd00::1", tcpDst: 80 } }),
    "priority=100,tcp6,ipv6_src=fd00::1,tp_dst=80 actions=NORMAL",
  ],
  [
    flow(9, { match: { ethType: 0x86dd, ipProto: 58, ipFrag: 1, icmpv6Type: 134 } }),
    "priority=100,icmp6,nw_frag=first,icmp_type=134 actions=NORMAL",
  ],
  [
    flow(10, {
      match: { ethType: 0x86dd, ipProto: 58, icmpv6Type: 135, ndTarget: "fe80::1", ndSll: "02:42:0a:01:02:03" },
    }),
    "priority=100,icmp6,icmp_type=135,nd_target=fe80::1,nd_sll=02:42:0a:01:02:03 actions=NORMAL",
  ],
  [
    flow(11, { match: { ethType: 0x86dd, ipProto: 58, icmpv6Type: 136, ndTll: "02:42:0a:01:02:03" } }),
    "priority=100,icmp6,icmp_type=136,nd_tll=02:42:0a:01:02:03 actions=NORMAL",
  ],
  [
    flow(12, {
      match: { reg15: 1 },
      actions: [
        {
          kind: "learn",
          learn: {
            table: 5,
            priority: 50,
            cookie: 0x99n,
            seconds: 300,
            limit: 1000,
            copies: [
              { from: "reg0", to: "reg0", bits: 32, becomes: "match" },
              { from: "ethSrc", to: "ethDst", bits: 48, becomes: "match" },
              { from: "shortInPort", to: "reg3", bits: 16, becomes: "load" },
            ],
          },
        },
      ],
    }),
    "priority=100,reg15=0x1 actions=learn(table=5,hard_timeout=300,priority=50,cookie=0x99,limit=1000,NXM_NX_REG0[]," +
      "NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:NXM_OF_IN_PORT[]->NXM_NX_REG3[0..15])",
  ],
];

/** A host with an empty switch, but for one flow of somebody else. */
async function switchOfOthers(): Promise<OvsHost> {
  const host = await OvsHost.running();
  await ofctl(host, "del-flows");
  await ofctl(host, "add-flow", OTHERS.replace("cookie=0x77, ", "cookie=0x77,"));
  return host;
}

describe("the flows of a switch", () => {
  it("are what was asked for, in ovs-ofctl's eyes and in a listing", async () => {
    await using host = await switchOfOthers();
    using client = await OpenFlow.open(managementOf(host));

    await client.addFlows(ALL_KINDS.map(([each]) => each));

    const expected = ALL_KINDS.map(([{ cookie }, text]) => `cookie=0x${cookie.toString(16)}, ${text}`);
    expect(await dumpFlows(host)).toEqual([...expected, OTHERS].sort());
    const listed = await client.listFlows(MINE);
    const byCookie = [...listed].sort((a, b) => Number(a.cookie - b.cookie));
    expect(byCookie).toEqual(ALL_KINDS.map(([each]) => ({ ...each, strange: [] })));
  });

  it("are added beside those of others, replaced, counted, and deleted by cookie and one by one", async () => {
    await using host = await switchOfOthers();
    using client = await OpenFlow.open(managementOf(host));

    await client.addFlows([flow(1), flow(2), flow(3), flow(4)]);
    await client.addFlows([flow(2, { actions: [] })]);
    const counts = [
      await client.countFlows(MINE),
      await client.countFlows(ALL),
      await client.countFlows({ cookie: MINE.cookie + 9n, mask: 0xffff_ffff_ffff_ffffn }),
    ];
    await client.deleteStrictly([flow(3), flow(9)]);
    await client.deleteFlows({ cookie: MINE.cookie + 1n, mask: 0xffff_ffff_ffff_ffffn });
    const left = await dumpFlows(host);
    await client.deleteFlows(MINE);

    expect(counts).toEqual([4, 5, 0]);
    expect(left).toEqual(
      [
        OTHERS,
        "cookie=0x7473000000000002, priority=100,in_port=2 actions=drop",
        "cookie=0x7473000000000004, priority=100,in_port=4 actions=NORMAL",
      ].sort(),
    );
    expect(await dumpFlows(host)).toEqual([OTHERS]);
  });

  it("are in force by the thousands when the call returns, and all of them are listed", async () => {
    await using host = await switchOfOthers();
    using client = await OpenFlow.open(managementOf(host));
    const many = Array.from({ length: 3_500 }, (_, n) => flow(n + 1));

    await client.addFlows(many);

    expect((await dumpFlows(host)).length).toBe(3_501);
    expect(new Set((await client.listFlows(MINE)).map(({ cookie }) => cookie)).size).toBe(3_500);
  });

  it("that the switch refuses are named in one error, and the others are there", async () => {
    await using host = await switchOfOthers();
    using client = await OpenFlow.open(managementOf(host));
    const bad = [flow(2, { match: { ndTarget: "fe80::1" } }), flow(3, { goTo: 0 })];

    const adding = client.addFlows([flow(1), ...bad, flow(4)]);

    await expect(adding).rejects.toMatchObject({
      code: "host",
      message:
        "the switch refuses to add table=0,priority=100,ndTarget=fe80::1 (bad match: bad prerequisite), " +
        "table=0,priority=100,inPort=3 (bad instruction: bad table id)",
    });
    expect(await client.countFlows(MINE)).toBe(2);
  });
});

describe("a switch", () => {
  it("lets flows see the ports of first fragments when it is told so", async () => {
    await using host = await switchOfOthers();
    using client = await OpenFlow.open(managementOf(host));

    await client.setFragments("matched");

    expect(await ofctl(host, "get-frags")).toContain("nx-match");
  });

  it("that speaks 1.3 alone is spoken to in 1.3, and one that speaks 1.0 alone is refused with the remedy", async () => {
    await using host = await switchOfOthers();
    await host.vsctl("set", "bridge", "br0", "protocols=OpenFlow13");
    using client = await OpenFlow.open(managementOf(host));
    await client.addFlows(ALL_KINDS.map(([each]) => each));
    const listed = await client.listFlows(MINE);
    await host.vsctl("set", "bridge", "br0", "protocols=OpenFlow10");

    expect(listed.length).toBe(ALL_KINDS.length);
    await expect(OpenFlow.open(managementOf(host))).rejects.toMatchObject({
      code: "unsupported",
      message: expect.stringContaining("permit OpenFlow13 and OpenFlow14") as string,
    });
  });

  it("that ends tells so, and one that is not there is named", async () => {
    await using host = await OvsHost.create();
    await host.startDatabase();
    const daemon = await host.startVswitchd();
    await host.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev");
    const ends: string[] = [];
    using client = await OpenFlow.open(managementOf(host), { onEnd: ({ message }) => ends.push(message) });

    await end(daemon, "SIGKILL");

    await waitUntil("the connection to end", () => ends.length > 0);
    expect(ends).toEqual([expect.stringContaining("the switch does not answer")]);
    await expect(client.addFlows([flow(1)])).rejects.toMatchObject({ code: "unavailable" });
    await expect(OpenFlow.open(managementOf(host, "br9"))).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringContaining("br9.mgmt (ENOENT)") as string,
    });
  });
});
