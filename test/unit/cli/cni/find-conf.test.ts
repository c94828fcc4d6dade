import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { findConf, findNetworkName } from "../../../../src/cli/cni/find-conf.ts";
import { FakeCni } from "../../../support/fake-cni.ts";

describe("the configuration that is meant", () => {
  let cni: FakeCni;
  let folder: string;
  beforeEach(() => {
    cni = new FakeCni();
    folder = join(cni.folder, "net.d");
    mkdirSync(folder);
  });
  afterEach(() => cni[Symbol.dispose]());

  const put = (file: string, name: string, type = "bridge") => {
    writeFileSync(join(folder, file), JSON.stringify({ cniVersion: "1.0.0", name, type }));
  };

  it("is the file of that path", () => {
    const path = cni.conf({ cniVersion: "1.0.0", name: "lab", plugins: [{ type: "bridge" }] });

    expect(findConf(path, folder)).toMatchObject({ name: "lab", plugins: [{ type: "bridge" }] });
    expect(findNetworkName(path)).toBe("lab");
  });

  it("is the first one of that name in the order of the files", () => {
    put("20-lab.conf", "lab", "second");
    put("10-lab.json", "lab", "first");
    put("05-lab.txt", "lab", "no configuration");

    expect(findConf("lab", folder).plugins).toMatchObject([{ type: "first" }]);
  });

  it("is none if no network is called so: the message names those there are, and the files that are wrong", () => {
    put("10.conf", "alpha");
    put("20.conflist", "beta");
    writeFileSync(join(folder, "30.conf"), "{");

    expect(() => findConf("lab", folder)).toThrow(
      `${folder} has no CNI network "lab"; it has alpha, beta; ${folder}/30.conf is no JSON object; a path with a / names a file`,
    );
    expect(() => findConf("lab", "/nonexistent")).toThrow('/nonexistent has no CNI network "lab"; it has none');
  });

  it("is refused if it cannot be read or is too large", () => {
    expect(() => findConf("./absent.conf", folder)).toThrow(/cannot be read: ENOENT.*absent\.conf/);
    const path = cni.conf({ padding: "x".repeat(1024 * 1024) });
    expect(() => findConf(path, folder)).toThrow(/has 1048\d\d\d bytes, permitted are 1048576/);
  });

  it("may be gone when the network is called by its name", () => {
    expect(findNetworkName("lab")).toBe("lab");
    expect(() => findNetworkName("a b")).toThrow('"a b" is no name of a CNI network');
  });
});
