// A switch with ports by hand, as the datapath will make them: each port's other end is a link in a namespace in which nothing
// sends of its own accord; frames are sent and heard there. One port more is for frames that say that all before them have
// passed.
import { execa } from "execa";
import type { EndpointPort, VlanSet } from "../../src/datapath/ovs/flows.ts";
import type { Flow } from "../../src/host/openflow-flow.ts";
import { OpenFlow } from "../../src/host/openflow.ts";
import { type Station, datagramFrame, uniqueBytes } from "./attacks.ts";
import { macOf } from "./counted-frames.ts";
import { FrameSocket } from "./frame-capture.ts";
import { ETHERTYPE, type Tag, ethernet } from "./frames.ts";
import { linkLocalOf } from "./frames-ipv6.ts";
import { NetNamespace } from "./namespace.ts";
import { managementOf } from "./ovs-flows.ts";
import { type OvsDatapath, OvsHost } from "./ovs-host.ts";
import { waitUntil } from "./wait-until.ts";

const MARK = "mark";
const MARK_MAC = "02:4d:61:72:6b:00";
const MARK_PORT = 999;

/** More frames at once do not fit into the socket by which Open vSwitch hears a port. */
const BURST = 16;

/** A port as it is set in OVSDB. */
export interface StandPort extends VlanSet {
  readonly isProtected?: boolean;
}

/** For `await using`. Ports have the numbers in which they stand in `ports`, from 1 on. */
export class OvsStand implements AsyncDisposable {
  readonly host: OvsHost;
  client: OpenFlow;
  readonly #sockets: ReadonlyMap<string, FrameSocket>;
  readonly #stack: AsyncDisposableStack;
  #marks = 0;

  private constructor(
    host: OvsHost,
    client: OpenFlow,
    sockets: ReadonlyMap<string, FrameSocket>,
    stack: AsyncDisposableStack,
  ) {
    this.host = host;
    this.client = client;
    this.#sockets = sockets;
    this.#stack = stack;
  }

  /** @param isOurs - no flows but those that are added, and ports in fragments are seen. */
  static async with(
    ports: Readonly<Record<string, StandPort>>,
    { isOurs = true, datapath }: { readonly isOurs?: boolean; readonly datapath?: OvsDatapath } = {},
  ): Promise<OvsStand> {
    await using stack = new AsyncDisposableStack();
    const host = stack.use(await OvsHost.running(datapath));
    // Frames that a kernel does not know wait at the processor that took them: those of one come in their order.
    if (datapath === "system") await execa("taskset", ["--pid", "--cpu-list", "0", String(process.pid)]);
    if (isOurs) await host.vsctl("set-fail-mode", "br0", "secure");
    const far = stack.use(await NetNamespace.create("far"));
    const names = [...Object.keys(ports), MARK];
    for (const ns of [host.ns, far]) await ns.exec(["sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1"]);
    for (const name of names) {
      await host.ns.exec([
        "ip",
        "link",
        "add",
        "name",
        name,
        "up",
        "type",
        "veth",
        "peer",
        "name",
        name,
        "netns",
        far.name,
      ]);
      await far.exec(["ip", "link", "set", "dev", name, "up", "arp", "off"]);
    }
    const adding = Object.entries(ports).flatMap(([name, port], n) => addPort(name, n + 1, port));
    await host.vsctl(...adding, ...addPort(MARK, MARK_PORT, { vlan: 4000 }));
    const sockets = new Map(names.map((name) => [name, stack.use(FrameSocket.open(far, name))]));
    const client = await markedClient(host);
    if (isOurs) await client.setFragments("matched");
    return new OvsStand(host, client, sockets, stack.move());
  }

  /** Adds flows. */
  async add(...flows: readonly (readonly Flow[])[]): Promise<void> {
    await this.client.addFlows(flows.flat());
    await this.host.settle();
  }

  /** Ends ovs-vswitchd as `systemctl restart` does, and starts it anew: its flows are gone. */
  async restart(): Promise<void> {
    await this.host.stopVswitchd();
    await waitUntil("the connection to end", () => this.client.end !== undefined);
    await this.host.startVswitchd();
    await this.host.vsctl("set", "bridge", "br0", "external_ids:started=anew"); // waits until it has done all before that
    this.client = await markedClient(this.host);
  }

