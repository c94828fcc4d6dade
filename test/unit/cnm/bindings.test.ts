import { describe, expect, it } from "vitest";
import {
  type BindingContext,
  bindingOf,
  collides,
  isSameBindings,
  parseHostAddress,
  planBindings,
} from "../../../src/cnm/bindings.ts";
import type { PortBinding, PublishedPort } from "../../../src/cnm/ports.ts";
import type { RequestedBinding } from "../../../src/cnm/requests.ts";

const IPV4 = { address: "10.1.1.2/24" } as const;
const IPV6 = { addressIpv6: "fd00:1:1::2/64" } as const;
const NAT: BindingContext = { network: { mode: "nat" }, endpoint: { ...IPV4, ...IPV6 } };
const ROUTED: BindingContext = { ...NAT, network: { mode: "routed" } };

/** `-p 8080:80`, changed. */
function asked(more: Partial<RequestedBinding> = {}): RequestedBinding {
  return { protocol: 6, containerPort: 80, hostAddress: "", hostPort: 8080, hostPortEnd: 8080, ...more };
}

function binding(more: Partial<PortBinding> = {}): PortBinding {
  return { protocol: "tcp", containerPort: 80, hostAddress: "", hostPort: 8080, hostPortEnd: 8080, ...more };
}

function port(more: Partial<PublishedPort> = {}): PublishedPort {
  return { protocol: "tcp", containerPort: 80, hostAddress: "", hostPort: 8080, ...more };
}

/** The addresses that one entry of the port map leads to. */
function addresses(hostAddress: string, context: BindingContext): readonly string[] {
  return planBindings([asked({ hostAddress })], context).map((planned) => planned.hostAddress);
}

describe("a port map", () => {
  it.each<[string, Partial<RequestedBinding>, Partial<PortBinding>]>([
    ["-p 8080:80", {}, {}],
    ["-p 8080:80/udp", { protocol: 17 }, { protocol: "udp" }],
    ["-p 8080:80/sctp", { protocol: 132 }, { protocol: "sctp" }],
    ["-p 80", { hostPort: 0, hostPortEnd: 0 }, { hostPort: 0, hostPortEnd: 0 }],
    ["-p 9100-9105:80", { hostPort: 9100, hostPortEnd: 9105 }, { hostPort: 9100, hostPortEnd: 9105 }],
    ["a port whose end is missing", { hostPort: 9100, hostPortEnd: 0 }, { hostPort: 9100, hostPortEnd: 9100 }],
    [
      "-p 65535:65535",
      { containerPort: 65_535, hostPort: 65_535, hostPortEnd: 65_535 },
      { containerPort: 65_535, hostPort: 65_535, hostPortEnd: 65_535 },
    ],
    ["an address in IPv6", { hostAddress: "FD00:0::0001" }, { hostAddress: "fd00::1" }],
  ])("of %s is taken as it is meant", (_what, requested, planned) => {
    expect(planBindings([asked(requested)], NAT)).toEqual([binding(planned)]);
  });

  it("may have several host ports for one port of the container", () => {
    const planned = planBindings([asked(), asked({ hostPort: 8081, hostPortEnd: 8081 })], NAT);

    expect(planned.map(({ hostPort }) => hostPort)).toEqual([8080, 8081]);
  });

  it.each<[Partial<RequestedBinding>, string]>([
    [{ protocol: 1 }, "container port 80: protocol 1 is not permitted; permitted: tcp, udp, sctp"],
    [{ protocol: 0 }, "container port 80: protocol 0 is not permitted; permitted: tcp, udp, sctp"],
    [{ containerPort: 0 }, "container port 0/tcp is outside 1..65535"],
    [{ hostPort: 9105, hostPortEnd: 9100 }, "container port 80/tcp: host ports 9105 to 9100 are no range"],
    [{ hostPort: 0, hostPortEnd: 9100 }, "container port 80/tcp: host ports 0 to 9100 are no range"],
    [{ hostAddress: "192.0.2" }, 'container port 80/tcp: "192.0.2" is no IP address'],
    [{ hostAddress: "1:2:3" }, 'container port 80/tcp: "1:2:3" is no IP address'],
  ])("with %j is refused", (more, message) => {
    expect(() => planBindings([asked(more)], NAT)).toThrow(message);
  });

  it("reports every fault in one message, each once", () => {
    const bad = [
      asked({ protocol: 1 }),
      asked({ protocol: 1 }),
      asked({ hostAddress: "x" }),
      asked({ containerPort: 0 }),
    ];

    expect(() => planBindings(bad, NAT)).toThrow(
      /^container port 80: protocol 1 [^;]*; permitted: tcp, udp, sctp; container port 80\/tcp: "x" [^;]*; container port 0[^;]*$/,
    );
  });
});

