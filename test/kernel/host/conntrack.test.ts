// Tracked flows of real packets, in the lab of `flow-lab.ts`.
import type { Socket as UdpSocket } from "node:dgram";
import { existsSync, readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Family, parseAddress } from "../../../src/cidr.ts";
import { Conntrack, type WantedFlows } from "../../../src/host/conntrack.ts";
import { ADDRESSES, FlowLab, PROC_FILE, ask } from "../../support/flow-lab.ts";
import { NetNamespace } from "../../support/namespace.ts";
import { waitUntil } from "../../support/wait-until.ts";

const [TCP, UDP] = [6, 17];
const FOREIGN_FLOWS = 20_000;

const translated = (family: Family, protocol: number): WantedFlows => ({
  family,
  protocol,
  original: { destinationPort: 8080 },
});

describe.each([4, 6] as const)("listFlows of IPv%i", (family) => {
  const { client, host, one } = ADDRESSES[family];

  it("tells both tuples of a translated udp flow, and what was translated", async () => {
    await using lab = await FlowLab.up();
    await lab.translate("one");
    lab.serve(family, "one");
    const socket = lab.udpClient(family);
    expect(await ask(socket, family)).toBe("one");

    const flows = await lab.conntrack.listFlows(translated(family, UDP));

    const { port } = socket.address();
    expect(flows).toEqual([
      {
        family,
        protocol: UDP,
        original: { source: client, destination: host, sourcePort: port, destinationPort: 8080 },
        reply: { source: one, destination: client, sourcePort: 80, destinationPort: port },
        isSourceTranslated: false,
        isDestinationTranslated: true,
        id: expect.any(Number) as number,
      },
    ]);
  });

  it("tells both tuples of a translated tcp flow", async () => {
    await using lab = await FlowLab.up();
    await lab.translate("one");
    const port = await lab.connect(family);

    const flows = await lab.conntrack.listFlows(translated(family, TCP));

    expect(flows).toMatchObject([
      {
        protocol: TCP,
        original: { source: client, destination: host, sourcePort: port, destinationPort: 8080 },
        reply: { source: one, destination: client, sourcePort: 80, destinationPort: port },
        isDestinationTranslated: true,
      },
    ]);
  });

  it("tells that a flow is not translated, and that its source is", async () => {
    await using lab = await FlowLab.up();
    await lab.translate(undefined);
    lab.serve(family, "host", 8080);
    const [plain, masked] = [lab.udpClient(family), lab.udpClient(family)];
    const { port } = masked.address();
    const rule = `meta nfproto ipv${family} udp sport ${port} snat ${family === 4 ? "ip" : "ip6"} to ${one}`;
    await lab.host.exec([
      "nft",
      `add chain inet lab in { type nat hook input priority 100; }; add rule inet lab in ${rule}`,
    ]);
    for (const socket of [plain, masked]) expect(await ask(socket, family)).toBe("host");

    const flows = await lab.conntrack.listFlows(translated(family, UDP));

    const told = flows.map((flow) => [flow.original.sourcePort, flow.isSourceTranslated, flow.isDestinationTranslated]);
    expect(new Set(told)).toEqual(
      new Set([
        [plain.address().port, false, false],
        [port, true, false],
      ]),
    );
  });

  it.skipIf(!existsSync(PROC_FILE))(`tells what ${PROC_FILE} tells, if this kernel has it`, async () => {
    await using lab = await FlowLab.up();
    await lab.translate("one");
    lab.serve(family, "one");
    for (let i = 0; i < 20; i++) await ask(lab.udpClient(family), family);

    const flows = await lab.conntrack.listFlows({ family, protocol: UDP });

    const shown = flows.flatMap(({ original, reply }) =>
      [original, reply]
        .map((tuple) => [
          parseAddress(tuple.source).value,
          parseAddress(tuple.destination).value,
          tuple.sourcePort,
          tuple.destinationPort,
        ])
        .join(" "),
    );
    const seen = (await lab.seen("udp")).map((line) =>
      line
        .split(" ")
        .map((word) => word.replace(/^\w+=/, ""))
        .map((value) => (/[.:]/.test(value) ? String(parseAddress(value).value) : value))
        .join(" "),
    );
    expect(shown.map((line) => line.replaceAll(",", " ")).sort()).toEqual(seen.sort());
    expect(seen).toHaveLength(20);
  });

  it("gives only what is wanted, by each part of either tuple and by translation", async () => {
    await using lab = await FlowLab.up();
    await lab.translate("one");
    lab.serve(family, "one");
    lab.serve(family, "host", 9090);
    const [first, second] = [lab.udpClient(family), lab.udpClient(family)];
    for (const socket of [first, second]) {
      await ask(socket, family);
      await ask(socket, family, 9090);
    }
    await lab.connect(family);
    const { port } = first.address();
    const count = async (more: Omit<WantedFlows, "family" | "protocol">) =>
      (await lab.conntrack.listFlows({ family, protocol: UDP, ...more })).length;

    expect(await count({})).toBe(4);
    expect(await count({ original: { sourcePort: port } })).toBe(2);
    expect(await count({ original: { sourcePort: port, destinationPort: 9090 } })).toBe(1);
    expect(await count({ original: { source: client } })).toBe(4);
    expect(await count({ original: { source: one } })).toBe(0);
    expect(await count({ original: { destination: host } })).toBe(4);
    expect(await count({ reply: { source: one } })).toBe(2);
    expect(await count({ reply: { source: host } })).toBe(2);
    expect(await count({ reply: { source: one, sourcePort: 80, destination: client, destinationPort: port } })).toBe(1);
    expect(await count({ original: { destinationPort: 8080 }, reply: { source: host } })).toBe(0);
    expect(await count({ isDestinationTranslated: true })).toBe(2);
    expect(await count({ isDestinationTranslated: false })).toBe(2);
    expect(await count({ reply: { source: one }, isDestinationTranslated: false })).toBe(0);
  });

  it("leaves out flows of another zone", async () => {
    await using lab = await FlowLab.up();
    await lab.translate("one");
    lab.serve(family, "one");
    const [here, elsewhere, halfway] = [1, 2, 3].map(() => lab.udpClient(family));
    if (!here || !elsewhere || !halfway) throw new Error("three clients");
    const zoned = (socket: UdpSocket, zone: string) =>
      `add rule inet lab raw udp sport ${socket.address().port} ct ${zone} set 5`;
    await lab.host.exec([
      "nft",
      `add chain inet lab raw { type filter hook prerouting priority raw; };
       add chain inet lab rawout { type filter hook output priority raw; };
       ${zoned(elsewhere, "zone")};
       ${zoned(halfway, "original zone")};
       add rule inet lab rawout udp dport ${elsewhere.address().port} ct zone set 5`,
    ]);
    for (const socket of [here, elsewhere, halfway]) expect(await ask(socket, family)).toBe("one");

    const flows = await lab.conntrack.listFlows(translated(family, UDP));

    expect(flows.map(({ original }) => original.sourcePort)).toEqual([here.address().port]);
  });

  it("gives none where nothing is tracked", async () => {
    await using ns = await NetNamespace.create();
    using conntrack = ns.enter(() => Conntrack.open());

    expect(await conntrack.listFlows(translated(family, UDP))).toEqual([]);
  });
});

