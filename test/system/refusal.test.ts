// Requests that tsnet must refuse, typed as a user would: what the message says, and that nothing at all has changed.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Census } from "../support/census.ts";
import { TEST_IMAGE } from "../support/image.ts";
import { SystemHost, VARIANTS } from "../support/system-host.ts";

describe.each(VARIANTS)("a bad request to the %s", (variant) => {
  let host: SystemHost;
  let before: Census;

  beforeAll(async () => {
    host = await SystemHost.up(variant);
    await host.network("good", "--ipv6", "--subnet", "10.80.0.0/24", "--subnet", "fd80::/64", "-o", "mtu=1400");
    await host.network("flat", "--subnet", "10.81.0.0/24", "--gateway", "10.81.0.1", "-o", "mode=l2");
    await host.run("resident", { name: "good", [Symbol.asyncDispose]: async () => {} }, "--ip", "10.80.0.9");
    before = await host.census();
  });
  afterEach(async () => await expect.poll(() => host.changesSince(before), { timeout: 10_000 }).toEqual([]));
  afterAll(async () => await host?.[Symbol.asyncDispose]());

  it.each([
    [
      "an unknown option, with the nearest one",
      ["-o", "masqerade=true"],
      'unknown option "masqerade", did you mean masquerade',
    ],
    [
      "an unknown option of Docker's bridge",
      ["-o", "com.docker.network.bridge.nam=x"],
      "did you mean com.docker.network.bridge.name",
    ],
    ["an MTU out of range", ["-o", "mtu=67"], 'option mtu: "67" is not permitted; permitted: 68-65535'],
    [
      "an MTU that is too small for IPv6",
      ["--ipv6", "-o", "mtu=1279"],
      "option mtu: 1279 is too small for IPv6; permitted: 1280-65535",
    ],
    [
      "an unknown mode",
      ["-o", "mode=brigde"],
      'option mode: "brigde" is not permitted; permitted: nat, routed, l2, isolated',
    ],
    [
      "a boolean that is none",
      ["-o", "masquerade=yes"],
      'option masquerade: "yes" is not permitted; permitted: true, false',
    ],
    ["a name that is no link's", ["-o", "bridge=a;b"], 'option bridge: "a;b" is not permitted'],
    ["a bridge of Docker's own", ["-o", "bridge=docker0"], "a bridge of the engine itself"],
    ["a link that is no bridge", ["-o", "bridge=lan0"], "link lan0 is no Linux bridge (it is veth)"],
    ["an interface name that is too long", ["-o", "ifprefix=abcdefghijkl"], "option ifprefix"],
    [
      "a default route among the routes",
      ["-o", "routes=0.0.0.0/0 via 10.9.0.1"],
      "the default route is set by option gateway",
    ],
    [
      "a route by a router outside",
      ["--subnet", "10.82.0.0/24", "-o", "routes=10.9.0.0/16 via 10.83.0.1"],
      "10.83.0.1 is in no subnet of the network (10.82.0.0/24)",
    ],
    [
      "--internal with mode isolated",
      ["--internal", "-o", "mode=isolated"],
      "--internal is permitted in the modes nat and routed",
    ],
    ["an unknown IPAM option", ["--ipam-opt", "segmnt=a"], "did you mean segment"],
    ["a subnet of loopback", ["--subnet", "127.1.0.0/16"], "127.1.0.0/16 overlaps 127.0.0.0/8 (loopback)"],
    [
      "a network with the subnet of another one",
      ["--subnet", "10.80.0.0/25"],
      "subnet 10.80.0.0/25 overlaps pool 10.80.0.0/24",
    ],
  ])("for %s is refused and changes nothing [S26]", async (_what, options, expected) => {
    const message = await host.refusalOf(
      "network",
      "create",
      "-d",
      "tsnet",
      "--ipam-driver",
      "tsnet",
      ...options,
      "bad",
    );

    expect(message).toContain(expected);
    expect(await host.docker("network", "ls", "--format", "{{.Name}}")).not.toContain("bad");
  });

  it("with several faults is answered with all of them at once", async () => {
    const faults = ["-o", "mtu=big", "-o", "mode=x", "-o", "gatway=none", "-o", "masquerade="];

    const message = await host.refusalOf(
      "network",
      "create",
      "-d",
      "tsnet",
      "--ipam-driver",
      "tsnet",
      ...faults,
      "bad",
    );

    expect(message).toContain('option mtu: "big"');
    expect(message).toContain('option mode: "x"');
    expect(message).toContain('unknown option "gatway", did you mean gateway');
    expect(message).toContain('option masquerade: ""');
  });

  it.each([
    ["a multicast MAC address", ["--mac-address", "03:00:00:00:00:01"], "03:00:00:00:00:01 is no unicast address"],
    ["an address that is in use", ["--ip", "10.80.0.9"], "address 10.80.0.9 is already in use"],
    ["the gateway's address", ["--ip", "10.80.0.1"], "address 10.80.0.1 is the gateway"],
    ["an address of another subnet", ["--ip", "10.99.0.1"], "10.99.0.1"],
  ])("for a container with %s is refused and changes nothing", async (_what, options, expected) => {
    const message = await host.refusalOf("run", "-d", "--rm", "--network", "good", ...options, TEST_IMAGE);

    expect(message).toContain(expected);
  });

  it("for a MAC address that another container has is refused and changes nothing [F68]", async () => {
    const mac = ["--mac-address", "02:42:0a:50:00:09"];

    const message = await host.refusalOf("run", "-d", "--rm", "--network", "good", ...mac, TEST_IMAGE);

    expect(message).toContain("MAC address 02:42:0a:50:00:09 is in use on tsn-");
  });

  it.each([
    ["an MTU above the network's", ["--driver-opt", "mtu=1401"], "option mtu: 1401 is more than the network's 1400"],
    ["an unknown option", ["--driver-opt", "mtuu=1300"], 'unknown option "mtuu", did you mean mtu'],
    ["an option of networks", ["--driver-opt", "mode=nat"], 'unknown option "mode"'],
  ])("to connect a running container with %s is refused and changes nothing", async (_what, options, expected) => {
    await using _other = await host.network("other", "--subnet", "10.84.0.0/24");
    await using _container = await host.run("connected", _other);

    const message = await host.refusalOf("network", "connect", ...options, "good", "connected");

    expect(message).toContain(expected);
  });

  it("for a published port on a network of mode l2 is refused, and the container goes without a trace", async () => {
    const options = ["--name", "web", "--network", "flat", "-p", "8080:80"];
    const message = await host.refusalOf("run", "-d", ...options, TEST_IMAGE);
    await host.docker("rm", "-f", "web");

    expect(message).toMatch(/ports of endpoint [0-9a-f]{12} cannot be published: .*mode l2/);
    await expect.poll(() => host.changesSince(before), { timeout: 10_000 }).toEqual([]);
  });

  it("leaves one line in tsnet's log, of level warning, and no error", () => {
    const complaints = host.log().filter(({ level }) => level >= 40);

    expect(complaints.filter(({ level }) => level > 40)).toEqual([]);
    expect(host.complaints()).toEqual([]);
  });
});
