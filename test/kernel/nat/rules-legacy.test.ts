// A host whose Docker uses iptables-legacy: its rules cannot be changed safely, and the operator is told what to type.
import { describe, expect, it } from "vitest";
import { network } from "../../support/cnm-builder.ts";
import { shell } from "../../support/packet-lab.ts";
import { hostWith } from "../../support/ruled-host.ts";

describe("a host with iptables-legacy whose FORWARD drops [F115]", () => {
  it("is refused with the command to type, and accepted once it was typed", async () => {
    await using host = await hostWith(["iptables-legacy -P FORWARD DROP", "ip6tables-legacy -P FORWARD DROP"]);
    const refusal = async () =>
      host.agent.firewall.check(network()).then(
        () => "",
        (failure: unknown) => String(failure),
      );

    for (const tool of ["iptables-legacy", "ip6tables-legacy"]) {
      const message = await refusal();
      const command = /; type: (.*)$/.exec(message)?.[1] ?? "";
      expect(command.split(" ")[0]).toBe(tool);
      await shell(host.at, [command]);
    }

    expect(await refusal()).toBe("");
  });

  it("is accepted for a network of which nothing is forwarded, when bridged frames do not pass iptables", async () => {
    await using host = await hostWith([
      "sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0",
      "iptables-legacy -P FORWARD DROP",
    ]);

    await expect(host.agent.firewall.check(network(1, { mode: "isolated" }))).resolves.toBeUndefined();
    await expect(host.agent.firewall.check(network())).rejects.toMatchObject({ code: "unsupported" });
  });
});
