// What VLANs promise, the same on every switch; run by each of them. The promises are in `vlans/`, by what they are about. The
// oracle is a sniffer at every place where a frame could come out (test/support/vlan-stage.ts).
import { describe } from "vitest";
import type { VlanHost } from "../support/vlan-host.ts";
import { describeAccess } from "./vlans/access.ts";
import { describeChange } from "./vlans/change.ts";
import { describeGateways } from "./vlans/gateways.ts";
import { describeMoments } from "./vlans/moments.ts";
import { describeTrunks } from "./vlans/trunks.ts";
import { describeTwoHosts } from "./vlans/two-hosts.ts";
import { describeUplink } from "./vlans/uplink.ts";

/** @param makeHost - called for each host of a test; it is disposed of there. */
export function describeVlans(name: string, makeHost: () => Promise<VlanHost>): void {
  describe(`VLANs: ${name}`, () => {
    describeAccess(makeHost);
    describeTrunks(makeHost);
    describeGateways(makeHost);
    describeChange(makeHost);
    describeUplink(makeHost);
    describeTwoHosts(makeHost);
  });
}

/** What VLANs promise of the moments in which ports come and go. It takes its time, since chance must get its chances. */
export function describeVlanMoments(name: string, makeHost: () => Promise<VlanHost>): void {
  describe(`VLANs while ports come and go: ${name}`, () => describeMoments(makeHost));
}
