// `TSNET_FIREWALL=none`: rules are somebody else's business, so whatever needs a rule is refused.
import type { Firewall } from "../cnm/firewall.ts";
import type { Network } from "../cnm/network.ts";
import { TsnetError } from "../errors.ts";

/** A firewall that makes no rule. */
export class NoFirewall implements Firewall {
  async check({ mode, isGuarded }: Network): Promise<void> {
    const needing = [...(mode === "l2" ? [] : [`mode ${mode}`]), ...(isGuarded ? ["option antispoof=true"] : [])];
    if (needing.length === 0) return;
    const why = "TSNET_FIREWALL is none, so tsnet makes no rules; permitted: mode=l2 with antispoof=false";
    throw new TsnetError("unsupported", `${needing.join(" and ")} cannot be had without rules: ${why}`);
  }

  async apply(): Promise<boolean> {
    return false;
  }

  goesByLinks(): boolean {
    return false;
  }

  async ensureEndpoint(): Promise<void> {}

  async removeEndpoint(): Promise<void> {}
}
