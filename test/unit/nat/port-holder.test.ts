// On a loopback address of this process's own, so that tests that run at the same time do not meet. What needs other
// addresses, both families or rights is in `test/kernel/nat/port-holder.test.ts`.
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import type { EndpointId } from "../../../src/cnm/endpoint.ts";
import type { PortBinding, PortProtocol, PublishedPort } from "../../../src/cnm/ports.ts";
import { TsnetError } from "../../../src/errors.ts";
import { SILENT_LOG } from "../../../src/log.ts";
import { HostPorts, type RelayListeners } from "../../../src/nat/port-holder.ts";
import { listenTcp } from "../../../src/nat/relay-tcp.ts";
import { listenUdp } from "../../../src/nat/relay-udp.ts";
import type { ListenRelay } from "../../../src/nat/relay.ts";
import { endpointId } from "../../support/cnm-builder.ts";
import { Listener, UdpPeer, client, closing, endOf } from "../../support/relay-peers.ts";
import { waitUntil } from "../../support/wait-until.ts";

const execute = promisify(execFile);
const SRC = join(import.meta.dirname, "../../../src");
const HERE = `127.${1 + ((process.pid >> 16) % 250)}.${(process.pid >> 8) & 255}.${1 + (process.pid & 127)}`;
const TARGET = { address: "127.0.0.1" };

function hostPorts(listeners?: RelayListeners): HostPorts & AsyncDisposable {
  return closing(new HostPorts({ isRefused: () => false, log: SILENT_LOG }, listeners));
}

/** A binding of container port 80 on this test's address. */
function binding(hostPort: number, protocol: PortProtocol = "tcp", hostPortEnd = hostPort): PortBinding {
  return { protocol, containerPort: 80, hostAddress: HERE, hostPort, hostPortEnd };
}

/** Numbers that are free for tcp and udp, and stay so unless somebody listens on all addresses. */
async function freeNumbers(count: number): Promise<number[]> {
  await using ports = hostPorts();
  const held = await ports.hold(endpointId(), Array<PortBinding>(count).fill(binding(0, "udp")), {});
  const numbers = held.map(({ hostPort }) => hostPort);
  await using check = hostPorts();
  await check.hold(
    endpointId(),
    numbers.map((number) => binding(number)),
    {},
  );
  return numbers;
}

async function freeNumber(): Promise<number> {
  const [number = 0] = await freeNumbers(1);
  return number;
}

/** The first of as many free numbers in a row. */
async function freeRange(length: number): Promise<number> {
  return waitUntil("free numbers in a row", async () => {
    const first = await freeNumber();
    await using ports = hostPorts();
    await ports.hold(
      endpointId(),
      Array.from({ length }, (_, i) => binding(first + i)),
      {},
    );
    return first;
  });
}

/** Whether another process can have the port: `taken` or `free`. */
async function askForeignProcess(protocol: "tcp" | "udp", port: number, address = HERE): Promise<string> {
  const script = `
    const [protocol, address, port] = process.argv.slice(1);
    const socket = protocol === "tcp"
      ? require("node:net").createServer().listen({ port, host: address })
      : require("node:dgram").createSocket({ type: "udp4", reuseAddr: true }).bind({ port: Number(port), address });
    socket.on("listening", () => { console.log("free"); socket.close(); });
    socket.on("error", ({ code }) => console.log(code === "EADDRINUSE" ? "taken" : code));`;
  const { stdout } = await execute(process.execPath, ["-e", script, protocol, address, String(port)]);
  return stdout.trim();
}

function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => "no failure",
    (failure: unknown) => failure,
  );
}