  /**
   * Sends a datagram from a station's own address.
   *
   * @param source - default: the station's MAC address.
   * @returns the ports at which it came out, sorted: `uplink 10` if with that tag, `uplink 10 20` if with two.
   */
  async send(
    port: string,
    from: Station,
    to: string,
    { tags = [], source = from.mac }: { tags?: readonly Tag[]; source?: string } = {},
  ) {
    const data = uniqueBytes();
    const draft = datagramFrame({ from: source, to }, [from[4], "10.1.1.200"], { data });
    await this.sendRaw(port, [ethernet({ ...draft, tags })]);
    return [...this.#sockets]
      .flatMap(([name, socket]) =>
        socket.heard().flatMap((frame) => (frame.includes(data) ? [[name, ...tagsOf(frame)].join(" ")] : [])),
      )
      .sort();
  }

  /** Sends frames, and waits until they have passed. What was heard before is forgotten. */
  async sendRaw(port: string, frames: readonly Buffer[]): Promise<void> {
    for (const socket of this.#sockets.values()) socket.forget();
    for (let at = 0; at < frames.length; at += BURST) {
      this.#socket(port).send(...frames.slice(at, at + BURST));
      for (let round = 0; round < 2; round++) await this.#mark(port); // the first one may be of the same batch, and overtake
    }
  }

  /** The ports that heard all of these since the last frames were sent. */
  heard(traces: readonly Buffer[]): readonly string[] {
    return [...this.#sockets].flatMap(([name, socket]) =>
      traces.every((trace) => socket.count(trace) > 0) ? [name] : [],
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close();
    await this.#stack.disposeAsync();
  }

  async #mark(port: string): Promise<void> {
    const payload = uniqueBytes();
    this.#socket(port).send(ethernet({ from: macOf(++this.#marks), to: MARK_MAC, type: 0x88b5, payload }));
    const isHeard = () => this.#socket(MARK).count(payload) > 0;
    await waitUntil("the frames to pass", isHeard, { intervalMs: 1 });
  }

  #socket(name: string): FrameSocket {
    const socket = this.#sockets.get(name);
    if (socket === undefined) throw new Error(`no port ${name}`);
    return socket;
  }
}

/** A connection, and the one flow that is the test's own. */
async function markedClient(host: OvsHost): Promise<OpenFlow> {
  const client = await OpenFlow.open(managementOf(host));
  const actions = [
    // A kernel forwards at once what it knows. It knows no source that is looked at: each mark comes after what it does not know.
    { kind: "move", from: { field: "ethSrc" }, to: { field: "reg0" }, bits: 32 },
    { kind: "output", port: MARK_PORT },
  ] as const;
  await client.addFlows([{ table: 0, priority: 65_535, cookie: 1n, match: { ethDst: MARK_MAC }, actions }]);
  return client;
}

/** The n-th station of a network: 10.1.1.N, fd00:1:1::N. */
export function station(n: number): Station {
  const mac = `02:42:0a:01:01:${n.toString(16).padStart(2, "0")}`;
  return { mac, 4: `10.1.1.${n}`, 6: `fd00:1:1::${n.toString(16)}`, linkLocal: linkLocalOf(mac) };
}

/** That station as an endpoint at port n: guarded, with both addresses, in no VLAN, with icc. */
export function portOf(n: number, more: Partial<EndpointPort> = {}): EndpointPort {
  const { mac, 4: ipv4, 6: ipv6 } = station(n);
  const addresses = { address: `${ipv4}/24`, addressIpv6: `${ipv6}/64` };
  return {
    ofport: n,
    endpointId: `endpoint ${n}`,
    vlans: {},
    mac,
    ...addresses,
    isGuarded: true,
    isIccAllowed: true,
    ...more,
  };
}

function addPort(name: string, ofport: number, { vlan, trunk, isProtected = false }: StandPort): readonly string[] {
  const tag = vlan === undefined && trunk !== undefined ? [] : [`tag=${vlan ?? 0}`];
  const mode = trunk === undefined ? "access" : vlan === undefined ? "trunk" : "native-untagged";
  const trunks = trunk === undefined ? [] : [`trunks=${trunk.join(",")}`];
  const port = ["--", "add-port", "br0", name, ...tag, ...trunks, `vlan_mode=${mode}`, `protected=${isProtected}`];
  return [...port, "--", "set", "interface", name, `ofport_request=${ofport}`];
}

function tagsOf(frame: Buffer): readonly number[] {
  const tags: number[] = [];
  const isTag = (type: number) => type === ETHERTYPE.customerTag || type === ETHERTYPE.serviceTag;
  for (let at = 12; isTag(frame.readUInt16BE(at)); at += 4) tags.push(frame.readUInt16BE(at + 2));
  return tags;
}
