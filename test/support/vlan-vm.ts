// The virtual machine made ready for the tests about VLANs: the first use of a module or a tool there takes seconds, which is more
// than tsnet gives nft(8).
import { execa } from "execa";

const RULES = ["nf_tables", "nft_ct", "nft_chain_nat", "nft_masq", "nft_redir", "nft_fib_inet", "nft_meta_bridge"];

/** Loads modules. @param names - of what the tests need besides nftables. */
export async function warmUp(names: readonly string[]): Promise<void> {
  await execa("modprobe", ["--all", ...names]);
  await execa("modprobe", ["--all", ...RULES], { reject: false }); // some may be built in, or have another name
  await execa("nft", ["list", "ruleset"]);
}