describe("hold", () => {
  it.each(["tcp", "udp"] as const)("keeps other processes off a %s port until it is released", async (protocol) => {
    await using ports = hostPorts();
    const port = await freeNumber();

    const held = await ports.hold(endpointId(), [binding(port, protocol)], TARGET);

    expect(held).toEqual([{ protocol, containerPort: 80, hostAddress: HERE, hostPort: port }]);
    expect(await askForeignProcess(protocol, port)).toBe("taken");
    expect(await askForeignProcess(protocol, port, "0.0.0.0")).toBe("taken");
    await ports.release(endpointId());
    expect(await askForeignProcess(protocol, port)).toBe("free");
  });

  it("refuses a port on which a program of this host listens, by name", async () => {
    await using program = await Listener.start(() => {}, HERE);
    await using ports = hostPorts();

    await expect(ports.hold(endpointId(), [binding(program.port)], TARGET)).rejects.toMatchObject({
      code: "conflict",
      message: `port ${program.port}/tcp on ${HERE} is in use by another program on this host`,
    });
  });

  it("refuses a udp port that a program of this host has bound, by name", async () => {
    await using program = await UdpPeer.start(undefined, { address: HERE });
    await using ports = hostPorts();

    await expect(ports.hold(endpointId(), [binding(program.port, "udp")], TARGET)).rejects.toMatchObject({
      code: "conflict",
      message: `port ${program.port}/udp on ${HERE} is in use by another program on this host`,
    });
  });

  it("refuses a port that another endpoint has published, and names that endpoint", async () => {
    await using ports = hostPorts();
    const port = await freeNumber();
    await ports.hold(endpointId(1), [binding(port)], TARGET);

    await expect(ports.hold(endpointId(2), [binding(port)], TARGET)).rejects.toMatchObject({
      code: "conflict",
      message: `port ${port}/tcp on ${HERE} is published by endpoint ${endpointId(1).slice(0, 12)} already`,
    });
    const everywhere = { ...binding(port), hostAddress: "0.0.0.0" };
    await expect(ports.hold(endpointId(2), [everywhere], TARGET)).rejects.toMatchObject({
      code: "conflict",
      message: `port ${port}/tcp on 0.0.0.0 is published by endpoint ${endpointId(1).slice(0, 12)} already`,
    });
  });

  it("takes the same number for tcp and for udp", async () => {
    await using ports = hostPorts();
    const port = await freeNumber();

    await ports.hold(endpointId(1), [binding(port, "tcp")], TARGET);
    await ports.hold(endpointId(2), [binding(port, "udp")], TARGET);

    expect(ports.heldBy(endpointId(2))).toHaveLength(1);
  });

  it("takes several bindings of one container port, and tells them in their order", async () => {
    await using ports = hostPorts();
    const [a = 0, b = 0, c = 0] = await freeNumbers(3);

    const held = await ports.hold(endpointId(), [binding(0), binding(c), binding(a), binding(b, "udp")], TARGET);

    expect(held.map(({ hostPort }) => hostPort)).toEqual([held[0]?.hostPort, c, a, b]);
    expect(ports.heldBy(endpointId())).toEqual(held);
  });

  it("refuses one number twice in a call", async () => {
    await using ports = hostPorts();
    const port = await freeNumber();

    await expect(ports.hold(endpointId(), [binding(port), binding(port)], TARGET)).rejects.toMatchObject({
      code: "conflict",
      message: `port ${port}/tcp on ${HERE} is asked for twice`,
    });
  });

  it("holds nothing when one port of many is not to be had [F118]", async () => {
    await using program = await Listener.start(() => {}, HERE);
    await using ports = hostPorts();
    const free = await freeNumbers(4);
    const [a = 0, b = 0, c = 0, d = 0] = free;
    const wanted = [binding(a), binding(b, "udp"), binding(program.port), binding(c), binding(d, "udp"), binding(0)];

    await expect(ports.hold(endpointId(), wanted, TARGET)).rejects.toThrow(/in use by another program/);

    expect(ports.heldBy(endpointId())).toEqual([]);
    for (const port of free) {
      expect(await askForeignProcess("tcp", port)).toBe("free");
      expect(await askForeignProcess("udp", port)).toBe("free");
    }
    expect(await ports.hold(endpointId(), [binding(a)], TARGET)).toHaveLength(1);
  });

  it.each(["tcp", "udp"] as const)("leaves no descriptor open when a %s port is not to be had", async (protocol) => {
    await using others = hostPorts();
    const [taken] = await others.hold(endpointId(1), [binding(0, protocol)], TARGET);
    await using ports = hostPorts();
    const descriptors = () => readdirSync("/proc/self/fd").length;
    const before = descriptors();

    for (let i = 0; i < 20; i++) {
      await failureOf(ports.hold(endpointId(2), [binding(taken?.hostPort ?? 0, protocol)], TARGET));
    }

    await waitUntil("the descriptors to be closed", () => descriptors() === before);
  });

  it("names every port that is not to be had, five at most", async () => {
    await using ports = hostPorts();
    await using others = hostPorts();
    const taken = (await freeNumbers(7)).toSorted((a, b) => a - b);
    const bindings = taken.map((port) => binding(port));
    await others.hold(endpointId(1), bindings, TARGET);

    const failure = await failureOf(ports.hold(endpointId(2), bindings, TARGET));

    const named = taken
      .slice(0, 5)
      .map((port) => `port ${port}/tcp on ${HERE} is in use by another program on this host`);
    expect(failure).toMatchObject({ code: "conflict", message: [...named, "and 2 more"].join("; ") });
  });

  it("gives a port that a hundred endpoints want at once to one of them, and names it to the others [F118]", async () => {
    const tcp: ListenRelay = async (plan, gate) => {
      const relay = await listenTcp(plan, gate);
      await turn(); // the others fail before it is known who has it
      return relay;
    };
    await using ports = hostPorts({ tcp, udp: listenUdp, sctp: listenTcp });
    const port = await freeNumber();
    const ids = Array.from({ length: 100 }, (_, i) => endpointId(i));

    const outcomes = await Promise.all(
      ids.map((id) => failureOf(ports.hold(id, [binding(0, "udp"), binding(port), binding(0)], TARGET))),
    );

    const winners = ids.filter((id) => ports.heldBy(id).length > 0);
    expect(winners).toHaveLength(1);
    const message = `port ${port}/tcp on ${HERE} is published by endpoint ${winners[0]?.slice(0, 12)} already`;
    const failures = outcomes.filter((outcome) => outcome instanceof TsnetError);
    expect(failures).toHaveLength(99);
    expect(new Set(failures.map((failure) => failure.message))).toEqual(new Set([message]));
  });

  it("refuses further ports to an endpoint that holds some, until it has released them", async () => {
    await using ports = hostPorts();
    const [first] = await ports.hold(endpointId(), [binding(0)], TARGET);

    await expect(ports.hold(endpointId(), [binding(0)], TARGET)).rejects.toMatchObject({
      code: "conflict",
      message: `endpoint ${endpointId()} holds ports already: release them first`,
    });
    expect(ports.heldBy(endpointId())).toEqual([first]);
    await ports.release(endpointId());
    expect(await ports.hold(endpointId(), [binding(first?.hostPort ?? 0)], TARGET)).toEqual([first]);
  });

  it("holds what was published before once more when it is asked with those numbers", async () => {
    const asBinding = (port: PublishedPort): PortBinding => ({ ...port, hostPortEnd: port.hostPort });
    await using before = hostPorts();
    const held = await before.hold(endpointId(), [binding(0), binding(0, "udp"), binding(0)], TARGET);
    await before.close();

    await using after = hostPorts();

    expect(await after.hold(endpointId(), held.map(asBinding), TARGET)).toEqual(held);
  });
});

