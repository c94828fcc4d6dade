import { describe, expect, it } from "vitest";
import type { DockerContainer } from "../../../src/cli/docker.ts";
import { changeInside } from "../../../src/cli/inside.ts";
import type { HostTools } from "../../../src/cli/host-tools.ts";
import type { Tools } from "../../../src/cli/tools.ts";
import type { InsideChange } from "../../../src/cnm/change-requests.ts";
import { TsnetError } from "../../../src/errors.ts";
import { withUndo } from "../../../src/undo.ts";
import { endpointId } from "../../support/cnm-builder.ts";

const MAC = "02:42:0a:3c:00:03";
const LINKS = [
  { ifname: "eth0.20", address: MAC, linkinfo: { info_kind: "vlan" } },
  { ifname: "eth0", address: MAC, mtu: 1500, linkinfo: { info_kind: "veth" } },
  { ifname: "eth1", address: "02:42:0a:3c:00:04", linkinfo: { info_kind: "veth" } },
];
const ROUTES = [
  { dst: "default", gateway: "10.60.0.1", protocol: "boot", flags: [] },
  { dst: "10.60.0.0/24", protocol: "kernel", scope: "link", prefsrc: "10.60.0.3", flags: [] },
  { dst: "10.9.0.0/16", gateway: "10.60.0.9", protocol: "static", metric: 7, flags: ["onlink"] },
];

const CHANGE: InsideChange = { endpointId: endpointId(), sandboxKey: "/run/netns/1", mac: MAC, addresses: [] };
const WEB: DockerContainer = { id: "4f1c", name: "web", isRunning: true, pid: 77, isOnHost: false };
const ENGINE = "4WNA:77VC /var/lib/docker";
const CONTAINER = { kind: "container", id: "4f1c", name: "web", engine: ENGINE } as const;
const SWAP = { from: "10.60.0.3/24", to: "10.60.0.50/24" };

/** A host whose tools answer as planted; what was run, in order, with the namespace in front. */
class Script {
  readonly ran: string[] = [];
  fails: (line: string) => boolean = () => false;

  inside(namespace: string): HostTools {
    const run = async (...words: readonly string[]) => {
      const line = words.join(" ");
      this.ran.push(`${namespace}: ${line}`);
      if (this.fails(line)) throw new TsnetError("host", `${line}: exit code 2`);
      return line.includes(" link show") ? LINKS : ROUTES;
    };
    const tools = { namespace, inside: (path: string) => this.inside(path), text: run, json: run };
    return tools as unknown as HostTools; // what of it is used
  }

  /** The lines that change something, without the namespace and `ip`. */
  get changes(): readonly string[] {
    return this.ran.map((line) => line.replace(/^[^:]*: (ip )?/, "")).filter((line) => !line.includes(" show"));
  }
}

async function attempt(
  change: Partial<InsideChange>,
  fails: Script["fails"] = () => false,
  engine: Partial<Pick<Tools, "findContainer" | "findEngine">> = {},
) {
  const script = new Script();
  script.fails = fails;
  const tools = {
    host: script.inside("/host"),
    findContainer: async () => WEB,
    findEngine: async () => ENGINE,
    ...engine,
  };
  const outcome = withUndo((undo) => changeInside(tools, { ...CHANGE, ...change }, undo));
  const [absence, failure] = await outcome.then(
    (text) => [text, undefined],
    (thrown: unknown) => [undefined, thrown],
  );
  return { script, absence, failure };
}

