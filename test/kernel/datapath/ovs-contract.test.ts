// The contract of datapaths on Open vSwitch in userspace.
import { describeOvsDatapath } from "../../contract/datapath-ovs.ts";

describeOvsDatapath("ovs in userspace", "netdev");