describe.each([4, 6] as const)("deleteFlow of IPv%i", (family) => {
  it("makes the kernel look at the flow's next packet as at the first, and leaves other flows alone", async () => {
    await using lab = await FlowLab.up();
    await lab.translate("one");
    for (const name of ["one", "two"] as const) lab.serve(family, name);
    const [moved, stays] = [lab.udpClient(family), lab.udpClient(family)];
    for (const socket of [moved, stays]) expect(await ask(socket, family)).toBe("one");
    await lab.translate("two");
    expect(await ask(moved, family)).toBe("one"); // a flow keeps its translation
    const { port } = moved.address();
    const [flow] = await lab.conntrack.listFlows({ family, protocol: UDP, original: { sourcePort: port } });
    if (flow === undefined) throw new Error("no flow");

    await lab.conntrack.deleteFlow(flow);

    expect(await ask(moved, family)).toBe("two");
    expect(await ask(stays, family)).toBe("one");
  });

  it("takes a flow that is gone for deleted", async () => {
    await using lab = await FlowLab.up();
    await lab.translate("one");
    lab.serve(family, "one");
    await ask(lab.udpClient(family), family);
    const [flow] = await lab.conntrack.listFlows(translated(family, UDP));
    if (flow === undefined) throw new Error("no flow");

    await lab.conntrack.deleteFlow(flow);
    await lab.conntrack.deleteFlow(flow);

    expect(await lab.conntrack.listFlows(translated(family, UDP))).toEqual([]);
  });

  it("leaves a flow alone that has the same tuples and another id", async () => {
    await using lab = await FlowLab.up();
    await lab.translate("one");
    lab.serve(family, "one");
    await ask(lab.udpClient(family), family);
    const [flow] = await lab.conntrack.listFlows(translated(family, UDP));
    if (flow === undefined) throw new Error("no flow");

    await lab.conntrack.deleteFlow({ ...flow, id: (flow.id ^ 1) >>> 0 });

    expect(await lab.conntrack.listFlows(translated(family, UDP))).toEqual([flow]);
  });

  it.skipIf(!existsSync(PROC_FILE))(
    `deletes an established tcp flow, as ${PROC_FILE} shows, if this kernel has it`,
    async () => {
      await using lab = await FlowLab.up();
      await lab.translate("one");
      await lab.connect(family);
      expect(await lab.seen("tcp")).toHaveLength(1);

      for (const flow of await lab.conntrack.listFlows(translated(family, TCP))) await lab.conntrack.deleteFlow(flow);

      expect(await lab.seen("tcp")).toEqual([]);
    },
  );
});

