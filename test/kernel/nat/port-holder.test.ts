// HostPorts in a process of its own inside a private namespace: all addresses, both families, rights, other programs. What
// is held is looked up with ss(8) and tried by other programs.
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, it } from "vitest";
import type { PortBinding, PortProtocol, PublishedPort, RelayTarget } from "../../../src/cnm/ports.ts";
import { endpointId } from "../../support/cnm-builder.ts";
import { NetNamespace } from "../../support/namespace.ts";
import { waitUntil } from "../../support/wait-until.ts";

const SUPPORT = join(import.meta.dirname, "../../support");
const HOLDER = `
  import { createInterface } from "node:readline";
  import { HostPorts } from ${JSON.stringify(join(import.meta.dirname, "../../../src/nat/port-holder.ts"))};
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const ports = new HostPorts({ isRefused: (address) => ["10.9.0.2", "fd00:9::2"].includes(address), log });
  for await (const line of createInterface({ input: process.stdin })) {
    const [method, ...args] = JSON.parse(line);
    const answer = await ports[method](...args).then((held) => ({ held }), ({ code, message }) => ({ code, message }));
    console.log(JSON.stringify(answer));
  }`;

/** How the holder answers. */
interface Answer {
  readonly held?: readonly PublishedPort[];
  readonly code?: string;
  readonly message?: string;
}

interface Holder {
  readonly hold: (n: number, bindings: readonly PortBinding[], target?: RelayTarget) => Promise<Answer>;
  readonly release: (n: number) => Promise<Answer>;
  /** As a crash does. */
  readonly kill: () => Promise<void>;
}

