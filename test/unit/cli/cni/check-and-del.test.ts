import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cniAdd } from "../../../../src/cli/cni/add.ts";
import { cniCheck } from "../../../../src/cli/cni/check.ts";
import { cniDel } from "../../../../src/cli/cni/del.ts";
import { readAddOptions } from "../../../../src/cli/cni/options.ts";
import { cniLs } from "../../../../src/cli/cni/ls.ts";
import { CniRecords } from "../../../../src/cli/cni/records.ts";
import { FakeCni, FakeCniTools, FakeContainer } from "../../../support/fake-cni.ts";

const LAB = { cniVersion: "1.0.0", name: "lab", plugins: [{ type: "bridge" }, { type: "tuning" }] };

let cni: FakeCni;
let web: FakeContainer;
let host: FakeCniTools;
let stateDir: string;
beforeEach(() => {
  cni = new FakeCni("bridge", "tuning");
  web = new FakeContainer("web");
  host = new FakeCniTools(web.now);
  stateDir = join(cni.folder, "state");
});
afterEach(() => {
  web[Symbol.dispose]();
  cni[Symbol.dispose]();
});

/** As it is before the commands that are tested: nothing printed, nothing called. */
async function added(conf: object = LAB, options: object = {}): Promise<string> {
  const file = cni.conf(conf);
  const folders = { cniPath: cni.path, confDir: cni.folder, stateDir };
  await cniAdd(host.tools, "web", file, readAddOptions({ ...folders, ...options }));
  host.out.splice(0);
  host.notes.splice(0);
  cni.forget();
  return file;
}

const records = () => new CniRecords(stateDir).list();
const printed = () => host.out.join("");

/** Another container has the name now. */
async function replaceContainer(): Promise<FakeContainer> {
  await web.end();
  const other = new FakeContainer("web", "c");
  host = new FakeCniTools(other.now);
  return other;
}

describe("tsnet cni check", () => {
  const check = async (conf: string, options: object = {}) =>
    await cniCheck(host.tools, "web", conf, { stateDir, ...options });

  it("asks all plugins, with all that ADD was told and gave", async () => {
    const file = await added(LAB, { ifname: "net1", args: "A=1" });

    await check(file);

    expect(cni.steps()).toEqual(["CHECK bridge", "CHECK tuning"]);
    expect(cni.calls()[0]).toMatchObject({
      env: { CNI_IFNAME: "net1", CNI_ARGS: "A=1", CNI_CONTAINERID: web.id, CNI_PATH: cni.path },
      input: { prevResult: { by: "tuning" } },
    });
    expect(printed()).toBe("web is on CNI network lab as net1, as it was added\n");
  });

  it("says what a plugin found", async () => {
    await added();
    cni.plugin("bridge", { CHECK: { stdout: '{"code":999,"msg":"no address"}', exitCode: 1 } });

    await expect(check("lab")).rejects.toThrow(
      /^web is on CNI network lab as eth0, but not as it was added: CNI plugin bridge .*code 999: no address$/,
    );
  });

  it("asks no plugin if the configuration forbids it, and says so", async () => {
    await added({ ...LAB, disableCheck: true });

    await check("lab", { json: true });

    expect(cni.steps()).toEqual([]);
    expect(host.notes.join("")).toContain('the configuration of lab has "disableCheck": no plugin was asked');
    expect(JSON.parse(printed())).toEqual({ network: "lab", interface: "eth0", isChecked: false });
  });

  it("is not possible in version 0.3.1", async () => {
    await added({ ...LAB, cniVersion: "0.3.1" });

    await expect(check("lab")).rejects.toThrow("was added with version 0.3.1; CNI has CHECK from version 0.4.0 on");
  });

  it("says that the container was not added, was added in part, or has stopped since", async () => {
    await expect(check("lab")).rejects.toThrow("tsnet has not added web to CNI network lab");
    await added();
    const [record] = records();
    if (record === undefined) throw new Error("there is one");
    new CniRecords(stateDir).write({ ...record, state: "adding" });
    await expect(check("lab")).rejects.toThrow("web was added to CNI network lab in part only; `tsnet cni add web`");
    new CniRecords(stateDir).write(record);
    await web.end();
    await expect(check("lab")).rejects.toThrow("web has stopped since it was added to CNI network lab");
  });
});