describe.each([4, 6] as const)(`Conntrack among ${FOREIGN_FLOWS} foreign flows of IPv%i`, (family) => {
  /** Sends packets to so many ports of the host, which nobody serves. @returns how many flows the kernel counts then. */
  async function flood(lab: FlowLab): Promise<number> {
    const sockets = [1, 2, 3, 4].map(() => lab.udpClient(family));
    const count = async () => Number(await lab.host.exec(["cat", "/proc/sys/net/netfilter/nf_conntrack_count"]));
    return waitUntil("that many flows", async () => {
      for (let i = 0; i < FOREIGN_FLOWS; i += sockets.length) {
        const send = (socket: UdpSocket) => (sent: () => void) =>
          socket.send("x", 20_000 + i, ADDRESSES[family].host, sent);
        await Promise.all(sockets.map((socket) => new Promise<void>(send(socket))));
      }
      const counted = await count();
      return counted >= FOREIGN_FLOWS && counted;
    });
  }

  it("gives ours and no other, also to many callers at once, and deletes ours and no other [F119]", async () => {
    await using lab = await FlowLab.up();
    await lab.translate("one");
    lab.serve(family, "one");
    const foreign = await flood(lab);
    const sockets = Array.from({ length: 20 }, () => lab.udpClient(family));
    for (const socket of sockets) await ask(socket, family);
    const ports = sockets.map((socket) => socket.address().port);

    const answers = await Promise.all([
      lab.conntrack.listFlows(translated(family, UDP)),
      ...ports.map((sourcePort) => lab.conntrack.listFlows({ family, protocol: UDP, original: { sourcePort } })),
      lab.conntrack.listFlows({ family, protocol: UDP, reply: { source: ADDRESSES[family].one } }),
    ]);

    const told = answers.map((flows) => new Set(flows.map(({ original }) => original.sourcePort)));
    expect(told).toEqual([new Set(ports), ...ports.map((port) => new Set([port])), new Set(ports)]);
    expect(answers.flat()).toHaveLength(3 * ports.length);
    const all = await lab.conntrack.listFlows({ family, protocol: UDP });
    expect(all).toHaveLength(foreign + sockets.length);
    await Promise.all((answers[0] ?? []).map((flow) => lab.conntrack.deleteFlow(flow)));
    expect(await lab.conntrack.listFlows({ family, protocol: UDP })).toHaveLength(foreign);
  });
});

describe("Conntrack", () => {
  it("refuses text that is no address of the family", async () => {
    await using ns = await NetNamespace.create();
    using conntrack = ns.enter(() => Conntrack.open());

    const listing = conntrack.listFlows({ family: 4, protocol: UDP, reply: { source: "fd00::1" } });

    await expect(listing).rejects.toMatchObject({ code: "invalid", message: "fd00::1 is no IPv4 address" });
  });

  it("finishes what was begun before close, and leaves no descriptor open", async () => {
    await using ns = await NetNamespace.create();
    const before = readdirSync("/proc/self/fd").length;
    const conntrack = ns.enter(() => Conntrack.open());

    const listing = conntrack.listFlows(translated(4, UDP));
    conntrack.close();

    expect(await listing).toEqual([]);
    await expect(conntrack.listFlows(translated(4, UDP))).rejects.toMatchObject({ code: "unavailable" });
    expect(readdirSync("/proc/self/fd").length).toBe(before);
  });
});
