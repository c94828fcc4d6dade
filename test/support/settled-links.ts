// The kernel's own afterthoughts: up to a second after a link has got its carrier the kernel tells its other parts (linkwatch),
// and only then looks for duplicates of the link's IPv6 addresses (RFC 4862 5.4) and makes their local routes. What is looked at
// before that changes by itself.
import { waitUntil } from "./wait-until.ts";

/** Where a command can be run. */
interface Host {
  exec(argv: readonly string[]): Promise<string>;
}

interface Link {
  readonly ifname: string;
  readonly flags: readonly string[];
  readonly operstate: string;
  readonly addr_info: readonly Address[];
}

interface Address {
  readonly family: string;
  readonly local?: string;
  readonly tentative?: boolean;
  readonly dadfailed?: boolean;
}

/** Waits until the kernel has done all that it does of its own accord with the links of a host that have a carrier. */
export async function settleLinks(host: Host): Promise<void> {
  await waitUntil("the host's links and IPv6 addresses to settle", async () => {
    const links = await json<Link>(host, "address", "show");
    const routes = await json<{ readonly dst: string }>(host, "-6", "route", "show", "table", "all", "type", "local");
    const local = new Set(routes.map(({ dst }) => dst));
    return links.filter(({ flags }) => flags.includes("LOWER_UP")).every((link) => isSettled(link, local));
  });
}

function isSettled({ operstate, addr_info }: Link, local: ReadonlySet<string>): boolean {
  const isTold = operstate !== "DOWN" && operstate !== "LOWERLAYERDOWN";
  const ownIpv6 = addr_info.filter(({ family, dadfailed }) => family === "inet6" && dadfailed !== true);
  return isTold && ownIpv6.every(({ tentative, local: address = "" }) => tentative !== true && local.has(address));
}

async function json<T>(host: Host, ...args: readonly string[]): Promise<readonly T[]> {
  return JSON.parse((await host.exec(["ip", "-json", ...args])) || "[]") as readonly T[]; // shape of `ip -json`
}
