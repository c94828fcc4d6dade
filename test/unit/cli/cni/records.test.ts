import { chmodSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseConf } from "../../../../src/cli/cni/conf.ts";
import { lockRecords } from "../../../../src/cli/cni/lock.ts";
import { type CniRecord, CniRecords } from "../../../../src/cli/cni/records.ts";
import { FakeCni } from "../../../support/fake-cni.ts";

describe("the records of CNI", () => {
  let cni: FakeCni;
  let folder: string;
  beforeEach(() => {
    cni = new FakeCni();
    folder = join(cni.folder, "state/cni");
  });
  afterEach(() => cni[Symbol.dispose]());

  it("are read as they were written, by container, network and interface", () => {
    const records = new CniRecords(folder);
    const all = [recordOf("a", "lab", "eth0"), recordOf("a", "lab", "eth1"), recordOf("b", "lab", "eth0")];
    for (const record of all.toReversed()) records.write(record);

    expect(new CniRecords(folder).list()).toEqual(all);
  });

  it("are nobody else's to read", () => {
    new CniRecords(folder).write(recordOf("a", "lab", "eth0"));

    const [file = ""] = readdirSync(join(folder, "a".repeat(64)));
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(statSync(join(folder, "a".repeat(64), file)).mode & 0o777).toBe(0o600);
  });

  it("are not kept where others can write", () => {
    mkdirSync(folder, { recursive: true });
    chmodSync(folder, 0o777);

    expect(() => new CniRecords(folder)).toThrow(`cannot be kept in ${folder}, which others can change`);
  });

  it("take the place of one another", () => {
    const records = new CniRecords(folder);
    records.write(recordOf("a", "lab", "eth0"));
    records.write({ ...recordOf("a", "lab", "eth0"), state: "added", result: { by: "me" } });

    expect(records.list()).toMatchObject([{ state: "added", result: { by: "me" } }]);
    expect(readdirSync(join(folder, "a".repeat(64)))).toEqual(["lab:eth0.json"]);
  });

  it("leave nothing behind, also when there was nothing", () => {
    const records = new CniRecords(folder);
    records.write(recordOf("a", "lab", "eth0"));
    records.remove(recordOf("a", "lab", "eth0"));
    records.remove(recordOf("a", "lab", "eth0"));

    expect(readdirSync(folder)).toEqual([]);
  });

  it("that a crash left half written are not read", () => {
    const records = new CniRecords(folder);
    records.write(recordOf("a", "lab", "eth0"));
    writeFileSync(join(folder, "a".repeat(64), "lab:eth1.json.new"), '{"format":');

    expect(records.list()).toHaveLength(1);
  });

  it.each(["", "{", '{"format":2}'])("that are %j are named", (text) => {
    const records = new CniRecords(folder);
    records.write(recordOf("a", "lab", "eth0"));
    const file = join(folder, "a".repeat(64), "lab:eth0.json");
    writeFileSync(file, text);

    expect(() => records.list()).toThrow(`${file} is no record of this tsnet: damaged, or of a newer one`);
    expect(readFileSync(file, "utf8")).toBe(text);
  });

  it("of what is no id of a container are refused, since it becomes a path", () => {
    const bad = { ...recordOf("a", "lab", "eth0"), container: { id: "../../etc", name: "web" } };

    expect(() => new CniRecords(folder).write(bad)).toThrow('"../../etc" is no id of a container');
  });

  it("are changed by one command at a time: a second one waits", async () => {
    mkdirSync(folder, { recursive: true });
    const first = await lockRecords(folder);
    await expect(lockRecords(folder, 0)).rejects.toThrow(
      `${folder}/lock: another tsnet cni is at work and does not end`,
    );

    const second = lockRecords(folder);
    first[Symbol.dispose]();

    (await second)[Symbol.dispose]();
  });

  it("say it if they cannot be locked", async () => {
    await expect(lockRecords("/nonexistent")).rejects.toThrow(
      "/nonexistent/lock cannot be locked: unable to open database file",
    );
  });
});

function recordOf(digit: string, network: string, ifName: string): CniRecord {
  return {
    format: 1,
    state: "adding",
    container: { id: digit.repeat(64), name: `web-${digit}` },
    process: { pid: 1, startTime: "1" },
    conf: parseConf(JSON.stringify({ cniVersion: "1.0.0", name: network, type: "bridge" }), "conf"),
    cniVersion: "1.0.0",
    ifName,
    args: "",
    capabilities: {},
    path: "/usr/lib/cni",
  };
}
