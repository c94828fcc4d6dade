// Tunnel links of every kind, on a kernel that has them all.
import { TUNNEL_CASES, describeTunnels } from "../support/tunnel-links.ts";

describeTunnels(TUNNEL_CASES);
