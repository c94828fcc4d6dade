// What is special to the Linux bridge, seen with ip(8), bridge(8) and /proc, and with packets between sandboxes.
import { describe, expect, it } from "vitest";
import { dualStack, endpoint, endpointId, network, networkId } from "../../support/cnm-builder.ts";
import { type BridgeHost, bridgeHost } from "../../support/bridge-host.ts";
import { canPing, shell } from "../../support/packet-lab.ts";
import { waitUntil } from "../../support/wait-until.ts";
import { pings, sandboxOf } from "./sandbox.ts";

const BR = network().switchName;

describe("sandboxes on one bridge", () => {
  it("reach each other and the gateway, over IPv4 and IPv6", async () => {
    await using host = await bridgeHost();
    await host.datapath.ensureNetwork(dualStack(), []);
    await using one = await sandboxOf(host, dualStack(), 1);
    await using two = await sandboxOf(host, dualStack(), 2);

    const targets = ["10.1.1.3", "fd00:1:1::3", "10.1.1.1", "fd00:1:1::1"];

    expect(await Promise.all(targets.map((to) => pings(one, to)))).toEqual([true, true, true, true]);
    expect(await pings(two, "10.1.1.2")).toBe(true);
  });

  it("see one MAC of the bridge whatever ports come and go, the lowest included [F69]", async () => {
    await using host = await bridgeHost();
    await host.datapath.ensureNetwork(network(), []);
    await using one = await sandboxOf(host, network(), 1);
    const neighbours = async () => {
      await pings(one, "10.1.1.1");
      return one.json<{ lladdr: string }[]>(["ip", "-json", "neigh", "show", "10.1.1.1"]);
    };
    expect((await neighbours())[0]?.lladdr).toBe(network().switchMac);

    await shell(host.namespace, [
      `ip link add low address 00:00:00:00:00:01 type veth peer name low-end`,
      `ip link set low master ${BR} up`,
      `ip link del low`,
    ]);

    expect((await host.ipLink(BR)).address).toBe(network().switchMac);
    await shell(one, ["ip neigh flush all"]);
    expect((await neighbours())[0]?.lladdr).toBe(network().switchMac);
  });

  it("are let go when their namespace has died with the link [F92]", async () => {
    await using host = await bridgeHost();
    await host.datapath.ensureNetwork(network(), []);
    const before = await host.see();
    const sandbox = await sandboxOf(host, network(), 1);
    await sandbox[Symbol.asyncDispose]();
    await waitUntil("the link to die", async () => !(await host.see()).has(endpoint().hostIfName), { limitMs: 30_000 });

    await host.datapath.detach(endpoint());

    expect(await host.see()).toEqual(before);
  });

  it("lose their link when the endpoint is deleted while it is still inside [F92]", async () => {
    await using host = await bridgeHost();
    await host.datapath.ensureNetwork(network(), []);
    await using sandbox = await sandboxOf(host, network(), 1);

    await host.datapath.detach(endpoint());

    await expect.poll(() => sandbox.exec(["ip", "-o", "link", "show"])).not.toContain("eth0");
  });

  it("keep talking when the bridge was deleted by hand and made again", async () => {
    await using host = await bridgeHost();
    await host.datapath.ensureNetwork(network(), []);
    await using one = await sandboxOf(host, network(), 1);
    await using two = await sandboxOf(host, network(), 2);
    await host.deleteLink(BR);
    expect(await canPing(one, "10.1.1.3")).toBe(false);

    await host.datapath.ensureNetwork(network(), []);
    for (const n of [1, 2]) await host.datapath.reattach(network(), endpoint(n));

    for (const sandbox of [one, two]) await shell(sandbox, ["ip neigh flush all"]); // questions that nobody answered
    expect(await pings(one, "10.1.1.3")).toBe(true);
    expect(await pings(two, "10.1.1.1")).toBe(true);
  });
});

describe("the MTU", () => {
  it.each([68, 1400, 9000, 65_535])("of %i is that of the bridge and of both ends", async (mtu) => {
    await using host = await bridgeHost();
    const wanted = network(1, { mtu });
    await host.datapath.ensureNetwork(wanted, []);

    await host.datapath.attach(wanted, endpoint(1, 1, { mtu }), []);

    for (const name of [BR, endpoint().hostIfName, endpoint().sandboxIfName]) {
      expect((await host.ipLink(name)).mtu).toBe(mtu);
    }
  });

  it("of the bridge stays when a smaller endpoint comes and when the last one goes", async () => {
    await using host = await bridgeHost();
    const wanted = network(1, { mtu: 9000 });
    await host.datapath.ensureNetwork(wanted, []);
    await host.datapath.attach(wanted, endpoint(1, 1, { mtu: 1280 }), []);

    expect((await host.ipLink(BR)).mtu).toBe(9000);
    expect((await host.ipLink(endpoint().sandboxIfName)).mtu).toBe(1280);
    await host.datapath.detach(endpoint());
    expect((await host.ipLink(BR)).mtu).toBe(9000);
  });

  it("of the bridge is put back when somebody changed it", async () => {
    await using host = await bridgeHost();
    await host.datapath.ensureNetwork(network(), []);
    await shell(host.namespace, [`ip link set ${BR} mtu 1300`]);

    await host.datapath.ensureNetwork(network(), []);

    expect((await host.ipLink(BR)).mtu).toBe(1500);
  });
});

