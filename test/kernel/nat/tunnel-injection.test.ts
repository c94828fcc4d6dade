// Forged packets of tunnels. Of the kinds, the machine's own kernel has one; the others: test/vm/long/tunnel-rules.test.ts.
import { describeTunnelInjection } from "../../support/tunnel-injection.ts";

describeTunnelInjection({ kind: "vxlan", family: 4 });
describeTunnelInjection({ kind: "vxlan", family: 6 });