describe("a range", () => {
  it("gives its first free number", async () => {
    await using ports = hostPorts();
    const first = await freeRange(4);
    await ports.hold(endpointId(1), [binding(first), binding(first + 1)], TARGET);

    const [got] = await ports.hold(endpointId(2), [binding(first, "tcp", first + 3)], TARGET);

    expect(got?.hostPort).toBe(first + 2);
  });

  it("leaves the numbers that other bindings of the call name, and the end of a shorter range, to those", async () => {
    await using ports = hostPorts();
    const first = await freeRange(4);

    const held = await ports.hold(
      endpointId(),
      [
        binding(first, "tcp", first + 3),
        binding(first, "tcp", first + 1),
        binding(first),
        binding(first, "tcp", first + 2),
      ],
      TARGET,
    );

    expect(held.map(({ hostPort }) => hostPort - first)).toEqual([3, 1, 0, 2]);
  });

  it("is refused by its numbers when all are in use", async () => {
    await using ports = hostPorts();
    const first = await freeRange(3);
    await ports.hold(
      endpointId(1),
      [0, 1, 2].map((i) => binding(first + i)),
      TARGET,
    );

    await expect(ports.hold(endpointId(2), [binding(first, "tcp", first + 2)], TARGET)).rejects.toMatchObject({
      code: "conflict",
      message: `ports ${first}-${first + 2}/tcp on ${HERE} are all in use`,
    });
  });
});

describe("what the kernel has not", () => {
  const refusal = (code: string) => Object.assign(new Error(`listen ${code}`), { code });

  it("leaves all addresses to be those of IPv4 on a host without IPv6", async () => {
    const asked: string[] = [];
    await using ports = hostPorts({
      udp: listenUdp,
      sctp: listenTcp,
      tcp: (plan, gate) => {
        asked.push(plan.address);
        if (plan.address === "::") return Promise.reject(refusal("EAFNOSUPPORT"));
        return listenTcp({ ...plan, address: HERE }, gate);
      },
    });

    const [held] = await ports.hold(endpointId(), [{ ...binding(0), hostAddress: "" }], TARGET);

    expect(asked).toEqual(["0.0.0.0", "::"]);
    expect(held).toMatchObject({ hostAddress: "" });
    await expect(ports.hold(endpointId(2), [{ ...binding(8080), hostAddress: "::" }], TARGET)).rejects.toMatchObject({
      code: "unsupported",
      message: "port 8080/tcp on [::] cannot be held: this host has no IPv6",
    });
  });

  it("tells of a kernel without sctp", async () => {
    const cause = { errno: "EPROTONOSUPPORT" };
    const sctp = () => Promise.reject(new TsnetError("host", "open a socket: Protocol not supported", { cause }));
    await using ports = hostPorts({ tcp: listenTcp, udp: listenUdp, sctp });

    await expect(ports.hold(endpointId(), [binding(8080, "sctp")], TARGET)).rejects.toMatchObject({
      code: "unsupported",
      message: `port 8080/sctp on ${HERE} cannot be held: this host's kernel has no sctp (module sctp)`,
    });
  });

  it("asks for another number, but not for ever, when one is taken in the other family", async () => {
    let asked = 0;
    await using ports = hostPorts({
      udp: listenUdp,
      sctp: listenTcp,
      tcp: (plan, gate) => {
        if (plan.address !== "::") return listenTcp({ ...plan, address: HERE }, gate);
        asked += 1;
        return Promise.reject(refusal("EADDRINUSE"));
      },
    });

    await expect(ports.hold(endpointId(), [{ ...binding(0), hostAddress: "" }], TARGET)).rejects.toMatchObject({
      code: "conflict",
      message: "no port/tcp is free on all addresses (net.ipv4.ip_local_port_range)",
    });
    expect(asked).toBe(50);
  });

  it("tells any other refusal in the kernel's words", async () => {
    const tcp = () => Promise.reject(refusal("EMFILE"));
    await using ports = hostPorts({ tcp, udp: listenUdp, sctp: listenTcp });

    await expect(ports.hold(endpointId(), [binding(0)], TARGET)).rejects.toMatchObject({
      code: "host",
      message: `a free port/tcp on ${HERE} cannot be held: listen EMFILE`,
    });
  });
});

