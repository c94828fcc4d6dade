// What the demo shows, in order. A check does what its title says, resolves to what was measured, and throws what was seen
// instead. Where a check says that something is not reached, it first shows that the target answers somebody.
import { join } from "node:path";
import { diffCensus } from "../support/census.ts";
import { ECHO_PORT } from "../support/neighbour.ts";
import { PingWatch } from "../support/ping-watch.ts";
import { HOST, HOST_ADDRESS, type Stage } from "./stage.ts";

export interface Check {
  readonly title: string;
  /** @returns what was measured, in a few words. @throws Error with what was seen instead. */
  readonly run: (stage: Stage) => Promise<string>;
  /** Nothing after it can hold when it does not. */
  readonly isFoundation?: boolean;
}

const PLUGIN_FOLDER = join(import.meta.dirname, "../../build/plugin");
const FIXED_SUBNET = "10.60.0.0/24";
const VLAN_SUBNET = "10.70.0.0/24";
const FIXED_ADDRESS = "10.60.0.50";

export const CHECKS: readonly Check[] = [
  {
    title: "the managed plugin comes up",
    isFoundation: true,
    async run(stage) {
      await stage.docker("plugin", "create", "tsnet-plugin", PLUGIN_FOLDER);
      const startedAt = performance.now();
      await stage.enablePlugin();
      const durationMs = performance.now() - startedAt;
      await stage.remember();
      return `enabled in ${Math.round(durationMs)} ms`;
    },
  },
  {
    title: "two containers reach each other by name",
    async run(stage) {
      await stage.createNetwork("blue");
      await stage.run("web", "blue");
      await stage.run("app", "blue");
      return formatMs(await stage.ping("app", "web"));
    },
  },
  {
    title: "the host reaches a container",
    async run(stage) {
      const { address } = await stage.placeOf("web");
      return formatMs(await stage.ping(HOST, address));
    },
  },
  {
    title: "containers of another network are out of reach, both ways",
    async run(stage) {
      await stage.createNetwork("red");
      await stage.run("other", "red");
      const [web, other] = [await stage.placeOf("web"), await stage.placeOf("other")];
      await stage.ping(HOST, other.address);
      await stage.pingInVain("other", web.address);
      await stage.pingInVain("web", other.address);
      return "no answer";
    },
  },
  {
    title: "a machine beyond the host sees the host's address",
    async run(stage) {
      const seen = await stage.docker("exec", "app", "nc", "-w3", stage.outside.address, String(ECHO_PORT));
      if (seen !== HOST_ADDRESS) throw new Error(`it sees ${seen}, the host has ${HOST_ADDRESS}`);
      return seen;
    },
  },
  {
    title: "a published port answers that machine",
    async run(stage) {
      await stage.run("site", "blue", "-p", "8080:80");
      await stage.docker("exec", "site", "httpd", "-p", "80", "-h", "/etc");
      const { address } = await stage.placeOf("site");
      await stage.ping(HOST, address);
      const hosts = await stage.fetchFromOutside(`http://${HOST_ADDRESS}:8080/hosts`);
      if (!hosts.includes(address)) throw new Error(`it answers: ${hosts}`);
      await stage.fetchInVain(`http://${address}:80/hosts`);
      return `container's own address: no answer`;
    },
  },
  {
    title: "two containers reach each other over IPv6",
    async run(stage) {
      await stage.createNetwork("six", "--ipv6");
      await stage.run("six1", "six");
      await stage.run("six2", "six");
      return formatMs(await stage.ping("six1", "six2", "-6"));
    },
  },
  {
    title: "a network with --internal has no way out",
    async run(stage) {
      await stage.createNetwork("inner", "--internal");
      await stage.run("vault", "inner");
      await stage.ping("vault", await stage.gatewayOf("inner"));
      await stage.pingInVain("vault", stage.outside.address);
      return "no answer";
    },
  },
  {
    title: "a network with mode=isolated: not even the host",
    async run(stage) {
      await stage.createNetwork("dark", "-o", "mode=isolated");
      await stage.run("night1", "dark");
      await stage.run("night2", "dark");
      await stage.ping("night1", "night2");
      const { address } = await stage.placeOf("night1");
      await stage.pingInVain(HOST, address);
      await stage.pingInVain("night1", await stage.gatewayOf("blue"));
      return "no answer";
    },
  },
  {
    title: "two VLANs with the same subnet do not meet on one Open vSwitch",
    async run(stage) {
      await stage.onHost(["ovs-vsctl", "set-manager", "ptcp:6640:127.0.0.1"]);
      const same = ["-o", "backend=ovs", "-o", "bridge=sw0", "-o", "mode=l2", "--subnet", VLAN_SUBNET];
      for (const vlan of ["100", "200"]) {
        await stage.createNetwork(`vlan${vlan}`, ...same, "-o", `vlan=${vlan}`, "--ipam-opt", `segment=vlan${vlan}`);
      }
      for (const name of ["mail", "dns"]) await stage.run(name, "vlan100");
      await stage.run("printer", "vlan200");
      const { address } = await stage.placeOf("dns");
      const time = await stage.ping("mail", address);
      await stage.pingInVain("printer", address);
      return `within the VLAN ${formatMs(time)}, across no answer`;
    },
  },
  {
    title: "a restarted container keeps address and MAC",
    async run(stage) {
      await stage.createNetwork("green", "--subnet", FIXED_SUBNET);
      await stage.run("fixed", "green", "--ip", FIXED_ADDRESS);
      const before = await stage.placeOf("fixed");
      await stage.docker("restart", "fixed");
      const after = await stage.placeOf("fixed");
      await stage.ping(HOST, FIXED_ADDRESS);
      const [was, is] = [before, after].map(({ address, mac }) => `${address} ${mac}`);
      if (was !== is || after.address !== FIXED_ADDRESS) throw new Error(`it had ${was}, it has ${is}`);
      return String(is);
    },
  },
  {
    title: "the plugin restarts without a lost ping",
    async run(stage) {
      const { address } = await stage.placeOf("web");
      const ping = await PingWatch.start(stage.lab, "app", address);
      await stage.docker("plugin", "disable", "-f", "tsnet-plugin");
      await stage.enablePlugin();
      const { sent, lost } = await ping.stop();
      if (lost > 0) throw new Error(`${lost} of ${sent} pings were lost`);
      await stage.run("late", "blue");
      await stage.ping("late", "web");
      return `0 of ${sent} lost`;
    },
  },
];

/** The last one. Left out when the demo is kept. */
export const REMOVAL: Check = {
  title: "removal leaves nothing behind on the host",
  async run(stage) {
    const containers = await stage.lab.docker("ps", "-a", "--format", "{{.Names}}");
    await stage.docker("rm", "-f", ...containers.split("\n").toReversed());
    const networks = await stage.lab.docker("network", "ls", "--filter", "driver=tsnet", "--format", "{{.Name}}");
    await stage.docker("network", "rm", ...networks.split("\n"));
    const after = await stage.census();
    const left = diffCensus(stage.before, after);
    if (left.length > 0) throw new Error(left.join("\n"));
    return `${after["links"]?.length} links, ${after["nft"]?.length} rules: as before`;
  },
};

function formatMs(ms: number): string {
  return `${ms.toFixed(2)} ms`;
}
