// Whose tsnet's tables are, as of Linux 6.9: nobody else's while it runs, and the next tsnet's afterwards.
import { describe, expect, it } from "vitest";
import { dualStack } from "../../support/cnm-builder.ts";
import { startHostAgent } from "../../support/host-agent.ts";
import { shell } from "../../support/packet-lab.ts";
import { DOCKER, hostWith, ourTables, stateOf } from "../../support/ruled-host.ts";

describe("the tables of tsnet", () => {
  it.each([
    "nft delete table bridge tsnet",
    "nft flush table inet tsnet",
    "nft flush chain bridge tsnet ingress",
    "nft insert rule inet tsnet forward accept",
    "nft flush set inet tsnet pools4",
    "nft 'add element bridge tsnet unguarded { veth1 }'",
  ])("are not for others to change: `%s` is refused [F114]", async (command) => {
    await using host = await hostWith([]);
    await host.agent.firewall.apply(stateOf(dualStack()));
    const table = await ourTables(host.at);

    await expect(shell(host.at, [command])).rejects.toThrow("Operation not permitted");

    expect(await ourTables(host.at)).toBe(table);
  });

  it("stay as they are when tsnet dies, and belong to the next tsnet", async () => {
    await using host = await hostWith(DOCKER);
    await host.agent.firewall.apply(stateOf(dualStack()));
    const table = await ourTables(host.at);
    await host.agent.kill();
    expect(await ourTables(host.at)).toBe(table);

    const next = await startHostAgent(host.at);
    expect(await next.firewall.apply(stateOf(dualStack()))).toBe(false);

    await shell(host.at, ["nft flush ruleset"]);
    expect(await ourTables(host.at)).toBe(table);
  });

  it.each([
    ["lost a rule", "nft flush chain inet tsnet leave"],
    ["lost all rules", "nft flush table bridge tsnet"],
    ["were deleted", "nft delete table inet tsnet"],
    ["were flushed with everything else", "nft flush ruleset"],
    [
      "got a chain, a set and a map",
      "nft 'add chain inet tsnet a; add set inet tsnet b { type mark; }; add map inet tsnet c { type mark : verdict; }'",
    ],
  ])("that %s while no tsnet was there are made anew by the next one [F113]", async (_, damage) => {
    await using host = await hostWith([]);
    await host.agent.firewall.apply(stateOf(dualStack()));
    const table = await ourTables(host.at);
    await host.agent.kill();
    await shell(host.at, [damage]);

    const next = await startHostAgent(host.at);
    expect(await next.firewall.apply(stateOf(dualStack()))).toBe(true);

    expect(await ourTables(host.at)).toBe(table);
    await expect(shell(host.at, ["nft delete table inet tsnet"])).rejects.toThrow("Operation not permitted");
  });

  it("that belong to another tsnet are left alone, and the message says whose they are", async () => {
    await using host = await hostWith([]);
    await host.agent.firewall.apply(stateOf(dualStack()));
    const table = await ourTables(host.at);
    const second = await startHostAgent(host.at);

    await expect(second.firewall.apply(stateOf(dualStack(2)))).rejects.toThrow(
      /^the tables tsnet belong to another program, perhaps to another tsnet: .*Operation not permitted/,
    );

    expect(await ourTables(host.at)).toBe(table);
  });
});
