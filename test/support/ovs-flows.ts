// A switch's flows as ovs-ofctl(8) sees them, for tests that judge from outside.
import type { OvsHost } from "./ovs-host.ts";

/** Where `br0` of that Open vSwitch, or another bridge, speaks OpenFlow. */
export function managementOf(host: OvsHost, bridge = "br0"): string {
  return host.address.replace(/db\.sock$/, `${bridge}.mgmt`);
}

/** Runs ovs-ofctl on that bridge. @returns its output. */
export async function ofctl(host: OvsHost, command: string, ...more: readonly string[]): Promise<string> {
  return await host.ns.exec(["ovs-ofctl", "-O", "OpenFlow14", command, managementOf(host), ...more]);
}

/** The flows in the notation of ovs-ofctl, without counters, sorted. */
export async function dumpFlows(host: OvsHost): Promise<readonly string[]> {
  const text = await ofctl(host, "dump-flows", "--no-stats");
  return text
    .split("\n")
    .flatMap((line) => (line.includes("actions=") ? [line.trim()] : []))
    .sort();
}
