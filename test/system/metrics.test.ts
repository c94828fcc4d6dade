// Health and metrics of a real engine's tsnet, on its socket and on its port, compared with what ip(8) says.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ScrapedMetrics, parseMetrics } from "../support/prometheus-text.ts";
import type { TestContainer } from "../support/system-container.ts";
import { OPEN, SystemHost, type TestNetwork, VARIANTS } from "../support/system-host.ts";

const PORT = "127.0.0.1:9560";
const SOCKET = "/run/docker/plugins/tsnet.sock";
const GATEWAY = "10.66.0.1";

/** Ethernet, IPv4 and UDP, or ICMP, in front of 1000 bytes. */
const FRAME_BYTES = 14 + 20 + 8 + 1000;
const FRAMES = 20;
/** Neighbour discovery, a refusal of 590 bytes for each datagram, and what a link says when it comes up. */
const NOISE_BYTES = 16_000;

describe.each(VARIANTS)("with the %s", (variant) => {
  let host: SystemHost;
  let network: TestNetwork;
  let container: TestContainer;

  beforeAll(async () => {
    host = await SystemHost.up(variant, { isAlone: true, settings: { TSNET_METRICS: PORT } });
    network = await host.network("measured", "--subnet", "10.66.0.0/24");
    container = await host.run("measured-1", network);
  });
  afterAll(async () => await host?.[Symbol.asyncDispose]());

  it("health is ok on the socket and on the port, and the port has no verb and no status", async () => {
    expect(JSON.parse(await host.exec(["curl", "-sf", `http://${PORT}/healthz`]))).toMatchObject({ status: "ok" });
    const onSocket = await host.exec(["curl", "-sf", "--unix-socket", SOCKET, "http://tsnet/healthz"]);
    expect(JSON.parse(onSocket)).toMatchObject({ status: "ok" });

    for (const path of ["status", "Plugin.Activate", "NetworkDriver.DeleteNetwork"]) {
      const ask = ["curl", "-s", "-X", "POST", "-d", "{}", "-w", "%{http_code}", `http://${PORT}/${path}`];
      expect(await host.exec(ask)).toBe("404");
    }
  });

  it("the counters of an endpoint are those of its container's end, and grow by what it sends and receives", async () => {
    const before = await traffic();
    await container.exec(["bash", "--norc", "-c", `for n in {1..${FRAMES}}; do ${datagram()}; done`]);
    const sent = await traffic();
    await host.exec([
      "busybox",
      "ping",
      "-q",
      "-c",
      String(FRAMES),
      "-i",
      "0.05",
      "-s",
      "1000",
      await container.address(),
    ]);
    const answered = await traffic();

    const bytes = FRAMES * FRAME_BYTES;
    expectBetween(sent.transmitBytes - before.transmitBytes, bytes, bytes + NOISE_BYTES);
    expectBetween(sent.receiveBytes - before.receiveBytes, 0, NOISE_BYTES);
    expectBetween(answered.receiveBytes - sent.receiveBytes, bytes, bytes + NOISE_BYTES);
    expectBetween(answered.receivePackets - sent.receivePackets, FRAMES, 2 * FRAMES);
  });

  it("calls of the engine are counted by verb and outcome, and pools by what is in use of them", async () => {
    const created = { verb: "NetworkDriver.CreateNetwork", outcome: "ok" };
    // Since 28.0 the engine asks GwAllocCheck first.
    const first = host.lab.engine.version === "28.5" ? "GwAllocCheck" : "CreateNetwork";
    const refused = { verb: `NetworkDriver.${first}`, outcome: "invalid" };
    const count = "tsnet_verb_duration_seconds_count";
    const before = (await scrape()).value(count, created);
    await using other = await host.network("other", "--subnet", "10.67.0.0/29", "-o", "bridge=other0");
    await host.refusalOf("network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", "-o", "vlan=5000", "wrong");

    const after = await scrape();

    expect(after.value(count, created)).toBe(before + 1);
    expect(after.value(count, refused)).toBe(1);
    expect(after.value("tsnet_faults_total", { class: "invalid" })).toBe(1);
    expect(after.value("tsnet_networks", { backend: "bridge", mode: "nat", state: "ready" })).toBe(2);
    const pool = { subnet: "10.67.0.0/29", segment: "", address_space: "tsnet" };
    expect(after.value("tsnet_pool_addresses", pool)).toBe(6);
    expect(after.value("tsnet_pool_addresses_used", pool)).toBe(1);
    expect(other.name).toBe("other");
  });

  it("a port that somebody takes out of its switch is put back, and counted once", async () => {
    const what = { what: "endpoint" };
    const before = (await scrape()).value("tsnet_repairs_total", what);
    const link = await hostLink();

    await host.exec(["ip", "link", "set", link.ifname, "nomaster"]);

    await expect.poll(async () => (await hostLink()).master, { timeout: 10_000 }).toBe(link.master);
    const repairs = async () => (await scrape()).value("tsnet_repairs_total", what);
    await expect.poll(repairs, { timeout: 10_000 }).toBe(before + 1); // counted when all of it is done
    await expect.poll(async () => await host.tryReach(host, await container.address())).toEqual(OPEN);
    expect(await repairs()).toBe(before + 1);
  });

  it("a container that comes and goes is no repair and no fault", async () => {
    const before = await scrape();
    {
      await using second = await host.run("measured-2", network);
      await expect.poll(async () => await host.tryReach(second, await container.address())).toEqual(OPEN);
    }
    const endpoints = async () => (await scrape()).samples("tsnet_endpoint_receive_bytes_total");
    await expect.poll(endpoints, { timeout: 10_000 }).toHaveLength(1);

    const after = await scrape();

    for (const name of ["tsnet_repairs_total", "tsnet_faults_total"]) {
      expect(after.samples(name)).toEqual(before.samples(name));
    }
  });

  it("a second daemon on the same port ends with a message that names the setting", async () => {
    if (variant !== "tsnet serve") return;
    const env = { TSNET_SOCKET: "/run/second.sock", TSNET_STATE_DIR: "/run/second", TSNET_METRICS: PORT };

    await expect(host.lab.startServe(env)).rejects.toThrow(
      `tsnet: TSNET_METRICS="${PORT}" is not possible here: the port is in use by another program`,
    );
  });

  it("nothing of it causes a warning in tsnet's log", () => {
    expect(host.complaints()).toEqual([]);
  });

  async function scrape(): Promise<ScrapedMetrics> {
    const text = await host.exec(["curl", "-sf", `http://${PORT}/metrics`]);
    return parseMetrics(`${text}\n`); // `exec` leaves the last line end out
  }

  /** What a scrape says of the one endpoint, once it lies between what ip(8) says before and after it. */
  async function traffic() {
    const low = await hostLink();
    const metrics = await scrape();
    const high = await hostLink();
    const id = await host.docker("network", "inspect", "--format", "{{.Id}}", network.name);
    const endpoint = low.ifalias?.replace("tsnet:endpoint:", "").slice(0, 12) ?? "";
    const labels = { network: id.slice(0, 12), endpoint, link: low.ifname };
    const read = (what: string) => metrics.value(`tsnet_endpoint_${what}_total`, labels);
    const { rx: lowRx, tx: lowTx } = low.stats64;
    const { rx: highRx, tx: highTx } = high.stats64;
    expectBetween(read("receive_bytes"), lowTx.bytes, highTx.bytes);
    expectBetween(read("receive_packets"), lowTx.packets, highTx.packets);
    expectBetween(read("receive_dropped"), lowTx.dropped, highTx.dropped);
    expectBetween(read("transmit_bytes"), lowRx.bytes, highRx.bytes);
    expectBetween(read("transmit_packets"), lowRx.packets, highRx.packets);
    expectBetween(read("transmit_dropped"), lowRx.dropped, highRx.dropped);
    return {
      receiveBytes: read("receive_bytes"),
      receivePackets: read("receive_packets"),
      transmitBytes: read("transmit_bytes"),
    };
  }

  /** The host's end of the one container's link, found by the mark that the README names. */
  async function hostLink(): Promise<CountedLink> {
    const links = JSON.parse(await host.exec(["ip", "-json", "-statistics", "link"])) as CountedLink[];
    const found = links.find(({ ifalias }) => ifalias?.startsWith("tsnet:endpoint:") === true);
    if (found === undefined) throw new Error("there is no link of an endpoint");
    return found;
  }
});

function datagram(): string {
  return `head -c 1000 /dev/zero > /dev/udp/${GATEWAY}/9999`;
}

function expectBetween(value: number, low: number, high: number): void {
  expect(value).toBeGreaterThanOrEqual(low);
  expect(value).toBeLessThanOrEqual(high);
}

interface Counts {
  readonly bytes: number;
  readonly packets: number;
  readonly dropped: number;
}

interface CountedLink {
  readonly ifname: string;
  readonly ifalias?: string;
  readonly master?: string;
  readonly stats64: { readonly rx: Counts; readonly tx: Counts };
}