describe("release", () => {
  it("cuts what is relayed to that endpoint, and nobody else's", async () => {
    await using container = await Listener.start((socket) => void socket.pipe(socket));
    await using ports = hostPorts();
    const toContainer = { ...binding(0), containerPort: container.port };
    const [one] = await ports.hold(endpointId(1), [toContainer], TARGET);
    const [two] = await ports.hold(endpointId(2), [toContainer], TARGET);
    await using cut = await client(one?.hostPort ?? 0, HERE);
    await using kept = await client(two?.hostPort ?? 0, HERE);
    for (const asker of [cut, kept]) await new Promise((resolve) => asker.once("data", resolve).write("x"));

    await ports.release(endpointId(1));

    expect(await endOf(cut)).toBe("ECONNRESET");
    expect(await new Promise((resolve) => kept.once("data", resolve).write("y"))).toEqual(Buffer.from("y"));
    expect(ports.heldBy(endpointId(1))).toEqual([]);
  });

  it("takes an endpoint that it does not know", async () => {
    await using ports = hostPorts();

    await expect(ports.release("unknown" as EndpointId)).resolves.toBeUndefined(); // an id of any form will do
  });

  it("waits for a hold under way, and then ends it", async () => {
    await using ports = hostPorts();
    const port = await freeNumber();
    const holding = ports.hold(endpointId(), [binding(port)], TARGET);

    await ports.release(endpointId());

    await holding;
    expect(ports.heldBy(endpointId())).toEqual([]);
    expect(await ports.hold(endpointId(2), [binding(port)], TARGET)).toHaveLength(1);
  });
});

describe("close", () => {
  it("frees everything, holds under way included, and refuses further ones", async () => {
    const ports = hostPorts();
    const numbers = await freeNumbers(3);
    const holding = numbers.map((port, i) => failureOf(ports.hold(endpointId(i), [binding(port)], TARGET)));

    await ports.close();

    await Promise.all(holding);
    for (const port of numbers) expect(await askForeignProcess("tcp", port)).toBe("free");
    await expect(ports.hold(endpointId(), [binding(0)], TARGET)).rejects.toMatchObject({ code: "unavailable" });
  });

  it("leaves nothing that keeps the process alive, with connections and clients of every sort", async () => {
    const script = `
      import { createSocket } from "node:dgram";
      import { connect } from "node:net";
      import { HostPorts } from ${JSON.stringify(join(SRC, "nat/port-holder.ts"))};
      const ports = new HostPorts({ isRefused: () => false, log: console });
      const binding = (protocol, containerPort) =>
        ({ protocol, containerPort, hostAddress: "127.0.0.1", hostPort: 0, hostPortEnd: 0 });
      const [first] = await ports.hold("a", [binding("tcp", 1)], {});
      const [tcp, udp] = await ports.hold("b", [binding("tcp", first.hostPort), binding("udp", 9)], { address: "127.0.0.1" });
      const socket = connect(tcp.hostPort, "127.0.0.1").on("error", () => {});
      const peer = createSocket("udp4").unref();
      await new Promise((resolve) => peer.send("x", udp.hostPort, "127.0.0.1", resolve));
      await new Promise((resolve) => socket.once("close", resolve));
      await ports.close();
      console.log("closed");`;

    const { stdout } = await execute(process.execPath, ["--input-type=module", "--no-warnings", "-e", script]);

    expect(stdout).toBe("closed\n");
  });
});
