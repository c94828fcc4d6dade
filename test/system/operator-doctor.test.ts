// `tsnet doctor` on a real engine: names nothing on a sound host, each fault that is planted there by its id and its object and
// nothing else, and with `--fix` mends what is tsnet's and leaves what is not. What is on the host is judged by ip(8), nft(8) and
// ovs-vsctl(8).
import { basename, dirname, join } from "node:path";
import { cp, readFile, writeFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  FAULTS,
  LEAK,
  LOOKALIKES,
  LOOKALIKES_GONE,
  MINE,
  ORPHANS,
  ORPHANS_GONE,
  OWN_OVS_SWITCH,
  OWN_SWITCH,
  SOCKET,
  UPLINK,
  WITHOUT_BRIDGED,
  WITH_BRIDGED,
  WRITABLE,
} from "../support/doctor-faults.ts";
import { type DoctorReport, namesIn, readDoctor } from "../support/doctor-report.ts";
import { TEST_IMAGE } from "../support/image.ts";
import { COMMAND, readTsnet, runTsnet } from "../support/operator.ts";
import { maskVolatile, readmeOutput } from "../support/readme-console.ts";
import { changeRecord, damageRecord } from "../support/record-files.ts";
import type { TestContainer } from "../support/system-container.ts";
import { OPEN, SystemHost } from "../support/system-host.ts";
import { VERSION } from "../../src/version.ts";

let host: SystemHost;
let one: TestContainer;
let two: TestContainer;
let macOfTwo: string;
/** The switches of `web` and of `floor`. */
let webSwitch: string;
let floorSwitch: string;

beforeAll(async () => {
  host = await SystemHost.up("tsnet serve", { backend: "ovs" });
  await sh(UPLINK, OWN_SWITCH, OWN_OVS_SWITCH);
  const bridge = ["-o", "backend=bridge"];
  const web = await host.network("web", "--subnet", "10.66.0.0/24", "--ipv6", "--subnet", "fd00:66::/64", ...bridge);
  await host.network("lan", "--subnet", "10.67.0.0/24", "-o", "parent=up0", ...bridge);
  const floor = await host.network("floor", "--subnet", "10.68.0.0/24", "-o", "vlan=100");
  const tunnel = ["-o", "tunnel=vxlan", "-o", "vni=69", "-o", "peers=192.0.2.1"];
  await host.network("far", "--subnet", "10.69.0.0/24", ...tunnel, ...bridge);
  await host.network("mine", "--subnet", "10.70.0.0/24", "-o", "bridge=own0", ...bridge);
  await host.network("theirs", "--subnet", "10.73.0.0/24", "-o", "bridge=own1", "-o", "mode=l2");
  one = await host.run("one", web, "-p", "8080:80");
  two = await host.run("two", web);
  await host.run("tagged", floor);
  macOfTwo = (await two.interface("eth0")).mac;
  [webSwitch, floorSwitch] = [await switchOf("web"), await switchOf("floor")];
  for (const name of ["ipv4/ip_forward", "ipv6/conf/all/forwarding"]) await keepFromTsnet(name);
});
afterAll(async () => await host?.[Symbol.asyncDispose]());

