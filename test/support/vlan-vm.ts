// The virtual machine made ready for the tests about VLANs: the first use of a module or a tool there takes seconds, which is more
// than tsnet gives nft(8).
import { execa } from "execa";

const RULES = [
  ..."nf_tables nft_chain_nat nft_ct nft_fib_inet nft_fib_ipv4 nft_fib_ipv6 nft_masq nft_nat nft_redir".split(" "),
  ..."nft_meta_bridge nft_compat nf_conntrack_netlink nf_conntrack_bridge".split(" "),
];

/** Loads modules. @param names - of what the tests need besides nftables. */
export async function warmUp(names: readonly string[]): Promise<void> {
  await execa("modprobe", ["--all", ...names]);
  await execa("modprobe", ["--all", ...RULES], { reject: false }); // some may be built in, or have another name
  await execa("nft", ["list", "ruleset"]);
}
