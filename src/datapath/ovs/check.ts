// What must be there before a network is made: Open vSwitch itself, running; a switch that forwards where the network wants
// it; a free uplink.
import type { Network } from "../../cnm/network.ts";
import { TsnetError, inContext } from "../../errors.ts";
import { chooseDatapathType, datapathTypeOf } from "./datapath-type.ts";
import type { OvsHost } from "./datapath.ts";
import { refuseSpanningTree } from "../uplink/moved-uplinks.ts";
import { findRows } from "./rows.ts";
import { checkTunnel } from "./tunnel-check.ts";
import { requireFreeUplink } from "./uplink.ts";

/** The most that a tap device takes: 65535 without the Ethernet header (drivers/net/tun.c, MAX_MTU). */
const USERSPACE_MTU = 65_521;

const NAMES = { system: "kernel", netdev: "userspace" } as const;

/** Changes nothing. @throws TsnetError as `Datapath.check`. */
export async function check(host: OvsHost, network: Network, others: readonly Network[]): Promise<void> {
  const { switchName, datapathType, mtu, isSwitchOurs } = network;
  try {
    await host.ovsdb.waitForVswitchd("wait for Open vSwitch");
  } catch (failure) {
    throw inContext("backend=ovs needs Open vSwitch (package openvswitch-switch), running", failure);
  }
  const { bridge } = await findRows(host.ovsdb, `look up bridge ${switchName}`, switchName, []);
  const type = bridge === undefined ? await chooseDatapathType(host.ovsdb, datapathType) : datapathTypeOf(bridge);
  if (datapathType !== "auto" && datapathType !== NAMES[type]) {
    const whose = isSwitchOurs ? "the networks of one switch must have the same" : "tsnet did not make it";
    const why = `bridge ${switchName} forwards in ${NAMES[type] === "kernel" ? "the kernel" : "userspace"}, and ${whose}`;
    throw new TsnetError(
      "conflict",
      `option datapath: ${datapathType} is not possible: ${why}; permitted: ${NAMES[type]}`,
    );
  }
  if (type === "netdev" && mtu > USERSPACE_MTU) {
    throw new TsnetError("unsupported", `mtu ${mtu} is not possible in userspace; permitted: up to ${USERSPACE_MTU}`);
  }
  refuseSpanningTree([network, ...others], !isSwitchOurs && bridge?.stp_enable === true);
  await requireFreeUplink(host, network);
  await checkTunnel(host, network, type);
}
