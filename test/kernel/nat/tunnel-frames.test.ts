// Tunnels between hosts, frame by frame: what passes, what is kept from the wire and what is not believed. Of the kinds, the
// machine's own kernel has one; the others: test/vm/long/tunnel-rules.test.ts.
import { describeTunnelFrames } from "../../support/tunnel-frames.ts";

describeTunnelFrames({ kind: "vxlan", family: 4 });
describeTunnelFrames({ kind: "vxlan", family: 6 });