describe("tsnet cni del", () => {
  const del = async (conf: string, options: object = {}) =>
    await cniDel(host.tools, "web", conf, { stateDir, ...options });

  it("runs all plugins in reverse with what ADD was told and gave, and leaves no record", async () => {
    const file = await added(LAB, { args: "A=1" });
    cni.conf({ ...LAB, plugins: [{ type: "changed" }] });

    await del(file);

    expect(cni.steps()).toEqual(["DEL tuning", "DEL bridge"]);
    const netns = `/proc/${web.now.pid}/ns/net`;
    expect(cni.calls()[0]?.env).toMatchObject({ CNI_IFNAME: "eth0", CNI_ARGS: "A=1", CNI_NETNS: netns });
    expect(cni.calls()[0]?.input).toMatchObject({ prevResult: { by: "tuning" } });
    expect(readdirSync(stateDir)).toEqual(["lock"]);
    expect(printed()).toBe("web is off CNI network lab (eth0)\n");
  });

  it("needs no configuration when the network is called by its name", async () => {
    rmSync(await added());

    await del("lab", { json: true });

    expect(records()).toEqual([]);
    expect(JSON.parse(printed())).toEqual({ network: "lab", isDeleted: true });
  });

  it("of what was not added runs no plugin, and is no failure", async () => {
    await added();

    await del("other");
    await cniDel(host.tools, "absent", "lab", { stateDir });

    expect(cni.steps()).toEqual([]);
    expect(host.notes.join("")).toContain("tsnet has not added web to CNI network other; nothing was changed");
    expect(host.notes.join("")).toContain("tsnet has not added absent to CNI network lab; nothing was changed");
    expect(records()).toHaveLength(1);
  });

  it("works without a namespace for a container that is gone, by its name or the beginning of its id", async () => {
    for (const text of ["web", "aaaa"]) {
      host.containers.splice(0, 1, web.now);
      await added();
      host.containers.splice(0);
      await web.end();

      await cniDel(host.tools, text, "lab", { stateDir });

      expect(cni.steps()).toEqual(["DEL tuning", "DEL bridge"]);
      expect(cni.calls()[0]?.env).toMatchObject({ CNI_NETNS: "", CNI_CONTAINERID: web.id });
      expect(records()).toEqual([]);
      web = new FakeContainer("web");
    }
  });

  it("takes off the container that had the name before, if the one that has it now was not added", async () => {
    await added();
    using other = await replaceContainer();

    await del("lab");

    expect(cni.calls()[0]?.env).toMatchObject({ CNI_CONTAINERID: web.id, CNI_NETNS: "" });
    expect(records()).toEqual([]);
    expect(other.id).not.toBe(web.id);
  });

  it("does not take off a container that runs under another name now", async () => {
    await added();
    using other = new FakeContainer("web", "c");
    host = new FakeCniTools({ ...web.now, name: "renamed" }, other.now);

    await del("lab");

    expect(cni.steps()).toEqual([]);
    expect(records()).toHaveLength(1);
  });

  it("keeps the record if a plugin fails, so that it can be tried again", async () => {
    await added();
    cni.plugin("bridge", { DEL: { exitCode: 1 } });

    await expect(del("lab")).rejects.toThrow(
      /^container web could not be taken off CNI network lab \(--force forgets it all the same\): CNI plugin bridge \(1 of 2\) failed at DEL/,
    );
    expect(records()).toHaveLength(1);
  });

  it("with --force runs all plugins and forgets the record, and says what failed", async () => {
    await added();
    cni.plugin("tuning", { DEL: { exitCode: 1 } });

    await del("lab", { force: true });

    expect(cni.steps()).toEqual(["DEL tuning", "DEL bridge"]);
    expect(host.notes.join("")).toMatch(/left as it is: CNI plugin tuning \(2 of 2\) failed at DEL/);
    expect(records()).toEqual([]);
  });

  it("asks which interface is meant if there are several", async () => {
    await added();
    await added(LAB, { ifname: "net1" });

    await expect(del("lab")).rejects.toThrow("web is on CNI network lab as eth0, net1: say which with --ifname");
    await del("lab", { ifname: "net1" });

    expect(records().map(({ ifName }) => ifName)).toEqual(["eth0"]);
  });
});

describe("tsnet cni ls", () => {
  const ls = (options: object = {}) => cniLs(host.tools, { stateDir, ...options });

  it("lists what was added, and says what of it was interrupted or has stopped", async () => {
    await added();
    const [record] = records();
    if (record === undefined) throw new Error("there is one");
    new CniRecords(stateDir).write({ ...record, ifName: "eth1", state: "adding" });
    new CniRecords(stateDir).write({ ...record, ifName: "eth2", process: { pid: 1, startTime: "another" } });

    ls();

    expect(
      printed()
        .split("\n")
        .map((line) => line.trim().split(/ +/)),
    ).toEqual([
      ["CONTAINER", "NETWORK", "INTERFACE", "ADDRESSES", "STATE"],
      ["web", "lab", "eth0", "10.9.0.2/24", "added"],
      ["web", "lab", "eth1", "10.9.0.2/24", "interrupted"],
      ["web", "lab", "eth2", "10.9.0.2/24", "stopped"],
      [""],
    ]);
  });

  it("says that there is nothing", () => {
    ls();

    expect(printed()).toBe("tsnet has added no container by CNI\n");
  });
});