/** Starts HostPorts in a namespace. @param launcher - a command that starts another one with less. */
function startHolder(ns: NetNamespace, launcher: readonly string[] = []): Holder {
  const node = [process.execPath, "--input-type=module", "--no-warnings", "-e", HOLDER];
  const child = ns.spawn([...launcher, ...node]);
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error("the holder has no pipes");
  const lines = createInterface({ input: stdout });
  const call = async (...request: readonly unknown[]): Promise<Answer> => {
    const answer = once(lines, "line");
    stdin.write(`${JSON.stringify(request)}\n`);
    return JSON.parse(String((await answer)[0])) as Answer; // what the script above writes
  };
  return {
    hold: (n, bindings, target = {}) => call("hold", endpointId(n), bindings, target),
    release: (n) => call("release", endpointId(n)),
    kill: async () => {
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

/** A binding of container port 7007 on all addresses. */
function binding(hostPort: number, protocol: PortProtocol = "tcp", hostAddress = ""): PortBinding {
  return { protocol, containerPort: 7007, hostAddress, hostPort, hostPortEnd: hostPort };
}

/** What is listened on or bound: `0.0.0.0:8080`, `[::]:8080`. */
async function sockets(ns: NetNamespace, protocol: "tcp" | "udp" = "tcp"): Promise<string[]> {
  const lines = (await ns.exec(["ss", "-Hln", protocol === "tcp" ? "-t" : "-u"])).trim().split("\n");
  return lines.map((line) => line.split(/\s+/)[3] ?? "").sort();
}

/** A namespace whose addresses stand for the host's own and for a container's, in which the echo answers on port 7007. */
async function hostWithEcho(): Promise<NetNamespace> {
  const ns = await NetNamespace.create("ports");
  try {
    await ns.exec(["ip", "link", "add", "net0", "type", "bridge"]);
    const addresses = ["10.1.1.2/24", "10.9.0.2/24", "169.254.9.9/24", "fd00:1::2/64", "fd00:9::2/64", "fe80::9/64"];
    for (const address of addresses) {
      await ns.exec(["ip", "address", "add", address, "dev", "net0", ...(address.includes(":") ? ["nodad"] : [])]);
    }
    await ns.exec(["ip", "link", "set", "net0", "up"]);
    const echo = ns.spawn([process.execPath, "--no-warnings", join(SUPPORT, "echo-server.ts"), "7007"]);
    const said: string[] = [];
    createInterface({ input: echo.stdout ?? process.stdin }).on("line", (line) => said.push(line));
    await waitUntil("the echo", () => said.length === 2);
    return ns;
  } catch (failure) {
    await ns[Symbol.asyncDispose]();
    throw failure;
  }
}

/** What the echo answers through a published port: the address it was asked from; or `no answer`. */
function ask(ns: NetNamespace, protocol: "tcp" | "udp", address: string, port = 8080): Promise<string> {
  const command = [process.execPath, "--no-warnings", join(SUPPORT, "echo-client.ts"), protocol, address, String(port)];
  return ns.exec(command).then(
    (text) => text.trim(),
    () => "no answer",
  );
}

/** A program that listens until the namespace ends. */
async function listenElsewhere(ns: NetNamespace, options: object): Promise<void> {
  const script = `require("node:net").createServer().listen(${JSON.stringify(options)}, () => console.log("listens"))`;
  await once(ns.spawn([process.execPath, "-e", script]).stdout ?? process.stdin, "data");
}

describe("hold on all addresses", () => {
  it.each(["tcp", "udp"] as const)(
    "holds a %s port in both families, and nothing of other protocols",
    async (protocol) => {
      await using ns = await NetNamespace.create("ports");

      const { held } = await startHolder(ns).hold(1, [binding(8080, protocol)]);

      expect(held).toEqual([{ protocol, containerPort: 7007, hostAddress: "", hostPort: 8080 }]);
      expect(await sockets(ns, protocol)).toEqual(["0.0.0.0:8080", "[::]:8080"]);
      expect(await sockets(ns, protocol === "tcp" ? "udp" : "tcp")).toEqual([""]);
    },
  );

  it.each(["tcp", "udp"] as const)("chooses one free %s number for both families", async (protocol) => {
    await using ns = await NetNamespace.create("ports");
    await ns.exec(["sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40003"]);
    const holder = startHolder(ns);
    const elsewhere = [40000, 40001, 40003].map((port) => binding(port, protocol, "::"));
    await holder.hold(1, elsewhere);

    const { held } = await holder.hold(2, [binding(0, protocol)]);

    expect(held?.[0]?.hostPort).toBe(40002);
    expect((await sockets(ns, protocol)).filter((name) => name.endsWith(":40002"))).toEqual([
      "0.0.0.0:40002",
      "[::]:40002",
    ]);
    expect(await sockets(ns, protocol)).toHaveLength(5);
    expect(await holder.hold(3, [binding(0, protocol)])).toEqual({
      code: "conflict",
      message: `no port/${protocol} is free on all addresses (net.ipv4.ip_local_port_range)`,
    });
  });

  it("finds a program that listens in one family or on one address only [F118]", async () => {
    await using ns = await NetNamespace.create("ports");
    await listenElsewhere(ns, { port: 8080, host: "::", ipv6Only: true });
    await listenElsewhere(ns, { port: 8081, host: "127.0.0.1" });
    await listenElsewhere(ns, { port: 8082, host: "::" });
    const holder = startHolder(ns);
    const inUse = (port: number, address: string) => ({
      code: "conflict",
      message: `port ${port}/tcp on ${address} is in use by another program on this host`,
    });

    expect(await holder.hold(1, [binding(8080)])).toEqual(inUse(8080, "[::]"));
    expect(await holder.hold(1, [binding(8081)])).toEqual(inUse(8081, "0.0.0.0"));
    expect(await holder.hold(1, [binding(8082)])).toEqual(inUse(8082, "0.0.0.0"));
    expect(await sockets(ns)).toEqual(["*:8082", "127.0.0.1:8081", "[::]:8080"]);
  });

  it("leaves nothing of a range's numbers that are free in one family only", async () => {
    await using ns = await NetNamespace.create("ports");
    await listenElsewhere(ns, { port: 9100, host: "::", ipv6Only: true });

    const { held } = await startHolder(ns).hold(1, [{ ...binding(9100), hostPortEnd: 9105 }]);

    expect(held?.[0]?.hostPort).toBe(9101);
    expect(await sockets(ns)).toEqual(["0.0.0.0:9101", "[::]:9100", "[::]:9101"]);
  });

  it("holds 500 ports at once, in both families", async () => {
    await using ns = await NetNamespace.create("ports");
    const bindings = Array.from({ length: 500 }, (_, i) => binding(20_000 + i, i % 2 === 0 ? "tcp" : "udp"));
    const holder = startHolder(ns);

    const { held } = await holder.hold(1, bindings);

    expect(held?.map(({ hostPort }) => hostPort)).toEqual(bindings.map(({ hostPort }) => hostPort));
    expect(await sockets(ns, "tcp")).toHaveLength(500);
    expect(await sockets(ns, "udp")).toHaveLength(500);
    await holder.release(1);
    expect(await sockets(ns, "tcp")).toEqual([""]);
    expect(await sockets(ns, "udp")).toEqual([""]);
  });
});

describe("hold on one address", () => {
  it("holds it in its family alone, so that others of the host keep the port", async () => {
    await using ns = await hostWithEcho();
    const holder = startHolder(ns);

    const addresses = ["127.0.0.1", "10.1.1.2", "::1", "fd00:1::2"];
    for (const [i, address] of addresses.entries()) {
      expect((await holder.hold(i, [binding(8080, "tcp", address)])).held).toHaveLength(1);
    }
    expect((await holder.hold(8, [binding(8081, "tcp", "0.0.0.0")])).held).toHaveLength(1);
    expect((await holder.hold(9, [binding(8081, "tcp", "::")])).held).toHaveLength(1);

    expect((await sockets(ns)).filter((name) => !name.endsWith(":7007"))).toEqual([
      "0.0.0.0:8081",
      "10.1.1.2:8080",
      "127.0.0.1:8080",
      "[::1]:8080",
      "[::]:8081",
      "[fd00:1::2]:8080",
    ]);
    expect(await holder.hold(20, [binding(8080)])).toEqual({
      code: "conflict",
      message: `port 8080/tcp on 0.0.0.0 is published by endpoint ${endpointId(0).slice(0, 12)} already`,
    });
  });

  it.each([
    ["tcp", "192.0.2.77", "192.0.2.77"],
    ["udp", "192.0.2.77", "192.0.2.77"],
    ["tcp", "2001:db8::77", "[2001:db8::77]"],
    ["udp", "2001:db8::77", "[2001:db8::77]"],
  ] as const)("refuses %s on %s, which is not on the host", async (protocol, address, shown) => {
    await using ns = await NetNamespace.create("ports");

    expect(await startHolder(ns).hold(1, [binding(8080, protocol, address)])).toEqual({
      code: "unsupported",
      message: `port 8080/${protocol} on ${shown} cannot be held: address ${address} is not on this host`,
    });
  });
});

describe("hold without the right", () => {
  it.each(["tcp", "udp"] as const)("says so of a %s port below 1024 [F90]", async (protocol) => {
    await using ns = await NetNamespace.create("ports");
    const holder = startHolder(ns, ["setpriv", "--bounding-set=-net_bind_service", "--inh-caps=-all"]);

    expect(await holder.hold(1, [binding(80, protocol)])).toEqual({
      code: "unsupported",
      message: `port 80/${protocol} on 0.0.0.0 cannot be held: tsnet may not use ports below 1024 (capability NET_BIND_SERVICE)`,
    });
    expect((await holder.hold(1, [binding(1024, protocol)])).held).toHaveLength(1);
  });
});

describe("what is held", () => {
  it.each(["tcp", "udp"] as const)(
    "is relayed over %s to the container's address of either family",
    async (protocol) => {
      await using ns = await hostWithEcho();
      const holder = startHolder(ns);
      await holder.hold(1, [binding(8080, protocol)], { address: "10.1.1.2", addressIpv6: "fd00:1::2" });
      await holder.hold(2, [binding(8084, protocol)], { address: "10.1.1.2" });
      await holder.hold(3, [binding(8086, protocol)], { addressIpv6: "fd00:1::2" });

      expect(await ask(ns, protocol, "127.0.0.1", 8080)).toBe("10.1.1.2");
      expect(await ask(ns, protocol, "::1", 8080)).toBe("fd00:1::2");
      expect(await ask(ns, protocol, "::1", 8084)).toBe("10.1.1.2");
      expect(await ask(ns, protocol, "127.0.0.1", 8086)).toBe("fd00:1::2");
    },
  );

  it("is not relayed for link-local sources, nor for those of refused networks", async () => {
    await using ns = await hostWithEcho();
    await startHolder(ns).hold(1, [binding(8080), binding(8080, "udp")], { address: "10.1.1.2" });
    const own = ["10.1.1.2", "fd00:1::2"];
    const refused = ["169.254.9.9", "10.9.0.2", "fd00:9::2", "fe80::9%net0"]; // asked from that same address

    const answers = await Promise.all(
      [...own, ...refused].flatMap((address) => [ask(ns, "tcp", address), ask(ns, "udp", address)]),
    );

    expect(answers.slice(0, 4)).toEqual(Array(4).fill("10.1.1.2"));
    expect(answers.slice(4)).toEqual(Array(8).fill("no answer"));
  });

  it("can be held again at once after a crash, with connections that are ending", async () => {
    await using ns = await hostWithEcho();
    const crashing = startHolder(ns);
    await crashing.hold(1, [binding(8080), binding(8080, "udp")], { address: "10.1.1.2" });
    for (const protocol of ["tcp", "udp"] as const) await ask(ns, protocol, "127.0.0.1");
    const talk = `require("node:net").connect(8080, "127.0.0.1").once("data", () => console.log("talks")).on("error", () => {})`;
    await once(
      ns.spawn([process.execPath, "-e", `${talk}; setInterval(() => {}, 1000)`]).stdout ?? process.stdin,
      "data",
    );

    await crashing.kill();
    const { held } = await startHolder(ns).hold(1, [binding(8080), binding(8080, "udp")], { address: "10.1.1.2" });

    expect(held).toHaveLength(2);
    expect(await ask(ns, "tcp", "127.0.0.1")).toBe("10.1.1.2");
  });
});
