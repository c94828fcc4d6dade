// The uplink of a bridge without VLANs: a link of the host that leads to a neighbour. With VLANs: `test/vm/bridge-vlan*.test.ts`.
import { describe, expect, it } from "vitest";
import type { Network } from "../../../src/cnm/network.ts";
import { SWITCH, UPLINK, makeWire, networkIn, sandboxIn, vlanLab } from "../../support/bridge-vlan-lab.ts";
import { endpoint, ifName, network } from "../../support/cnm-builder.ts";
import { waitForIdleLook } from "../../support/link-monitor.ts";
import { canPing, shell } from "../../support/packet-lab.ts";
import { waitUntil } from "../../support/wait-until.ts";

const uplink = { parent: UPLINK, isAddressMoved: false };
const WIRED = networkIn(1, {}, { mode: "l2", isHostOnSwitch: false, uplink });
const OTHER = networkIn(2, {}, { mode: "l2", isHostOnSwitch: false, uplink });

/** A network with the uplink, and a sandbox that reaches the neighbour. */
async function wiredLab(wanted: Network = WIRED) {
  await using stack = new AsyncDisposableStack();
  const lab = stack.use(await vlanLab());
  await shell(lab.neighbour, ["ip address add 10.1.1.99/24 dev wire"]);
  await lab.host.datapath.ensureNetwork(wanted, []);
  const sandbox = stack.use(await sandboxIn(lab.host, wanted, 1, []));
  await waitUntil("the neighbour to answer", () => canPing(sandbox, "10.1.1.99"));
  const disposables = stack.move();
  return { ...lab, sandbox, [Symbol.asyncDispose]: () => disposables.disposeAsync() };
}

describe("an uplink", () => {
  it("is a port of the bridge, set up, and a second look writes nothing", async () => {
    await using lab = await wiredLab();

    await waitForIdleLook(lab.host.namespace, () => lab.host.datapath.ensureNetwork(WIRED, []));

    const link = await lab.host.ipLink(UPLINK);
    expect(link.master).toBe(SWITCH);
    expect(link.flags).toContain("UP");
  });

  it("is given back with its last network, and not before", async () => {
    await using lab = await vlanLab();
    const { datapath } = lab.host;
    const local = networkIn(3, {});
    await datapath.ensureNetwork(WIRED, []);
    await datapath.ensureNetwork(OTHER, [WIRED]);
    await datapath.ensureNetwork(local, [WIRED, OTHER]);

    await datapath.removeNetwork(WIRED, [OTHER, local]);
    expect((await lab.host.ipLink(UPLINK)).master).toBe(SWITCH);
    await datapath.removeNetwork(OTHER, [local]);

    expect((await lab.host.ipLink(UPLINK)).master).toBeUndefined();
    expect((await lab.host.ipLink(SWITCH)).ifname).toBe(SWITCH);
  });

  it("stays on the host when its bridge goes with the last network", async () => {
    await using lab = await vlanLab();
    await lab.host.datapath.ensureNetwork(WIRED, []);

    await lab.host.datapath.removeNetwork(WIRED, []);

    const links = await lab.host.see();
    expect(links.has(SWITCH)).toBe(false);
    expect(links.get(UPLINK)?.switchName).toBeUndefined();
  });

  it("stays on the host when its bridge is a stray one", async () => {
    await using lab = await vlanLab();
    await lab.host.datapath.ensureNetwork(WIRED, []);

    await lab.host.datapath.removeStraySwitch(WIRED.id, new Set());

    const links = await lab.host.see();
    expect(links.has(SWITCH)).toBe(false);
    expect(links.get(UPLINK)?.isUp).toBe(true);
  });

  it("on a bridge of somebody else's leaves the other ports there when it goes", async () => {
    await using lab = await vlanLab();
    const adopted = { ...WIRED, isSwitchOurs: false };
    await lab.host.plantSwitch(SWITCH);
    await shell(lab.host.namespace, [
      `ip link add own type veth peer name own-end`,
      `ip link set own master ${SWITCH}`,
    ]);
    await lab.host.datapath.ensureNetwork(adopted, []);
    expect((await lab.host.ipLink(UPLINK)).master).toBe(SWITCH);

    await lab.host.datapath.removeNetwork(adopted, []);

    expect((await lab.host.ipLink(UPLINK)).master).toBeUndefined();
    expect((await lab.host.ipLink("own")).master).toBe(SWITCH);
  });

  it.each([
    ["somebody took it out", [`ip link set ${UPLINK} nomaster`]],
    ["somebody set it down", [`ip link set ${UPLINK} down`]],
    [
      "it went down and up a hundred times",
      Array<string>(100).fill(`ip link set ${UPLINK} down; ip link set ${UPLINK} up`),
    ],
    ["its MTU changed", [`ip link set ${UPLINK} mtu 1400`]],
  ])("carries on after %s [F108]", async (_what, lines) => {
    await using lab = await wiredLab();
    await shell(lab.host.namespace, lines);

    await lab.host.datapath.ensureNetwork(WIRED, []);

    await waitUntil("the neighbour to answer", () => canPing(lab.sandbox, "10.1.1.99"));
    expect(await lab.host.ipLink(SWITCH)).toMatchObject({ mtu: 1500 });
  });

  it("that vanished fails nobody, and is a port again when it is back [F105]", async () => {
    await using lab = await wiredLab();
    await lab.host.deleteLink(UPLINK);
    await lab.host.datapath.ensureNetwork(WIRED, []);
    await makeWire(lab.host.namespace, lab.neighbour);
    await shell(lab.neighbour, ["ip address add 10.1.1.99/24 dev wire"]);

    await lab.host.datapath.ensureNetwork(WIRED, []);

    await waitUntil("the neighbour to answer", () => canPing(lab.sandbox, "10.1.1.99"));
  });

  it("is not taken from another bridge [F106]", async () => {
    await using lab = await vlanLab();
    await lab.host.plantSwitch("br0");
    await shell(lab.host.namespace, [`ip link set ${UPLINK} master br0`]);

    await expect(lab.host.datapath.ensureNetwork(WIRED, [])).rejects.toMatchObject({ code: "conflict" });

    expect((await lab.host.ipLink(UPLINK)).master).toBe("br0");
  });
});

