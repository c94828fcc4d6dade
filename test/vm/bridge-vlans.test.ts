// The promises about VLANs on the Linux bridge.
import { execa } from "execa";
import { beforeAll } from "vitest";
import { describeVlans } from "../contract/vlans.ts";
import { bridgeVlanHost } from "../support/vlan-host.ts";

beforeAll(async () => void (await execa("modprobe", ["--all", "bridge", "8021q", "veth"])));

describeVlans("Linux bridge", bridgeVlanHost);
