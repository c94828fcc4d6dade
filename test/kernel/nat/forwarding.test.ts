// Forwarding, without which no network of the modes nat and routed works.
import { describe, expect, it } from "vitest";
import { dualStack, network } from "../../support/cnm-builder.ts";
import { startHostAgent } from "../../support/host-agent.ts";
import { NetNamespace } from "../../support/namespace.ts";
import { shell } from "../../support/packet-lab.ts";
import { hostWith, listed, stateOf } from "../../support/ruled-host.ts";

describe("forwarding", () => {
  const read = async (at: NetNamespace, name: string) => (await at.exec(["sysctl", "-n", name])).trim();

  it("is switched on for the families that are forwarded, and logged", async () => {
    await using host = await hostWith([
      "sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0",
      "ip link add wan type veth peer name far",
      "sysctl -qw net.ipv6.conf.wan.accept_ra=1",
    ]);
    await host.agent.firewall.apply(stateOf(network(1, { isInternal: true }), network(2, { mode: "l2" })));
    expect(await read(host.at, "net.ipv4.ip_forward")).toBe("0");

    await host.agent.firewall.apply(stateOf(network(1)));
    expect(await read(host.at, "net.ipv4.ip_forward")).toBe("1");
    expect(await read(host.at, "net.ipv6.conf.all.forwarding")).toBe("0");
    expect(await host.agent.logged()).toEqual([
      { level: "info", message: "host setting changed", sysctl: "net.ipv4.ip_forward", value: 1 },
    ]);

    await host.agent.firewall.apply(stateOf(dualStack(1)));
    expect(await read(host.at, "net.ipv6.conf.all.forwarding")).toBe("1");
  });

  it("of IPv6 does not make the host deaf to the router advertisements that it listened to", async () => {
    await using host = await hostWith([
      "sysctl -qw net.ipv6.conf.all.forwarding=0",
      "ip link add wan type veth peer name deaf",
      "sysctl -qw net.ipv6.conf.wan.accept_ra=1 net.ipv6.conf.deaf.accept_ra=0",
    ]);

    await host.agent.firewall.apply(stateOf(dualStack()));

    expect(await read(host.at, "net.ipv6.conf.wan.accept_ra")).toBe("2");
    expect(await read(host.at, "net.ipv6.conf.deaf.accept_ra")).toBe("0");
  });

  it("that cannot be switched on is refused with the command to type, and no rule is made [F91]", async () => {
    await using at = await NetNamespace.create("readonly");
    await shell(at, ["sysctl -qw net.ipv4.ip_forward=0"]);
    const agent = await startHostAgent(at, { isSysctlReadOnly: true });

    await expect(agent.firewall.apply(stateOf(network()))).rejects.toMatchObject({
      code: "host",
      message: expect.stringContaining("run on the host: sysctl -w net.ipv4.ip_forward=1") as string,
    });
    expect(await listed(at)).toBe("");
  });
});
