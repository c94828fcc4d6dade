// The promises about VLANs on Open vSwitch in userspace, where no kernel module is needed.
import { describeVlanMoments, describeVlans } from "../../contract/vlans.ts";
import { ovsVlanHost } from "../../support/vlan-host.ts";

const makeHost = () => ovsVlanHost("userspace");

describeVlans("Open vSwitch in userspace", makeHost);
describeVlanMoments("Open vSwitch in userspace", makeHost);
