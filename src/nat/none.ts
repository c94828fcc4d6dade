// `TSNET_FIREWALL=none`: rules are somebody else's business, so whatever needs a rule is refused.
import type { Firewall } from "../cnm/firewall.ts";
import type { Network } from "../cnm/network.ts";
import { TsnetError } from "../errors.ts";

/** A firewall that makes no rule. */
export class NoFirewall implements Firewall {
  async check(network: Network): Promise<void> {
    if (network.mode === "l2") return;
    const why = "TSNET_FIREWALL is none, so tsnet makes no rules; mode l2 needs none";
    throw new TsnetError("unsupported", `mode ${network.mode} needs rules: ${why}`);
  }

  async apply(): Promise<boolean> {
    return false;
  }
}