describe("what is changed inside of a container", () => {
  it("is the MTU of the link with the endpoint's MAC address, not of a VLAN link above it", async () => {
    const { script } = await attempt({ mtu: 1400 });

    expect(script.ran.at(-1)).toBe("/run/netns/1: ip link set dev eth0 mtu 1400");
  });

  it("is the address, with the routes that were not the kernel's own", async () => {
    const { script } = await attempt({ addresses: [SWAP] });

    expect(script.changes.slice(0, 4)).toEqual([
      "-4 address delete 10.60.0.3/24 dev eth0",
      "-4 address replace 10.60.0.50/24 dev eth0",
      "-4 route replace default via 10.60.0.1 proto boot dev eth0",
      "-4 route replace 10.9.0.0/16 via 10.60.0.9 proto static metric 7 onlink dev eth0",
    ]);
  });

  it("is told to the neighbours, and it is no failure if that cannot be done", async () => {
    const { script, failure } = await attempt({ addresses: [SWAP] }, (line) => line.startsWith("sysctl"));
    expect(failure).toBeUndefined();
    expect(script.changes.at(-1)).toContain("arp_notify=1");

    const whole = await attempt({ addresses: [SWAP] });
    expect(whole.script.changes).toContain(`link set dev eth0 address ${MAC}`);
    expect(whole.script.changes.at(-1)).toContain("ndisc_notify=0");
  });

  it("is an IPv6 address that is used at once", async () => {
    const { script } = await attempt({ addresses: [{ from: "fd00::3/64", to: "fd00::50/64" }] });

    expect(script.changes[1]).toBe("-6 address replace fd00::50/64 dev eth0 nodad");
  });

  it("is as before when a route cannot be put back", async () => {
    let count = 0;
    const { script, failure } = await attempt(
      { addresses: [SWAP] },
      (line) => line.includes("10.9.0.0") && ++count === 1,
    );

    expect(failure).toBeInstanceOf(TsnetError);
    expect(script.changes.slice(-4)).toEqual([
      "-4 address delete 10.60.0.50/24 dev eth0",
      "-4 address replace 10.60.0.3/24 dev eth0",
      "-4 route replace default via 10.60.0.1 proto boot dev eth0",
      "-4 route replace 10.9.0.0/16 via 10.60.0.9 proto static metric 7 onlink dev eth0",
    ]);
  });

  it("is as before when the second address cannot be changed: the first one, its routes and the MTU", async () => {
    const addresses = [SWAP, { from: "fd00::3/64", to: "fd00::50/64" }];

    const { script, failure } = await attempt({ mtu: 1400, addresses }, (line) => line.includes("-6 address delete"));

    expect(failure).toMatchObject({ message: "ip -6 address delete fd00::3/64 dev eth0: exit code 2" });
    expect(script.changes.slice(-5)).toEqual([
      "-4 address delete 10.60.0.50/24 dev eth0",
      "-4 address replace 10.60.0.3/24 dev eth0",
      "-4 route replace default via 10.60.0.1 proto boot dev eth0",
      "-4 route replace 10.9.0.0/16 via 10.60.0.9 proto static metric 7 onlink dev eth0",
      "link set dev eth0 mtu 1500",
    ]);
  });

  it("is nothing when there is no such link", async () => {
    const { failure } = await attempt({ mac: "02:00:00:00:00:99", mtu: 1400 });

    expect(failure).toMatchObject({
      code: "not-found",
      message: "there is no link with the MAC address 02:00:00:00:00:99",
    });
  });

  it("is nothing in a container that was started again and not attached again, of which that is said", async () => {
    const { script, absence, failure } = await attempt({ owner: CONTAINER, mac: "02:00:00:00:00:99", mtu: 1400 });

    expect(failure).toBeUndefined();
    expect(absence).toBe("has no interface there: it gets this when it is attached again");
    expect(script.changes).toEqual([]);
  });

  it.each([
    ["a file", { kind: "netns", id: "/proc/self/ns/net", name: "lab" } as const, "/proc/self/ns/net"],
    ["a process", { kind: "pid", id: `${process.pid}`, name: "pid" } as const, `/proc/${process.pid}/ns/net`],
    ["a container", CONTAINER, "/proc/77/ns/net"],
  ])("is done in the namespace of %s that tsnet attached", async (_, owner, namespace) => {
    const { script, absence } = await attempt({ owner, mtu: 1400 });

    expect(script.ran.length).toBeGreaterThan(0);
    expect(script.ran.every((line) => line.startsWith(`${namespace}: `))).toBe(true);
    expect(absence).toBeUndefined();
  });

  const stopped = async () => ({ ...WEB, isRunning: false, pid: 0 });
  const removed = async () => Promise.reject(new TsnetError("not-found", "Docker has no container 4f1c"));

  it.each([
    ["a container that has stopped", CONTAINER, stopped, "does not run: it gets this when it is started and attached"],
    ["a container that was removed", CONTAINER, removed, "is gone, and only its record was changed: `tsnet detach`"],
    [
      "a file that is gone",
      { kind: "netns", id: "/nowhere/lab", name: "/nowhere/lab" } as const,
      removed,
      "is not there: it gets this when it is made and attached again",
    ],
    [
      "a process that has ended",
      { kind: "pid", id: "4194999", name: "pid 4194999" } as const,
      removed,
      "is gone, and only its record was changed",
    ],
  ])("is nothing in %s, of which it is said what becomes of it", async (_, owner, findContainer, text) => {
    const { script, absence, failure } = await attempt({ owner, mtu: 1400 }, () => false, { findContainer });

    expect(failure).toBeUndefined();
    expect(absence).toContain(text);
    expect(script.ran).toEqual([]);
  });

  it("cannot be said of a container that another engine may have", async () => {
    const findEngine = async () => "OTHER /var/lib/docker";

    const { failure } = await attempt({ owner: CONTAINER, mtu: 1400 }, () => false, {
      findContainer: removed,
      findEngine,
    });

    expect(failure).toMatchObject({ code: "not-found", message: "Docker has no container 4f1c" });
  });
});
