import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cniAdd } from "../../../../src/cli/cni/add.ts";
import { readAddOptions } from "../../../../src/cli/cni/options.ts";
import { CniRecords } from "../../../../src/cli/cni/records.ts";
import { FakeCni, FakeCniTools, FakeContainer, resultOf } from "../../../support/fake-cni.ts";

const PLUGINS = [{ type: "bridge" }, { type: "portmap", capabilities: { portMappings: true } }];
const LAB = { cniVersion: "1.0.0", name: "lab", plugins: PLUGINS };

describe("tsnet cni add", () => {
  let cni: FakeCni;
  let web: FakeContainer;
  let host: FakeCniTools;
  let lab: string;
  beforeEach(() => {
    cni = new FakeCni("bridge", "portmap");
    web = new FakeContainer("web");
    host = new FakeCniTools(web.now);
    lab = cni.conf(LAB);
  });
  afterEach(() => {
    web[Symbol.dispose]();
    cni[Symbol.dispose]();
  });

  const stateDir = () => join(cni.folder, "state");
  const add = async (options: object = {}, container = "web") =>
    await cniAdd(
      host.tools,
      container,
      lab,
      readAddOptions({ cniPath: cni.path, confDir: cni.folder, stateDir: stateDir(), ...options }),
    );
  const records = () => new CniRecords(stateDir()).list();

  it("runs the plugins with the container's id, its network namespace and the first interface that is free", async () => {
    host.links = ["lo", "eth0", "eth2"];

    await add();

    const netns = `/proc/${web.now.pid}/ns/net`;
    expect(cni.steps()).toEqual(["ADD bridge", "ADD portmap"]);
    expect(cni.calls()[1]?.env).toMatchObject({ CNI_CONTAINERID: web.id, CNI_NETNS: netns, CNI_IFNAME: "eth1" });
  });

  it("prints addresses, gateway, routes and links", async () => {
    await add();

    expect(host.out.join("")).toBe(
      [
        "web is on CNI network lab as eth0",
        "  plugins  bridge, portmap",
        "  version  1.0.0",
        "  gateway  10.9.0.1",
        "  routes   default",
        "",
        "INTERFACE  WHERE  ADDRESSES    MAC",
        "veth0      host",
        "eth0       web    10.9.0.2/24  02:00:00:00:00:02",
        "",
      ].join("\n"),
    );
  });

  it("prints with --json the result of CNI as the last plugin gave it", async () => {
    await add({ json: true });

    expect(JSON.parse(host.out.join(""))).toEqual(JSON.parse(resultOf("portmap")));
  });

  it("hands on name, arguments and capabilities that the operator gave", async () => {
    const portMappings = [{ hostPort: 8080, containerPort: 80 }];
    await add({ ifname: "net7", args: "IP=10.9.0.9", cap: [`portMappings=${JSON.stringify(portMappings)}`] });

    const [bridge, portmap] = cni.calls();
    expect(bridge?.env).toMatchObject({ CNI_IFNAME: "net7", CNI_ARGS: "IP=10.9.0.9" });
    expect(bridge?.input).not.toHaveProperty("runtimeConfig");
    expect(portmap?.input).toHaveProperty("runtimeConfig", { portMappings });
  });

  it("has recorded it before the first plugin runs, and each result before the next one does", async () => {
    for (const type of ["bridge", "portmap"]) {
      const copy = `cp -r ${stateDir()} ${cni.folder}/seen-by-${type}`;
      cni.plugin(type, { ADD: { stdout: `END\n${copy}\ncat <<'END'\n${resultOf(type)}` } });
    }

    await add();

    const seen = ["bridge", "portmap"].map((type) => new CniRecords(join(cni.folder, `seen-by-${type}`)).list()[0]);
    expect(seen).toMatchObject([
      { state: "adding", container: { id: web.id, name: "web" }, ifName: "eth0" },
      { state: "adding", result: { by: "bridge" } },
    ]);
    expect(seen[0]).not.toHaveProperty("result");
    expect(records()).toMatchObject([{ state: "added", result: { by: "portmap" } }]);
  });

  it("done again changes nothing and prints the same, after CHECK", async () => {
    await add();
    const first = host.out.splice(0);
    cni.forget();
    host.links = ["lo", "eth0"];

    await add();

    expect(host.out).toEqual(first);
    expect(host.notes.join("")).toBe("tsnet: web is on CNI network lab as eth0 already; nothing was changed\n");
    expect(cni.steps()).toEqual(["CHECK bridge", "CHECK portmap"]);
  });

  it("done again says what is no longer as it was added", async () => {
    await add();
    cni.plugin("portmap", { CHECK: { stdout: '{"code":999,"msg":"a rule is missing"}', exitCode: 1 } });

    await expect(add()).rejects.toThrow(
      /^web is on CNI network lab as eth0 already, but not as it was added \(`tsnet cni del` takes it off.*a rule is missing$/,
    );
  });

  it("done again with another configuration is refused", async () => {
    await add();
    cni.forget();
    writeFileSync(lab, JSON.stringify({ ...LAB, plugins: [{ type: "bridge", mtu: 1400 }] }));

    await expect(add()).rejects.toThrow("web is on CNI network lab as eth0 already, with another configuration");
    await expect(add({ args: "A=1" })).rejects.toThrow("with another configuration");
    expect(cni.steps()).toEqual([]);
  });

  it("adds the container once more by another interface if that is named", async () => {
    await add();
    await add({ ifname: "eth5" });

    expect(records().map(({ ifName }) => ifName)).toEqual(["eth0", "eth5"]);
  });

  it("takes back first what the container had before it was started anew, without its old namespace", async () => {
    await add({ ifname: "eth3" });
    await web.end();
    cni.forget();
    using again = new FakeContainer("web");
    host = new FakeCniTools(again.now);

    await add();

    expect(cni.steps()).toEqual(["DEL portmap", "DEL bridge", "ADD bridge", "ADD portmap"]);
    expect(cni.calls().map(({ env }) => env["CNI_NETNS"])).toEqual([
      "",
      "",
      ...Array(2).fill(`/proc/${again.now.pid}/ns/net`),
    ]);
    expect(records()).toMatchObject([{ process: { pid: again.now.pid }, ifName: "eth3" }]);
    expect(host.notes.join("")).toContain(
      "web was started anew since: what CNI network lab had for it is taken back first",
    );
  });

  it("takes back first what an interrupted one left", async () => {
    await add();
    const [record] = records();
    if (record === undefined) throw new Error("there is one");
    new CniRecords(stateDir()).write({ ...record, state: "adding" });
    cni.forget();

    await add();

    expect(cni.steps()).toEqual(["DEL portmap", "DEL bridge", "ADD bridge", "ADD portmap"]);
    expect(cni.calls()[0]?.input).toMatchObject({ prevResult: { by: "portmap" } });
    expect(records()).toMatchObject([{ state: "added" }]);
  });

  it("adds nothing while what an interrupted one left cannot be taken back", async () => {
    await add();
    const [record] = records();
    if (record === undefined) throw new Error("there is one");
    new CniRecords(stateDir()).write({ ...record, state: "adding" });
    cni.plugin("bridge", { DEL: { exitCode: 1 } });
    cni.forget();

    await expect(add()).rejects.toThrow(
      /^that failed \(`tsnet cni del --force` forgets it all the same\): CNI plugin bridge/,
    );
    expect(cni.steps()).toEqual(["DEL portmap", "DEL bridge"]);
    expect(records()).toMatchObject([{ state: "adding" }]);
  });

  it("that fails is taken back by all plugins, and leaves no record", async () => {
    cni.plugin("portmap", { ADD: { stdout: '{"code":5,"msg":"no iptables"}', exitCode: 1 } });

    await expect(add()).rejects.toThrow(
      /^container web could not be added to CNI network lab: CNI plugin portmap \(2 of 2\) failed at ADD: .*code 5: no iptables$/,
    );
    expect(cni.steps()).toEqual(["ADD bridge", "ADD portmap", "DEL portmap", "DEL bridge"]);
    expect(cni.calls().at(-1)?.input).toMatchObject({ prevResult: { by: "bridge" } });
    expect(records()).toEqual([]);
  });

  it("that fails and cannot be taken back stays recorded, and says so", async () => {
    cni.plugin("portmap", { ADD: { exitCode: 1 }, DEL: { exitCode: 2 } });

    await expect(add()).rejects.toThrow(
      /`tsnet cni del` tries again what DEL left \(CNI plugin portmap .*exit code 2\)/,
    );
    expect(cni.steps().at(-1)).toBe("DEL bridge");
    expect(records()).toMatchObject([{ state: "adding" }]);
  });

  it("does nothing to an interface that the container has already", async () => {
    host.links = ["lo", "eth0"];

    await expect(add({ ifname: "eth0" })).rejects.toThrow(
      "container web has an interface eth0 already; --ifname names another one",
    );
    expect(cni.steps()).toEqual([]);
    expect(records()).toEqual([]);
  });

  it("asks all plugins for their versions before the first one does something", async () => {
    cni.plugin("portmap", {}, ["0.3.1"]);

    await expect(add()).rejects.toThrow("network lab wants cniVersion 1.0.0, but plugin portmap knows 0.3.1");
    expect(cni.steps()).toEqual([]);
    expect(records()).toEqual([]);
  });

  it("goes to the container whose network namespace is shared, and says whose", async () => {
    using side = new FakeContainer("side", "b");
    host.containers.push({ ...side.now, sharedWith: { id: web.id, name: "web" } });

    await add({}, "side");

    expect(cni.calls()[0]?.env).toMatchObject({ CNI_CONTAINERID: web.id, CNI_NETNS: `/proc/${web.now.pid}/ns/net` });
    expect(host.notes.join("")).toBe("tsnet: side shares the network of web: this is about web\n");
  });

  it.each([
    ["has the host's network", { isOnHost: true }, "container web has the host's own network: CNI is not for that"],
    ["does not run", { isRunning: false, pid: 0 }, "container web does not run; start it first"],
  ])("refuses a container that %s", async (_what, change, message) => {
    host = new FakeCniTools({ ...web.now, ...change });

    await expect(add()).rejects.toThrow(message);
    expect(cni.steps()).toEqual([]);
  });

  it("refuses a capability that nobody asks for before anything else", async () => {
    const refused = add({ cap: ["mac=1"] }, "absent");

    await expect(refused).rejects.toThrow("no plugin of network lab asks for the capability mac");
  });
});