describe("tsnet doctor", () => {
  it("names nothing on a sound host, and looks at everything", async () => {
    const report = await doctor();

    expect(namesIn(report)).toEqual([]);
    expect(report.notLookedAt).toEqual([]);
    const printed = await runTsnet(host.lab, ["doctor"]);
    expect([printed.exitCode, printed.stdout, printed.stderr]).toEqual([0, "0 findings", ""]);
  });

  it.each(FAULTS)("names $title", async ({ plant, undo, finds }) => {
    for (const line of [plant].flat()) await sh(await fill(line));
    try {
      const expected = await Promise.all(finds.map(fill));
      expect(namesIn(await doctor())).toEqual(expected);
    } finally {
      await sh(await fill(undo));
    }
    await expect.poll(async () => namesIn(await doctor()), { timeout: 60_000 }).toEqual([]);
  });

  it("names a switch of Open vSwitch that does not answer", async () => {
    await host.ovs.killVswitchd();
    try {
      expect(namesIn(await doctor())).toContain(`ovs-silent ${floorSwitch}`);
    } finally {
      await host.ovs.startVswitchd();
    }
    await expect.poll(async () => namesIn(await doctor()), { timeout: 60_000 }).toEqual([]);
  });

  it("names a daemon of another version", async () => {
    const folder = join(host.lab.folder, "other");
    await cp(dirname(COMMAND), folder, { recursive: true });
    const program = join(folder, basename(COMMAND));
    await writeFile(program, (await readFile(program, "utf8")).replaceAll(`"${VERSION}"`, '"9.9.9"'));

    const report = await readDoctor(host.lab, [], {}, program);

    expect(namesIn(report)).toEqual(["tsnet-other-version tsnet"]);
  });

  it("names a disk that is full, and is content as soon as there is room, though no container comes or goes", async () => {
    const state = host.stateDir;
    const healthz = [
      "curl",
      "-s",
      "-o",
      "/dev/null",
      "-w",
      "%{http_code}",
      "--unix-socket",
      SOCKET,
      "http://tsnet/healthz",
    ];
    await host.stop();
    await sh(`cp -a ${state} /run/kept; mount -t tmpfs -o size=8m,mode=700 tsnet ${state}; cp -a /run/kept/. ${state}`);
    await host.start();
    await sh(`! dd if=/dev/zero of=${state}/ballast bs=4k status=none`);
    const write = await fill(LEAK);
    await sh(
      `for n in $(seq 200); do ${write} | grep -q 'disk is full' && exit; ${write.replace("Request", "Release")}; done; false`,
    );

    expect(namesIn(await doctor())).toEqual([`state-disk-full ${state}`, "tsnet-failing tsnet"]);
    expect(await host.exec(healthz)).toBe("503");
    await sh(`rm ${state}/ballast`);
    await expect.poll(async () => host.exec(healthz), { timeout: 20_000 }).toBe("200");
    expect(namesIn(await doctor())).toEqual([]);

    await host.stop();
    await sh(`rm -r /run/kept; cp -a ${state} /run/kept; umount ${state}; cp -a /run/kept/. ${state}; rm -r /run/kept`);
    await host.start();
  });

  it("names what this kernel lacks for a network that was made on another one, and nothing where it lacks nothing", async () => {
    const trial = [
      "unshare",
      "--net",
      "--",
      "ip",
      "link",
      "add",
      "name",
      "t0",
      "type",
      "bridge",
      "vlan_filtering",
      "1",
    ];
    const isAble = await host.exec(trial).then(
      () => true,
      () => false,
    );
    await host.network("old", "--subnet", "10.74.0.0/24", "-o", "backend=bridge", "-o", "mode=l2");
    const id = await idOf("old");
    await host.stop();
    await changeRecord(host.stateDir, "network", id, (text) => text.replaceAll('"vlans":{}', '"vlans":{"vlan":10}'));
    await host.start();

    expect(namesIn(await doctor())).toEqual(isAble ? [] : ["kernel-lacks bridge VLAN filtering"]);

    await host.docker("network", "rm", "old");
    await expect.poll(async () => namesIn(await doctor()), { timeout: 60_000 }).toEqual([]);
  });

  it("says that Docker does not answer, and what it could not look at for that", async () => {
    const report = await doctor([], { DOCKER_HOST: "unix:///run/nowhere.sock" });

    expect(namesIn(report)).toEqual(["engine-away Docker"]);
    const unseen = report.notLookedAt.map(({ id }) => id);
    expect(unseen).toEqual(expect.arrayContaining(["address-leaked", "container-mac-differs", "driver-unregistered"]));
    expect(unseen).not.toContain("foreign-drop");
  });

  it("says that tsnet does not answer, and looks at what it can", async () => {
    const printed = await runTsnet(host.lab, ["--socket", "/run/nowhere.sock", "doctor"]);

    expect(printed.exitCode).toBe(1);
    expect(printed.stdout).toContain("tsnet-away: tsnet");
    expect(printed.stdout).toContain("not looked at");
    expect(printed.stdout.split("\n").at(-1)).toBe("1 finding");
  });

  it("names a tsnet that listens where Docker does not look", async () => {
    await sh(`mv ${SOCKET} /run/elsewhere.sock`);
    try {
      const out = await runTsnet(host.lab, ["--socket", "/run/elsewhere.sock", "doctor", "--json"]);
      expect(namesIn(JSON.parse(out.stdout) as DoctorReport)).toContain("driver-unregistered tsnet");
    } finally {
      await sh(`mv /run/elsewhere.sock ${SOCKET}`);
    }
  });

  it("prints what the README shows", async () => {
    await sh(WITHOUT_BRIDGED, MINE, ORPHANS[0] ?? "", ORPHANS[1] ?? "");
    const printed = await runTsnet(host.lab, ["doctor"]);
    await sh(WITH_BRIDGED, "nft delete table inet mine", "ip link del tsv555555555555");

    expect(printed.exitCode).toBe(1);
    expect(maskVolatile(printed.stdout)).toBe(readmeOutput("tsnet doctor"));
    const lengths = printed.stdout.split("\n").map((line) => line.length);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(80);
  });

  it("changes nothing without --fix", async () => {
    await sh(...ORPHANS);
    const before = await snapshot();

    await runTsnet(host.lab, ["doctor"]);

    expect(await snapshot()).toEqual(before);
    await sh(...ORPHANS_GONE);
  });

  it("mends with --fix what is tsnet's, and leaves links, rules and bridges of others as they are", async () => {
    await sh("ip link add tsv-mine type veth peer name tsn-mine", "ip link add tsn-other type bridge");
    await sh(
      "nft add table inet mine; nft add chain inet mine forward '{ type filter hook forward priority 0; policy drop; }'",
    );
    await sh("ovs-vsctl --no-wait add-br foreign0");
    const before = await snapshot();
    await sh(...ORPHANS, await fill(LEAK));

    const report = async () => namesIn(await doctor(["--fix"]));

    const left = ["bridged-drop inet mine forward", "foreign-drop inet mine forward"];
    await expect.poll(report, { timeout: 60_000, interval: 1000 }).toEqual(left);
    expect(await snapshot()).toEqual(before);
    await sh(
      "ip link del tsv-mine; ip link del tsn-other; nft delete table inet mine; ovs-vsctl --no-wait del-br foreign0",
    );
  });

  it("removes with --fix nothing of others and nothing in use, though containers come and go and tsnet is killed meanwhile", async () => {
    await sh(...(await Promise.all(LOOKALIKES.map(fill))));
    const before = await snapshot();
    await sh(...ORPHANS);
    const comeAndGo = (name: string) =>
      host.docker("run", "--rm", "--name", name, "--network", "web", TEST_IMAGE, "true");
    const containers = Promise.all(["guest-1", "guest-2", "guest-3"].map(comeAndGo));
    await Promise.all([containers, ...[1, 2].map(async () => doctor(["--fix"]))]);
    const interrupted = host.exec(["curl", "-s", "--unix-socket", SOCKET, "-d", "{}", "http://tsnet/Operator.Repair"]);
    await Promise.all([interrupted.catch(() => {}), host.serve.kill9()]);
    await host.serve.startAgain();

    const report = async () => namesIn(await doctor(["--fix"]));

    await expect.poll(report, { timeout: 60_000 }).toEqual(["link-orphaned tsv666666666666"]);
    expect(await report()).toEqual(["link-orphaned tsv666666666666"]);
    expect(await snapshot()).toEqual(before);
    await expect.poll(async () => await host.tryReach(one, await two.address())).toEqual(OPEN);
    await sh(...LOOKALIKES_GONE);
  });

  it("says which record is damaged, and calls nothing nobody's then", async () => {
    const id = await host.docker("network", "inspect", "--format", "{{.Id}}", "mine");
    await host.stop();
    damageRecord(join(host.stateDir, "tsnet.db"), "network", id);
    await host.start();

    const report = await doctor();

    expect(namesIn(report)).toEqual(["network-unknown-to-tsnet mine", "record-damaged records"]);
    expect(report.notLookedAt.map(({ id: of }) => of)).toEqual([
      "address-leaked",
      "link-orphaned",
      "switch-orphaned",
      "ovs-orphaned",
    ]);
  });
});

