// Tunnel links of the kinds that every kernel of a host has. All kinds: `../../vm/rtnetlink-tunnel.test.ts`.
import { TUNNEL_CASES, describeTunnels } from "../../support/tunnel-links.ts";

describeTunnels(TUNNEL_CASES.filter(({ title }) => title.startsWith("vxlan")));