describe("the address of a published port", () => {
  it.each(["", "0.0.0.0", "::", "127.0.0.1", "::1", "192.0.2.1"])("%j stays as it is", (text) => {
    expect(addresses(text, NAT)).toEqual([text]);
  });

  it("is that of host-binding when the user names none", () => {
    const context = { ...NAT, network: { mode: "nat", hostBinding: "192.0.2.1" } } as const;

    expect(addresses("", context)).toEqual(["192.0.2.1"]);
    expect(addresses("0.0.0.0", context)).toEqual(["0.0.0.0"]);
  });

  it("is of IPv6 alone for an endpoint that has no IPv4", () => {
    const context = { ...NAT, endpoint: IPV6 };

    expect(addresses("", context)).toEqual(["::"]);
    expect(addresses("192.0.2.1", context)).toEqual(["192.0.2.1"]);
  });

  it("is of IPv4 alone when another endpoint has the host's IPv6 and this one has none itself", () => {
    const context = { ...NAT, endpoint: IPV4, isHostIpv6Elsewhere: true };

    expect(addresses("", context)).toEqual(["0.0.0.0"]);
    expect(addresses("192.0.2.1", context)).toEqual(["192.0.2.1"]);
    expect(addresses("::", context)).toEqual([]);
  });

  it("is of both families when the endpoint has both, whoever else has the host's IPv6", () => {
    expect(addresses("", { ...NAT, isHostIpv6Elsewhere: true })).toEqual([""]);
  });
});

describe("mode routed", () => {
  it("opens ports of the container and has no use for ports of the host", () => {
    expect(planBindings([asked()], ROUTED)).toEqual([binding({ hostPort: 0, hostPortEnd: 0 })]);
  });

  it("opens a port once, however many host ports were asked for", () => {
    const planned = planBindings(
      [asked(), asked({ hostPort: 8081, hostPortEnd: 8081 }), asked({ protocol: 17 })],
      ROUTED,
    );

    expect(planned.map(({ protocol }) => protocol)).toEqual(["tcp", "udp"]);
  });

  it("keeps the family that was asked for", () => {
    expect(addresses("0.0.0.0", ROUTED)).toEqual(["0.0.0.0"]);
    expect(addresses("::", ROUTED)).toEqual(["::"]);
  });

  it("refuses an address of the host: the port would be open for everybody all the same", () => {
    expect(() => addresses("127.0.0.1", ROUTED)).toThrow(
      "container port 80/tcp: host address 127.0.0.1 has no meaning, mode routed opens the container's own addresses," +
        " for everybody; permitted: none, 0.0.0.0, ::",
    );
  });
});

describe("parseHostAddress", () => {
  it.each([
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::FFFF:c000:201", "192.0.2.1"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["::fffe:192.0.2.1", "::fffe:c000:201"],
  ])("gives %s the one text that it has here: %s", (text, canonical) => {
    expect(parseHostAddress(text)).toBe(canonical);
  });
});

describe("two lists of bindings", () => {
  it("are the same in any order", () => {
    const [one, other] = [binding(), binding({ protocol: "udp" })];

    expect(isSameBindings([one, other], [other, one])).toBe(true);
  });

  it.each<Partial<PortBinding>>([
    { protocol: "udp" },
    { containerPort: 81 },
    { hostAddress: "0.0.0.0" },
    { hostPort: 8079 },
    { hostPortEnd: 8081 },
  ])("differ in %j", (more) => {
    expect(isSameBindings([binding()], [binding(more)])).toBe(false);
  });

  it("differ when one has the same twice", () => {
    expect(isSameBindings([binding(), binding()], [binding()])).toBe(false);
  });
});

describe("two published ports", () => {
  it.each<[Partial<PublishedPort>, Partial<PublishedPort>]>([
    [{}, {}],
    [{}, { hostAddress: "192.0.2.1" }],
    [{}, { hostAddress: "::1" }],
    [{ hostAddress: "0.0.0.0" }, { hostAddress: "192.0.2.1" }],
    [{ hostAddress: "::" }, { hostAddress: "fd00::1" }],
    [{ hostAddress: "192.0.2.1" }, { hostAddress: "192.0.2.1", containerPort: 81 }],
  ])("collide: %j and %j", (one, other) => {
    expect(collides(port(one), port(other))).toBe(true);
    expect(collides(port(other), port(one))).toBe(true);
  });

  it.each<[Partial<PublishedPort>, Partial<PublishedPort>]>([
    [{}, { hostPort: 8081 }],
    [{}, { protocol: "udp" }],
    [{ hostAddress: "0.0.0.0" }, { hostAddress: "::" }],
    [{ hostAddress: "::" }, { hostAddress: "192.0.2.1" }],
    [{ hostAddress: "192.0.2.1" }, { hostAddress: "192.0.2.2" }],
  ])("do not collide: %j and %j", (one, other) => {
    expect(collides(port(one), port(other))).toBe(false);
    expect(collides(port(other), port(one))).toBe(false);
  });
});

describe("bindingOf", () => {
  it("asks for exactly the number that was chosen", () => {
    expect(bindingOf(port({ hostPort: 49_153 }))).toEqual(binding({ hostPort: 49_153, hostPortEnd: 49_153 }));
  });
});
