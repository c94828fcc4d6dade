import { describe, expect, it } from "vitest";
import { ports } from "../../../src/cli/ports.ts";
import type { PublishedPort } from "../../../src/cnm/ports.ts";
import type { ListeningSocket } from "../../../src/host/listening-sockets.ts";
import { deskIn, dockerWith, endpointStatus, networkStatus } from "../../support/cli-desk.ts";

const port = (hostAddress: string, hostPort = 8080, protocol: PublishedPort["protocol"] = "tcp"): PublishedPort => ({
  protocol,
  hostAddress,
  hostPort,
  containerPort: 80,
});
const socket = (address: string, at = 8080, protocol: ListeningSocket["protocol"] = "tcp") => ({
  protocol,
  address,
  port: at,
});

async function rowOf(published: PublishedPort, ...sockets: readonly ListeningSocket[]) {
  const networks = [networkStatus(1, { endpoints: [endpointStatus(1, 1, { ports: [published] })] })];
  const desk = deskIn({ networks, docker: dockerWith({ front: 1 }, { web: [1] }) });
  await ports(desk, {}, () => sockets);
  const [head = "", row = ""] = desk.out.text.split("\n");
  expect(head).toMatch(/^PORT +TO +NETWORK +OPEN TO$/);
  return row.split(/ {2,}/);
}

describe("tsnet ports", () => {
  it.each([
    ["*:8080/tcp", "everyone who reaches this host", port(""), socket("0.0.0.0")],
    ["*:8080/tcp", "everyone who reaches this host", port(""), socket("::")],
    ["0.0.0.0:8080/tcp", "everyone who reaches this host", port("0.0.0.0"), socket("0.0.0.0")],
    ["[::]:8080/tcp", "everyone who reaches this host", port("::"), socket("::")],
    ["192.0.2.10:8080/tcp", "who reaches 192.0.2.10", port("192.0.2.10"), socket("192.0.2.10")],
    ["127.0.0.1:8080/tcp", "this host alone", port("127.0.0.1"), socket("127.0.0.1")],
    ["127.9.9.9:8080/tcp", "this host alone", port("127.9.9.9"), socket("127.9.9.9")],
    ["[::1]:8080/tcp", "this host alone", port("::1"), socket("::1")],
    ["*:8080/udp", "everyone who reaches this host", port("", 8080, "udp"), socket("0.0.0.0", 8080, "udp")],
  ])("says of %s that it is open to %s", async (where, openTo, published, listening) => {
    expect(await rowOf(published, listening)).toEqual([where, "web 10.1.1.2:80", "front", openTo]);
  });

  it.each([
    ["nobody listens at all", port(""), []],
    ["somebody listens on another port", port(""), [socket("0.0.0.0", 8081)]],
    ["somebody listens by another protocol", port(""), [socket("0.0.0.0", 8080, "udp")]],
    ["somebody listens on another address", port("192.0.2.10"), [socket("127.0.0.1")]],
    ["somebody listens on one address of all", port(""), [socket("127.0.0.1")]],
    ["somebody listens on all addresses of the other family", port("0.0.0.0"), [socket("::1")]],
  ])("says that nothing listens there when %s", async (_when, published, listening) => {
    expect((await rowOf(published, ...listening)).at(-1)).toBe("nobody: nothing listens there");
  });

  it("says of a port that is not translated at whose address it is", async () => {
    expect(await rowOf(port("", 0))).toEqual(["10.1.1.2:80/tcp", "web", "front", "who is routed to the container"]);
  });

  it("prints each port as JSON", async () => {
    const networks = [networkStatus(1, { endpoints: [endpointStatus(1, 1, { ports: [port(""), port("", 81)] })] })];
    const desk = deskIn({ networks, docker: dockerWith({ front: 1 }, { web: [1] }) });

    await ports(desk, { json: true }, () => [socket("::")]);

    expect(JSON.parse(desk.out.text)).toMatchObject([
      { hostPort: 81, openTo: "nobody" },
      { container: "web", network: "front", hostPort: 8080, containerPort: 80, openTo: "everyone" },
    ]);
  });

  it("says that nothing is published", async () => {
    const desk = deskIn({ networks: [networkStatus(1)] });

    await ports(desk, {}, () => []);

    expect(desk.out.text).toBe("nothing is published on networks of tsnet\n");
  });
});
