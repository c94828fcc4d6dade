// The promises about VLANs on Open vSwitch in userspace, where no kernel module is needed.
import { describeVlans } from "../../contract/vlans.ts";
import { ovsVlanHost } from "../../support/vlan-host.ts";

describeVlans("Open vSwitch in userspace", () => ovsVlanHost("userspace"));