describe("check", () => {
  const withParent = (parent: string) => ({ ...WIRED, uplink: { parent: ifName(parent), isAddressMoved: false } });

  it("accepts a link that is free, and one that is a port for another network", async () => {
    await using lab = await vlanLab();
    await lab.host.datapath.check(WIRED, []);
    await lab.host.datapath.ensureNetwork(WIRED, []);

    await lab.host.datapath.check(OTHER, [WIRED]);
  });

  it.each<[string, string, readonly string[], object]>([
    ["a missing link", "nic7", [], { code: "not-found", message: expect.stringContaining("nic7") as string }],
    ["the loopback device", "lo", [], { code: "invalid", message: expect.stringContaining("loopback") as string }],
    ["a bridge", "br7", ["ip link add br7 type bridge"], { code: "invalid" }],
    [
      "a port of another bridge, which it names",
      UPLINK,
      ["ip link add br7 type bridge", `ip link set ${UPLINK} master br7`],
      { code: "conflict", message: expect.stringContaining("bridge br7") as string },
    ],
    [
      "a link below a macvlan link, which it names",
      UPLINK,
      [`ip link add mv0 link ${UPLINK} type macvlan`],
      { code: "conflict", message: expect.stringContaining("macvlan link mv0") as string },
    ],
    [
      "a link with the host's address, which it names with the way out",
      UPLINK,
      [`ip address add 192.0.2.7/24 dev ${UPLINK}`],
      { code: "conflict", message: expect.stringMatching(/192\.0\.2\.7\/24.*parent-address=move/) as string },
    ],
  ])("refuses %s [F106]", async (_what, parent, lines, refusal) => {
    await using lab = await vlanLab();
    await shell(lab.host.namespace, ["true", ...lines]);

    await expect(lab.host.datapath.check(withParent(parent), [])).rejects.toMatchObject(refusal);
  });

  it("refuses a link that somebody made a port of the very bridge that the network is to use", async () => {
    await using lab = await vlanLab();
    await lab.host.plantSwitch(SWITCH);
    await shell(lab.host.namespace, [`ip link set ${UPLINK} master ${SWITCH}`]);

    await expect(lab.host.datapath.check({ ...WIRED, isSwitchOurs: false }, [])).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringContaining("leave option parent out") as string,
    });
  });
});

describe("VLANs", () => {
  it("are refused where this kernel has none on bridges, with what is missing and the way out [F84]", async () => {
    await using lab = await vlanLab();
    const answers = [
      "ip link add probe type bridge vlan_filtering 1",
      `ip link add probe7 link ${UPLINK} type vlan id 7`,
    ];
    const can = await Promise.all(
      answers.map((line) =>
        shell(lab.host.namespace, [line]).then(
          () => true,
          () => false,
        ),
      ),
    );
    const check = lab.host.datapath.check(networkIn(1, { vlan: 100 }), []);

    if (can.every(Boolean)) return check;
    await expect(check).rejects.toMatchObject({
      code: "unsupported",
      message: expect.stringMatching(/(VLAN_FILTERING|VLAN_8021Q).*backend=ovs$/) as string,
    });
  });
});

describe("hairpin", () => {
  it("is a setting of the endpoints' ports that is put back", async () => {
    await using lab = await vlanLab();
    const wanted = network(1, { switchSettings: { hairpin: true } });
    const { hostIfName } = endpoint();
    await lab.host.datapath.ensureNetwork(wanted, []);
    await lab.host.datapath.attach(wanted, endpoint(), []);
    const hairpin = async () => {
      const [link] = await lab.host.namespace.json<{ hairpin: boolean }[]>([
        "bridge",
        "-json",
        "-details",
        "link",
        "show",
        "dev",
        hostIfName,
      ]);
      return link?.hairpin;
    };
    expect(await hairpin()).toBe(true);
    await lab.host.namespace.exec(["bridge", "link", "set", "dev", hostIfName, "hairpin", "off"]);

    await lab.host.datapath.reattach(wanted, endpoint());

    expect(await hairpin()).toBe(true);
  });
});