describe("the marks", () => {
  it("are the alias of bridge and port, and the group of every link", async () => {
    await using host = await bridgeHost();
    await host.datapath.ensureNetwork(network(), []);
    await host.datapath.attach(network(), endpoint(), []);

    expect(await host.ipLink(BR)).toMatchObject({ ifalias: `tsnet:network:${networkId()}`, group: "29811" });
    expect(await host.ipLink(endpoint().hostIfName)).toMatchObject({
      ifalias: `tsnet:endpoint:${endpointId()}`,
      group: "29811",
    });
    expect((await host.ipLink(endpoint().sandboxIfName)).group).toBe("29811");
  });

  it.each([
    ["a vxlan", "ip link add NAME type vxlan id 7 dstport 4789"],
    ["a veth", "ip link add NAME type veth peer name foreign-end"],
    ["a bridge", "ip link add NAME type bridge"],
    ["a bridge with an alias of its own", "ip link add NAME type bridge && ip link set NAME alias tsnet-like"],
  ])("are looked for before anything is touched: %s under the bridge's name stays [F66]", async (_what, command) => {
    await using host = await bridgeHost();
    await shell(host.namespace, [command.replaceAll("NAME", BR)]);
    const before = await host.namespace.exec(["ip", "-details", "address", "show"]);

    await expect(host.datapath.ensureNetwork(network(), [])).rejects.toMatchObject({ code: "conflict" });
    await host.datapath.removeNetwork(network(), []);
    await host.datapath.removeStraySwitch(networkId(), new Set());

    expect(await host.namespace.exec(["ip", "-details", "address", "show"])).toBe(before);
  });

  it("let a link that only has our group and another kind live", async () => {
    await using host = await bridgeHost();
    const port = endpoint().hostIfName;
    await shell(host.namespace, [`ip link add ${port} group 29811 type vxlan id 7 dstport 4789`]);

    await host.datapath.detach(endpoint());

    expect((await host.see()).has(port)).toBe(true);
  });
});

/** Sets the free end up and waits for all that the kernel makes of it by itself. */
async function settled(host: BridgeHost): Promise<void> {
  await shell(host.namespace, [`ip link set ${endpoint().sandboxIfName} up`]);
  await waitUntil("carrier and addresses to settle", async () => {
    const links = await host.namespace.json<LinkState[]>(["ip", "-json", "address", "show"]);
    const isUp = (name: string) => links.some(({ ifname, operstate }) => ifname === name && operstate === "UP");
    const isReady = (name: string) => {
      const addresses = links.find(({ ifname }) => ifname === name)?.addr_info ?? [];
      return addresses.some(({ scope }) => scope === "link") && !addresses.some(({ tentative }) => tentative);
    };
    const { hostIfName, sandboxIfName } = endpoint();
    return [BR, hostIfName, sandboxIfName].every(isUp) && [BR, sandboxIfName].every(isReady);
  });
}

interface LinkState {
  readonly ifname: string;
  readonly operstate: string;
  readonly addr_info: readonly { readonly scope: string; readonly tentative?: boolean }[];
}

describe("calls that are repeated", () => {
  it("are silent on the kernel's own notifications [F89]", async () => {
    await using host = await bridgeHost();
    const wanted = dualStack(1, { isInternal: true });
    await host.datapath.ensureNetwork(wanted, []);
    await host.datapath.attach(wanted, endpoint(), []);
    await host.datapath.ensureHairpin(endpoint(), true);
    await settled(host);
    const monitors = [
      ["ip", "monitor", "link", "address", "route"],
      ["bridge", "monitor", "link", "fdb"],
    ].map((command) => host.namespace.spawn(command));
    const seen = monitors.map(() => "");
    for (const [n, { stdout }] of monitors.entries()) {
      stdout?.on("data", (chunk: Buffer) => (seen[n] += chunk.toString()));
    }
    const announce = async (name: string) => {
      await waitUntil(`the monitors to show ${name}`, async () => {
        const port = `ip link add ${name}-port master ${name} type veth peer name ${name}-end`;
        await shell(host.namespace, [`ip link add ${name} type bridge`, port]);
        await shell(host.namespace, [`ip link del ${name}-port`, `ip link del ${name}`]);
        return seen.every((text) => text.includes(name));
      });
    };
    await announce("begin");

    await host.datapath.ensureNetwork(wanted, []);
    await host.datapath.reattach(wanted, endpoint(), true);

    await announce("finish");
    expect(seen.flatMap((text) => text.split("\n")).filter((line) => /tsn-|tsv/.test(line))).toEqual([]);
  });
});

describe("a bridge that is full", () => {
  it("is named in the refusal, and nothing is left of the endpoint [F60]", async () => {
    await using host = await bridgeHost();
    await host.datapath.ensureNetwork(network(), []);
    const lines = Array.from({ length: 1023 }, (_, n) => `link add f${n} master ${BR} type veth peer name g${n}`);
    await host.namespace.exec(["sh", "-ec", `printf '%s\\n' "$0" | ip -batch -`, lines.join("\n")]);

    await expect(host.datapath.attach(network(), endpoint(), [])).rejects.toMatchObject({
      message: expect.stringMatching(/bridge .* is full/) as string,
    });

    expect((await host.see()).has(endpoint().hostIfName)).toBe(false);
  }, 180_000);
});
