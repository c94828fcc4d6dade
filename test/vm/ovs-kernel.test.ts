// Open vSwitch with the kernel's own datapath, which the machine's kernel may not have: that it runs in the virtual machine as it
// would on a host, and keeps VLANs apart.
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { NetNamespace } from "../support/namespace.ts";
import { OvsHost } from "../support/ovs-host.ts";
import { shell } from "../support/packet-lab.ts";

const TAGS = [10, 10, 20] as const;
/** An emulated machine is some twenty times slower. */
const LIMIT = { timeout: 120_000, interval: 500 } as const;
/** IPv4, of the machine with this number. */
const address = (n: number) => `192.0.2.${n}`;

describe("Open vSwitch with the kernel's datapath", () => {
  const stack = new AsyncDisposableStack();
  const machines: NetNamespace[] = [];
  let ovs: OvsHost;

  beforeAll(async () => {
    await execa("modprobe", ["openvswitch"]);
    ovs = stack.use(await OvsHost.running("system"));
    for (const [index, tag] of TAGS.entries()) {
      const machine = stack.use(await NetNamespace.create(`m${index + 1}`));
      machines.push(machine);
      const port = `port${index + 1}`;
      await shell(ovs.ns, [`ip link add ${port} up type veth peer name eth0 netns ${machine.name}`]);
      await shell(machine, [`ip address add ${address(index + 1)}/24 dev eth0`, "ip link set eth0 up"]);
      await ovs.vsctl("add-port", "br0", port, `tag=${tag}`);
    }
  });
  afterAll(async () => await stack.disposeAsync());

  const reaches = async (n: number) => {
    const ping = machines[0]?.exec(["busybox", "ping", "-c1", "-W2", address(n)]);
    return await ping?.then(
      () => true,
      () => false,
    );
  };

  it("switches in the kernel", async () => {
    expect(await ovs.ns.exec(["ovs-dpctl", "dump-dps"])).toBe("system@ovs-system\n");
    expect(await ovs.ns.exec(["ip", "-details", "link", "show", "port1"])).toContain("openvswitch_slave");
  });

  it("lets ports with one tag reach each other", async () => {
    await expect.poll(() => reaches(2), LIMIT).toBe(true); // one ping may come too late on such a machine
  });

  it("lets no port reach one with another tag", async () => {
    expect(await reaches(3)).toBe(false);

    await ovs.vsctl("set", "port", "port3", "tag=10"); // it is the tag that kept them apart
    await expect.poll(() => reaches(3), LIMIT).toBe(true); // flows that the kernel knows are looked through anew at intervals
  });
});
