// `tsnet cni` with Debian's plugins for containers of a real engine: what is on the host and in the container afterwards, and what gets
// through. No daemon of tsnet runs.
import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { TEST_IMAGE } from "../support/image.ts";
import { LabHost } from "../support/lab-host.ts";
import { NODE } from "../support/lab-serve.ts";
import { COMMAND, type Outcome, runTsnet } from "../support/operator.ts";
import { maskVolatile, readmeConfiguration, readmeOutput } from "../support/readme-console.ts";
import { TestContainer } from "../support/system-container.ts";
import { waitUntil } from "../support/wait-until.ts";

const GATEWAY = "10.44.0.1";
const PORT_MAPPING = { hostPort: 8080, containerPort: 80, protocol: "tcp" };

/** What is read of a configuration and written into it. */
interface Conf {
  readonly name: string;
  readonly cniVersion: string;
  readonly plugins: readonly { readonly type: string; readonly ipam?: object }[];
}

/** One line of `tsnet cni ls`. */
interface Listed {
  readonly container: { readonly id: string };
  readonly network: string;
  readonly interface: string;
}

describe("tsnet cni", () => {
  let lab: LabHost;
  /** Of host-local; each test begins at the first address. */
  let dataDir: string;
  beforeAll(async () => {
    lab = await LabHost.up({ name: "cni" });
    for (const folder of ["net.d", "bin"]) mkdirSync(join(lab.folder, folder));
  });
  beforeEach(() => {
    dataDir = mkdtempSync(join(lab.folder, "host-local-"));
    putConf(conf());
    // The plugin bridge leaves the rules of `ipMasq` when it does not find the address in the container; the README says so.
    putConf({ ...conf(), name: "plain", plugins: conf().plugins.map((each) => ({ ...each, ipMasq: false })) });
  });
  afterEach(async () => {
    for (const { container, network, ...rest } of await listed()) {
      await done("del", container.id, network, "--ifname", rest.interface);
    }
    const containers = (await lab.docker("ps", "-aq")).split("\n").filter(Boolean);
    if (containers.length > 0) await lab.docker("rm", "-f", ...containers);
  });
  afterAll(async () => await lab?.[Symbol.asyncDispose]());

  it("gives running containers of --network none a bridge with host-local, by one command each", async () => {
    const [web, db] = [await run("web"), await run("db")];
    expect(await web.interfaces()).toEqual([]);

    const shown = await done("add", "web", "lab");
    await done("add", "db", "lab");

    expect(maskVolatile(shown)).toBe(readmeOutput("tsnet cni add web lab", "### CNI"));
    expect((await web.interface("eth0")).addresses).toEqual(["10.44.0.2/24"]);
    expect(await web.routesVia()).toEqual([`default via ${GATEWAY} dev eth0`]);
    expect(addressesGiven()).toEqual(["10.44.0.2", "10.44.0.3"]);
    await ping(web, GATEWAY);
    await ping(web, await db.address());
    await ping(db, await web.address());
    expect(await page(`http://${await db.address()}/`)).toBe("tsnet test");
  });

  it("shows, checks and takes off what it added, as the README says", async () => {
    const web = await run("web");
    await done("add", "web", "lab");

    const check = await done("check", "web", "lab");
    const ls = await done("ls");
    const del = await done("del", "web", "lab");

    expect(maskVolatile(check)).toBe(readmeOutput("tsnet cni check web lab"));
    expect(maskVolatile(ls)).toBe(readmeOutput("tsnet cni ls"));
    expect(maskVolatile(del)).toBe(readmeOutput("tsnet cni del web lab"));
    expect(await web.interfaces()).toEqual([]);
    await expectNothingLeft();
  });

  it("prints with --json the result of CNI, and publishes a port by the capability of portmap", async () => {
    await run("web");

    const shown = await done("add", "web", "lab", "--json", "--cap", `portMappings=[${JSON.stringify(PORT_MAPPING)}]`);

    expect(JSON.parse(shown)).toMatchObject({
      cniVersion: "1.0.0",
      interfaces: [{ name: "cni-lab" }, {}, { name: "eth0", sandbox: expect.stringMatching(/^\/proc\/\d+\/ns\/net$/) }],
      ips: [{ interface: 2, address: "10.44.0.2/24", gateway: GATEWAY }],
    });
    expect(await page(`http://${GATEWAY}:8080/`)).toBe("tsnet test");
    await done("del", "web", "lab");
    await expectNothingLeft();
  });

  it("hands arguments on: host-local gives the address that is asked for", async () => {
    const web = await run("web");

    await done("add", "web", "lab", "--args", "IgnoreUnknown=1;IP=10.44.0.77", "--ifname", "net7");

    expect((await web.interface("net7")).addresses).toEqual(["10.44.0.77/24"]);
  });

  it("finds by check that an address was deleted by hand, and add says so too", async () => {
    const web = await run("web");
    await done("add", "web", "plain");

    await web.exec(["ip", "address", "flush", "dev", "eth0"]);

    const fault =
      /but not as it was added.*: CNI plugin bridge \(1 of 3\) failed at CHECK: .*code 999: Failed to match addr/;
    expect(await failed("check", "web", "plain")).toMatch(fault);
    expect(await failed("add", "web", "plain")).toMatch(fault);
  });

  it("changes nothing when it adds the same once more, and prints the same", async () => {
    const web = await run("web");
    const first = await done("add", "web", "lab");
    const before = await web.interfaces();

    const again = await tsnet("add", "web", "lab");

    expect(again).toMatchObject({ exitCode: 0, stdout: first });
    expect(again.stderr).toBe("tsnet: web is on CNI network lab as eth0 already; nothing was changed\n");
    expect(await web.interfaces()).toEqual(before);
    expect(await hostLinks()).toHaveLength(1);
  });

  it("takes off a container that was removed before, by its name", async () => {
    await run("web");
    await done("add", "web", "plain");
    await lab.docker("rm", "-f", "web");
    expect(addressesGiven()).toEqual(["10.44.0.2"]);
    expect(await done("ls")).toMatch(/web +plain +eth0 +10\.44\.0\.2\/24 +stopped/);

    expect(await done("del", "web", "plain")).toBe("web is off CNI network plain (eth0)");

    await expectNothingLeft();
  });

  it("brings a container that was started anew back, with one address of it in use", async () => {
    const web = await run("web");
    await done("add", "web", "plain");
    await lab.docker("restart", "web");
    expect(await web.interfaces()).toEqual([]);
    expect(await failed("check", "web", "plain")).toContain("web has stopped since it was added to CNI network plain");

    const { exitCode, stderr } = await tsnet("add", "web", "plain");

    expect(exitCode).toBe(0);
    expect(stderr).toContain("web was started anew since: what CNI network plain had for it is taken back first");
    expect(await web.interfaces()).toHaveLength(1);
    expect(addressesGiven()).toHaveLength(1);
    await ping(web, GATEWAY);
  });

  it("takes back all that was done when a plugin fails, and says which one and why", async () => {
    const web = await run("web");
    const bad = { type: "tuning", sysctl: { "net.ipv4.conf.IFNAME.no_such_setting": "1" } };
    putConf({ ...conf(), name: "bad", plugins: [...conf().plugins, bad] });

    const message = await failed("add", "web", "bad");

    expect(message).toMatch(
      /^tsnet: container web could not be added to CNI network bad: CNI plugin tuning \(4 of 4\) failed at ADD: \/usr\/lib\/cni\/tuning: exit code 1: code 999: .*no_such_setting/,
    );
    expect(await web.interfaces()).toEqual([]);
    await expectNothingLeft();
  });

  it("cleans up after a command that was killed while a plugin ran", async () => {
    const web = await run("web");
    const versions = '{"cniVersion":"1.0.0","supportedVersions":["1.0.0"]}';
    const script = `case $CNI_COMMAND in VERSION) echo '${versions}';; ADD) exec sleep 600;; esac`;
    writeFileSync(join(lab.folder, "bin/slow"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    putConf({ ...conf(), name: "slow", plugins: [...conf().plugins, { type: "slow" }] });
    const command = await lab.namespace.spawn("cni", [NODE, COMMAND, ...wordsOf("add", "web", "slow")], lab.clientEnv);
    await waitUntil("the last plugin to run", async () => (await lab.exec(["pgrep", "-fc", "^sleep 600$"])) === "1");

    await lab.exec(["kill", "-KILL", String(command.pid)]);
    await command.ended;

    expect(await done("ls")).toMatch(/web +slow +eth0 +10\.44\.0\.2\/24 +interrupted/);
    expect(await done("del", "web", "slow")).toBe("web is off CNI network slow (eth0)");
    expect(await web.interfaces()).toEqual([]);
    await expectNothingLeft();
  });

  it("keeps what could not be taken back, until it is told to forget it", async () => {
    await run("web");
    const message = await failed("add", "web", "lab", "--args", "IP=10.44.0.77");
    expect(message).toMatch(/`tsnet cni del` tries again what DEL left .*unknown args/);
    expect(await failed("del", "web", "lab")).toContain("(--force forgets it all the same)");

    expect(await tsnet("del", "web", "lab", "--force")).toMatchObject({
      exitCode: 0,
      stderr: expect.stringMatching(/left as it is: CNI plugin bridge \(1 of 3\) failed at DEL: .*unknown args/),
    });

    await expectNothingLeft();
  });

  it("takes the next interface beside those of Docker's own networks, and leaves these alone", async () => {
    const web = await run("web", "--network", "bridge");
    const before = await web.interface("eth0");

    expect(await failed("add", "web", "lab", "--ifname", "eth0")).toContain(
      "container web has an interface eth0 already",
    );
    await done("add", "web", "lab");
    expect((await web.interfaces()).map(({ name }) => name)).toEqual(["eth0", "eth1"]);
    await ping(web, GATEWAY);
    await done("del", "web", "lab");

    expect(await web.interfaces()).toEqual([before]);
  });

  it("goes to the container whose network namespace is shared, and refuses the host's", async () => {
    const web = await run("web");
    await run("side", "--network", "container:web");
    await run("outside", "--network", "host");

    const { exitCode, stderr } = await tsnet("add", "side", "lab");

    expect({ exitCode, stderr }).toEqual({
      exitCode: 0,
      stderr: "tsnet: side shares the network of web: this is about web\n",
    });
    expect(await web.interfaces()).toHaveLength(1);
    expect(await failed("add", "outside", "lab")).toContain("has the host's own network: CNI is not for that");
  });

  it("takes a configuration of one plugin alone, and refuses a version that it does not know", async () => {
    const web = await run("web");
    const { plugins, ...rest } = conf();
    const file = join(lab.folder, "single.conf");
    writeFileSync(file, JSON.stringify({ ...rest, ...plugins[0], cniVersion: "0.3.1" }));
    putConf({ ...conf(), name: "new", cniVersion: "1.1.0" });

    await done("add", "web", file);
    const refusal = await failed("add", "web", "new");

    expect((await web.interface("eth0")).addresses).toHaveLength(1);
    expect(await failed("check", "web", file)).toContain("CNI has CHECK from version 0.4.0 on");
    expect(refusal).toMatch(/network new wants cniVersion 1\.1\.0, but plugin bridge knows .*, 1\.0\.0/);
    await done("del", "web", file);
    await expectNothingLeft();
  });

  it("does nothing for a container that it has not added", async () => {
    const web = await run("web", "--network", "bridge");

    const { exitCode, stdout, stderr } = await tsnet("del", "web", "lab", "--ifname", "eth0");

    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: "" });
    expect(stderr).toBe("tsnet: tsnet has not added web to CNI network lab; nothing was changed\n");
    expect(await web.interfaces()).toHaveLength(1);
  });

  /** The README's, but with the addresses in the lab's own folder. */
  function conf(): Conf {
    const { plugins, ...rest } = readmeConfiguration("lab.conflist") as Conf;
    return {
      ...rest,
      plugins: plugins.map((each) => (each.ipam ? { ...each, ipam: { ...each.ipam, dataDir } } : each)),
    };
  }

  function putConf(value: Conf): void {
    writeFileSync(join(lab.folder, "net.d", `${value.name}.conflist`), JSON.stringify(value));
  }

  function wordsOf(command: string, ...words: readonly string[]): readonly string[] {
    const paths = ["--conf-dir", join(lab.folder, "net.d"), "--cni-path", `${join(lab.folder, "bin")}:/usr/lib/cni`];
    return ["cni", command, ...words, "--state-dir", stateDir(), ...(command === "add" ? paths : [])];
  }

  function stateDir(): string {
    return join(lab.folder, "cni-state");
  }

  async function tsnet(command: string, ...words: readonly string[]): Promise<Outcome> {
    return await runTsnet(lab, wordsOf(command, ...words));
  }

  /** @returns what it printed. */
  async function done(command: string, ...words: readonly string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await tsnet(command, ...words);
    if (exitCode !== 0) throw new Error(`tsnet cni ${command} ${words.join(" ")}: ${stderr}`);
    return stdout;
  }

  /** @returns its message. */
  async function failed(command: string, ...words: readonly string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await tsnet(command, ...words);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    return stderr;
  }

  async function listed(): Promise<readonly Listed[]> {
    return JSON.parse(await done("ls", "--json")) as readonly Listed[];
  }

  /** With a page on port 80. */
  async function run(name: string, ...options: readonly string[]): Promise<TestContainer> {
    const server = ["httpd", "-f", "-p", "80", "-h", "/www"];
    const network = options.includes("--network") ? [] : ["--network", "none"];
    await lab.docker("run", "-d", "--name", name, ...network, ...options, TEST_IMAGE, ...server);
    return new TestContainer({ docker: lab.docker, exec: async (argv) => await lab.exec(argv) }, name);
  }

  async function ping(from: TestContainer, address: string): Promise<void> {
    await waitUntil(`${address} to answer`, () => from.exec(["busybox", "ping", "-q", "-c1", "-W2", address]));
  }

  async function page(url: string): Promise<string> {
    return await waitUntil(`${url} to answer`, () => lab.exec(["curl", "-sf", "--max-time", "5", url]));
  }

  /** No pair, address, rule or record. The bridge stays: the plugin leaves it. */
  async function expectNothingLeft(): Promise<void> {
    await expect.poll(hostLinks, { timeout: 20_000 }).toEqual([]); // those of a removed container go with its namespace, which is later
    expect(addressesGiven()).toEqual([]);
    expect(await rules()).toEqual([]);
    expect(readdirSync(stateDir())).toEqual(["lock"]);
  }

  /** The host's ends of pairs. */
  async function hostLinks(): Promise<readonly string[]> {
    const text = await lab.exec(["ip", "-json", "link", "show", "type", "veth"]);
    return (JSON.parse(text) as readonly { readonly ifname: string }[]).map(({ ifname }) => ifname);
  }

  /** By host-local: a file for each. */
  function addressesGiven(): readonly string[] {
    const files = readdirSync(dataDir, { recursive: true, encoding: "utf8" });
    return files.map((file) => basename(file)).filter((name) => name.startsWith("10."));
  }

  /** Those that plugins made for one container: they name its id or its address. */
  async function rules(): Promise<readonly string[]> {
    const lines = (await lab.exec(["iptables-save"])).split("\n");
    return lines.filter((line) => /[0-9a-f]{64}|10\.44\.0\.\d+\/32/.test(line));
  }
});