/** What the words in capitals are, now. */
async function fill(line: string): Promise<string> {
  const words: Readonly<Record<string, () => Promise<string> | string>> = {
    IMAGE: () => TEST_IMAGE,
    WEB: () => webSwitch,
    FLOOR: () => floorSwitch,
    STATE: () => host.stateDir,
    IN_TWO: async () => `nsenter -t ${await two.pid()} -n ip`,
    MAC_OF_ONE: async () => (await one.interface("eth0")).mac,
    MAC_OF_TWO: () => macOfTwo,
    LINK_OF_TWO: () => linkOf("two"),
    PID_OF_TWO: async () => String(await two.pid()),
    POOL: () => poolOf("10.66.0.0/24"),
    NETWORK_WEB: () => idOf("web"),
    NETWORK_GONE: () => idOf("gone"),
    NETWORK_HALF: () => idOf("half"),
  };
  let filled = line;
  for (const [word, find] of Object.entries(words)) {
    if (new RegExp(`\\b${word}\\b`).test(filled))
      filled = filled.replaceAll(new RegExp(`\\b${word}\\b`, "g"), await find());
  }
  return filled;
}

async function idOf(network: string): Promise<string> {
  return host.docker("network", "inspect", "--format", "{{.Id}}", network);
}

async function poolOf(subnet: string): Promise<string> {
  const pools = await readTsnet<readonly { id: string; subnet: string }[]>(host.lab, "ipam");
  return pools.find((pool) => pool.subnet === subnet)?.id ?? "";
}

