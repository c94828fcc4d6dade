// Ports that cannot be published, and the ways of asking for ports: conflicts with programs of the host, with other
// containers and with the other driver, ranges, ports that the host chooses, addresses. Asked of tsnet and of Docker's own
// bridge driver in one lab; what stands in the messages, of tsnet alone.
import { existsSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Census } from "../support/census.ts";
import { TEST_IMAGE } from "../support/image.ts";
import { type TakenPort, newPorts, takePort, takenPorts } from "../support/publish-sockets.ts";
import { HOST, LOOPBACK, publish } from "../support/publish-stand.ts";
import { SystemHost, type TestNetwork } from "../support/system-host.ts";
import { ask, runServer, whoAnswers } from "../support/system-probe.ts";

const OUTSIDE = Object.values(HOST);
/** `net.ipv4.ip_local_port_range` of every host that nobody changed. */
const EPHEMERAL = { first: 32_768, last: 60_999 } as const;
const DRIVERS = ["tsnet", "bridge"] as const;
const OTHER = { tsnet: "bridge", bridge: "tsnet" } as const;

describe("on a host with tsnet and Docker's own bridge driver", () => {
  let host: SystemHost;
  let before: Census;
  /** Networks so far. */
  let made = 0;
  const networks = { tsnet: { name: "one-of-tsnet" }, bridge: { name: "one-of-docker" } } as const;

  beforeAll(async () => {
    host = await SystemHost.up("managed plugin");
    before = await host.census();
    for (const driver of DRIVERS) await network(driver, networks[driver].name);
  });
  afterEach(async () => await removeContainers());
  afterAll(async () => await host?.[Symbol.asyncDispose]());

  describe.each(DRIVERS)("a port published by %s", (driver) => {
    const isOurs = driver === "tsnet";
    const net = networks[driver];
    /** Docker's own messages are its business. */
    const expectOurs = (message: string, text: string) => expect(message).toContain(isOurs ? text : "");

    it.each(["tcp", "udp"] as const)(
      "is refused when a program has it (%s), with all others [F118]",
      async (protocol) => {
        await using _program = await takePort(host.lab, { protocol, address: "0.0.0.0", port: 8302 });

        const ports = [8301, 8302, 8303].flatMap((port) => publish(port, 80));
        const message = await refusal(driver, "web", ...ports);

        expect(message).toContain("8302");
        expectOurs(message, `port 8302/${protocol} on 0.0.0.0 is in use by another program on this host`);
        expect(await portsOf(8301, 8303)).toEqual([]);
        expect(await whoAnswers(host.neighbour, OUTSIDE, 8301)).toEqual(["nobody"]);
      },
    );

    it("is refused while a container of any driver has it, and published when that is gone [F118]", async () => {
      const first = await runServer(host, "first", net, [80], "-p", "8304:80");
      const message = await refusal(driver, "second", "-p", "127.0.0.1:8304:80");
      const ofOther = await refusal(OTHER[driver], "third", "-p", "8304:80");

      await first[Symbol.asyncDispose]();
      await host.docker("start", "second");

      expect(message).toContain("8304");
      expect(ofOther).toContain("8304");
      expectOurs(message, "port 8304/tcp on 127.0.0.1 is published by endpoint ");
      expect(await portsOf(8304, 8304)).toEqual([{ protocol: "tcp", address: "127.0.0.1", port: 8304 }]);
    });

    it("does not stand in the way of the same number on another address or of another protocol", async () => {
      await runServer(host, "inner", net, [80], "-p", "127.0.0.1:8310:80");
      await runServer(host, "outer", net, [80], "-p", `${HOST[4]}:8310:80`);
      await runServer(host, "datagrams", net, [80], "-p", "8310:80/udp");

      await expect.poll(() => whoAnswers(host.neighbour, [HOST[4]], 8310)).toEqual(["outer", "datagrams"]);
      await expect.poll(() => whoAnswers(host, [LOOPBACK[4]], 8310)).toEqual(["inner", "datagrams"]);
    });

    it("of a range is the first that is free; when none is, the container is refused [F118]", async () => {
      await runServer(host, "first", net, [80], "-p", "8311:80");
      await runServer(host, "second", net, [80], "-p", "8311-8312:80");

      const message = await refusal(driver, "third", "-p", "8311-8312:80");

      await expect.poll(() => whoAnswersTcp(8312)).toBe("second");
      expectOurs(message, "ports 8311-8312/tcp on all addresses are all in use");
    });

    it.each([
      ["with -P", ["--expose", "80/tcp", "--expose", "80/udp", "-P"]],
      ["without a number", ["-p", "80", "-p", "80/udp"]],
    ])("%s gets a number of the host's choice, the same for IPv4 and IPv6", async (_way, flags) => {
      const known = await takenPorts(host.lab);
      await runServer(host, "web", net, [80], ...flags);

      const chosen = await newPorts(host.lab, known);
      const questions = chosen.map(({ protocol, address, port }) => {
        return { protocol, address: HOST[address === "::" ? 6 : 4], port };
      });

      expect(chosen.map(({ protocol, address }) => `${protocol} ${address}`).toSorted()).toEqual(
        ["tcp", "udp"].flatMap((protocol) => [`${protocol} 0.0.0.0`, `${protocol} ::`]),
      );
      expect(await ask(host.neighbour, questions)).toMatchObject(questions.map(() => ({ server: "web" })));
      if (!isOurs) return;
      expect(new Set(chosen.map(({ protocol, port }) => `${protocol} ${port}`)).size).toBe(2);
      expect(chosen.filter(({ port }) => port < EPHEMERAL.first || port > EPHEMERAL.last)).toEqual([]);
    });

    it("may be one of several for the same port of the container", async () => {
      const flags = [...publish(8316, 80), ...publish(8317, 80), ...publish(8318, 80, LOOPBACK[4], LOOPBACK[6])];
      await runServer(host, "web", net, [80], ...flags);

      await expect.poll(() => whoAnswers(host.neighbour, OUTSIDE, 8316)).toEqual(["web"]);
      await expect.poll(() => whoAnswers(host.neighbour, OUTSIDE, 8317)).toEqual(["web"]);
      await expect.poll(() => whoAnswers(host, Object.values(LOOPBACK), 8318)).toEqual(["web"]);
    });

    if (!isOurs) return; // Docker's driver was seen to do the rest alike, engines 20.10 and 28.5

    it("is refused when the container itself asks for it twice", async () => {
      const message = await refusal(driver, "web", "-p", "8305:80", "-p", "8305:81");

      expect(message).toContain("8305");
      expect(await portsOf(8305, 8305)).toEqual([]);
    });

    it("is refused when its container starts again and somebody has it by then, which then goes on", async () => {
      const first = await runServer(host, "first", net, [80], ...publish(8306, 80));
      await host.docker("stop", "first");
      const second = await runServer(host, "second", net, [80], ...publish(8306, 80));

      expect(await host.refusalOf("start", "first")).toContain("8306");
      await expect.poll(() => whoAnswers(host.neighbour, OUTSIDE, 8306)).toEqual(["second"]);

      await second[Symbol.asyncDispose]();
      await host.docker("start", "first");
      await first.serves([80]);
      await expect.poll(() => whoAnswers(host.neighbour, OUTSIDE, 8306)).toEqual(["first"]);
    });

    it("is refused on an address that is not the host's", async () => {
      const message = await refusal(driver, "web", "-p", "203.0.113.9:8307:80");

      expectOurs(message, "port 8307/tcp on 203.0.113.9 cannot be held: address 203.0.113.9 is not on this host");
      expect(await portsOf(8307, 8307)).toEqual([]);
    });

    it("goes to one of five containers that want it at the same time", async () => {
      const starts = Array.from({ length: 5 }, async (_, at) => {
        const command = ["run", "-d", "--name", `racer-${at}`, "--network", net.name, "-p", "8308:80", TEST_IMAGE];
        return await host.refusalOf(...command).catch(() => "started");
      });
      const outcomes = await Promise.all(starts);

      expect(outcomes.filter((outcome) => outcome === "started")).toHaveLength(1);
      expect(outcomes.filter((outcome) => outcome.includes("8308"))).toHaveLength(4);
      expect(await host.docker("ps", "-q")).toMatch(/^[0-9a-f]{12}$/);
    });

    it("is kept from every program of the host [F118]", async () => {
      await runServer(host, "web", net, [80], ...publish(8309, 80));

      const addresses = ["0.0.0.0", HOST[4], LOOPBACK[4], "::", HOST[6]];
      const attempts = addresses.flatMap((address) =>
        (["tcp", "udp"] as const).map(async (protocol) => {
          await using program = await takePort(host.lab, { protocol, address, port: 8309 });
          return program.failure;
        }),
      );

      expect(await Promise.all(attempts)).toEqual(attempts.map(() => "EADDRINUSE"));
    });

    it("of a range to a range leads to the port at the same place in it", async () => {
      await runServer(host, "web", net, [80, 82], "-p", "8313-8315:80-82", "-p", "8313-8315:80-82/udp");

      expect(await whoAnswersTcp(8314)).toBeUndefined();
      await expect.poll(() => whoAnswers(host.neighbour, OUTSIDE, 8313)).toEqual(["web"]);
      await expect.poll(() => whoAnswers(host.neighbour, OUTSIDE, 8315)).toEqual(["web"]);
    });

    it("listens where the network's host binding says, unless it has an address of its own", async () => {
      await using bound = await network(driver, "bound", "-o", "com.docker.network.bridge.host_binding_ipv4=127.0.0.1");
      await using _web = await runServer(host, "web", bound, [80], ...publish(8319, 80), ...publish(8320, 80, HOST[4]));

      await expect.poll(() => whoAnswers(host, [LOOPBACK[4]], 8319)).toEqual(["web"]);
      expect(await whoAnswers(host.neighbour, OUTSIDE, 8319)).toEqual(["nobody"]);
      await expect.poll(() => whoAnswers(host.neighbour, [HOST[4]], 8320)).toEqual(["web"]);
    });
  });

  it("tsnet refuses a port in mode l2 with the reason, and publishes none in mode isolated", async () => {
    await using flat = await network("tsnet", "flat", "-o", "mode=l2");
    await using dark = await network("tsnet", "dark", "-o", "mode=isolated");

    const message = await host.refusalOf(
      "run",
      "-d",
      "--name",
      "web",
      "--network",
      flat.name,
      "-p",
      "8322:80",
      TEST_IMAGE,
    );
    await using _quiet = await runServer(host, "quiet", dark, [80], "-p", "8323:80"); // the engine does not ask there
    await host.docker("rm", "-f", "web");

    expect(message).toMatch(/ports of endpoint [0-9a-f]{12} cannot be published: mode l2 /);
    expect(await portsOf(8322, 8323)).toEqual([]);
  });

  if (!existsSync("/proc/net/sctp"))
    it("tsnet refuses a port of SCTP where the kernel has none", async () => {
      const message = await refusal("tsnet", "web", ...publish(8324, 80), "-p", "8324:80/sctp");

      expect(message).toContain("port 8324/sctp on 0.0.0.0 cannot be held: this host's kernel has no sctp");
      expect(await portsOf(8324, 8324)).toEqual([]);
    });

  it("nothing is left when all of it is removed, and tsnet's log has no complaint but the refusals", async () => {
    await host.removeEverything();

    const leftovers = async () => (await host.changesSince(before)).filter((line) => !/^nft: (?!.*tsnet)/.test(line));
    await expect.poll(leftovers, { timeout: 15_000, interval: 500 }).toEqual([]); // newer engines leave empty chains
    expect(host.complaints()).toEqual([]);
  });

  async function network(driver: (typeof DRIVERS)[number], name: string, ...options: string[]): Promise<TestNetwork> {
    const ipam = driver === "tsnet" ? ["--ipam-driver", "tsnet"] : [];
    made += 1;
    const subnets = ["--ipv6", "--subnet", `10.40.${made}.0/24`, "--subnet", `fd40:${made}::/64`];
    await host.docker("network", "create", "-d", driver, ...ipam, ...subnets, ...options, name);
    return host.existingNetwork(name);
  }

  /** Runs a container that must fail to start; it stays, not running. @returns the engine's message. */
  async function refusal(driver: (typeof DRIVERS)[number], name: string, ...flags: string[]): Promise<string> {
    return await host.refusalOf("run", "-d", "--name", name, "--network", networks[driver].name, ...flags, TEST_IMAGE);
  }

  async function removeContainers(): Promise<void> {
    const containers = (await host.docker("ps", "-aq")).split("\n").filter((id) => id !== "");
    if (containers.length > 0) await host.docker("rm", "-f", ...containers);
  }

  /** Which server a remote host reaches. */
  async function whoAnswersTcp(port: number): Promise<string | undefined> {
    const [answer] = await ask(host.neighbour, [{ protocol: "tcp", address: HOST[4], port }]);
    return answer?.server;
  }

  /** What is taken of these numbers. */
  async function portsOf(first: number, last: number): Promise<readonly TakenPort[]> {
    return (await takenPorts(host.lab)).filter(({ port }) => port >= first && port <= last && port !== 8302);
  }
});
