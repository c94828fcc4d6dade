// Connections outlast rules: which of them go on when tsnet's rules were gone for a while, and are back.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { dualStack, ifName } from "../../support/cnm-builder.ts";
import { NetNamespace } from "../../support/namespace.ts";
import { NEIGHBOUR, PacketLab, type Sandbox, shell } from "../../support/packet-lab.ts";
import { LINE_PORT, TcpLine, listen } from "../../support/tcp-line.ts";

const EXPECTED_PORT = 9876;
/** For an answer that must come. */
const PATIENCE_MS = 10_000;
/** Somebody else's rules by which connections are tracked on, as Docker has them. */
const TRACKING = `nft 'table inet tracking { chain forward { type filter hook forward priority 5; ct state established counter; }; }'`;
const BLUE = dualStack(1, { isMasqueraded: false });
const RED = dualStack(2);
const STATE = { networks: [BLUE, RED], endpoints: [] };

let lab: PacketLab;
let blue: Sandbox;
let red: Sandbox;

beforeAll(async () => {
  lab = await PacketLab.up([TRACKING], { isKernelOld: true });
  await lab.make(BLUE, RED);
  await lab.announce(BLUE);
  [blue, red] = [await lab.attach(BLUE), await lab.attach(RED)];
  for (const at of [blue.namespace, lab.neighbour]) await listen(at);
  await listen(blue.namespace, EXPECTED_PORT);
});
afterAll(async () => await lab?.[Symbol.asyncDispose]());

describe.each([4, 6] as const)("over IPv%s, when tsnet's rules were gone and are back, a connection", (family) => {
  const withoutRules = async (act: () => Promise<unknown>) => {
    await shell(lab.host, ["nft delete table inet tsnet", "nft delete table bridge tsnet"]);
    await act();
    await lab.agent.firewall.apply({ ...STATE, endpoints: [...endpoints()] });
  };
  const endpoints = () => [
    { network: BLUE, endpoint: blue.endpoint, ports: [] },
    { network: RED, endpoint: red.endpoint, ports: [] },
  ];

  it.each(["another network", "the LAN"])(
    "from %s to a container that began meanwhile does not go on",
    async (where) => {
      const from = where === "the LAN" ? lab.neighbour : red.namespace;
      using before = new TcpLine(from, blue.address[family]);
      expect(await before.isAnswered()).toBe(false);
      const lines: TcpLine[] = [];

      await withoutRules(async () => {
        lines.push(new TcpLine(from, blue.address[family]));
        expect(await lines[0]?.isAnswered(PATIENCE_MS)).toBe(true);
      });

      using line = lines[0];
      expect(await line?.isAnswered()).toBe(false);
    },
  );

  it.each(["masqueraded", "not masqueraded"])(
    "from a container to the LAN, %s, that began before goes on",
    async (how) => {
      const { namespace } = how === "masqueraded" ? red : blue;
      using line = new TcpLine(namespace, NEIGHBOUR[family]);
      expect(await line.isAnswered(PATIENCE_MS)).toBe(true);

      await withoutRules(async () => {});

      expect(await line.isAnswered(PATIENCE_MS)).toBe(true);
    },
  );
});

describe("a connection that belongs to another one, as FTP has them,", () => {
  it("reaches the container that asked for it, and goes on", async () => {
    await shell(lab.host, [
      `nft -f - <<'END'
table ip helper {
  ct expectation data { protocol tcp; dport ${EXPECTED_PORT}; timeout 1m; size 4; l3proto ip; }
  chain forward { type filter hook forward priority 1; tcp dport ${LINE_PORT} ct expectation set "data"; }
}
END`,
    ]);
    {
      using uninvited = new TcpLine(lab.neighbour, blue.address[4], EXPECTED_PORT);
      expect(await uninvited.isAnswered()).toBe(false);
    }
    using control = new TcpLine(blue.namespace, NEIGHBOUR[4]);
    expect(await control.isAnswered(PATIENCE_MS)).toBe(true);
    using data = new TcpLine(lab.neighbour, blue.address[4], EXPECTED_PORT);

    expect(await data.isAnswered(PATIENCE_MS)).toBe(true);
    expect(await data.isAnswered(PATIENCE_MS)).toBe(true);
  });
});

describe("on a bridge that somebody else made", () => {
  it("connections of other machines go on when the first network is created there", async () => {
    await using host = await PacketLab.up([TRACKING, "sysctl -qw net.ipv4.ip_forward=1"]);
    await using machine = await NetNamespace.create("machine");
    await shell(host.host, [
      "ip link add br0 type bridge",
      "ip address add 10.1.1.1/24 dev br0",
      "ip link set br0 up",
      `ip link add port0 type veth peer name eth0 netns ${machine.name}`,
      "ip link set port0 master br0 up",
    ]);
    await shell(machine, [
      "ip address add 10.1.1.77/24 dev eth0",
      "ip link set eth0 up",
      "ip route add default via 10.1.1.1",
    ]);
    await host.announce(BLUE);
    await listen(host.neighbour);
    using line = new TcpLine(machine, NEIGHBOUR[4]);
    expect(await line.isAnswered(PATIENCE_MS)).toBe(true);

    await host.make({ ...BLUE, switchName: ifName("br0"), isSwitchOurs: false });

    expect(await line.isAnswered(PATIENCE_MS)).toBe(true);
  });
});