/** The host's end of a container's link, found by its mark. */
async function linkOf(container: string): Promise<string> {
  const format = "{{range .NetworkSettings.Networks}}{{.EndpointID}}{{end}}";
  const id = await host.docker("inspect", "--format", format, container);
  const links = JSON.parse(await host.exec(["ip", "-json", "link"])) as { ifname: string; ifalias?: string }[];
  return links.find(({ ifalias }) => ifalias === `tsnet:endpoint:${id}`)?.ifname ?? "";
}

/** Links, rules and rows, without what counts. */
async function snapshot() {
  const links = JSON.parse(await host.exec(["ip", "-json", "-details", "link"])) as {
    ifname: string;
    ifalias?: string;
  }[];
  const rules = await host.exec(["nft", "-j", "-s", "list", "ruleset"]);
  const rows = await host.ovs.vsctl("--no-wait", "--columns=name,external_ids", "list", "Port");
  return { links: links.map(({ ifname, ifalias }) => [ifname, ifalias]), rules, rows };
}
async function doctor(
  words: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<DoctorReport> {
  return readDoctor(host.lab, words, env);
}

async function sh(...lines: readonly string[]): Promise<void> {
  await host.exec(["sh", "-ec", lines.join("\n")]);
}

async function switchOf(network: string): Promise<string> {
  const networks = await readTsnet<readonly { name: string; switch: string }[]>(host.lab, "ls");
  return networks.find(({ name }) => name === network)?.switch ?? "";
}

async function keepFromTsnet(setting: string): Promise<void> {
  const [path, writable] = [`/proc/sys/net/${setting}`, `${WRITABLE}/${setting.split("/").at(-1)}`];
  await sh(
    `mkdir -p ${WRITABLE}; touch ${writable}; mount --bind ${path} ${writable}`,
    `mount --bind ${path} ${path}; mount -o remount,bind,ro ${path}`,
  );
}
